//! Arguments that uutils do not take under WASI, in a form that they take; or why not.

use std::ffi::OsString;

/// What a utility cannot do, and its exit status.
pub(crate) type Failure = (String, u8);

/// Changes the arguments of a utility, of which the first is its name.
///
/// # Errors
/// What the utility cannot do.
pub(crate) fn adapt(name: &str, arguments: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    match name {
        "cp" => Ok(without_modes(arguments)),
        "sort" => Ok(sort(arguments)),
        "split" => split(arguments),
        "tail" => Ok(tail(arguments)),
        _ => Ok(arguments),
    }
}

/// `cp -a` and `cp -p` keep times and links. What else they keep elsewhere is not there: modes and owners.
fn without_modes(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut adapted = Vec::new();
    let mut ended = false;
    for word in arguments {
        let text = word.to_str().unwrap_or_default();
        ended |= text == "--";
        let letters = text.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
        match letters {
            _ if ended => adapted.push(word),
            // `-t` and `-S` take the rest of the word.
            Some(letters) if letters.contains(['a', 'p']) && !letters.contains(['t', 'S']) => {
                let others: String = letters.chars().filter(|letter| !"ap".contains(*letter)).collect();
                let archive = if letters.contains('a') { "dR" } else { "" };
                let short = format!("-{others}{archive}");
                adapted.extend((short.len() > 1).then(|| OsString::from(short)));
                adapted.push("--preserve=timestamps".into());
            }
            _ if text == "--archive" => adapted.extend(["-dR", "--preserve=timestamps"].map(OsString::from)),
            _ if text == "--preserve" => adapted.push("--preserve=timestamps".into()),
            _ => match text.strip_prefix("--preserve=") {
                Some(kept) if kept.split(',').any(|kept| ["timestamps", "all"].contains(&kept)) => {
                    adapted.push("--preserve=timestamps".into());
                }
                Some(kept) if kept.split(',').all(|kept| ["mode", "ownership", "xattr", "context"].contains(&kept)) => {
                }
                _ => adapted.push(word),
            },
        }
    }
    adapted
}

/// uutils leave `--filter` out under WASI, and write the pieces.
fn split(arguments: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let filters = |word: &OsString| word.to_str().is_some_and(|word| word.starts_with("--fil"));
    if arguments.iter().any(filters) {
        let message = "--filter is not supported here: write the pieces, then run the command for each of them";
        return Err((message.to_owned(), 1));
    }
    Ok(arguments)
}

/// `sort -m` needs a thread of uutils. Files that are sorted can as well be sorted together.
fn sort(arguments: Vec<OsString>) -> Vec<OsString> {
    let Ok(matches) = uu_sort::uu_app().try_get_matches_from(&arguments) else { return arguments };
    let is_given = |id: &str| {
        matches.try_contains_id(id).unwrap_or(false)
            && matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine)
    };
    if !is_given("merge") {
        return arguments;
    }
    let adapted = arguments.into_iter().filter_map(|word| match word.to_str() {
        Some("-m" | "--merge") => None,
        Some(text) if text.starts_with('-') && !text.starts_with("--") && !text.contains(['k', 't', 'o', 'S', 'T']) => {
            Some(OsString::from(text.replace('m', "")))
        }
        _ => Some(word),
    });
    adapted.collect()
}

/// `tail` looks for the end of its standard input by its name, `/dev/stdin`, and finds none: it has to read it.
fn tail(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let takes_value = |word: &OsString| ["-n", "-c", "--lines", "--bytes"].iter().any(|option| *option == *word);
    let operands = arguments.windows(2).filter(|pair| {
        let is_option = pair[1].to_str().is_some_and(|word| word.len() > 1 && word.starts_with(['-', '+']));
        !is_option && !takes_value(&pair[0]) && pair[1] != "-"
    });
    if operands.count() > 0 {
        return arguments;
    }
    // The old form, `-5` and `+5`, takes no further options.
    let first = arguments.get(1).and_then(|word| word.to_str()).unwrap_or_default().to_owned();
    if first
        .strip_prefix(['-', '+'])
        .is_some_and(|count| !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit()))
    {
        let count = first.strip_prefix('-').unwrap_or(&first);
        arguments.splice(1..2, ["-n".into(), count.into()]);
    }
    arguments.push("---presume-input-pipe".into());
    arguments
}

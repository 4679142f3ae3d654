//! A command line, taken apart.

use super::address::Range;

/// A command, taken apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(super) range: Range,
    pub(crate) name: &'static str,
    pub(crate) bang: bool,
    pub(crate) argument: &'a str,
}

/// The result of a command: the error is a message.
pub(super) type Outcome = Result<(), String>;

/// Commands, each with the shortest abbreviation. The first that fits counts.
const COMMANDS: &[(&str, usize)] = &[
    ("append", 1),
    ("args", 2),
    ("copy", 2),
    ("change", 1),
    ("delete", 1),
    ("edit", 1),
    ("exit", 3),
    ("file", 1),
    ("global", 1),
    ("insert", 1),
    ("join", 1),
    ("k", 1),
    ("list", 1),
    ("move", 1),
    ("mark", 2),
    ("marks", 5),
    ("next", 1),
    ("number", 2),
    ("nohlsearch", 3),
    ("normal", 4),
    ("previous", 4),
    ("print", 1),
    ("put", 2),
    ("quit", 1),
    ("qall", 2),
    ("read", 1),
    ("redo", 3),
    ("registers", 3),
    ("display", 2),
    ("rewind", 3),
    ("retab", 3),
    ("substitute", 1),
    ("set", 2),
    ("sort", 3),
    ("stop", 2),
    ("suspend", 3),
    ("t", 1),
    ("undo", 1),
    ("vglobal", 1),
    ("version", 3),
    ("write", 1),
    ("wq", 2),
    ("wqall", 3),
    ("wall", 2),
    ("xit", 1),
    ("xall", 2),
    ("yank", 1),
    ("enew", 3),
    ("saveas", 3),
    ("update", 2),
    ("help", 1),
    ("wnext", 2),
];

/// Commands whose argument may hold `|`.
pub(super) const TAKES_BARS: &[&str] = &["global", "vglobal", "normal", "!"];

/// The full name of the command at the beginning of a text, and what follows.
pub(super) fn command_name(text: &str) -> Result<(&'static str, &str), String> {
    for sign in ["!", "&&", "&", "~", "=", ">", "<", "@", "*", "#"] {
        if let Some(after) = text.strip_prefix(sign) {
            let name = match sign {
                "&&" => "&",
                "*" => "@",
                "#" => "number",
                sign => ["!", "&", "~", "=", ">", "<", "@"].into_iter().find(|name| *name == sign).unwrap_or("&"),
            };
            let after = if sign == "&&" { text.strip_prefix('&').unwrap_or(after) } else { after };
            return Ok((name, after));
        }
    }
    let letters = text.find(|sign: char| !sign.is_ascii_alphabetic()).unwrap_or(text.len());
    let word = &text[..letters];
    if word.is_empty() {
        return if text.is_empty() || text.starts_with(['|', '"']) {
            Ok(("", text))
        } else {
            Err(format!("E492: Not an editor command: {text}"))
        };
    }
    let fits = |(name, least): &&(&str, usize)| word.len() >= *least && name.starts_with(word);
    if let Some((name, _)) = COMMANDS.iter().find(fits) {
        return Ok((name, &text[letters..]));
    }
    // `:ka` and `:sg` have their arguments without a blank, and so has `:s` its flags.
    if word.starts_with('k') && word.len() == 2 {
        return Ok(("k", &text[1..]));
    }
    if let Some(flags) = word.strip_prefix('s').filter(|flags| flags.chars().all(|flag| "gcieIn".contains(flag))) {
        return Ok(("substitute", &text[letters - flags.len()..]));
    }
    if let Some(name) = word.strip_prefix('d').or_else(|| word.strip_prefix('y')).filter(|name| name.len() == 1) {
        let command = if word.starts_with('d') { "delete" } else { "yank" };
        return Ok((command, &text[letters - name.len()..]));
    }
    Err(format!("E492: Not an editor command: {text}"))
}

/// Parts a command from those behind `|`.
pub(super) fn split_bar(text: &str) -> (&str, Option<&str>) {
    let mut escaped = false;
    for (at, sign) in text.char_indices() {
        match sign {
            '\\' | '\x16' => escaped = !escaped,
            '|' if !escaped => return (&text[..at], Some(&text[at + 1..])),
            _ => escaped = false,
        }
    }
    (text, None)
}

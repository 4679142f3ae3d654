//! The command line.

use unix_common::options::{self, Opt, Order, Word, flag, value};

const OPTIONS: &[Opt] = &[
    flag("s", "slurp"),
    flag("r", "raw-output"),
    flag("j", "join-output"),
    flag("", "raw-output0"),
    flag("a", "ascii-output"),
    flag("n", "null-input"),
    flag("R", "raw-input"),
    value("f", "from-file"),
    flag("S", "sort-keys"),
    flag("c", "compact-output"),
    flag("C", "color-output"),
    flag("M", "monochrome-output"),
    flag("", "tab"),
    value("", "indent"),
    flag("", "seq"),
    flag("e", "exit-status"),
    flag("h", "help"),
    flag("V", "version"),
];

const HELP: &str = "Usage:\tjq [OPTIONS] FILTER [FILES...]
\tjq [OPTIONS] -f FILE [FILES...]
\tjq [OPTIONS] --args FILTER [STRINGS...]
\tjq [OPTIONS] --jsonargs FILTER [JSON_TEXTS...]

jq is a tool for processing JSON inputs, applying the given filter to its JSON text inputs and producing the filter's
results as JSON on standard output.

  -n, --null-input          use `null` as the single input value
  -R, --raw-input           read each line as string instead of JSON
  -s, --slurp               read all inputs into an array and use it as the single input value
  -c, --compact-output      compact instead of pretty-printed output
  -r, --raw-output          output strings without escapes and quotes
      --raw-output0         implies -r and output NUL after each output
  -j, --join-output         implies -r and output without newline after each output
  -a, --ascii-output        output strings by only ASCII characters using escape sequences
  -S, --sort-keys           sort keys of each object on output
  -C, --color-output        colorize JSON output
  -M, --monochrome-output   disable colored output
      --tab                 use tabs for indentation
      --indent n            use n spaces for indentation (max 7 spaces)
  -f, --from-file file      load filter from the file
      --arg name value      set $name to the string value
      --argjson name value  set $name to the JSON value
      --slurpfile name file set $name to an array of JSON values read from the file
      --rawfile name file   set $name to string contents of file
      --args, --jsonargs    consume remaining arguments as positional string or JSON values
  -e, --exit-status         set exit status code based on the output
      --seq                 output the character RS before each output
";

/// What a variable of the command line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Json,
    JsonFile,
    TextFile,
}

/// What the command line asks for.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct Settings {
    pub(crate) filter: Option<String>,
    pub(crate) filter_file: Option<String>,
    pub(crate) files: Vec<String>,
    pub(crate) variables: Vec<(String, Kind, String)>,
    /// `$ARGS.positional`, each a text or JSON.
    pub(crate) positional: Vec<(Kind, String)>,
    pub(crate) slurp: bool,
    pub(crate) raw_output: bool,
    /// What follows each output; none is nothing.
    pub(crate) end: Option<char>,
    pub(crate) ascii: bool,
    pub(crate) null_input: bool,
    pub(crate) raw_input: bool,
    pub(crate) sort_keys: bool,
    pub(crate) compact: bool,
    pub(crate) color: Option<bool>,
    pub(crate) indent: String,
    pub(crate) sequence: bool,
    pub(crate) exit_status: bool,
}

/// Reads the command line. None if all is done; the error is a message.
pub(crate) fn read(words: &[String]) -> Result<Option<Settings>, String> {
    let mut settings = Settings { end: Some('\n'), indent: "  ".to_owned(), ..Settings::default() };
    let mut rest = words.iter();
    // Options with two arguments, which no other program has, and what follows `--args`.
    let (mut others, mut positional) = (Vec::new(), None);
    while let Some(word) = rest.next() {
        let kind = match word.as_str() {
            "--arg" => Kind::Text,
            "--argjson" => Kind::Json,
            "--slurpfile" => Kind::JsonFile,
            "--rawfile" => Kind::TextFile,
            "--args" | "--jsonargs" => {
                positional = Some(if word == "--args" { Kind::Text } else { Kind::Json });
                continue;
            }
            _ => {
                let is_option = word.starts_with('-') && word.len() > 1;
                match positional.filter(|_| !is_option && !others.iter().all(|other: &String| other.starts_with('-'))) {
                    Some(kind) => settings.positional.push((kind, word.clone())),
                    None => others.push(word.clone()),
                }
                continue;
            }
        };
        let (Some(name), Some(value)) = (rest.next(), rest.next()) else {
            return Err(format!("{word} takes two parameters (e.g. {word} varname value)"));
        };
        settings.variables.push((name.clone(), kind, value.clone()));
    }
    for word in options::parse(&others, OPTIONS, Order::Any)? {
        match word {
            Word::Operand(operand) if settings.filter.is_none() => settings.filter = Some(operand),
            Word::Operand(operand) => settings.files.push(operand),
            Word::Option(found) => {
                if set(&mut settings, found.id, found.text())? {
                    return Ok(None);
                }
            }
        }
    }
    if settings.filter_file.is_some() {
        // Then the first operand is a file, too.
        let first = settings.filter.take();
        settings.files.splice(0..0, first);
    }
    Ok(Some(settings))
}

/// Sets what an option says. Whether all is done.
fn set(settings: &mut Settings, id: &str, text: &str) -> Result<bool, String> {
    match id {
        "slurp" => settings.slurp = true,
        "raw-output" => settings.raw_output = true,
        "join-output" => (settings.raw_output, settings.end) = (true, None),
        "raw-output0" => (settings.raw_output, settings.end) = (true, Some('\0')),
        "ascii-output" => settings.ascii = true,
        "null-input" => settings.null_input = true,
        "raw-input" => settings.raw_input = true,
        "from-file" => settings.filter_file = Some(text.to_owned()),
        "sort-keys" => settings.sort_keys = true,
        "compact-output" => settings.compact = true,
        "color-output" => settings.color = Some(true),
        "monochrome-output" => settings.color = Some(false),
        "tab" => settings.indent = "\t".to_owned(),
        "indent" => {
            let spaces: usize = text.parse().map_err(|_| "--indent takes a number".to_owned())?;
            if spaces > 7 {
                return Err("Cannot indent more than 7 characters".to_owned());
            }
            settings.compact = spaces == 0;
            settings.indent = " ".repeat(spaces);
        }
        "seq" => settings.sequence = true,
        "exit-status" => settings.exit_status = true,
        "help" => {
            print!("{HELP}");
            return Ok(true);
        }
        _ => {
            println!("jq-{} (Whelk, jaq)", env!("CARGO_PKG_VERSION"));
            return Ok(true);
        }
    }
    Ok(false)
}

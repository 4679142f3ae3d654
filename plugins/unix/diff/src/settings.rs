//! The command line of `diff`.

use unix_common::options::{self, Opt, Order, Word, flag, optional, value};

const OPTIONS: &[Opt] = &[
    flag("0123456789", ""),
    flag("", "normal"),
    flag("q", "brief"),
    flag("s", "report-identical-files"),
    flag("c", ""),
    optional("", "context"),
    value("C", ""),
    flag("u", ""),
    optional("", "unified"),
    value("U", ""),
    flag("e", "ed"),
    flag("y", "side-by-side"),
    value("W", "width"),
    flag("", "left-column"),
    flag("", "suppress-common-lines"),
    value("L", "label"),
    flag("t", "expand-tabs"),
    flag("r", "recursive"),
    flag("", "no-dereference"),
    flag("N", "new-file"),
    flag("", "unidirectional-new-file"),
    value("x", "exclude"),
    flag("i", "ignore-case"),
    flag("E", "ignore-tab-expansion"),
    flag("Z", "ignore-trailing-space"),
    flag("b", "ignore-space-change"),
    flag("w", "ignore-all-space"),
    flag("B", "ignore-blank-lines"),
    flag("a", "text"),
    flag("", "strip-trailing-cr"),
    flag("d", "minimal"),
    flag("", "speed-large-files"),
    optional("", "color"),
    flag("", "help"),
    flag("v", "version"),
];

const HELP: &str = "Usage: diff [OPTION]... FILES
Compare FILES line by line.

      --normal                  output a normal diff (the default)
  -q, --brief                   report only when files differ
  -s, --report-identical-files  report when two files are the same
  -c, -C NUM, --context[=NUM]   output NUM (default 3) lines of copied context
  -u, -U NUM, --unified[=NUM]   output NUM (default 3) lines of unified context
  -e, --ed                      output an ed script
  -y, --side-by-side            output in two columns
  -W, --width=NUM               output at most NUM (default 130) print columns
      --suppress-common-lines   do not output common lines
  -L, --label LABEL             use LABEL instead of file name and timestamp
  -r, --recursive               recursively compare any subdirectories found
  -N, --new-file                treat absent files as empty
  -x, --exclude=PAT             exclude files that match PAT
  -i, --ignore-case             ignore case differences in file contents
  -Z, --ignore-trailing-space   ignore white space at line end
  -b, --ignore-space-change     ignore changes in the amount of white space
  -w, --ignore-all-space        ignore all white space
  -B, --ignore-blank-lines      ignore changes where lines are all blank
  -a, --text                    treat all files as text
      --strip-trailing-cr       strip trailing carriage return on input
      --help, -v, --version

Exit status is 0 if inputs are the same, 1 if different, 2 if trouble.
";

/// How differences are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Normal,
    Unified,
    Context,
    Ed,
    SideBySide,
}

/// What the command line asks for.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct Settings {
    pub(crate) files: [String; 2],
    pub(crate) style: Style,
    pub(crate) context: usize,
    pub(crate) brief: bool,
    pub(crate) report_same: bool,
    pub(crate) width: usize,
    pub(crate) suppress_common: bool,
    pub(crate) labels: Vec<String>,
    pub(crate) recursive: bool,
    pub(crate) new_file: bool,
    pub(crate) new_second: bool,
    pub(crate) excluded: Vec<String>,
    pub(crate) ignore_case: bool,
    pub(crate) ignore_trailing: bool,
    pub(crate) ignore_change: bool,
    pub(crate) ignore_space: bool,
    pub(crate) ignore_blank_lines: bool,
    pub(crate) text: bool,
    pub(crate) strip_cr: bool,
    /// The options as they are printed before each pair of files in directories.
    pub(crate) shown: String,
}

impl Settings {
    fn new(words: &[String]) -> Self {
        Self {
            files: [String::new(), String::new()],
            style: Style::Normal,
            context: 3,
            brief: false,
            report_same: false,
            width: 130,
            suppress_common: false,
            labels: Vec::new(),
            recursive: false,
            new_file: false,
            new_second: false,
            excluded: Vec::new(),
            ignore_case: false,
            ignore_trailing: false,
            ignore_change: false,
            ignore_space: false,
            ignore_blank_lines: false,
            text: false,
            strip_cr: false,
            shown: words
                .iter()
                .filter(|word| word.starts_with('-') && word.len() > 1)
                .map(|word| format!(" {word}"))
                .collect(),
        }
    }
}

/// Reads the command line. None if all is done; the error is a message.
pub(crate) fn read(words: &[String]) -> Result<Option<Settings>, String> {
    let mut settings = Settings::new(words);
    let (mut files, mut digits) = (Vec::new(), String::new());
    for word in options::parse(words, OPTIONS, Order::Any)? {
        let found = match word {
            Word::Operand(operand) => {
                files.push(operand);
                continue;
            }
            Word::Option(found) => found,
        };
        match (found.id, found.letter) {
            ("0123456789", Some(digit)) => digits.push(digit),
            ("help", _) => {
                print!("{HELP}");
                return Ok(None);
            }
            ("version", _) => {
                println!("diff (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            (id, _) => set(&mut settings, id, found.value.as_deref())?,
        }
    }
    if let Ok(context) = digits.parse() {
        settings.context = context;
    }
    let mut files = files.into_iter();
    let (Some(first), Some(second)) = (files.next(), files.next()) else {
        let last = words.last().map_or("diff", String::as_str);
        return Err(format!("missing operand after '{last}'"));
    };
    if let Some(extra) = files.next() {
        return Err(format!("extra operand '{extra}'"));
    }
    settings.files = [first, second];
    Ok(Some(settings))
}

fn set(settings: &mut Settings, id: &str, value: Option<&str>) -> Result<(), String> {
    let text = value.unwrap_or_default();
    match id {
        "normal" => settings.style = Style::Normal,
        "brief" => settings.brief = true,
        "report-identical-files" => settings.report_same = true,
        "c" | "context" | "C" | "u" | "unified" | "U" => {
            settings.style = if matches!(id, "c" | "context" | "C") { Style::Context } else { Style::Unified };
            if value.is_some() {
                settings.context = text.parse().map_err(|_| format!("invalid context length '{text}'"))?;
            }
        }
        "ed" => settings.style = Style::Ed,
        "side-by-side" => settings.style = Style::SideBySide,
        "width" => settings.width = text.parse().map_err(|_| format!("invalid width '{text}'"))?,
        "suppress-common-lines" => settings.suppress_common = true,
        "label" => settings.labels.push(text.to_owned()),
        "recursive" => settings.recursive = true,
        "new-file" => settings.new_file = true,
        "unidirectional-new-file" => settings.new_second = true,
        "exclude" => settings.excluded.push(text.to_owned()),
        "ignore-case" => settings.ignore_case = true,
        "ignore-trailing-space" => settings.ignore_trailing = true,
        "ignore-space-change" => settings.ignore_change = true,
        "ignore-all-space" | "ignore-tab-expansion" => settings.ignore_space = true,
        "ignore-blank-lines" => settings.ignore_blank_lines = true,
        "text" => settings.text = true,
        "strip-trailing-cr" => settings.strip_cr = true,
        // Others have no effect here.
        _ => {}
    }
    Ok(())
}

//! The command line.

use unix_common::options::{self, Opt, Order, Word, flag, optional, value};

use crate::error::PatchError;

const OPTIONS: &[Opt] = &[
    value("p", "strip"),
    value("F", "fuzz"),
    flag("l", "ignore-whitespace"),
    flag("c", "context"),
    flag("e", "ed"),
    flag("n", "normal"),
    flag("u", "unified"),
    flag("N", "forward"),
    flag("R", "reverse"),
    value("i", "input"),
    value("o", "output"),
    value("r", "reject-file"),
    flag("E", "remove-empty-files"),
    flag("b", "backup"),
    flag("", "backup-if-mismatch"),
    flag("", "no-backup-if-mismatch"),
    value("V", "version-control"),
    value("B", "prefix"),
    value("Y", "basename-prefix"),
    value("z", "suffix"),
    flag("t", "batch"),
    flag("f", "force"),
    flag("s", "quiet"),
    flag("", "silent"),
    flag("", "verbose"),
    flag("", "dry-run"),
    flag("", "posix"),
    value("d", "directory"),
    value("", "reject-format"),
    flag("", "binary"),
    flag("", "follow-symlinks"),
    value("", "read-only"),
    value("g", "get"),
    flag("Z", "set-utc"),
    flag("T", "set-time"),
    value("D", "ifdef"),
    optional("", "merge"),
    flag("v", "version"),
    flag("h", "help"),
];

const HELP: &str = "Usage: patch [OPTION]... [ORIGFILE [PATCHFILE]]

  -p, --strip=NUM           strip NUM leading components from file names
  -F, --fuzz=LINES          ignore so many lines of context (2)
  -l, --ignore-whitespace   ignore changes in the amount of white space
  -c, -n, -u                the patch is a context, normal, unified difference
  -N, --forward             ignore patches that seem to be reversed or applied
  -R, --reverse             apply the patch the other way round
  -i, --input=PATCHFILE     read the patch from PATCHFILE instead of stdin
  -o, --output=FILE         write patched files to FILE
  -r, --reject-file=FILE    write rejects to FILE
      --reject-format=FORMAT  write 'context' or 'unified' rejects
  -E, --remove-empty-files  remove files that are empty after patching
  -b, --backup              keep the original contents of each file
      --backup-if-mismatch, --no-backup-if-mismatch  where the patch does not match exactly (the default), or not
  -V, --version-control=STYLE  'simple', 'numbered' or 'existing' names of backups
  -B, --prefix=PREFIX, -Y, --basename-prefix=PREFIX, -z, --suffix=SUFFIX  names of backups
  -t, --batch               ask no questions, assume -R where it seems so
  -f, --force               ask no questions, assume that patches are not reversed
  -s, --quiet, --silent     say nothing unless there is an error
      --verbose             say more
      --dry-run             change no files
  -d, --directory=DIR       change to DIR first
      --follow-symlinks     patch what symbolic links lead to
      --binary, --posix, --help, -v, --version

Exit status is 0 if all hunks were applied, 1 if some were not, 2 if trouble.
";

/// The form of a patch, or of rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Unified,
    Context,
    Normal,
}

/// What answers a question where there is nobody to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Answers {
    /// The default of the question.
    #[default]
    Ask,
    /// `--batch`: a patch that seems to be reversed is.
    Batch,
    /// `--force`: it is not.
    Force,
}

/// How backups are called: `x.orig`, or `x.~1~`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Numbering {
    /// Numbered where there are numbered ones already.
    #[default]
    Existing,
    Simple,
    Numbered,
}

/// What the command line asks for.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct Settings {
    pub(crate) file: Option<String>,
    /// The patch; `-` is the standard input.
    pub(crate) input: String,
    /// How many components are stripped of names; none: all but the last.
    pub(crate) strip: Option<usize>,
    pub(crate) fuzz: usize,
    pub(crate) ignore_space: bool,
    pub(crate) form: Option<Form>,
    pub(crate) forward: bool,
    pub(crate) reverse: bool,
    pub(crate) output: Option<String>,
    pub(crate) rejects: Option<String>,
    pub(crate) reject_form: Option<Form>,
    pub(crate) remove_empty: bool,
    pub(crate) backup: bool,
    pub(crate) backup_mismatch: bool,
    pub(crate) numbering: Numbering,
    pub(crate) prefix: String,
    pub(crate) name_prefix: String,
    pub(crate) suffix: Option<String>,
    pub(crate) answers: Answers,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) dry_run: bool,
    pub(crate) posix: bool,
    pub(crate) binary: bool,
    pub(crate) follow_links: bool,
}

impl Settings {
    fn new() -> Self {
        Self {
            file: None,
            input: "-".to_owned(),
            strip: None,
            fuzz: 2,
            ignore_space: false,
            form: None,
            forward: false,
            reverse: false,
            output: None,
            rejects: None,
            reject_form: None,
            remove_empty: false,
            backup: false,
            backup_mismatch: true,
            numbering: Numbering::default(),
            prefix: String::new(),
            name_prefix: String::new(),
            suffix: None,
            answers: Answers::default(),
            quiet: false,
            verbose: false,
            dry_run: false,
            posix: false,
            binary: false,
            follow_links: false,
        }
    }
}

/// Why the command line is wrong.
pub(crate) enum Refusal {
    /// With a hint at `--help`.
    Usage(String),
    Error(PatchError),
}

impl From<PatchError> for Refusal {
    fn from(error: PatchError) -> Self {
        Self::Error(error)
    }
}

/// Reads the command line, and changes to the directory that it names. None if all is done.
pub(crate) fn read(words: &[String]) -> Result<Option<Settings>, Refusal> {
    let mut settings = Settings::new();
    let mut operands = Vec::new();
    for word in options::parse(words, OPTIONS, Order::Any).map_err(Refusal::Usage)? {
        match word {
            Word::Operand(operand) => operands.push(operand),
            Word::Option(found) if found.id == "help" => {
                print!("{HELP}");
                return Ok(None);
            }
            Word::Option(found) if found.id == "version" => {
                println!("patch (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            Word::Option(found) => set(&mut settings, found.id, found.text())?,
        }
    }
    let mut operands = operands.into_iter();
    settings.file = operands.next();
    settings.input = operands.next().unwrap_or(settings.input);
    match operands.next() {
        Some(extra) => Err(Refusal::Usage(format!("{extra}: extra operand"))),
        None => Ok(Some(settings)),
    }
}

fn set(settings: &mut Settings, id: &str, text: &str) -> Result<(), PatchError> {
    let number = |what: &str| text.parse().map_err(|_| PatchError(format!("{what} {text} is not a number")));
    match id {
        "strip" => settings.strip = Some(number("strip count")?),
        "fuzz" => settings.fuzz = number("fuzz factor")?,
        "ignore-whitespace" => settings.ignore_space = true,
        "context" => settings.form = Some(Form::Context),
        "normal" => settings.form = Some(Form::Normal),
        "unified" => settings.form = Some(Form::Unified),
        "forward" => settings.forward = true,
        "reverse" => settings.reverse = true,
        "input" => text.clone_into(&mut settings.input),
        "output" => settings.output = Some(text.to_owned()),
        "reject-file" => settings.rejects = Some(text.to_owned()),
        "reject-format" => {
            settings.reject_form = Some(match text {
                "context" => Form::Context,
                "unified" => Form::Unified,
                _ => return Err(PatchError(format!("Unknown reject format '{text}'; context and unified are known"))),
            });
        }
        "remove-empty-files" => settings.remove_empty = true,
        "backup" => settings.backup = true,
        "backup-if-mismatch" => settings.backup_mismatch = true,
        "no-backup-if-mismatch" => settings.backup_mismatch = false,
        "version-control" => {
            settings.numbering = match text {
                "simple" | "never" => Numbering::Simple,
                "numbered" | "t" => Numbering::Numbered,
                "existing" | "nil" => Numbering::Existing,
                _ => return Err(PatchError(format!("invalid argument '{text}' for '--version-control'"))),
            };
        }
        "prefix" => (settings.numbering, settings.prefix) = (Numbering::Simple, text.to_owned()),
        "basename-prefix" => (settings.numbering, settings.name_prefix) = (Numbering::Simple, text.to_owned()),
        "suffix" => (settings.numbering, settings.suffix) = (Numbering::Simple, Some(text.to_owned())),
        "batch" => settings.answers = Answers::Batch,
        "force" => settings.answers = Answers::Force,
        "quiet" | "silent" => settings.quiet = true,
        "verbose" => settings.verbose = true,
        "dry-run" => settings.dry_run = true,
        "posix" => (settings.posix, settings.backup_mismatch) = (true, false),
        "directory" => std::env::set_current_dir(text)
            .map_err(|error| PatchError::of(&format!("Can't change to directory {text}"), &error))?,
        "binary" => settings.binary = true,
        "follow-symlinks" => settings.follow_links = true,
        "ed" | "ifdef" | "merge" => {
            return Err(PatchError(format!("--{id} is not supported here")));
        }
        // The modes of files, their times, and RCS: there is nothing to do.
        _ => {}
    }
    Ok(())
}

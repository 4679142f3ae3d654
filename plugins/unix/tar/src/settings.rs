//! The command line.

use unix_common::options::{self, Argument, Found, Opt, Order, Word, flag, optional, value};

const OPTIONS: &[Opt] = &[
    flag("c", "create"),
    flag("x", "extract"),
    flag("", "get"),
    flag("t", "list"),
    flag("r", "append"),
    flag("u", "update"),
    value("f", "file"),
    value("C", "directory"),
    flag("v", "verbose"),
    flag("z", "gzip"),
    flag("", "gunzip"),
    flag("", "ungzip"),
    flag("a", "auto-compress"),
    flag("jJ", "bzip2"),
    flag("", "xz"),
    flag("", "zstd"),
    flag("O", "to-stdout"),
    flag("k", "keep-old-files"),
    flag("", "skip-old-files"),
    flag("", "overwrite"),
    flag("p", "preserve-permissions"),
    flag("", "same-owner"),
    flag("", "no-same-owner"),
    flag("", "no-same-permissions"),
    flag("m", "touch"),
    flag("P", "absolute-names"),
    flag("h", "dereference"),
    flag("", "no-recursion"),
    flag("", "recursion"),
    value("", "exclude"),
    value("X", "exclude-from"),
    value("", "strip-components"),
    value("T", "files-from"),
    flag("", "null"),
    flag("", "wildcards"),
    flag("", "no-wildcards"),
    flag("", "anchored"),
    value("", "owner"),
    value("", "group"),
    value("", "mode"),
    value("", "mtime"),
    flag("", "numeric-owner"),
    value("", "sort"),
    value("H", "format"),
    value("b", "blocking-factor"),
    flag("", "remove-files"),
    flag("", "totals"),
    optional("", "one-top-level"),
    flag("w", "interactive"),
    flag("", "full-time"),
    flag("", "utc"),
    flag("", "help"),
    flag("", "usage"),
    flag("", "version"),
];

const HELP: &str = "Usage: tar [OPTION...] [FILE]...
Saves many files together into a single archive, and can restore individual files from the archive.

Examples:
  tar -cf archive.tar foo bar  # Create archive.tar from files foo and bar.
  tar -tvf archive.tar         # List all files in archive.tar verbosely.
  tar -xf archive.tar          # Extract all files from archive.tar.

  -c, --create  -x, --extract  -t, --list  -r, --append  -u, --update
  -f, --file=ARCHIVE           use archive file; - is standard input or output
  -C, --directory=DIR          change to directory DIR
  -v, --verbose                list files processed
  -z, --gzip                   filter the archive through gzip
  -a, --auto-compress          use the archive suffix to determine the compression
  -O, --to-stdout              extract files to standard output
  -k, --keep-old-files         don't replace existing files when extracting, treat them as errors
      --skip-old-files         don't replace existing files when extracting, silently skip over them
  -m, --touch                  don't extract file modified time
  -P, --absolute-names         don't strip leading '/'s from file names
  -h, --dereference            follow symlinks; archive the files they point to
      --no-recursion           avoid descending automatically in directories
      --exclude=PATTERN, -X, --exclude-from=FILE
      --strip-components=N     strip N leading components from file names on extraction
  -T, --files-from=FILE        get names to extract or create from FILE; --null: separated by 0 bytes
      --wildcards              use wildcards in names of members
      --owner=NAME[:ID] --group=NAME[:ID] --mode=OCTAL --mtime=@SECONDS
      --numeric-owner          use numbers for user and group names
      --remove-files           remove files after adding them to the archive
";

/// What is done with the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Create,
    Append,
    Update,
    List,
    Extract,
}

/// A name and a number of a user or group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owner {
    pub(crate) name: String,
    pub(crate) id: u64,
}

/// A file to add, and the directory from which its name counts.
#[derive(Debug, Clone)]
pub(crate) struct Operand {
    pub(crate) directory: String,
    pub(crate) name: String,
}

/// What the command line asks for.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct Settings {
    pub(crate) task: Task,
    pub(crate) file: String,
    pub(crate) operands: Vec<Operand>,
    pub(crate) directory: String,
    pub(crate) verbose: u8,
    pub(crate) gzip: bool,
    pub(crate) to_output: bool,
    pub(crate) keep_old: bool,
    pub(crate) skip_old: bool,
    pub(crate) touch: bool,
    pub(crate) absolute: bool,
    pub(crate) follow: bool,
    pub(crate) recurse: bool,
    pub(crate) excluded: Vec<String>,
    pub(crate) strip: usize,
    pub(crate) wildcards: bool,
    pub(crate) owner: Owner,
    pub(crate) group: Owner,
    pub(crate) mode: Option<u32>,
    pub(crate) mtime: Option<u64>,
    pub(crate) numeric: bool,
    pub(crate) remove: bool,
    pub(crate) full_time: bool,
}

impl Settings {
    fn new() -> Self {
        let owner = Owner { name: "user".to_owned(), id: 1000 };
        Self {
            task: Task::List,
            file: "-".to_owned(),
            operands: Vec::new(),
            directory: ".".to_owned(),
            verbose: 0,
            gzip: false,
            to_output: false,
            keep_old: false,
            skip_old: false,
            touch: false,
            absolute: false,
            follow: false,
            recurse: true,
            excluded: Vec::new(),
            strip: 0,
            wildcards: false,
            owner: owner.clone(),
            group: owner,
            mode: None,
            mtime: None,
            numeric: false,
            remove: false,
            full_time: false,
        }
    }
}

/// Reads the command line. None if all is done; the error is a message.
pub(crate) fn read(words: &[String]) -> Result<Option<Settings>, String> {
    let words = options::parse(&without_bundle(words)?, OPTIONS, Order::Any)?;
    let mut settings = Settings::new();
    let (mut task, mut automatic, mut null) = (None, false, false);
    for word in words {
        let found = match word {
            Word::Operand(name) => {
                let directory = settings.directory.clone();
                settings.operands.push(Operand { directory, name });
                continue;
            }
            Word::Option(found) => found,
        };
        let asked = match found.id {
            "create" => Some(Task::Create),
            "extract" | "get" => Some(Task::Extract),
            "list" => Some(Task::List),
            "append" => Some(Task::Append),
            "update" => Some(Task::Update),
            _ => None,
        };
        if asked.is_some() {
            if task.is_some() && task != asked {
                return Err(
                    "You may not specify more than one '-Acdtrux', '--delete' or  '--test-label' option".to_owned()
                );
            }
            task = asked;
            continue;
        }
        match found.id {
            "help" | "usage" => {
                print!("{HELP}");
                return Ok(None);
            }
            "version" => {
                println!("tar (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            "auto-compress" => automatic = true,
            "null" => null = true,
            "files-from" => {
                let directory = settings.directory.clone();
                let names = names_of(found.text(), if null { '\0' } else { '\n' })?;
                settings.operands.extend(names.into_iter().map(|name| Operand { directory: directory.clone(), name }));
            }
            _ => set(&mut settings, &found)?,
        }
    }
    let missing = "You must specify one of the '-Acdtrux', '--delete' or '--test-label' options";
    settings.task = task.ok_or_else(|| missing.to_owned())?;
    let suffix = [".gz", ".tgz", ".taz"].iter().any(|suffix| settings.file.ends_with(suffix));
    settings.gzip |= automatic && suffix;
    if settings.task == Task::Create && settings.operands.is_empty() {
        return Err("Cowardly refusing to create an empty archive".to_owned());
    }
    Ok(Some(settings))
}

/// Letters without a dash at the beginning are options, whose arguments follow in their order.
fn without_bundle(words: &[String]) -> Result<Vec<String>, String> {
    let Some((bundle, rest)) = words.split_first().filter(|(first, _)| !first.starts_with('-') && !first.is_empty())
    else {
        return Ok(words.to_vec());
    };
    let (mut out, mut rest) = (Vec::new(), rest.iter());
    for letter in bundle.chars() {
        out.push(format!("-{letter}"));
        let takes = OPTIONS.iter().any(|one| one.letters.contains(letter) && one.argument == Argument::Required);
        if takes {
            let argument = rest.next().ok_or_else(|| format!("Old option '{letter}' requires an argument."))?;
            out.push(argument.clone());
        }
    }
    out.extend(rest.cloned());
    Ok(out)
}

fn names_of(file: &str, separator: char) -> Result<Vec<String>, String> {
    let text = if file == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = text.map_err(|error| format!("{file}: Cannot open: {}", unix_common::report::words(&error)))?;
    Ok(text.split(separator).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn owner(text: &str) -> Owner {
    let (name, id) = text.split_once(':').unwrap_or((text, text));
    match id.parse() {
        // A number alone has no name.
        Ok(id) if name == text => Owner { name: if id == 0 { "root".to_owned() } else { String::new() }, id },
        Ok(id) => Owner { name: name.to_owned(), id },
        Err(_) => Owner { name: name.to_owned(), id: if name == "root" { 0 } else { 1000 } },
    }
}

fn set(settings: &mut Settings, found: &Found) -> Result<(), String> {
    let text = found.text();
    match found.id {
        "file" => settings.file = text.to_owned(),
        "directory" => {
            let absolute = text.starts_with('/');
            settings.directory = if absolute { text.to_owned() } else { format!("{}/{text}", settings.directory) };
        }
        "verbose" => settings.verbose += 1,
        "gzip" | "gunzip" | "ungzip" => settings.gzip = true,
        "bzip2" | "xz" | "zstd" => return Err("only the compression of gzip is available here".to_owned()),
        "to-stdout" => settings.to_output = true,
        "keep-old-files" => settings.keep_old = true,
        "skip-old-files" => settings.skip_old = true,
        "touch" => settings.touch = true,
        "absolute-names" => settings.absolute = true,
        "dereference" => settings.follow = true,
        "no-recursion" => settings.recurse = false,
        "recursion" => settings.recurse = true,
        "exclude" => settings.excluded.push(text.trim_end_matches('/').to_owned()),
        "exclude-from" => settings.excluded.extend(names_of(text, '\n')?),
        "strip-components" => {
            settings.strip = text.parse().map_err(|_| format!("'{text}': Invalid number of elements"))?;
        }
        "wildcards" => settings.wildcards = true,
        "no-wildcards" => settings.wildcards = false,
        "owner" => settings.owner = owner(text),
        "group" => settings.group = owner(text),
        "mode" => {
            let mode = u32::from_str_radix(text, 8);
            settings.mode = Some(mode.map_err(|_| format!("Invalid mode given on option: {text}"))?);
        }
        "mtime" => {
            let seconds = text.strip_prefix('@').and_then(|seconds| seconds.parse().ok());
            settings.mtime = Some(seconds.ok_or_else(|| format!("only --mtime=@SECONDS is available here: {text}"))?);
        }
        "numeric-owner" => settings.numeric = true,
        "remove-files" => settings.remove = true,
        "full-time" => settings.full_time = true,
        // Others say what is the case here, or only how fast it goes.
        _ => {}
    }
    Ok(())
}

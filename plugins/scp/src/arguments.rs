//! The command line.

/// What the program is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `-t` or `-f`.
    pub role: Role,
    /// `-r`: directories too.
    pub recursive: bool,
    /// `-p`: times are kept.
    pub times: bool,
    /// `-d`: the target must be a directory.
    pub directory: bool,
    /// `-v`: each message is shown on standard error.
    pub verbose: bool,
    /// What is sent, or where it goes.
    pub paths: Vec<String>,
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `-t`, to: the client sends.
    Sink,
    /// `-f`, from: the program sends.
    Source,
}

impl Request {
    /// Parses the arguments behind the program's name, as getopt(3) does: options may be combined, and end at `--` or
    /// at the first path. An error is a text for the user.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut role = None;
        let mut request =
            Self { role: Role::Sink, recursive: false, times: false, directory: false, verbose: false, paths: vec![] };
        let mut arguments = arguments.into_iter();
        for argument in arguments.by_ref() {
            let Some(options) = argument.strip_prefix('-').filter(|options| !options.is_empty()) else {
                request.paths.push(argument);
                break;
            };
            if options == "-" {
                break;
            }
            for option in options.chars() {
                match option {
                    't' => role = Some(Role::Sink),
                    'f' => role = Some(Role::Source),
                    'r' => request.recursive = true,
                    'p' => request.times = true,
                    'd' => request.directory = true,
                    'v' => request.verbose = true,
                    'q' => {}
                    _ => return Err(format!("unknown option -{}", option.escape_debug())),
                }
            }
        }
        request.paths.extend(arguments);
        request.role = role.ok_or("-t or -f is required (this scp only serves clients; it cannot copy by itself)")?;
        if request.role == Role::Source && request.paths.is_empty() {
            return Err("-f needs a path".to_owned());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, String> {
        Request::parse(line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned))
    }

    #[test]
    fn options_are_read_apart_and_combined() {
        let all = Request {
            role: Role::Sink,
            recursive: true,
            times: true,
            directory: true,
            verbose: true,
            paths: vec!["x".to_owned()],
        };
        for line in ["-t -r -p -d -v -q x", "-rpdvqt x", "-v -dt -rp -- x"] {
            assert_eq!(parse(line), Ok(all.clone()), "{line}");
        }
        assert_eq!(parse("-f a -r").map(|request| (request.recursive, request.paths.len())), Ok((false, 2)));
        assert_eq!(parse("-f -- -r -").map(|request| request.paths), Ok(vec!["-r".to_owned(), "-".to_owned()]));
    }

    #[test]
    fn whoever_runs_it_otherwise_learns_what_is_missing() {
        assert_eq!(parse("-tz x"), Err("unknown option -z".to_owned()));
        assert_eq!(parse("-f"), Err("-f needs a path".to_owned()));
        assert!(parse("a b").is_err_and(|error| error.contains("-t or -f")));
    }
}

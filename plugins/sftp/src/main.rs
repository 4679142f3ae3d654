//! The program: serves SFTP on standard input and output until the client sends no more.
//!
//! It exits with 0 at the end of the input. It exits with 1 and a line on standard error if the input is not SFTP or
//! ends in the middle of a request, or if the command line has an option that it does not know. In the sandbox the
//! files are those of the session (`wasi:filesystem`). Built for Unix it serves the machine's, for `sftp -D` and for
//! comparisons.

#[cfg(unix)]
mod on_unix;
#[cfg(target_os = "wasi")]
mod on_wasi;

use std::error::Error;
use std::process::ExitCode;

#[cfg(unix)]
use on_unix as platform;
#[cfg(target_os = "wasi")]
use on_wasi as platform;

use sftp::{Account, Options, Server};

/// The start of relative paths, if neither the environment nor the system names another.
const ROOT: &str = "/";

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sftp: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn Error>> {
    let (mut input, mut output) = (platform::Input::new(), platform::Output::new());
    let options = Options::parse(std::env::args().skip(1))?;
    let account = account(options.directory.as_deref());
    let mut server = Server::new(platform::files()?, account).read_only(options.is_read_only);
    loop {
        let mut piece = input.read()?;
        if piece.is_empty() {
            let is_whole = !server.is_in_request();
            return if is_whole { Ok(()) } else { Err("the input ended in the middle of a request".into()) };
        }
        while !piece.is_empty() {
            let fed = server.feed(piece);
            output.write(server.output())?;
            server.sent(server.output().len());
            piece = &piece[fed?..];
        }
    }
}

/// The user is the one that the environment names, and paths begin at the working directory, or at `start`, which is
/// relative to that.
fn account(start: Option<&str>) -> Account {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "user".to_owned());
    let home = platform::directory().or_else(|| variable("PWD")).or_else(|| variable("HOME"));
    let home = home.filter(|home| home.starts_with('/')).unwrap_or_else(|| ROOT.to_owned());
    let home = match start {
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(path) => format!("{}/{path}", home.trim_end_matches('/')),
        None => home,
    };
    Account { user, home }
}

//! Runs many programs one after another, each with a directory, an input, an environment and arguments of its own, and
//! writes what each has written and its exit status.
//!
//! A number is four bytes, the lowest first. A text is its length and its bytes. Standard input has a number of texts
//! and these, for each program: its directory, the file that it reads (none if empty), its environment (`NAME=value`, a
//! line each), its name and its arguments. Standard output gets, for each program: its status as shells have it, what
//! it wrote to its standard output, and what to its standard error.

use std::io::{self, Read, Write, stdin, stdout};

use whelk_guest::process::{Command, OpenOptions, Output, Stdio};

whelk_guest::whelk_command!();

/// What to run, and with what.
struct Job {
    directory: String,
    input: String,
    environment: String,
    words: Vec<String>,
}

fn main() -> io::Result<()> {
    let (mut input, mut output) = (stdin().lock(), stdout().lock());
    while let Some(job) = read_job(&mut input)? {
        let (status, out, err) = match run(&job) {
            Ok(Output { status, stdout, stderr }) => (status.shell_status(), stdout, stderr),
            Err(error) => (127, Vec::new(), format!("{}: {error}\n", job.words[0]).into_bytes()),
        };
        output.write_all(&u32::from(status).to_le_bytes())?;
        for text in [out, err] {
            let length = u32::try_from(text.len()).map_err(io::Error::other)?;
            output.write_all(&length.to_le_bytes())?;
            output.write_all(&text)?;
        }
        output.flush()?;
    }
    Ok(())
}

fn run(job: &Job) -> io::Result<Output> {
    let (name, arguments) = job.words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(name);
    command.args(arguments).env_clear().current_dir(&job.directory);
    command.envs(job.environment.lines().filter_map(|line| line.split_once('=')));
    if job.input.is_empty() {
        command.stdin(Stdio::null());
    } else {
        command.stdin(OpenOptions::new().read(true).open(format!("{}/{}", job.directory, job.input))?);
    }
    command.output()
}

/// The next job; none at the end of the input.
fn read_job(input: &mut impl Read) -> io::Result<Option<Job>> {
    let count = match read_number(input) {
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let texts = (0..count).map(|_| read_text(input)).collect::<io::Result<Vec<String>>>()?;
    let mut texts = texts.into_iter();
    let mut next = || texts.next().unwrap_or_default();
    let (directory, file, environment) = (next(), next(), next());
    Ok(Some(Job { directory, input: file, environment, words: texts.collect() }))
}

fn read_number(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_text(input: &mut impl Read) -> io::Result<String> {
    let mut bytes = vec![0; read_number(input)? as usize];
    input.read_exact(&mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

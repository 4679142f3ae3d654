//! A guestbook that all visitors share. Entries are stored in key-value; a topic announces new ones to all who watch.
//!
//! `command.rs` parses the commands for scripts.

mod command;

use command::Command;
use whelk_guest::{
    MessageHandler, Session, connection, eprint, finish, keyvalue, plugin, print, terminal,
    topics::{self, TopicError},
};

/// The bucket of the entries. Their keys are numbers, listed in the order of arrival.
const ENTRIES: &str = "guestbook";
/// Counts the entries, in a bucket of its own.
const COUNTER: &str = "guestbook counter";
/// The topic of new entries.
const NEWS: &str = "guestbook";
/// The bucket that the commands use.
const SCRATCH: &str = "scratch";
/// The longest entry in bytes.
const LONGEST: usize = 200;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const DELETE: u8 = 127;

#[derive(Default)]
enum Guestbook {
    /// Waiting for the start request, or for the end after a command.
    #[default]
    Idle,
    /// A person writes an entry.
    Typing(Vec<u8>),
    /// Printing the messages of a topic, for a script.
    Listening,
}

impl Session for Guestbook {
    fn shell(&mut self) -> bool {
        match open_book() {
            Ok(()) => *self = Self::Typing(Vec::new()),
            Err(reason) => fail(&reason),
        }
        true
    }

    fn exec(&mut self, command: &[u8]) -> bool {
        let Some(command) = Command::parse(command) else {
            eprint(command::USAGE);
            finish(2);
            return true;
        };
        match act(command) {
            Ok(Some(status)) => finish(status),
            Ok(None) => *self = Self::Listening,
            Err(reason) => fail(&reason),
        }
        true
    }

    fn data(&mut self, data: &[u8]) {
        match self {
            Self::Typing(line) => data.iter().for_each(|key| press(line, *key)),
            Self::Listening if terminal::wants_to_leave(data) => finish(0),
            Self::Listening | Self::Idle => {}
        }
    }
}

impl MessageHandler for Guestbook {
    fn on_message(&mut self, _topic: &str, data: &[u8]) {
        let text = String::from_utf8_lossy(data);
        match self {
            // Above the line that is being typed, which is printed again.
            Self::Typing(line) => print(format!("\r\x1b[K{}\r\n> {}", shown(&text), String::from_utf8_lossy(line))),
            Self::Listening | Self::Idle => print(format!("{text}\n")),
        }
    }

    fn on_lagged(&mut self, _topic: &str, missed: u32) {
        eprint(format!("{missed} messages missed\r\n"));
    }
}

plugin!(Guestbook: messages);

/// Runs a command for a script. Returns the exit status, or `None` if the session goes on.
fn act(command: Command<'_>) -> Result<Option<u32>, String> {
    let bucket = || keyvalue::open(SCRATCH).map_err(words);
    match command {
        Command::Get(key) => match bucket()?.get(key).map_err(words)? {
            Some(value) => print([value.as_slice(), b"\n"].concat()),
            None => return Ok(Some(1)),
        },
        Command::Set(key, text) => bucket()?.set(key, text).map_err(words)?,
        Command::Delete(key) => bucket()?.delete(key).map_err(words)?,
        Command::Add(key, number) => {
            print(format!("{}\n", bucket()?.increment(key, number).map_err(words)?));
        }
        Command::List => {
            for key in bucket()?.keys() {
                print(format!("{}\n", key.map_err(words)?));
            }
        }
        Command::Publish(topic, text) => {
            print(format!("{}\n", topics::publish(topic, text).map_err(words)?));
        }
        Command::Subscribe(topic) => {
            topics::subscribe(topic).map_err(words)?;
            print("subscribed\n");
            return Ok(None);
        }
    }
    Ok(Some(0))
}

/// Prints the stored entries and subscribes to new ones.
fn open_book() -> Result<(), String> {
    // Subscribes first, so that no entry is missed. An entry may appear twice.
    topics::subscribe(NEWS).map_err(words)?;
    let entries = keyvalue::open(ENTRIES).map_err(words)?;
    print("The guestbook. Write a line and press Enter; Ctrl-C leaves.\r\n");
    for key in entries.keys() {
        if let Some(entry) = entries.get(&key.map_err(words)?).map_err(words)? {
            print(format!("{}\r\n", shown(&String::from_utf8_lossy(&entry))));
        }
    }
    print("> ");
    Ok(())
}

/// Handles one key.
fn press(line: &mut Vec<u8>, key: u8) {
    match key {
        CTRL_C | CTRL_D => {
            print("\r\n");
            finish(0);
        }
        b'\r' | b'\n' if line.is_empty() => {}
        b'\r' | b'\n' => {
            let text = String::from_utf8_lossy(&std::mem::take(line)).into_owned();
            print("\r\x1b[K> ");
            if let Err(reason) = write(&text) {
                eprint(format!("not written: {reason}\r\n"));
            }
        }
        BACKSPACE | DELETE => print(line.pop().map_or("", |_| "\x08 \x08")),
        b' '..=b'~' if line.len() < LONGEST => {
            line.push(key);
            print([key]);
        }
        _ => {}
    }
}

/// Stores an entry and publishes it to all who watch, including ourselves.
fn write(text: &str) -> Result<(), String> {
    let name = connection::get("user").unwrap_or_default();
    let entry = format!("{name}: {text}");
    let number = keyvalue::open(COUNTER).and_then(|counter| counter.increment("last", 1)).map_err(words)?;
    keyvalue::open(ENTRIES).and_then(|entries| entries.set(&number.to_string(), &entry)).map_err(words)?;
    match topics::publish(NEWS, &entry) {
        // The entry is stored; later visitors see it.
        Ok(_) | Err(TopicError::OverQuota | TopicError::TooLarge | TopicError::TooMany) => Ok(()),
    }
}

fn words(error: impl ToString) -> String {
    error.to_string()
}

fn fail(reason: &str) {
    eprint(format!("{reason}\n"));
    finish(1);
}

/// Other users wrote the entry: escape it, so that it cannot control the terminal.
fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|letter| if letter.is_control() { letter.escape_default().collect() } else { vec![letter] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_cannot_control_the_terminal() {
        assert_eq!(shown("J\u{fc}rg: \x1b[2J\r\n"), "J\u{fc}rg: \\u{1b}[2J\\r\\n");
    }
}

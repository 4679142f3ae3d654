//! The terminal of the session: its keys, its size, and the mode in which every key counts at once.

use std::io;

/// A key, as the terminal sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character; Ctrl with a letter is the control character.
    Character(char),
    /// Enter.
    Enter,
    /// Escape, alone.
    Escape,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Something that has no meaning here.
    Unknown,
    /// The size of the terminal has changed, or the program goes on after a stop: the screen is to be drawn again.
    Resized,
    /// The program shall end, with [`Raw::catch_termination`]: SIGHUP or SIGTERM.
    Terminate,
}

/// Reads keys from bytes as they arrive.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
}

impl Decoder {
    /// Adds bytes of the terminal.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Whether what has arrived may be the beginning of a longer key: an escape alone.
    pub fn is_partial(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The next key, if it is whole; with `last` nothing more will come of it.
    pub fn next_key(&mut self, last: bool) -> Option<Key> {
        let (key, length) = decode(&self.pending, last)?;
        self.pending.drain(..length);
        Some(key)
    }
}

fn decode(bytes: &[u8], last: bool) -> Option<(Key, usize)> {
    let first = *bytes.first()?;
    Some(match first {
        b'\r' | b'\n' => (Key::Enter, 1),
        8 | 127 => (Key::Backspace, 1),
        27 => return sequence(bytes, last),
        0..=127 => (Key::Character(char::from(first)), 1),
        _ => {
            let found = (2..=4.min(bytes.len())).find_map(|length| {
                let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
                Some((Key::Character(text.chars().next()?), length))
            });
            match found {
                Some(found) => found,
                None if bytes.len() < 4 && !last => return None,
                None => (Key::Unknown, 1),
            }
        }
    })
}

/// A sequence of escape: `ESC [` or `ESC O`, numbers, and a letter.
fn sequence(bytes: &[u8], last: bool) -> Option<(Key, usize)> {
    match bytes.get(1) {
        None if last => return Some((Key::Escape, 1)),
        None => return None,
        Some(b'[' | b'O') => {}
        Some(_) => return Some((Key::Escape, 1)),
    }
    let end = bytes[2..].iter().position(|byte| (0x40..=0x7e).contains(byte));
    let Some(end) = end else {
        return if last { Some((Key::Unknown, bytes.len())) } else { None };
    };
    let (parameters, letter) = (&bytes[2..2 + end], bytes[2 + end]);
    let key = match (letter, parameters) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::Delete,
        (b'~', b"5") => Key::PageUp,
        (b'~', b"6") => Key::PageDown,
        _ => Key::Unknown,
    };
    Some((key, 3 + end))
}

/// The columns and rows of the terminal. None without one.
pub fn size() -> Option<(usize, usize)> {
    #[cfg(target_family = "wasm")]
    {
        let size = whelk_guest::terminal::size()?;
        Some((size.columns as usize, size.rows as usize))
    }
    #[cfg(not(target_family = "wasm"))]
    {
        None
    }
}

/// The terminal, in the mode in which each key arrives at once and is not shown. Dropping it restores the modes.
#[derive(Debug)]
pub struct Raw {
    #[cfg(target_family = "wasm")]
    terminal: whelk_guest::process::Fd,
    #[cfg(target_family = "wasm")]
    before: Vec<whelk_guest::TerminalMode>,
    #[cfg(target_family = "wasm")]
    decoder: Decoder,
    /// What signals were that came meanwhile.
    #[cfg(target_family = "wasm")]
    signalled: Option<Key>,
    /// Whether another program has the terminal.
    #[cfg(target_family = "wasm")]
    lent: bool,
    /// Whether SIGINT came.
    #[cfg(target_family = "wasm")]
    interrupted: bool,
}

impl Raw {
    /// Opens `/dev/tty`, whatever the standard input is.
    ///
    /// # Errors
    /// `ENXIO` without a terminal.
    #[cfg(not(target_family = "wasm"))]
    pub fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The next key.
    ///
    /// # Errors
    /// Those of read(2), and [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the terminal is gone.
    #[cfg(not(target_family = "wasm"))]
    pub fn next_key(&mut self) -> io::Result<Key> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether the next key is there already, so that there is no need to draw before it.
    #[cfg(not(target_family = "wasm"))]
    pub fn has_key(&mut self) -> bool {
        false
    }

    /// Writes to the terminal.
    ///
    /// # Errors
    /// Those of write(2).
    #[cfg(not(target_family = "wasm"))]
    pub fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Lets SIGHUP and SIGTERM be the key [`Key::Terminate`].
    ///
    /// # Errors
    /// Those of sigaction(2).
    #[cfg(not(target_family = "wasm"))]
    pub fn catch_termination(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives the terminal back the modes that it had, so that another program can use it.
    ///
    /// # Errors
    /// Without a terminal.
    #[cfg(not(target_family = "wasm"))]
    pub fn lend(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes it again.
    ///
    /// # Errors
    /// Without a terminal.
    #[cfg(not(target_family = "wasm"))]
    pub fn take_back(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether something that takes long is to stop: Control-C was typed, SIGINT came where it is caught, or
    /// [`Key::Terminate`] is the next key. Does not wait, and keeps all other keys.
    #[cfg(not(target_family = "wasm"))]
    pub fn is_interrupted(&mut self) -> bool {
        false
    }
}

/// Echo, lines, signals, and the changes of keys and output: RFC 4254 §8.
#[cfg(target_family = "wasm")]
const OFF: [u8; 6] = [
    36, // ICRNL
    38, // IXON
    50, // ISIG
    51, // ICANON
    53, // ECHO
    59, // IEXTEN
];

#[cfg(target_family = "wasm")]
fn set_modes(modes: &[whelk_guest::TerminalMode]) -> io::Result<()> {
    whelk_guest::terminal::set_modes(modes).map_err(|_| io::ErrorKind::Unsupported.into())
}

#[cfg(target_family = "wasm")]
impl Raw {
    /// Opens `/dev/tty`, whatever the standard input is.
    ///
    /// # Errors
    /// `ENXIO` without a terminal.
    pub fn open() -> io::Result<Self> {
        use whelk_guest::process::{Disposition, OpenOptions, Signal, set_disposition};
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = whelk_guest::terminal::modes().into_iter().filter(|mode| OFF.contains(&mode.opcode)).collect();
        let mut raw =
            Self { terminal, before, decoder: Decoder::default(), signalled: None, lent: false, interrupted: false };
        raw.take_back()?;
        set_disposition(Signal::Winch, Disposition::Catch)?;
        set_disposition(Signal::Cont, Disposition::Catch)?;
        Ok(raw)
    }

    /// Whether the next key is there already, so that there is no need to draw before it.
    pub fn has_key(&mut self) -> bool {
        use whelk_guest::process::Event;
        self.decoder.is_partial() || Event::Readable(&self.terminal).is_ready()
    }

    /// Writes to the terminal.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        use std::io::Write;
        while !bytes.is_empty() {
            match (&self.terminal).write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    // A signal waits, and would interrupt each write until it is taken: it waits here.
                    self.take_signals();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Lets SIGHUP and SIGTERM be the key [`Key::Terminate`].
    ///
    /// # Errors
    /// Those of sigaction(2).
    pub fn catch_termination(&mut self) -> io::Result<()> {
        use whelk_guest::process::{Disposition, Signal, set_disposition};
        set_disposition(Signal::Hup, Disposition::Catch)?;
        set_disposition(Signal::Term, Disposition::Catch)?;
        Ok(())
    }

    /// Gives the terminal back the modes that it had, so that another program can use it.
    ///
    /// # Errors
    /// Without a terminal.
    pub fn lend(&mut self) -> io::Result<()> {
        set_modes(&self.before)?;
        self.lent = true;
        Ok(())
    }

    /// Takes it again.
    ///
    /// # Errors
    /// Without a terminal.
    pub fn take_back(&mut self) -> io::Result<()> {
        self.lent = false;
        set_modes(&OFF.map(|opcode| whelk_guest::TerminalMode { opcode, argument: 0 }))
    }

    /// Whether something that takes long is to stop: Control-C was typed, SIGINT came where it is caught, or
    /// [`Key::Terminate`] is the next key. Does not wait, and keeps all other keys.
    pub fn is_interrupted(&mut self) -> bool {
        use std::io::Read;
        use whelk_guest::process::Event;
        /// How many bytes are kept at most.
        const TYPED_AHEAD: usize = 64 << 10;
        self.take_signals();
        // The keys of a terminal that was lent are for the other program.
        while !self.lent && self.decoder.pending.len() < TYPED_AHEAD && Event::Readable(&self.terminal).is_ready() {
            let mut bytes = [0; 4096];
            match self.terminal.read(&mut bytes) {
                Ok(length) if length > 0 => self.decoder.feed(&bytes[..length]),
                // The next read of a key reports it.
                _ => break,
            }
        }
        let typed = self.decoder.pending.iter().position(|byte| *byte == 3);
        if let Some(at) = typed {
            // What was typed before it was for what is stopped.
            self.decoder.pending.drain(..=at);
        }
        std::mem::take(&mut self.interrupted) || typed.is_some() || self.signalled == Some(Key::Terminate)
    }

    fn take_signals(&mut self) {
        use whelk_guest::process::{Signal, next_signal};
        while let Some(signal) = next_signal() {
            let key = match signal {
                Signal::Hup | Signal::Term => Key::Terminate,
                Signal::Winch | Signal::Cont => Key::Resized,
                Signal::Int => {
                    self.interrupted = true;
                    continue;
                }
                _ => continue,
            };
            if signal == Signal::Cont && !self.lent {
                // The shell had the terminal meanwhile. If it is gone, the next read says so.
                let _ = self.take_back();
            }
            self.signalled = if self.signalled == Some(Key::Terminate) { self.signalled } else { Some(key) };
        }
    }

    /// The next key.
    ///
    /// # Errors
    /// Those of read(2), and [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the terminal is gone.
    pub fn next_key(&mut self) -> io::Result<Key> {
        use std::io::Read;
        use std::time::Duration;
        use whelk_guest::process::{Event, poll, poll_timeout};
        /// How long an escape may wait for the rest of its key.
        const ESCAPE: Duration = Duration::from_millis(50);
        loop {
            if let Some(key) = self.signalled.take() {
                return Ok(key);
            }
            if let Some(key) = self.decoder.next_key(false) {
                return Ok(key);
            }
            let events = [Event::Readable(&self.terminal), Event::Signal];
            let partial = self.decoder.is_partial();
            let ready = if partial { poll_timeout(&events, ESCAPE) } else { poll(&events) };
            if ready.is_empty() {
                if let Some(key) = self.decoder.next_key(true) {
                    return Ok(key);
                }
            } else if ready.contains(&1) {
                self.take_signals();
            } else {
                let mut bytes = [0; 4096];
                match self.terminal.read(&mut bytes) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(length) => self.decoder.feed(&bytes[..length]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => self.take_signals(),
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

#[cfg(target_family = "wasm")]
impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone has no modes.
        let _ = whelk_guest::terminal::set_modes(&self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decoded_as_they_arrive() {
        let mut decoder = Decoder::default();
        decoder.feed(b"a\x1b[A\x1b[5~\x1bOH\r");
        let keys: Vec<Key> = std::iter::from_fn(|| decoder.next_key(false)).collect();
        assert_eq!(keys, vec![Key::Character('a'), Key::Up, Key::PageUp, Key::Home, Key::Enter]);
        decoder.feed(b"\x1b");
        assert_eq!(decoder.next_key(false), None);
        assert_eq!(decoder.next_key(true), Some(Key::Escape));
        decoder.feed(&"é".as_bytes()[..1]);
        assert_eq!(decoder.next_key(false), None);
        decoder.feed(&"é".as_bytes()[1..]);
        assert_eq!(decoder.next_key(false), Some(Key::Character('é')));
    }
}

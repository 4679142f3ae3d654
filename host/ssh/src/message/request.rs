//! RFC 4254 §6, RFC 4335: channel requests.

use crate::wire::{Malformed, Reader, Wire};

/// The size of a terminal, RFC 4254 §6.2. Zero means unknown.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WindowSize {
    /// Characters per line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

impl<'a> Wire<'a> for WindowSize {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let (columns, rows) = (from.uint32()?, from.uint32()?);
        Ok(WindowSize { columns, rows, width_px: from.uint32()?, height_px: from.uint32()? })
    }
    fn write(&self, to: &mut Vec<u8>) {
        for number in [self.columns, self.rows, self.width_px, self.height_px] {
            number.write(to);
        }
    }
}

/// Encoded terminal modes, RFC 4254 §8: pairs of opcode and argument. A value that was read is well formed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Modes<'a>(&'a [u8]);

impl<'a> Modes<'a> {
    /// Ends the list.
    const TTY_OP_END: u8 = 0;
    /// Opcodes from here on have no defined argument, so reading stops.
    const UNDEFINED: u8 = 160;
    /// The most modes. Our limit: fewer opcodes are defined.
    const MOST: usize = 160;

    /// Modes that we encoded ourselves.
    pub fn new(encoded: &'a [u8]) -> Modes<'a> {
        Modes(encoded)
    }

    /// Opcode and argument of each mode, in wire order.
    pub fn iter(self) -> impl Iterator<Item = (u8, u32)> + 'a {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || match u8::read(&mut reader) {
            Ok(Self::TTY_OP_END | Self::UNDEFINED..) | Err(_) => None,
            Ok(opcode) => reader.uint32().ok().map(|argument| (opcode, argument)),
        })
    }
}

impl<'a> Wire<'a> for Modes<'a> {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let encoded = from.string()?;
        let mut reader = Reader::new(encoded);
        for _ in 0..=Self::MOST {
            // Some clients omit the final TTY_OP_END; a list that ends inside an argument is refused.
            match u8::read(&mut reader) {
                Ok(Self::TTY_OP_END | Self::UNDEFINED..) | Err(_) => return Ok(Modes(encoded)),
                Ok(_) => reader.uint32().map_err(|_| Malformed::Modes)?,
            };
        }
        Err(Malformed::Modes)
    }
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }
}

/// A channel request by its kind, RFC 4254 §6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "fields bear the RFC's own names")]
pub enum Request<'a> {
    /// `pty-req`: the client has a terminal. RFC 4254 §6.2.
    PtyReq { term: &'a [u8], size: WindowSize, modes: Modes<'a> },
    /// `env`: an environment variable. RFC 4254 §6.4.
    Env { name: &'a [u8], value: &'a [u8] },
    /// `shell`: start an interactive session. RFC 4254 §6.5.
    Shell,
    /// `exec`: run this command. RFC 4254 §6.5.
    Exec { command: &'a [u8] },
    /// `subsystem`: start this subsystem. RFC 4254 §6.5.
    Subsystem { name: &'a [u8] },
    /// `window-change`: the terminal has a new size. RFC 4254 §6.7.
    WindowChange { size: WindowSize },
    /// `signal`: deliver a signal, named without SIG. RFC 4254 §6.9.
    Signal { name: &'a [u8] },
    /// `break`: a break of this length in milliseconds. RFC 4335 §3.
    Break { length_ms: u32 },
    /// `exit-status`: the program ended with this status. RFC 4254 §6.10.
    ExitStatus { status: u32 },
    /// `exit-signal`: this signal ended the program. RFC 4254 §6.10.
    ExitSignal { name: &'a [u8], core_dumped: bool, message: &'a [u8], language: &'a [u8] },
    /// `eow@openssh.com`: the sender does not read this channel's data any more. OpenSSH PROTOCOL §2.1.
    EndOfWrite,
    /// Any other kind, its body unread.
    Other { kind: &'a [u8], body: &'a [u8] },
}

impl<'a> Request<'a> {
    /// Reads the `body` of a request of this `kind`. A known kind must be well formed to the last byte.
    pub fn decode(kind: &'a [u8], body: &'a [u8]) -> Result<Request<'a>, Malformed> {
        let mut from = Reader::new(body);
        let request = match kind {
            b"pty-req" => {
                let term = from.string()?;
                Request::PtyReq { term, size: WindowSize::read(&mut from)?, modes: Modes::read(&mut from)? }
            }
            b"env" => Request::Env { name: from.string()?, value: from.string()? },
            b"shell" => Request::Shell,
            b"exec" => Request::Exec { command: from.string()? },
            b"subsystem" => Request::Subsystem { name: from.string()? },
            b"window-change" => Request::WindowChange { size: WindowSize::read(&mut from)? },
            b"signal" => Request::Signal { name: from.string()? },
            b"break" => Request::Break { length_ms: from.uint32()? },
            b"exit-status" => Request::ExitStatus { status: from.uint32()? },
            b"exit-signal" => {
                let (name, core_dumped) = (from.string()?, bool::read(&mut from)?);
                Request::ExitSignal { name, core_dumped, message: from.string()?, language: from.string()? }
            }
            b"eow@openssh.com" => Request::EndOfWrite,
            _ => Request::Other { kind, body: from.rest() },
        };
        from.finish()?;
        Ok(request)
    }

    /// The kind as encoded in the message.
    pub fn kind(&self) -> &'a [u8] {
        match self {
            Request::PtyReq { .. } => b"pty-req",
            Request::Env { .. } => b"env",
            Request::Shell => b"shell",
            Request::Exec { .. } => b"exec",
            Request::Subsystem { .. } => b"subsystem",
            Request::WindowChange { .. } => b"window-change",
            Request::Signal { .. } => b"signal",
            Request::Break { .. } => b"break",
            Request::ExitStatus { .. } => b"exit-status",
            Request::ExitSignal { .. } => b"exit-signal",
            Request::EndOfWrite => b"eow@openssh.com",
            Request::Other { kind, .. } => kind,
        }
    }

    /// The body as encoded in the message.
    pub fn body(&self) -> Vec<u8> {
        let mut to = Vec::new();
        match self {
            Request::PtyReq { term, size, modes } => {
                term.write(&mut to);
                size.write(&mut to);
                modes.write(&mut to);
            }
            Request::Env { name, value } => {
                name.write(&mut to);
                value.write(&mut to);
            }
            Request::Shell | Request::EndOfWrite => {}
            Request::Exec { command } => command.write(&mut to),
            Request::Subsystem { name } | Request::Signal { name } => name.write(&mut to),
            Request::WindowChange { size } => size.write(&mut to),
            Request::Break { length_ms: number } | Request::ExitStatus { status: number } => number.write(&mut to),
            Request::ExitSignal { name, core_dumped, message, language } => {
                name.write(&mut to);
                core_dumped.write(&mut to);
                message.write(&mut to);
                language.write(&mut to);
            }
            Request::Other { body, .. } => to.extend_from_slice(body),
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pty(modes: &[u8]) -> Result<Vec<(u8, u32)>, Malformed> {
        let request = Request::PtyReq { term: b"xterm", size: WindowSize::default(), modes: Modes::new(modes) };
        match Request::decode(b"pty-req", &request.body())? {
            Request::PtyReq { modes, .. } => Ok(modes.iter().collect()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn terminal_modes_are_read_to_their_end_and_no_further() {
        assert_eq!(pty(b""), Ok(vec![]));
        assert_eq!(pty(b"\x00"), Ok(vec![]));
        assert_eq!(pty(b"\x35\x00\x00\x00\x01\x00"), Ok(vec![(53, 1)]));
        assert_eq!(pty(b"\x35\x00\x00\x00\x01\xa0\x01"), Ok(vec![(53, 1)]));
        assert_eq!(pty(b"\x35\x00\x00\x00"), Err(Malformed::Modes));
        assert_eq!(pty(&[1; 50_000]), Err(Malformed::Modes));
    }

    #[test]
    fn a_request_survives_encoding_and_decoding() {
        for request in [
            Request::Shell,
            Request::EndOfWrite,
            Request::Exec { command: b"ls -l\0\xff" },
            Request::Env { name: b"LANG", value: b"C" },
            Request::Signal { name: b"TERM" },
            Request::Break { length_ms: 500 },
            Request::ExitSignal { name: b"SEGV", core_dumped: true, message: b"so", language: b"" },
            Request::Other { kind: b"x@y", body: b"anything" },
        ] {
            assert_eq!(Request::decode(request.kind(), &request.body()), Ok(request));
        }
        assert_eq!(Request::decode(b"shell", b"x"), Err(Malformed::Trailing));
        assert_eq!(Request::decode(b"exit-status", b"\0\0"), Err(Malformed::Truncated));
    }
}

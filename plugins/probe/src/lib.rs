//! The plugin that tests and benchmarks use. The command of `ssh probe@host COMMAND` selects what it does; the README
//! lists them.
//!
//! At a terminal, Ctrl-C or Ctrl-D leaves it at any time. `command.rs` parses the commands, `faults.rs` has those that
//! fail on purpose.

mod command;
mod faults;

use command::Command;
use sha2::{Digest, Sha256};
use whelk_guest::{
    Ending, Output, Session, TimerHandler, connection, env, eprint, exit_signal, finish, log, plugin, print, request,
    terminal,
    timers::{self, TimerError},
    write,
};

/// The number of the only timer.
const TIMER: u32 = 1;
/// The size of one write of `zeros`, in bytes: more than an SSH packet, less than the host's buffer.
const PIECE: usize = 64 << 10;

/// What a session does after its start.
#[derive(Default)]
enum Probe {
    /// Echoes its input.
    #[default]
    Cat,
    /// Counts and hashes bytes.
    Sink { count: u64, digest: Sha256 },
    /// Counts bytes.
    Discard { count: u64 },
    /// Waits for the timer, then ends.
    Sleep,
    /// Prints a line each time the timer expires.
    Tick { printed: u32, wanted: u32 },
    /// Is done and waits for its end.
    Done,
}

impl Session for Probe {
    fn env(&mut self, _name: &str, _value: &[u8]) -> bool {
        true
    }

    fn exec(&mut self, command: &[u8]) -> bool {
        match Command::parse(command) {
            Some(command) => *self = start(command),
            None => {
                eprint(command::USAGE);
                *self = done(2);
            }
        }
        true
    }

    fn data(&mut self, data: &[u8]) {
        if terminal::wants_to_leave(data) {
            // Leaving takes precedence over any command.
            *self = done(0);
            return;
        }
        match self {
            Self::Cat => print(data),
            Self::Sink { count, digest } => {
                *count += data.len() as u64;
                digest.update(data);
            }
            Self::Discard { count } => *count += data.len() as u64,
            Self::Sleep | Self::Tick { .. } | Self::Done => {}
        }
    }

    fn eof(&mut self) {
        match self {
            Self::Cat => finish(0),
            Self::Sink { count, digest } => {
                print(format!("{count} {}\n", hex(&digest.finalize_reset())));
                finish(0);
            }
            Self::Discard { count } => {
                print(format!("{count}\n"));
                finish(0);
            }
            Self::Sleep | Self::Tick { .. } | Self::Done => {}
        }
    }

    fn closed(&mut self, why: Ending) {
        log::info(match why {
            Ending::Finished => "closed(finished)",
            Ending::ClientClosed => "closed(client-closed)",
            Ending::ConnectionLost => "closed(connection-lost)",
            Ending::Drained => "closed(drained)",
            Ending::Routed => "closed(routed)",
        });
    }
}

impl TimerHandler for Probe {
    fn on_timer(&mut self, _timer: u32) {
        match self {
            Self::Sleep => *self = done(0),
            Self::Tick { printed, wanted } => {
                *printed += 1;
                print(format!("tick {printed}\n"));
                if printed == wanted {
                    timers::cancel(TIMER);
                    *self = done(0);
                }
            }
            Self::Cat | Self::Sink { .. } | Self::Discard { .. } | Self::Done => {}
        }
    }
}

plugin!(Probe: timers);

/// Discards the lines that are typed.
fn lines() -> Probe {
    match terminal::cook() {
        Ok(()) => Probe::Discard { count: 0 },
        Err(error) => {
            eprint(format!("{error}\n"));
            done(1)
        }
    }
}

/// Runs a command as far as it can be done at once.
fn start(command: Command<'_>) -> Probe {
    match command {
        Command::Cat => Probe::Cat,
        Command::Sink => Probe::Sink { count: 0, digest: Sha256::new() },
        Command::Discard => Probe::Discard { count: 0 },
        Command::Lines => lines(),
        Command::Zeros(count) => zeros(count),
        Command::Writes(count, bytes) => writes(count, bytes),
        Command::Print(text) => {
            print(text);
            done(0)
        }
        Command::Stderr(text) => {
            eprint(text);
            done(0)
        }
        Command::Env => {
            env().iter().for_each(|(name, value)| print([name.as_bytes(), b"=", value, b"\n"].concat()));
            done(0)
        }
        Command::Facts => {
            connection::facts().iter().for_each(|(name, value)| print(format!("{name}={value}\n")));
            done(0)
        }
        Command::Request(name, payload) => {
            match request(name, payload) {
                Ok(answer) => print(format!("{answer}\n")),
                Err(error) => eprint(format!("{error}\n")),
            }
            done(0)
        }
        Command::Debug(text) => {
            connection::debug(text, true);
            done(0)
        }
        Command::Exit(status) => done(status),
        Command::Signal(name) => {
            exit_signal(name, "the probe was asked to");
            Probe::Done
        }
        Command::Sleep(ms) => timed(timers::after(TIMER, ms.max(timers::MIN_MS)), Probe::Sleep),
        Command::Tick(0, _) => done(0),
        Command::Tick(wanted, ms) => {
            timed(timers::every(TIMER, ms.max(timers::MIN_MS)), Probe::Tick { printed: 0, wanted })
        }
        Command::Trap => faults::trap(),
        Command::Spin => faults::spin(),
        Command::Alloc(bytes) => {
            faults::alloc(bytes);
            print(format!("allocated {bytes}\n"));
            done(0)
        }
        Command::Recurse => {
            print(format!("{}\n", faults::recurse(0)));
            done(0)
        }
    }
}

fn done(status: u32) -> Probe {
    finish(status);
    Probe::Done
}

/// Switches to `next` if the timer was set.
fn timed(set: Result<(), TimerError>, next: Probe) -> Probe {
    match set {
        Ok(()) => next,
        Err(error) => {
            eprint(format!("{error}\n"));
            done(1)
        }
    }
}

fn zeros(count: u64) -> Probe {
    // Allocated when needed: as a constant it would occupy memory in every session.
    let zeros = vec![0; PIECE];
    let mut left = count;
    while left > 0 {
        let piece = usize::try_from(left).map_or(&zeros[..], |left| &zeros[..left.min(PIECE)]);
        // An error means that the client has left; `closed` follows.
        if write(Output::Stdout, piece).is_err() {
            break;
        }
        left -= piece.len() as u64;
    }
    done(0)
}

fn writes(count: u32, bytes: usize) -> Probe {
    let zeros = vec![0; bytes];
    // An error means that the client has left; `closed` follows.
    let _ = (0..count).try_for_each(|_| write(Output::Stdout, &zeros));
    done(0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_printed_as_other_tools_print_it() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(&Sha256::new().finalize()), empty);
    }
}

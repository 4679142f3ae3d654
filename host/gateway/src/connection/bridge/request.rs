//! A channel request of RFC 4254 as the event that a session's plugin is told, or the reason why it is refused.

use whelk_runtime::{ChannelEvent, HOST_VARIABLES, Pty, SignalName, WindowSize};
use whelk_ssh::message::request::{self, Request};

use std::sync::Arc;

use crate::auth::restrictions::Restrictions;
use crate::config::{EnvironmentNames, Limits};
use crate::observe::refusals::RefusedVariables;

/// The largest terminal that is believed, in characters either way. RFC 4254 §6.2 sets no bound; a plugin multiplies
/// these numbers.
const LARGEST_SIDE: u32 = 4096;

/// The variable that holds the client's own command if another one is forced, as in OpenSSH.
const ORIGINAL_COMMAND: &str = "SSH_ORIGINAL_COMMAND";

/// What the client of one session may still ask for.
pub(super) struct RequestLimits {
    /// The variables that may be set.
    names: EnvironmentNames,
    /// How the terminal erases characters.
    erase_by_width: bool,
    /// How many more may be set.
    variables: u32,
    /// Bytes that their names and values may still have together.
    bytes: usize,
    /// Most bytes of a command.
    longest_command: usize,
    /// What the login may do.
    restrictions: Arc<Restrictions>,
    /// The variables that were refused, for the log.
    pub(super) refused_variables: RefusedVariables,
}

impl RequestLimits {
    pub(super) fn new(
        limits: &Limits,
        names: &EnvironmentNames,
        erase_by_width: bool,
        restrictions: &Arc<Restrictions>,
    ) -> RequestLimits {
        RequestLimits {
            names: names.clone(),
            erase_by_width,
            variables: limits.plugins.environment,
            bytes: limits.plugins.environment_bytes,
            longest_command: limits.plugins.command,
            restrictions: Arc::clone(restrictions),
            refused_variables: RefusedVariables::default(),
        }
    }

    /// The variables that the host sets in the session, before the client's: those of the key, but for the ones that
    /// say what the host knows. A key may be in a file of its user's.
    pub(super) fn host_variables(&self) -> impl Iterator<Item = ChannelEvent> {
        let of_key = self.restrictions.environment.iter().filter(|(name, _)| !HOST_VARIABLES.contains(&&**name));
        of_key.map(|(name, value)| host_variable(name, value.as_bytes()))
    }

    /// The event that takes the place of one that starts a program, where a command is forced, and the variable that
    /// holds what the client has asked for. Any other event stays as it is.
    pub(super) fn force(&self, event: ChannelEvent) -> (Option<ChannelEvent>, ChannelEvent) {
        let Some(command) = &self.restrictions.forced_command else { return (None, event) };
        let original = match &event {
            ChannelEvent::Shell => None,
            ChannelEvent::Exec(command) => Some(command.as_slice()),
            ChannelEvent::Subsystem(name) => Some(name.as_bytes()),
            _ => return (None, event),
        };
        let variable = original.map(|original| host_variable(ORIGINAL_COMMAND, original));
        (variable, ChannelEvent::Exec(command.clone().into_bytes()))
    }

    /// Whether the host sets a variable of this name.
    fn is_host_variable(&self, name: &[u8]) -> bool {
        HOST_VARIABLES.iter().any(|other| other.as_bytes() == name)
            || self.restrictions.environment.iter().any(|(other, _)| other.as_bytes() == name)
    }

    /// Whether a variable may be set. One that may not is not counted. The error says why not.
    fn check_variable(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if !self.names.allows(name) {
            return Err("the name is not admitted: see `environment_names`");
        }
        if self.is_host_variable(name) {
            return Err("the server sets it");
        }
        let sound = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') && !value.contains(&0);
        if !sound {
            return Err("the name or the value is not that of a variable");
        }
        let size = name.len() + value.len();
        if self.variables == 0 || size > self.bytes {
            return Err("there are too many: see `limits.environment` and `limits.environment_bytes`");
        }
        self.variables -= 1;
        self.bytes -= size;
        Ok(())
    }
}

/// Why a request is refused without asking the plugin.
pub(super) enum Rejection<'a> {
    /// A variable, which [`RequestLimits::refused_variables`] counts.
    Variable,
    /// A request that exceeds a limit, or has a name that is not text.
    Other {
        /// What was asked for, for the log.
        detail: &'a [u8],
        reason: String,
        /// Whether the client is told on stderr, where its user may see it.
        on_stderr: bool,
    },
}

/// Translates a channel request into the event for the plugin.
///
/// # Errors
/// The request is refused without asking the plugin.
pub(super) fn to_event<'a>(request: &Request<'a>, limits: &mut RequestLimits) -> Result<ChannelEvent, Rejection<'a>> {
    let reject =
        |detail: &'a [u8], reason: &str| Rejection::Other { detail, reason: reason.to_owned(), on_stderr: false };
    let name = |bytes: &'a [u8], most: usize| {
        let fits = text(bytes).filter(|name| name.len() <= most);
        fits.ok_or_else(|| reject(bytes, "the name is too long or is not text"))
    };
    Ok(match *request {
        Request::PtyReq { term, .. } if !limits.restrictions.pty => {
            let reason = "the key or certificate permits no terminal: see `restrict` and `no-pty` of authorized_keys, \
                          and `permit-pty` of certificates";
            return Err(reject(term, reason));
        }
        Request::PtyReq { term, size, modes } => ChannelEvent::PtyReq(Pty {
            term: name(term, 256)?,
            size: window(size),
            modes: modes.iter().collect(),
            erase_by_width: limits.erase_by_width,
        }),
        Request::Env { name, value } => {
            let checked = limits.check_variable(name, value).and_then(|()| text(name).ok_or("the name is not text"));
            match checked {
                Ok(name) => ChannelEvent::Env { name, value: value.to_vec() },
                Err(reason) => {
                    limits.refused_variables.add(name, reason);
                    return Err(Rejection::Variable);
                }
            }
        }
        Request::Shell => ChannelEvent::Shell,
        Request::Exec { command } if command.len() > limits.longest_command => {
            let (is, most) = (command.len(), limits.longest_command);
            let reason = format!("the command is too long: {is} bytes, and at most {most} are accepted");
            return Err(Rejection::Other { detail: command, reason, on_stderr: true });
        }
        Request::Exec { command } => ChannelEvent::Exec(command.to_vec()),
        Request::Subsystem { name: subsystem } => ChannelEvent::Subsystem(name(subsystem, usize::MAX)?),
        Request::WindowChange { size } => ChannelEvent::WindowChange(window(size)),
        Request::Signal { name: signal } => ChannelEvent::Signal(SignalName::from_wire(&name(signal, 64)?)),
        Request::Break { length_ms } => ChannelEvent::Break { length_ms },
        Request::ExitStatus { .. } | Request::ExitSignal { .. } => return Err(reject(b"", "only servers send this")),
        Request::EndOfWrite => return Err(reject(b"", "it was handled already")),
        Request::Other { kind, body } => {
            ChannelEvent::Request { name: name(kind, usize::MAX)?, payload: body.to_vec() }
        }
    })
}

/// A variable that the host sets.
fn host_variable(name: &str, value: &[u8]) -> ChannelEvent {
    ChannelEvent::HostVariable { name: name.to_owned(), value: value.to_vec() }
}

/// A name as text without control characters, which a plugin may print. None if it is not.
fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// The size with sides that a plugin may multiply.
fn window(size: request::WindowSize) -> WindowSize {
    WindowSize {
        columns: size.columns.min(LARGEST_SIDE),
        rows: size.rows.min(LARGEST_SIDE),
        width_px: size.width_px,
        height_px: size.height_px,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> RequestLimits {
        restricted(Restrictions::default())
    }

    fn restricted(restrictions: Restrictions) -> RequestLimits {
        RequestLimits::new(&Limits::default(), &EnvironmentNames::default(), true, &Arc::new(restrictions))
    }

    fn variable<'a>(name: &'a [u8], value: &'a [u8]) -> Request<'a> {
        Request::Env { name, value }
    }

    #[test]
    fn variables_that_are_not_admitted_cost_nothing_and_those_over_the_limit_are_refused() {
        // C31
        let mut limits = limits();
        for number in 0..900 {
            let name = format!("CI_{number}");
            assert!(to_event(&variable(name.as_bytes(), b"x"), &mut limits).is_err());
        }
        for number in 0..128 {
            let name = format!("LC_{number}");
            assert!(to_event(&variable(name.as_bytes(), b"x"), &mut limits).is_ok(), "{number}");
        }
        assert!(to_event(&variable(b"LANG", b"x"), &mut limits).is_err());
        assert_eq!(limits.refused_variables.count(), 901);
    }

    #[test]
    fn the_bytes_of_all_variables_are_bounded_together() {
        let mut limits = limits();
        let value = vec![b'x'; 20_000];
        for (number, fits) in [true, true, true, false].into_iter().enumerate() {
            let name = format!("LC_{number}");
            assert_eq!(to_event(&variable(name.as_bytes(), &value), &mut limits).is_ok(), fits, "{number}");
        }
        assert!(to_event(&variable(b"LANG", b"C.UTF-8"), &mut limits).is_ok(), "a small one still fits");
        for (name, value) in [(&b"LC_A=B"[..], &b"x"[..]), (b"LC_X", b"a\0b"), (b"LC_\xff", b"x")] {
            assert!(to_event(&variable(name, value), &mut limits).is_err());
        }
    }

    #[test]
    fn a_command_as_long_as_a_packet_is_taken_and_a_longer_one_is_refused_in_words() {
        // C32
        let mut limits = limits();
        let command = vec![b'x'; (255 << 10) + 1];
        let taken = to_event(&Request::Exec { command: &command[1..] }, &mut limits);
        assert!(matches!(taken, Ok(ChannelEvent::Exec(command)) if command.len() == 255 << 10));
        let Err(Rejection::Other { reason, on_stderr, .. }) =
            to_event(&Request::Exec { command: &command }, &mut limits)
        else {
            panic!("it was accepted")
        };
        let words = "the command is too long: 261121 bytes, and at most 261120 are accepted";
        assert_eq!((reason.as_str(), on_stderr), (words, true));
    }

    #[test]
    fn a_forced_command_runs_whatever_is_asked_for_and_is_told_what_that_was() {
        let forced = Some("rsync --server".to_owned());
        let mut limits = restricted(Restrictions { forced_command: forced, ..Restrictions::default() });
        for (asked, original) in [
            (Request::Shell, None),
            (Request::Exec { command: b"id \xff" }, Some(&b"id \xff"[..])),
            (Request::Subsystem { name: b"sftp" }, Some(b"sftp")),
        ] {
            let Ok(event) = to_event(&asked, &mut limits) else { panic!("it was refused") };
            let (variable, event) = limits.force(event);
            assert_eq!(event, ChannelEvent::Exec(b"rsync --server".to_vec()));
            assert_eq!(variable, original.map(|original| host_variable("SSH_ORIGINAL_COMMAND", original)));
        }
        let other = ChannelEvent::Signal(SignalName::Int);
        assert_eq!(limits.force(other.clone()), (None, other));
        assert_eq!(super::tests::limits().force(ChannelEvent::Shell), (None, ChannelEvent::Shell));
    }

    #[test]
    fn a_key_without_a_terminal_gets_none() {
        let modes = request::Modes::new(&[0]);
        let size = request::WindowSize { columns: 80, rows: 24, width_px: 0, height_px: 0 };
        let asked = Request::PtyReq { term: b"xterm", size, modes };
        assert!(to_event(&asked, &mut limits()).is_ok());
        let mut limits = restricted(Restrictions { pty: false, ..Restrictions::default() });
        let Err(Rejection::Other { reason, .. }) = to_event(&asked, &mut limits) else { panic!("it was accepted") };
        assert!(reason.contains("permits no terminal"), "{reason}");
    }

    #[test]
    fn neither_a_key_nor_a_client_says_what_the_host_knows() {
        let names = ["SSH_ORIGINAL_COMMAND", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SSH_ROLE"];
        let environment = names.map(|name| (name.to_owned(), "forged".to_owned())).to_vec();
        let limits = restricted(Restrictions { environment, ..Restrictions::default() });
        assert_eq!(limits.host_variables().collect::<Vec<_>>(), [host_variable("SSH_ROLE", b"forged")]);
        for name in names {
            assert!(limits.is_host_variable(name.as_bytes()), "{name}");
        }
        assert!(!limits.is_host_variable(b"SSH_OTHER"));
    }

    #[test]
    fn a_client_cannot_change_a_variable_of_the_hosts() {
        let environment = vec![("LC_ROLE".to_owned(), "reader".to_owned())];
        let mut limits = restricted(Restrictions { environment, ..Restrictions::default() });
        assert_eq!(limits.host_variables().collect::<Vec<_>>(), [host_variable("LC_ROLE", b"reader")]);
        assert!(to_event(&variable(b"LC_ROLE", b"admin"), &mut limits).is_err());
        assert!(to_event(&variable(b"LC_ALL", b"C"), &mut limits).is_ok());
    }
}

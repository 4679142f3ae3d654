//! The macros [`plugin!`](crate::plugin) and [`authenticator!`](crate::authenticator!), and what they expand to: they
//! forward the host's calls to the plugin's value. That of programs is in `export/command.rs`.
//!
//! The host makes one instance per session, and of an authenticator one per connection, so a plugin holds exactly one
//! value. The host never calls into the plugin while another call runs, so the value can be borrowed for a whole call.

pub mod command;

use std::{cell::RefCell, marker::PhantomData, panic, thread::LocalKey};

use crate::authenticator::{Attempt, Authenticator, Credential, Verdict, decide};
use crate::bindings;
use crate::bindings::exports::whelk::ssh::session::Guest;
use crate::bindings::whelk::ssh::types::{Ending, Pty, SignalName, WindowSize};
use crate::log;
use crate::session::{BreakHandler, DrainHandler, MessageHandler, RequestHandler, Session, TimerHandler};

/// Exports a type that implements [`Session`](crate::Session) and [`Default`] as a plugin. Use it once per crate.
///
/// After a colon, name the optional handlers that the type implements too. The others are not exported, and the host
/// does not call them.
///
/// | name | trait |
/// |---|---|
/// | `timers` | [`TimerHandler`](crate::TimerHandler) |
/// | `drain` | [`DrainHandler`](crate::DrainHandler) |
/// | `breaks` | [`BreakHandler`](crate::BreakHandler) |
/// | `requests` | [`RequestHandler`](crate::RequestHandler) |
/// | `messages` | [`MessageHandler`](crate::MessageHandler) |
///
/// ```
/// use whelk_guest::{Session, TimerHandler, plugin, print, timers};
///
/// #[derive(Default)]
/// struct Clock {
///     seconds: u32,
/// }
///
/// impl Session for Clock {
///     fn shell(&mut self) -> bool {
///         timers::every(1, 1000).is_ok()
///     }
/// }
///
/// impl TimerHandler for Clock {
///     fn on_timer(&mut self, _timer: u32) {
///         self.seconds += 1;
///         print(format!("{} seconds\r\n", self.seconds));
///     }
/// }
///
/// plugin!(Clock: timers);
/// ```
///
/// An unknown name is a compile error that lists the known ones:
///
/// ```compile_fail
/// # #[derive(Default)]
/// # struct Clock;
/// # impl whelk_guest::Session for Clock {}
/// whelk_guest::plugin!(Clock: alarms);
/// ```
///
/// A name whose trait is not implemented is a compile error too:
///
/// ```compile_fail
/// # #[derive(Default)]
/// # struct Clock;
/// # impl whelk_guest::Session for Clock {}
/// whelk_guest::plugin!(Clock: timers);
/// ```
#[macro_export]
macro_rules! plugin {
    ($session:ident $(: $($handler:ident),+ $(,)?)?) => {
        const _: () = {
            $crate::hold!($session);
            $crate::export_handler!(session $session);
            $($($crate::export_handler!($handler $session);)+)?
        };
    };
}

/// Exports a type that implements [`Authenticator`](crate::Authenticator) and [`Default`] as a plugin that decides
/// about logins. Use it once per crate, and not together with [`plugin!`](crate::plugin): a plugin serves sessions or
/// decides about logins, not both.
///
/// ```
/// use whelk_guest::{Attempt, Authenticator, Grant, Verdict, authenticator};
///
/// /// Lets everybody in.
/// #[derive(Default)]
/// struct Open;
///
/// impl Authenticator for Open {
///     fn none(&mut self, attempt: &Attempt) -> Verdict {
///         Grant::new(&attempt.user, "public").into()
///     }
/// }
///
/// authenticator!(Open);
/// ```
///
/// A type that decides about nothing is a compile error:
///
/// ```compile_fail
/// #[derive(Default)]
/// struct Open;
/// whelk_guest::authenticator!(Open);
/// ```
#[macro_export]
macro_rules! authenticator {
    ($authenticator:ident) => {
        const _: () = {
            $crate::hold!($authenticator);
    $crate::export_handler!(authenticator $authenticator);
        };
    };
}

/// Makes the slot of the plugin's value.
#[doc(hidden)]
#[macro_export]
macro_rules! hold {
    ($held:ident) => {
        impl $crate::export::Held for $held {
            fn held() -> &'static ::std::thread::LocalKey<::std::cell::RefCell<::core::option::Option<Self>>> {
                ::std::thread_local! {
                    static HELD: ::std::cell::RefCell<::core::option::Option<$held>> =
                        const { ::std::cell::RefCell::new(::core::option::Option::None) };
                }
                &HELD
            }
        }
    };
}

/// Exports one interface. The macros above expand to calls of this macro.
///
/// It exports only on WebAssembly, because other linkers reject the symbol names. Elsewhere (in unit tests) it only
/// checks that the type could be exported.
#[doc(hidden)]
#[macro_export]
macro_rules! export_handler {
    (session $session:ident) => {
        $crate::export_handler!($session: Session, export_session of bindings);
    };
    (authenticator $authenticator:ident) => {
        $crate::export_handler!($authenticator: Authenticator, export_authenticator of bindings::authenticator);
    };
    (timers $session:ident) => {
        $crate::export_handler!($session: TimerHandler, export_timers of bindings::timers);
    };
    (drain $session:ident) => {
        $crate::export_handler!($session: DrainHandler, export_drain of bindings::drain);
    };
    (breaks $session:ident) => {
        $crate::export_handler!($session: BreakHandler, export_breaks of bindings::breaks);
    };
    (requests $session:ident) => {
        $crate::export_handler!($session: RequestHandler, export_requests of bindings::requests);
    };
    (messages $session:ident) => {
        $crate::export_handler!($session: MessageHandler, export_messages of bindings::messages);
    };
    ($session:ident: $handler:ident, $export:ident of $($bindings:ident)::+) => {
        const _: () = {
            const fn must_implement<S: $crate::$handler>() {}
            must_implement::<$session>();
            #[cfg(target_family = "wasm")]
            type Exported = $crate::export::Exported<$session>;
            #[cfg(target_family = "wasm")]
            $crate::$($bindings)::+::$export!(Exported with_types_in $crate::$($bindings)::+);
        };
    };
    ($unknown:ident $session:ident) => {
        ::core::compile_error!(::core::concat!(
            "there is no handler `",
            ::core::stringify!($unknown),
            "`; there are `timers`, `drain`, `breaks`, `requests` and `messages`"
        ));
    };
}

/// A type of which the macros hold one value.
pub trait Held: Default + 'static {
    /// The slot of the value: empty before the first call and after the last.
    fn held() -> &'static LocalKey<RefCell<Option<Self>>>;
}

/// Implements the exported interfaces for a session or an authenticator of type `S`. Never instantiated.
#[derive(Debug)]
pub struct Exported<S>(PhantomData<S>);

impl<S: Held> Exported<S> {
    /// Runs `act` on the value, and creates the value in the first call.
    pub(crate) fn with<R>(act: impl FnOnce(&mut S) -> R) -> R {
        S::held().with_borrow_mut(|held| act(held.get_or_insert_default()))
    }
}

impl<S: Session + Held> Guest for Exported<S> {
    fn open() -> bool {
        log_panics();
        Self::with(S::open)
    }

    fn env(name: String, value: Vec<u8>) -> bool {
        Self::with(|session| session.env(&name, &value))
    }

    fn pty_req(pty: Pty) -> bool {
        Self::with(|session| session.pty_req(&pty))
    }

    fn shell() -> bool {
        Self::with(S::shell)
    }

    fn exec(command: Vec<u8>) -> bool {
        Self::with(|session| session.exec(&command))
    }

    fn subsystem(name: String) -> bool {
        Self::with(|session| session.subsystem(&name))
    }

    fn window_change(size: WindowSize) {
        Self::with(|session| session.window_change(size));
    }

    fn signal(name: SignalName) {
        Self::with(|session| session.signal(name));
    }

    fn data(data: Vec<u8>) {
        Self::with(|session| session.data(&data));
    }

    fn extended_data(kind: u32, data: Vec<u8>) {
        Self::with(|session| session.extended_data(kind, &data));
    }

    fn eof() {
        Self::with(S::eof);
    }

    fn close() {
        Self::with(S::close);
    }

    fn closed(why: Ending) {
        Self::with(|session| session.closed(why));
        drop(S::held().take());
    }
}

impl<A: Authenticator + Held> bindings::authenticator::exports::whelk::ssh::authenticator::Guest for Exported<A> {
    fn authenticate(attempt: Attempt, credential: Credential) -> Verdict {
        if A::held().with_borrow(Option::is_none) {
            log_panics();
        }
        Self::with(|authenticator| decide(authenticator, &attempt, &credential))
    }
}

impl<S: TimerHandler + Held> bindings::timers::exports::whelk::ssh::timer_handler::Guest for Exported<S> {
    fn on_timer(timer: u32) {
        Self::with(|session| session.on_timer(timer));
    }
}

impl<S: DrainHandler + Held> bindings::drain::exports::whelk::ssh::drain_handler::Guest for Exported<S> {
    fn on_writable() {
        Self::with(S::on_writable);
    }
}

impl<S: BreakHandler + Held> bindings::breaks::exports::whelk::ssh::break_handler::Guest for Exported<S> {
    fn on_break(length_ms: u32) {
        Self::with(|session| session.on_break(length_ms));
    }
}

impl<S: RequestHandler + Held> bindings::requests::exports::whelk::ssh::request_handler::Guest for Exported<S> {
    fn on_request(name: String, payload: Vec<u8>) -> bool {
        Self::with(|session| session.on_request(&name, &payload))
    }
}

impl<S: MessageHandler + Held> bindings::messages::exports::whelk::ssh::message_handler::Guest for Exported<S> {
    fn on_message(topic: String, data: Vec<u8>) {
        Self::with(|session| session.on_message(&topic, &data));
    }

    fn on_lagged(topic: String, missed: u32) {
        Self::with(|session| session.on_lagged(&topic, missed));
    }
}

/// A panic ends the instance. Its message goes to the operator's log.
pub(crate) fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("a value that is no text");
        match panic.location() {
            Some(place) => log::error(format!("panicked at {place}: {message}")),
            None => log::error(format!("panicked: {message}")),
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    thread_local! {
        /// What the session under test observed. The count is two while a session holds it.
        static SEEN: Rc<RefCell<Vec<u8>>> = Rc::default();
    }

    struct Notes(Rc<RefCell<Vec<u8>>>);

    impl Default for Notes {
        fn default() -> Self {
            Self(SEEN.with(Rc::clone))
        }
    }

    impl Session for Notes {
        fn data(&mut self, data: &[u8]) {
            self.0.borrow_mut().extend_from_slice(data);
        }

        fn closed(&mut self, _why: Ending) {
            self.0.borrow_mut().push(b'.');
        }
    }

    impl Held for Notes {
        fn held() -> &'static LocalKey<RefCell<Option<Self>>> {
            thread_local! {
                static HELD: RefCell<Option<Notes>> = const { RefCell::new(None) };
            }
            &HELD
        }
    }

    #[test]
    fn one_value_receives_every_call_and_is_dropped_after_closed() {
        Exported::<Notes>::data(b"a".to_vec());
        Exported::<Notes>::data(b"b".to_vec());
        assert_eq!(SEEN.with(Rc::strong_count), 2);
        Exported::<Notes>::closed(Ending::Finished);
        assert_eq!(SEEN.with(Rc::strong_count), 1);
        assert_eq!(SEEN.with(|seen| seen.borrow().clone()), b"ab.");
    }

    #[test]
    fn by_default_a_session_accepts_a_shell_and_a_terminal_only() {
        let pty = Pty {
            term: String::new(),
            size: WindowSize { columns: 0, rows: 0, width_px: 0, height_px: 0 },
            modes: Vec::new(),
        };
        assert!(Exported::<Notes>::pty_req(pty));
        assert!(Exported::<Notes>::shell());
        assert!(!Exported::<Notes>::env("LANG".to_owned(), Vec::new()));
        assert!(!Exported::<Notes>::exec(b"ls".to_vec()));
        assert!(!Exported::<Notes>::subsystem("sftp".to_owned()));
    }
}

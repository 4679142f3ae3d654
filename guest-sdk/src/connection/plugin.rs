//! Plugins that handle whole connections: [`Connection`], and the macro
//! [`connection_plugin!`](crate::connection_plugin!) that makes one of it.

pub use crate::bindings::connections::exports::whelk::ssh::connection_handler::{OpenVerdict, Refusal};

use crate::bindings::connections::exports::whelk::ssh::connection_handler::Guest;
use crate::export::{Exported, Held, log_panics};

/// SSH_OPEN_UNKNOWN_CHANNEL_TYPE. RFC 4254 §5.1.
const UNKNOWN_CHANNEL_TYPE: u32 = 3;

/// A whole connection of one user, from the first channel or request of a name of your own until the connection ends.
///
/// The operator names your plugin in the table of a tenant: `connection_plugin = "name"`. The host then asks it about
/// channel types and global requests that mean nothing elsewhere: names with an `@` and a domain, such as
/// `thing@example.org` (RFC 4250 §4.6.1). There is one value for each connection, made for the first thing that it is
/// asked; it is asked one thing at a time. A call may take 30 seconds by default. When it crashes or takes longer, what
/// waits for it and what comes later on its connection is refused, and the connection and its sessions go on.
///
/// All functions have defaults, which refuse everything.
pub trait Connection {
    /// The client makes a global request: one that concerns the connection and no channel (RFC 4254 §4). The returned
    /// bytes, at most 32,000, are the reply; `None` refuses the request.
    fn global_request(&mut self, name: &str, payload: &[u8]) -> Option<Vec<u8>> {
        let _ = (name, payload);
        None
    }

    /// The client asks to open a channel of this type (RFC 4254 §5.1). [`OpenVerdict::Accept`] names the plugin of the
    /// tenant that serves it, as it would serve a session that has started: [`Session::open`](crate::Session::open) and
    /// then [`data`](crate::Session::data). That plugin finds the type and the payload in the facts `channel-type` and
    /// `channel-payload` of [`connection`](crate::connection).
    fn channel_open(&mut self, kind: &str, payload: &[u8]) -> OpenVerdict {
        let _ = (kind, payload);
        OpenVerdict::Refuse(Refusal { reason: UNKNOWN_CHANNEL_TYPE, text: "unknown channel type".to_owned() })
    }

    /// The last call, when the connection has ended or the operator has replaced this version. It is not called after a
    /// crash. The value is dropped afterwards.
    fn closed(&mut self) {}
}

/// Exports a type that implements [`Connection`] and [`Default`] as a connection plugin. Use it once per crate, and not
/// together with [`plugin!`](crate::plugin): a plugin serves sessions or handles connections, not both.
///
/// ```
/// use whelk_guest::{Connection, OpenVerdict, Refusal, connection_plugin};
///
/// /// Counts, and hands channels to the plugin `echo`.
/// #[derive(Default)]
/// struct Counter {
///     count: u32,
/// }
///
/// impl Connection for Counter {
///     fn global_request(&mut self, name: &str, _payload: &[u8]) -> Option<Vec<u8>> {
///         self.count += 1;
///         (name == "count@example.org").then(|| self.count.to_be_bytes().to_vec())
///     }
///
///     fn channel_open(&mut self, kind: &str, _payload: &[u8]) -> OpenVerdict {
///         match kind {
///             "echo@example.org" => OpenVerdict::Accept("echo".to_owned()),
///             _ => OpenVerdict::Refuse(Refusal { reason: 3, text: "there is nothing else".to_owned() }),
///         }
///     }
/// }
///
/// connection_plugin!(Counter);
/// ```
///
/// A type that is no connection is a compile error:
///
/// ```compile_fail
/// #[derive(Default)]
/// struct Counter;
/// whelk_guest::connection_plugin!(Counter);
/// ```
#[macro_export]
macro_rules! connection_plugin {
    ($connection:ident) => {
        const _: () = {
            $crate::hold!($connection);
            const fn must_implement<C: $crate::Connection>() {}
            must_implement::<$connection>();
            #[cfg(target_family = "wasm")]
            type Exported = $crate::export::Exported<$connection>;
            #[cfg(target_family = "wasm")]
            $crate::bindings::connections::export_connections!(
                Exported with_types_in $crate::bindings::connections
            );
        };
    };
}

impl<C: Connection + Held> Guest for Exported<C> {
    fn global_request(name: String, payload: Vec<u8>) -> Result<Vec<u8>, ()> {
        log_first_panic::<C>();
        Self::with(|connection| connection.global_request(&name, &payload)).ok_or(())
    }

    fn channel_open(kind: String, payload: Vec<u8>) -> OpenVerdict {
        log_first_panic::<C>();
        Self::with(|connection| connection.channel_open(&kind, &payload))
    }

    fn closed() {
        Self::with(C::closed);
        drop(C::held().take());
    }
}

/// Panics are written to the log from the first call on, whichever that is.
fn log_first_panic<C: Held>() {
    if C::held().with_borrow(Option::is_none) {
        log_panics();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::thread::LocalKey;

    use super::*;

    #[derive(Default)]
    struct Silent;

    impl Connection for Silent {}

    impl Held for Silent {
        fn held() -> &'static LocalKey<RefCell<Option<Self>>> {
            thread_local! {
                static HELD: RefCell<Option<Silent>> = const { RefCell::new(None) };
            }
            &HELD
        }
    }

    #[test]
    fn by_default_everything_is_refused() {
        let mut silent = Silent;
        assert_eq!(silent.global_request("thing@example.org", b""), None);
        let refused = silent.channel_open("thing@example.org", b"");
        assert!(matches!(refused, OpenVerdict::Refuse(Refusal { reason: 3, .. })), "{refused:?}");
    }
}

//! The request `console`: keeps plugins from an address at which an operator's page is served.
//!
//! The first line of the answer says that no plugin connects there from now on, whatever its tenant is granted. The
//! answer lasts until its client hangs up, and so does that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use whelk_runtime::{ReservedAddress, ReservedAddresses};

use super::lines::AnswerLines;
use super::{AskedRequest, Requests, error};
use crate::observe::event::{ServerEvent, emit};

/// The request.
pub const CONSOLE: &str = "console";
/// How many pages there may be at once.
const MOST_CONSOLES: usize = 8;
/// How long the client may take to read the first line.
const TIME: Duration = Duration::from_secs(5);

/// Where the page is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleRequest {
    /// The address of the socket that listens.
    pub address: Option<SocketAddr>,
}

/// The first line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleReserved {
    /// The address that is reserved from now on.
    pub reserved: SocketAddr,
}

impl Requests {
    /// With the request [`CONSOLE`].
    #[must_use]
    pub fn with_console(self, reserved: &Arc<ReservedAddresses>) -> Requests {
        let (reserved, places) = (Arc::clone(reserved), Arc::new(Semaphore::new(MOST_CONSOLES)));
        self.with_lines(CONSOLE, move |asked, lines| answer(asked, lines, Arc::clone(&reserved), Arc::clone(&places)))
    }
}

async fn answer(asked: AskedRequest, mut lines: AnswerLines, reserved: Arc<ReservedAddresses>, places: Arc<Semaphore>) {
    let place = places.try_acquire_owned().map_err(|_| format!("the limit of {MOST_CONSOLES} consoles is reached"));
    let asked_address = asked.parse::<ConsoleRequest>().and_then(|request| {
        let address = request.address.filter(|address| !address.ip().is_unspecified() && address.port() != 0);
        address.ok_or_else(|| "the console must name one address and its port".to_owned())
    });
    match (asked_address, place) {
        (Ok(address), Ok(place)) => {
            lines.keep(place, TIME);
            let _open = OpenConsole::begin(&reserved, address, asked.uid);
            let sent = match lines.add(&ConsoleReserved { reserved: address }).await {
                Ok(()) => lines.flush().await,
                Err(gone) => Err(gone),
            };
            if sent.is_ok() {
                // This future is dropped when the client hangs up.
                std::future::pending::<()>().await;
            }
        }
        (Err(reason), _) | (_, Err(reason)) => {
            // An error means that the client has gone.
            let _ = lines.send_last(&error(&reason)).await;
        }
    }
}

/// A page that is served, whose address is reserved.
struct OpenConsole {
    address: SocketAddr,
    uid: u32,
    _reserved: ReservedAddress,
}

impl OpenConsole {
    fn begin(reserved: &Arc<ReservedAddresses>, address: SocketAddr, uid: u32) -> OpenConsole {
        let open = OpenConsole { address, uid, _reserved: reserved.reserve(address) };
        emit(ServerEvent::ConsoleOpened { address, uid });
        open
    }
}

impl Drop for OpenConsole {
    fn drop(&mut self) {
        emit(ServerEvent::ConsoleClosed { address: self.address, uid: self.uid });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_must_be_one_of_a_socket() {
        let requests = Requests::default().with_console(&Arc::default());
        for (argument, words) in [
            ("{\"address\":\"0.0.0.0:2280\"}", "must name one address and its port"),
            ("{\"address\":\"127.0.0.1:0\"}", "must name one address and its port"),
            ("{}", "must name one address and its port"),
            ("{\"address\":\"localhost\"}", "is it of another version?"),
        ] {
            let lines = requests.ask(&format!("console {argument}")).await;
            assert!(lines[0]["error"].as_str().unwrap().contains(words), "{argument}: {lines:?}");
        }
    }
}

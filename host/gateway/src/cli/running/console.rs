//! `whelk console`: a page about the running server, for an operator's browser.
//!
//! The command serves the page itself, and asks the server over the control socket for everything that it shows and
//! does, as `whelk sessions` and `whelk kill` do.
//!
//! ```text
//!  browser ── HTTP, or HTTPS ──► page      files, the state as JSON, an end of a session
//!                                 │ access  whose request it is: names, one-time addresses, logins
//!                                 │ view    the tables, as texts
//!                                 └── control socket ──► server
//! ```
//!
//! Who may use the page:
//!
//! * The command prints an address that ends with a token of 256 bits, behind the `#`: browsers send that part to no
//!   server, and no log has it. The script of the page sends it once, by POST, and gets a cookie (HttpOnly,
//!   SameSite=Strict) and a key, which it keeps for its tab. Both are needed for everything but the files of the page,
//!   which are the same for everybody.
//! * The key is in the header `x-whelk-console`, which neither a form nor a page of another origin can send. It is
//!   needed beside the cookie since browsers send cookies to every port of a host: a server of another user of this
//!   machine could get the cookie, and never gets the key.
//! * `Host` must be one of our names (DNS rebinding), and `Origin` that of the page.
//!
//! What tenants and clients have chosen arrives escaped as in the tables of `whelk sessions`, and the script only sets
//! it as text.
//!
//! Decided 2026-11-30: a command of its own, which ends with the operator or with the server. Its address is reserved
//! by the request `console`, so that no grant of a tenant leads there. Refused: a part of the server, with a setting: a
//! server that never has the page cannot serve it by mistake, and the page has no more rights than its operator. The
//! command does not survive the server, since it could not know that the next one has reserved the address before its
//! first plugin runs.

mod access;
mod keys;
mod page;
mod tls;
mod view;

use std::io::{self, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use clap::Args;
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::{ServerArguments, unanswered};
use crate::cli::inspect::locale;
use crate::cli::outcome::{Failure, failed, lone_runtime, print, wrong};
use crate::config;
use crate::server::control::console::{CONSOLE, ConsoleRequest, ConsoleReserved};
use crate::server::control::{open_request, read_line};
use access::PageNames;
use keys::{ADDRESS_TIME, ConsoleKeys};
use page::ConsolePage;

/// Serve a page about the running server, for a browser: sessions, logins, plugins, tenants, and ending a session.
///
/// Prints an address that can be opened once, within 10 minutes; Enter or SIGUSR1 prints a new one. Ctrl-C ends. The
/// page of a server elsewhere is seen through `ssh -L 2280:127.0.0.1:2280 HOST`. The audit records who serves a page.
#[derive(Args)]
pub(in crate::cli) struct ConsoleArguments {
    #[command(flatten)]
    server: ServerArguments,
    /// Where the page is served. An address that is not one of loopback needs a certificate
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2280", value_parser = config::parse_address)]
    listen: SocketAddr,
    /// Another name by which a browser finds this address, such as gateway.example.org; with a port if that is not the
    /// one of `--listen`. May be given several times
    #[arg(long = "name", value_name = "NAME", value_parser = access::parse_name)]
    names: Vec<String>,
    /// The certificate of the server of the page, and those of its authorities (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// The most rows of each table
    #[arg(long, value_name = "NUMBER", default_value = "500")]
    rows: usize,
}

pub(in crate::cli) fn console(arguments: ConsoleArguments) -> Result<(), Failure> {
    let ConsoleArguments { server, listen, names, tls_certificate, tls_key, rows } = arguments;
    locale::assume_utf8();
    let folder = server.folder()?;
    let tls =
        tls_certificate.zip(tls_key).map(|(chain, key)| tls::acceptor(&chain, &key)).transpose().map_err(wrong)?;
    check_address(listen, tls.is_some()).map_err(wrong)?;
    let runtime = lone_runtime()?;
    let served = runtime.block_on(async {
        let (listener, mut reserved) = open(&folder, listen).await?;
        let address = listener.local_addr().map_err(failed)?;
        let names = PageNames::new(address, &names, tls.is_some());
        let keys = Arc::new(Mutex::new(ConsoleKeys::default()));
        let shown = format!("{}/#", names.origin());
        let page =
            ConsolePage { folder: folder.clone(), names, keys: Arc::clone(&keys), rows, read: AsyncMutex::default() };
        tokio::select! {
            never = page::serve(&listener, Arc::new(page), tls) => match never {},
            ended = print_addresses(&shown, &keys) => ended,
            () = until_closed(&mut reserved) => {
                Err(failed("the server has closed the connection: it may have stopped. The page is no longer served"))
            }
        }
    });
    // An answer of the server that is still awaited is no reason to wait.
    runtime.shutdown_background();
    served
}

/// Whether a page may be served at this address.
fn check_address(address: SocketAddr, has_tls: bool) -> Result<(), String> {
    if address.ip().is_unspecified() {
        return Err(format!("--listen: {address} is every address of this machine: name one of them"));
    }
    if !address.ip().is_loopback() && !has_tls {
        return Err(format!(
            "--listen: {address} can be reached by other machines, and what passes can be read on the way: add \
             --tls-certificate and --tls-key, or listen on 127.0.0.1 and use `ssh -L`"
        ));
    }
    Ok(())
}

/// Binds the address, has the server reserve it, and listens only then: no plugin has ever reached it. Returns the
/// listener, and the connection to the server, for as long as which the address is reserved.
async fn open(folder: &Path, address: SocketAddr) -> Result<(TcpListener, UnixStream), Failure> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(|error| wrong(format!("--listen: {address} cannot be listened on: {error}")))?;
    let request = ConsoleRequest { address: Some(socket.local_addr().map_err(failed)?) };
    let question = format!("{CONSOLE} {}", serde_json::to_string(&request).map_err(failed)?);
    let stream = open_request(folder, &question).map_err(unanswered(folder))?;
    let mut line = String::new();
    let mut lines = BufReader::new(stream);
    io::BufRead::read_line(&mut lines, &mut line).map_err(failed)?;
    read_line::<ConsoleReserved>(folder, &line).map_err(unanswered(folder))?.map_err(failed)?;
    let stream = lines.into_inner();
    stream.set_nonblocking(true).map_err(failed)?;
    // As many wait in the queue as may be open.
    let listener = socket
        .listen(page::LIMITS.most_open as u32)
        .map_err(|error| wrong(format!("--listen: {address} cannot be listened on: {error}")))?;
    Ok((listener, UnixStream::from_std(stream).map_err(failed)?))
}

/// Returns when the server has closed its end.
async fn until_closed(stream: &mut UnixStream) {
    let mut surplus = [0; 64];
    while stream.read(&mut surplus).await.is_ok_and(|count| count > 0) {}
}

/// Prints an address of the page, and another one at each request, for as long as it is polled.
async fn print_addresses(page: &str, keys: &Mutex<ConsoleKeys>) -> Result<(), Failure> {
    let mut asked = signal(SignalKind::user_defined1()).map_err(failed)?;
    let mut enter = enter_pressed();
    loop {
        let token = keys.lock().unwrap_or_else(PoisonError::into_inner).new_token();
        print(&format!("{page}{token}\n"))?;
        io::stdout().flush().map_err(failed)?;
        let minutes = ADDRESS_TIME.as_secs() / 60;
        eprintln!("whelk: opens the page once, within {minutes} minutes. Enter prints a new address, Ctrl-C ends");
        tokio::select! {
            _ = asked.recv() => {}
            Some(()) = enter.recv() => {}
        }
    }
}

/// Receives something for each line that the operator types. Nothing, where standard input is no terminal, or that of
/// another job: reading it would stop a command in the background.
fn enter_pressed() -> mpsc::Receiver<()> {
    let (pressed, receiver) = mpsc::channel(1);
    let in_foreground = tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
    if in_foreground {
        // A thread, since reading a terminal blocks. The end of the process ends it.
        thread::spawn(move || {
            let mut line = String::new();
            while io::stdin().read_line(&mut line).is_ok_and(|count| count > 0) {
                line.clear();
                if pressed.blocking_send(()).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_needs_a_certificate() {
        let checked = |address: &str, tls| check_address(address.parse().unwrap(), tls);
        assert_eq!(checked("127.0.0.1:2280", false), Ok(()));
        assert_eq!(checked("[::1]:2280", false), Ok(()));
        assert_eq!(checked("192.0.2.1:2280", true), Ok(()));
        let refused = checked("192.0.2.1:2280", false).unwrap_err();
        assert!(refused.contains("add --tls-certificate and --tls-key"), "{refused}");
        for tls in [false, true] {
            let refused = checked("0.0.0.0:2280", tls).unwrap_err();
            assert!(refused.contains("name one of them"), "{refused}");
        }
    }
}

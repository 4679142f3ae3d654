//! `whelk serve --stdio`: serves one connection on standard input and output, and ends with it.
//!
//! Several such processes may run at the same time, and a server with the same configuration beside them. So this one
//! takes no lock and opens no control socket, and only reads the host keys and compiled plugins of the state folder.

use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SocketType, sockopt};

use super::outcome::{Failure, failed, wrong};
use super::serve::{RECORDINGS_SETTLE, give_up, log_host_keys, log_start, start_log};
use crate::config::{AuditTarget, Config, LoginPolicy, Overrides, Problem};
use crate::connection::driver;
use crate::connection::stream::standard::StandardStream;
use crate::observe::logging::Output;
use crate::os_limits;
use crate::server::drain::{DrainTime, Stopper};
use crate::server::gateway::{Gateway, THIS_PROGRAM};
use crate::server::generation::CurrentGateway;
use crate::server::listener::{ConnectionPermit, serve_one};
use crate::server::revocation;
use crate::server::signals::{Hangup, Signals};
use crate::server::socket::{self, TcpKeepalive};
use crate::source::Peer;
use crate::state::host_keys::HostKeys;
use crate::state::strict_modes;
use crate::state::{NOT_STARTED, State};

/// The number of the only connection.
const CONNECTION: u64 = 1;
/// Instances besides those of sessions: for the trial of a plugin, and for ended sessions that still hold theirs.
const SPARE_INSTANCES: u32 = 8;

pub(super) fn serve(file: Option<&Path>, overrides: &Overrides, log: Output<'_>) -> Result<(), Failure> {
    keep_errors_from_the_client().map_err(failed)?;
    strict_modes::tighten_umask();
    let config = match file {
        Some(file) => Config::load(file, overrides),
        None => Config::demonstration(overrides),
    };
    let mut config = config.map_err(wrong)?;
    restrict(&mut config);
    let (input, output) = standard_streams()?;
    check_demonstration(&config, peer(&input))?;
    os_limits::check_start(&config).map_err(wrong)?;
    start_log(log, &config, None)?;
    let stopper = Stopper::new();
    let signals = Signals::catch().map_err(failed)?;
    signals.obey(stopper.clone(), Hangup::Stops, DrainTime::new(config.limits.drain), give_up).map_err(failed)?;
    log_start(&config);
    os_limits::forbid_dumps(!matches!(config.login_policy, LoginPolicy::Demonstration));
    let state = State::open_existing(&config.state).map_err(wrong)?;
    let host_keys = host_keys(&config, &state)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let served = runtime.block_on(async {
        let gateway = Arc::new(Gateway::new(&config, host_keys, &stopper).map_err(wrong)?);
        let recorded = Arc::clone(gateway.recordings());
        let _reload = gateway.load(&config, &state, Path::new(THIS_PROGRAM)).await.map_err(wrong)?;
        revocation::start(&CurrentGateway::new(Arc::clone(&gateway)));
        let permit = ConnectionPermit::unlisted(CONNECTION);
        let peer = peer(&input);
        if let Some(stream) = tcp(&input, &output).map_err(failed)? {
            socket::set_tcp_options(&stream, TcpKeepalive::new(&config.limits));
            let connection = driver::run(stream, peer, permit, gateway);
            serve_one(CONNECTION, peer, connection, &stopper, config.limits.drain).await;
        } else {
            let stream = StandardStream::new(input, output).map_err(not_a_stream)?;
            let connection = driver::run(stream, peer, permit, gateway);
            serve_one(CONNECTION, peer, connection, &stopper, config.limits.drain).await;
        }
        recorded.finish(RECORDINGS_SETTLE).await;
        Ok(())
    });
    // Does not wait for a password that is still being hashed.
    runtime.shutdown_background();
    served
}

/// Changes a configuration to one for a process that serves one connection, and notes what is not granted.
pub(super) fn restrict(config: &mut Config) {
    config.one_connection = true;
    let most = config.limits.sessions.saturating_add(SPARE_INSTANCES);
    config.limits.plugins.instances = config.limits.plugins.instances.min(most);
    // One connection has one login.
    config.limits.authenticator_instances = 1;
    let lost = config.tenants.iter().flat_map(|(name, tenant)| {
        let lost = tenant.grants.that_count().into_iter();
        let what = "is not granted with --stdio: it needs one process that serves every connection";
        lost.map(move |grant| Problem::of_option(&format!("tenants.{name}.grants.{grant}"), what))
    });
    config.notes.extend(lost);
    let storeless = config.authenticators.iter().map(|asked| {
        let what = "has no store with --stdio: it needs one process that counts for every connection, so a plugin that \
                    needs it lets nobody in";
        Problem::of_option(&format!("authenticators.{}.keyvalue", asked.name), what)
    });
    config.notes.extend(storeless);
    if let Some(AuditTarget::File { size, age, .. }) = config.audit.as_mut().map(|audit| &mut audit.to) {
        // Several processes write to it, of which none may rename it while others do.
        (*size, *age) = (0, Duration::ZERO);
        config
            .notes
            .push(Problem::of_option("audit.file", "is not rotated with --stdio: leave that to a server or logrotate"));
    }
    if config.addresses.proxies.is_some() {
        let what = "has no effect with --stdio: the client is whoever the socket is connected to";
        config.notes.push(Problem::of_option("proxies", what));
    }
    let counts = match config.login_policy {
        LoginPolicy::Demonstration => "plugins have no directory",
        LoginPolicy::Users(_) => {
            "each connection has a process of its own, so limits of the server, a tenant, a user or a source apply to one \
             connection, and no source gets a penalty"
        }
    };
    config.notes.push(Problem::of_option("--stdio", counts));
}

/// inetd connects standard error to the client too. Then the log must not be written to it.
fn keep_errors_from_the_client() -> io::Result<()> {
    let errors = rustix::fs::fstat(io::stderr())?;
    let is_same = |other: rustix::fs::Stat| (other.st_dev, other.st_ino) == (errors.st_dev, errors.st_ino);
    if is_same(rustix::fs::fstat(io::stdin())?) || is_same(rustix::fs::fstat(io::stdout())?) {
        rustix::stdio::dup2_stderr(std::fs::File::options().write(true).open("/dev/null")?)?;
    }
    Ok(())
}

/// Copies of standard input and output.
fn standard_streams() -> Result<(OwnedFd, OwnedFd), Failure> {
    let (input, output) = (io::stdin(), io::stdout());
    if input.is_terminal() {
        return Err(wrong(
            "standard input is a terminal: --stdio is for inetd, systemd (Accept=yes) or ssh's ProxyCommand",
        ));
    }
    Ok((input.as_fd().try_clone_to_owned().map_err(failed)?, output.as_fd().try_clone_to_owned().map_err(failed)?))
}

fn not_a_stream(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidInput => {
            wrong("standard input and output must be pipes or sockets: one of them is a file or a device")
        }
        _ => failed(error),
    }
}

/// A demonstration admits everybody, so it serves only clients on this machine.
fn check_demonstration(config: &Config, peer: Peer) -> Result<(), Failure> {
    match (&config.login_policy, peer.ip()) {
        (LoginPolicy::Demonstration, Some(address)) if !address.is_loopback() => {
            Err(wrong(format!("a configuration is needed to serve a client at {address}")))
        }
        (LoginPolicy::Demonstration | LoginPolicy::Users(_), _) => Ok(()),
    }
}

/// The client's address, if standard input is a socket that has one.
fn peer(input: &OwnedFd) -> Peer {
    let address = rustix::net::getpeername(input).ok().flatten();
    address.and_then(|address| SocketAddr::try_from(address).ok()).map_or(Peer::Unknown, Peer::Address)
}

/// Standard input and output as a TCP socket, if both are the same one.
fn tcp(input: &OwnedFd, output: &OwnedFd) -> io::Result<Option<tokio::net::TcpStream>> {
    let is_tcp = peer(input) != Peer::Unknown && sockopt::socket_type(input) == Ok(SocketType::STREAM);
    let (first, second) = (rustix::fs::fstat(input)?, rustix::fs::fstat(output)?);
    if !is_tcp || (first.st_dev, first.st_ino) != (second.st_dev, second.st_ino) {
        return Ok(None);
    }
    let stream = TcpStream::from(input.try_clone()?);
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream).map(Some)
}

/// The host keys that a server has made, or those that the configuration names.
fn host_keys(config: &Config, state: &State) -> Result<HostKeys, Failure> {
    let Some(keys) = HostKeys::existing(state, &config.host_keys).map_err(wrong)? else {
        return Err(wrong(format!("{}: {}", state.folder().display(), NOT_STARTED)));
    };
    log_host_keys(&keys);
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demonstration_serves_clients_on_this_machine_only() {
        let folder = tempfile::tempdir().unwrap();
        let (plugins, state) = (Some(folder.path().to_owned()), Some(folder.path().join("state")));
        let config = Config::demonstration(&Overrides { plugins, state, ..Overrides::default() }).unwrap();
        let allows = |peer| check_demonstration(&config, peer).is_ok();
        let address = |text: &str| Peer::Address(text.parse().unwrap());
        assert!(allows(Peer::Unknown) && allows(address("127.0.0.1:1")) && allows(address("[::1]:1")));
        assert!(allows(address("[::ffff:127.0.0.1]:1")));
        assert!(!allows(address("192.0.2.1:1")) && !allows(address("[2001:db8::1]:1")));
    }
}

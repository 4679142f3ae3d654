//! Our own client, as one of the clients of the tests: `ours -p PORT [options] USER@ADDRESS [COMMAND]` runs a shell or a command as
//! `ssh` would, and `ours -p PORT --load KIND --count N USER@ADDRESS COMMAND` makes a load that somebody measures at the server.

mod load;
mod peer;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::io::AsyncReadExt;
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::message::request::{Modes, Request, WindowSize};

use load::Load;
use peer::{Happened, Peer, Wish};

/// Our own SSH client, for tests and measurements. It trusts every host key.
#[derive(Parser)]
struct Arguments {
    /// The port.
    #[arg(short, default_value_t = 2222)]
    port: u16,
    /// One cipher instead of all.
    #[arg(long)]
    cipher: Option<String>,
    /// One key exchange instead of all.
    #[arg(long)]
    kex: Option<String>,
    /// Change keys after so many bytes.
    #[arg(long)]
    rekey: Option<u64>,
    /// To enter with when neither `none` nor the key does.
    #[arg(long)]
    password: Option<String>,
    /// A private key file of OpenSSH's form, instead of a fresh key.
    #[arg(long)]
    identity: Option<std::path::PathBuf>,
    /// Ask for a terminal of 80 by 24.
    #[arg(short)]
    terminal: bool,
    /// Make a load instead: handshake, session, echo or idle.
    #[arg(long)]
    load: Option<load::Kind>,
    /// How much of it.
    #[arg(long, default_value_t = 100)]
    count: u32,
    /// In how many sessions at once.
    #[arg(long, default_value_t = 1)]
    at_once: u32,
    /// USER@ADDRESS
    destination: String,
    /// The command; without one a shell is asked for.
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let status = runtime.and_then(|runtime| {
        let status = runtime.block_on(run(&arguments));
        // A read of stdin that nobody needs any more would be waited for.
        runtime.shutdown_background();
        status
    });
    match status {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // Without standard error there is nobody left to tell.
            let _ = writeln!(io::stderr(), "ours: {error}");
            ExitCode::from(255)
        }
    }
}

async fn run(arguments: &Arguments) -> io::Result<u8> {
    let (user, host) = arguments.destination.split_once('@').ok_or(io::ErrorKind::InvalidInput)?;
    let wish = Wish {
        address: SocketAddr::new(host.parse().map_err(io::Error::other)?, arguments.port),
        user: user.to_owned(),
        password: arguments.password.clone(),
        cipher: arguments.cipher.clone(),
        kex: arguments.kex.clone(),
        rekey: arguments.rekey,
    };
    let key = match &arguments.identity {
        Some(file) => HostKey::from_openssh(&std::fs::read_to_string(file)?).map_err(io::Error::other)?,
        None => HostKey::generate().map_err(io::Error::other)?,
    };
    let key = Arc::new(key);
    match arguments.load {
        Some(kind) => {
            let (count, at_once, command) = (arguments.count, arguments.at_once, arguments.command.join(" "));
            load::run(&Load { kind, count, at_once, command }, &wish, &key).await.map(|()| 0)
        }
        None => {
            let peer = Peer::enter(&wish, &key).await?;
            session(peer, &arguments.command.join(" "), arguments.terminal).await
        }
    }
}

/// Runs one session between standard input and output. The status is the program's, or 255 for anything else, as `ssh` has it.
async fn session(mut peer: Peer, command: &str, terminal: bool) -> io::Result<u8> {
    let channel = open(&mut peer).await?;
    if terminal {
        let size = WindowSize { columns: 80, rows: 24, width_px: 640, height_px: 384 };
        ask(&mut peer, channel, &Request::PtyReq { term: b"xterm", size, modes: Modes::new(b"\0") });
    }
    let start = match command {
        "" => Request::Shell,
        command => Request::Exec { command: command.as_bytes() },
    };
    ask(&mut peer, channel, &start);
    let mut status = 255;
    let mut stdin = tokio::io::stdin();
    let mut waiting: Option<Vec<u8>> = Some(Vec::new());
    loop {
        peer.turn()?;
        while let Some(happened) = peer.next() {
            match happened {
                Happened::Data(_, None, data) => io::stdout().write_all(&data)?,
                Happened::Data(_, Some(_), data) => io::stderr().write_all(&data)?,
                Happened::ExitStatus(_, code) => status = u8::try_from(code).unwrap_or(255),
                Happened::ExitSignal(_, name) => writeln!(io::stderr(), "exit-signal {name}")?,
                Happened::Closed(_) => {
                    io::stdout().flush()?;
                    return Ok(status);
                }
                Happened::Answered(_, true) | Happened::Opened(_) => {}
                Happened::Answered(_, false) | Happened::OpenFailed(..) => return Err(io::Error::other("refused")),
            }
        }
        if let Some(bytes) = &mut waiting {
            send(&mut peer, channel, bytes)?;
        }
        let free = waiting.as_ref().is_some_and(Vec::is_empty);
        let mut piece = vec![0; if free { 64 << 10 } else { 0 }];
        tokio::select! {
            ready = peer.wait() => ready?,
            count = stdin.read(&mut piece), if free => match count? {
                0 => {
                    peer.connection.send_eof(channel);
                    waiting = None;
                }
                count => waiting = Some(piece[..count].to_vec()),
            },
        }
    }
}

/// Sends as much as there is room for.
fn send(peer: &mut Peer, channel: ChannelId, bytes: &mut Vec<u8>) -> io::Result<()> {
    while !bytes.is_empty() {
        let took = peer.connection.write(channel, None, bytes);
        bytes.drain(..took);
        peer.turn()?;
        if took == 0 {
            break;
        }
    }
    Ok(())
}

/// Opens a session and waits until it is there.
pub(crate) async fn open(peer: &mut Peer) -> io::Result<ChannelId> {
    let channel = peer.connection.open_session().ok_or_else(|| io::Error::other("too many sessions"))?;
    match peer.happens().await? {
        Happened::Opened(opened) if opened == channel => Ok(channel),
        other => Err(io::Error::other(format!("instead of a session: {other:?}"))),
    }
}

/// Makes a request that wants an answer.
pub(crate) fn ask(peer: &mut Peer, channel: ChannelId, request: &Request<'_>) {
    peer.connection.request(channel, request.kind(), &request.body(), true);
}

//! Our own client, one of the clients of the tests: `ours -p PORT [options] USER@ADDRESS [COMMAND]` runs a shell or a
//! command like `ssh`, and `ours -p PORT --load KIND --count N USER@ADDRESS COMMAND` generates a load that the caller
//! measures at the server.

mod attack;
mod certified;
mod guess;
mod load;
mod peer;
mod session;
mod siege;
mod starts;
mod strangers;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use whelk_ssh::crypto::key::HostKey;

use load::Load;
use peer::{Peer, Wish};
use session::{Asked, Then};
use siege::Siege;

/// Our own SSH client, for tests and measurements. It trusts every host key.
#[derive(Parser)]
struct Arguments {
    /// The port.
    #[arg(short, default_value_t = 2222)]
    port: u16,
    /// Use only this cipher.
    #[arg(long)]
    cipher: Option<String>,
    /// Use only this key exchange method.
    #[arg(long)]
    kex: Option<String>,
    /// Change keys after this many bytes.
    #[arg(long)]
    rekey: Option<u64>,
    /// The password, used when neither `none` nor the key is accepted.
    #[arg(long)]
    password: Option<String>,
    /// A private key file in OpenSSH's format, instead of a fresh key.
    #[arg(long)]
    identity: Option<std::path::PathBuf>,
    /// Ask for a terminal of 80 by 24.
    #[arg(short)]
    terminal: bool,
    /// A variable, NAME=VALUE. Can be repeated.
    #[arg(long)]
    env: Vec<String>,
    /// The command is the name of a subsystem.
    #[arg(short)]
    subsystem: bool,
    /// What to send once the session has started. Can be repeated.
    #[arg(long)]
    then: Vec<Then>,
    /// Generate this load instead.
    #[arg(long)]
    load: Option<load::Kind>,
    /// Generate this hostile load, or observe the effects of one.
    #[arg(long, conflicts_with = "load")]
    siege: Option<siege::Kind>,
    /// The amount of it.
    #[arg(long, default_value_t = 100)]
    count: u32,
    /// Each login of `--load handshake` is that of another user, whose name has its number in place of `{}`, with a
    /// certificate by this authority: its private key in OpenSSH's format.
    #[arg(long)]
    authority: Option<std::path::PathBuf>,
    /// The number of the first of them.
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// Ask whether the key would do before signing, as most clients do.
    #[arg(long)]
    ask: bool,
    /// The number of simultaneous sessions.
    #[arg(long, default_value_t = 1)]
    at_once: u32,
    /// The rate per second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// The address to connect from.
    #[arg(long)]
    from: Option<std::net::IpAddr>,
    /// The number of addresses from which guesses or idle connections come.
    #[arg(long, default_value_t = 1)]
    addresses: u32,
    /// USER@ADDRESS
    destination: String,
    /// The command. The default is a shell.
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let status = runtime.and_then(|runtime| {
        let status = runtime.block_on(run(&arguments));
        // The runtime would wait for a pending read of stdin.
        runtime.shutdown_background();
        status
    });
    match status {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // Without standard error the message cannot be shown.
            let _ = writeln!(io::stderr(), "ours: {error}");
            ExitCode::from(255)
        }
    }
}

async fn run(arguments: &Arguments) -> io::Result<u8> {
    let (user, host) = arguments.destination.rsplit_once('@').ok_or(io::ErrorKind::InvalidInput)?;
    let wish = Wish {
        address: SocketAddr::new(host.parse().map_err(io::Error::other)?, arguments.port),
        user: user.to_owned(),
        password: arguments.password.clone(),
        cipher: arguments.cipher.clone(),
        kex: arguments.kex.clone(),
        rekey: arguments.rekey,
        from: arguments.from,
        shown: None,
        ask: arguments.ask,
        guess: None,
    };
    let key = match &arguments.identity {
        Some(file) => HostKey::from_openssh(&std::fs::read_to_string(file)?).map_err(io::Error::other)?,
        None => HostKey::generate().map_err(io::Error::other)?,
    };
    let key = Arc::new(key);
    let command = arguments.command.join(" ");
    let Arguments { count, at_once, rate, .. } = *arguments;
    if let Some(kind) = arguments.load {
        let authority = arguments.authority.as_deref().map(certified::Authority::read).transpose()?;
        let load = Load { kind, count, first: arguments.first, at_once, rate, command, authority };
        return load::run(&load, &wish, &key).await.map(|()| 0);
    }
    if let Some(kind) = arguments.siege {
        let addresses = arguments.addresses;
        return siege::run(Siege { kind, count, at_once, rate, addresses, command, wish, key }).await.map(|()| 0);
    }
    let peer = Peer::log_in(&wish, &key).await?;
    let (terminal, subsystem) = (arguments.terminal, arguments.subsystem);
    let (env, then) = (arguments.env.clone(), arguments.then.clone());
    session::run(peer, &Asked { terminal, env, subsystem, command, then }).await
}

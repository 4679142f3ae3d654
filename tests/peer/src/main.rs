//! `peer PORT HOST_KEY PUBLIC_KEY`: the smallest useful SSH server on russh, beside which Whelk is measured.
//!
//! It listens on 127.0.0.1, lets in whoever has the private half of PUBLIC_KEY, and answers those commands of the
//! plugin `probe` that the measurements use, without any plugin or process. Everything else is russh as it is: its
//! default windows of 2 MiB and packets of 32 KiB, on all threads that tokio starts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{PublicKey, load_public_key, load_secret_key};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Server, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelWriteHalf, Preferred, cipher};

/// What `zeros` writes at once.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Those that are measured. russh does not offer the second one by default.
static CIPHERS: [cipher::Name; 4] =
    [cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];

/// Makes the handler of each connection.
struct Peer {
    allowed: Arc<PublicKey>,
}

impl Server for Peer {
    type Handler = Connection;

    fn new_client(&mut self, _from: Option<std::net::SocketAddr>) -> Connection {
        Connection { allowed: Arc::clone(&self.allowed), channels: HashMap::new() }
    }
}

/// What a session does with its input.
enum Input {
    /// Nothing has been started.
    None(ChannelWriteHalf<Msg>),
    /// Echoes it.
    Cat,
    /// Counts its bytes.
    Discard(u64),
}

struct Connection {
    allowed: Arc<PublicKey>,
    channels: HashMap<ChannelId, Input>,
}

impl Connection {
    fn decision(&self, key: &PublicKey) -> Auth {
        if key.key_data() == self.allowed.key_data() { Auth::Accept } else { Auth::reject() }
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        Ok(self.decision(offer.public_key))
    }

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(self.decision(key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let (_, writer) = channel.split();
        self.channels.insert(writer.id(), Input::None(writer));
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(Input::None(writer)) = self.channels.remove(&channel) else { return session.channel_failure(channel) };
        let command = String::from_utf8_lossy(command);
        let words: Vec<&str> = command.split(' ').collect();
        session.channel_success(channel)?;
        match words.as_slice() {
            ["print", text] => {
                session.data(channel, text.as_bytes().to_vec())?;
                session.exit_status_request(channel, 0)?;
                session.eof(channel)?;
                session.close(channel)
            }
            ["cat"] => {
                self.channels.insert(channel, Input::Cat);
                Ok(())
            }
            ["discard"] => {
                self.channels.insert(channel, Input::Discard(0));
                Ok(())
            }
            ["zeros", count] => write_apart(writer, ZEROS.len(), count.parse().unwrap_or(0)),
            ["writes", count, size] => {
                let (count, size) = (count.parse().unwrap_or(0), size.parse().unwrap_or(1).min(ZEROS.len()));
                write_apart(writer, size, count * size as u64)
            }
            _ => session.close(channel),
        }
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        match self.channels.get_mut(&channel) {
            Some(Input::Cat) => session.data(channel, data.to_vec()),
            Some(Input::Discard(count)) => {
                *count += data.len() as u64;
                Ok(())
            }
            Some(Input::None(_)) | None => Ok(()),
        }
    }

    async fn channel_eof(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        match self.channels.remove(&channel) {
            Some(Input::Discard(count)) => session.data(channel, format!("{count}\n"))?,
            Some(Input::Cat) => {}
            Some(Input::None(_)) | None => return Ok(()),
        }
        session.exit_status_request(channel, 0)?;
        session.eof(channel)?;
        session.close(channel)
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), russh::Error> {
        self.channels.remove(&channel);
        Ok(())
    }
}

/// Writes `count` zeros in pieces of `size`, waiting for the window of the channel, and ends the session.
fn write_apart(writer: ChannelWriteHalf<Msg>, size: usize, count: u64) -> Result<(), russh::Error> {
    tokio::spawn(async move {
        let mut left = count;
        while left > 0 {
            let piece = usize::try_from(left).map_or(size, |left| left.min(size));
            // The client has left: russh ends the channel.
            if writer.data_bytes(&ZEROS[..piece]).await.is_err() {
                return;
            }
            left -= piece as u64;
        }
        let _ = writer.exit_status(0).await;
        let _ = writer.eof().await;
        let _ = writer.close().await;
    });
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, host_key, allowed] = arguments.as_slice() else {
        return Err("usage: peer PORT HOST_KEY PUBLIC_KEY".into());
    };
    let config = Config {
        keys: vec![load_secret_key(host_key, None)?],
        // OpenSSH's client asks for the method `none` first, and would wait.
        auth_rejection_time: Duration::ZERO,
        inactivity_timeout: None,
        nodelay: true,
        preferred: Preferred { cipher: Cow::Borrowed(&CIPHERS), ..Preferred::default() },
        ..Config::default()
    };
    let mut peer = Peer { allowed: Arc::new(load_public_key(allowed)?) };
    let socket = tokio::net::TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    eprintln!("listening on {}", socket.local_addr()?);
    peer.run_on_socket(Arc::new(config), &socket).await?;
    Ok(())
}

//! The client over a socket: the protocol's client role, driven by readiness as the gateway drives the server's.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};
use whelk_ssh::algorithm::Preferences;
use whelk_ssh::auth::client::ClientCredential;
use whelk_ssh::connection::{Client, ClientQuestion, Event, Progress, Settings};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::crypto::random::SystemRandom;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::message::request::Request;
use whelk_ssh::mux;
use whelk_ssh::transport::{self, Party};

/// An event with its data.
#[derive(Debug)]
pub(crate) enum Happened {
    Opened(ChannelId),
    OpenFailed(ChannelId, u32, String),
    Answered(ChannelId, bool),
    Data(ChannelId, Stream, Vec<u8>),
    ExitStatus(ChannelId, u32),
    /// The signal's name and the message for the user.
    ExitSignal(ChannelId, String, String),
    Closed(ChannelId),
}

/// How to connect.
#[derive(Clone)]
pub(crate) struct Wish {
    pub(crate) address: SocketAddr,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    /// One name, or `None` for all that we support.
    pub(crate) cipher: Option<String>,
    pub(crate) kex: Option<String>,
    /// Change keys after this many bytes.
    pub(crate) rekey: Option<u64>,
    /// The address to connect from.
    pub(crate) from: Option<IpAddr>,
    /// What is shown of the key instead of its public half: a certificate, with the name of its type.
    pub(crate) shown: Option<(&'static str, Vec<u8>)>,
    /// Ask whether the key would do before signing.
    pub(crate) ask: bool,
    /// Makes the passwords to try one after the other, instead of other credentials.
    pub(crate) guess: Option<Guess>,
}

/// Makes the next password to try.
pub(crate) type Guess = Rc<dyn Fn() -> String>;

/// One connection.
pub(crate) struct Peer {
    stream: TcpStream,
    pub(crate) connection: Client,
    key: Arc<HostKey>,
    wish: Wish,
    happened: VecDeque<Happened>,
    attempts: u32,
    entered: bool,
    blocked: bool,
}

fn failed(text: impl std::fmt::Display) -> io::Error {
    io::Error::other(text.to_string())
}

impl Peer {
    /// Connects and authenticates: with `none` first, then the key, then the password.
    pub(crate) async fn log_in(wish: &Wish, key: &Arc<HostKey>) -> io::Result<Peer> {
        let stream = match wish.from {
            Some(from) => {
                let socket = if from.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                socket.bind(SocketAddr::new(from, 0))?;
                socket.connect(wish.address).await?
            }
            None => TcpStream::connect(wish.address).await?,
        };
        stream.set_nodelay(true)?;
        let mut preferences = Preferences::default();
        if let Some(name) = &wish.cipher {
            preferences = preferences.with_ciphers(&[name]).map_err(failed)?;
        }
        if let Some(name) = &wish.kex {
            preferences = preferences.with_kex(&[name]).map_err(failed)?;
        }
        let mut settings = transport::Settings { preferences, ..transport::Settings::new(Party::Client) };
        settings.rekey.bytes = wish.rekey.unwrap_or(settings.rekey.bytes);
        let mux = mux::Settings {
            max_sessions: 64,
            window_start: 2 << 20,
            window_connection: 256 << 20,
            ..mux::Settings::default()
        };
        let settings = Settings { transport: Arc::new(settings), mux };
        let random = Box::new(SystemRandom::new());
        let mut peer = Peer {
            stream,
            connection: Client::connected(&settings, wish.user.as_bytes(), random, Instant::now()),
            key: Arc::clone(key),
            wish: wish.clone(),
            happened: VecDeque::new(),
            attempts: 0,
            entered: false,
            blocked: false,
        };
        peer.try_next()?;
        while !peer.entered {
            peer.turn()?;
            if !peer.entered {
                peer.wait().await?;
            }
        }
        Ok(peer)
    }

    /// The next credential.
    fn try_next(&mut self) -> io::Result<()> {
        self.attempts += 1;
        if let Some(guess) = &self.wish.guess {
            self.connection.authenticate(ClientCredential::Password(guess().as_bytes()));
            return Ok(());
        }
        let own = ("ssh-ed25519", self.key.public().blob());
        let (algorithm, blob) = self.wish.shown.as_ref().map_or(own, |(algorithm, blob)| (*algorithm, blob.as_slice()));
        match (self.attempts, &self.wish.password) {
            (1, _) => {
                let key = ClientCredential::Key { algorithm, blob, ask: self.wish.ask };
                self.connection.authenticate(key);
            }
            (2, _) => self.connection.authenticate(ClientCredential::None),
            (3, Some(password)) => self.connection.authenticate(ClientCredential::Password(password.as_bytes())),
            _ => return Err(failed(format!("permission denied ({})", self.connection.methods()))),
        }
        Ok(())
    }

    /// The next event, if there is one.
    pub(crate) fn next(&mut self) -> Option<Happened> {
        self.happened.pop_front()
    }

    /// Reads and writes whatever is possible without waiting.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        loop {
            let read = self.read()?;
            let progress = self.receive()?;
            let answered = self.answer()?;
            self.connection.write_owed(Instant::now()).map_err(failed)?;
            self.write()?;
            if !read && !answered && progress == Progress::Done {
                return Ok(());
            }
        }
    }

    fn read(&mut self) -> io::Result<bool> {
        if !self.connection.wants_input() {
            return Ok(false);
        }
        match self.stream.try_read(self.connection.input()) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.connection.filled(count);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn receive(&mut self) -> io::Result<Progress> {
        let Peer { connection, happened, entered, .. } = self;
        let mut refused = false;
        let mut took = Vec::new();
        let mut requests = Vec::new();
        let progress = connection
            .receive(Instant::now(), |event| match event {
                Event::Channel(event) => notice(event, happened, &mut took, &mut requests),
                Event::Refused { .. } => refused = true,
                Event::Authenticated => *entered = true,
                Event::Debug { .. } | Event::Banner(_) => {}
            })
            .map_err(failed)?;
        for (channel, count) in took {
            connection.taken(channel, count);
        }
        for channel in requests {
            connection.reply(channel, true);
        }
        if refused {
            self.try_next()?;
        }
        Ok(progress)
    }

    fn answer(&mut self) -> io::Result<bool> {
        match self.connection.question() {
            Some(ClientQuestion::HostKey(_)) => self.connection.trust(true).map_err(failed)?,
            Some(ClientQuestion::Sign(data)) => {
                let signature = self.key.sign(&data);
                self.connection.signed(&signature);
            }
            Some(ClientQuestion::Challenge(_) | ClientQuestion::ChangePassword(_)) | None => return Ok(false),
        }
        Ok(true)
    }

    fn write(&mut self) -> io::Result<()> {
        self.blocked = false;
        while !self.connection.output().is_empty() {
            match self.stream.try_write(self.connection.output()) {
                Ok(count) => self.connection.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until reading or writing is possible. Cancel safe.
    pub(crate) async fn wait(&self) -> io::Result<()> {
        let interest = if self.blocked { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.stream.ready(interest).await.map(|_| ())
    }

    /// Runs until there is an event.
    pub(crate) async fn happens(&mut self) -> io::Result<Happened> {
        loop {
            self.turn()?;
            if let Some(happened) = self.next() {
                return Ok(happened);
            }
            self.wait().await?;
        }
    }
}

fn notice(
    event: mux::Event<'_>,
    happened: &mut VecDeque<Happened>,
    took: &mut Vec<(ChannelId, usize)>,
    requests: &mut Vec<ChannelId>,
) {
    match event {
        mux::Event::Opened { channel } => happened.push_back(Happened::Opened(channel)),
        mux::Event::OpenFailed { channel, reason, description } => {
            happened.push_back(Happened::OpenFailed(channel, reason, text(description)));
        }
        mux::Event::Answered { channel, success } => happened.push_back(Happened::Answered(channel, success)),
        mux::Event::Data { channel, stream, data } => {
            took.push((channel, data.len()));
            happened.push_back(Happened::Data(channel, stream, data.to_vec()));
        }
        mux::Event::Request { channel, request, .. } => {
            requests.push(channel);
            match request {
                Request::ExitStatus { status } => happened.push_back(Happened::ExitStatus(channel, status)),
                Request::ExitSignal { name, message, .. } => {
                    happened.push_back(Happened::ExitSignal(channel, text(name), text(message)));
                }
                _ => {}
            }
        }
        mux::Event::Closed { channel } => happened.push_back(Happened::Closed(channel)),
        mux::Event::Open { .. }
        | mux::Event::ProtocolError { .. }
        | mux::Event::Eof { .. }
        | mux::Event::Writable { .. }
        | mux::Event::EndOfWrite { .. }
        | mux::Event::Refused { .. }
        | mux::Event::GlobalRequest { .. }
        | mux::Event::GlobalAnswered { .. } => {}
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

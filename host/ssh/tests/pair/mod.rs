//! Two of us in memory: a client and a server, a virtual clock, seeded randomness. Every script runs twice, once with whole
//! transfers and once with every transfer cut into single bytes.

#![allow(dead_code, reason = "each test program uses its own part of the pair")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use whelk_ssh::auth::server::Verdict;
use whelk_ssh::auth::{client, server};
use whelk_ssh::connection::{Client, ClientQuestion, Connection, Event, Progress, Server, ServerQuestion, Settings};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::crypto::random::{Random, RandomFailed};
use whelk_ssh::error::Error;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::mux;
use whelk_ssh::transport::{self, Party};

/// The same bytes in every run.
pub(crate) struct Seeded(pub(crate) u64);

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomFailed> {
        for byte in out {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
        Ok(())
    }
}

/// How the pair is set up.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) server: transport::Settings,
    pub(crate) client: transport::Settings,
    pub(crate) mux: mux::Settings,
    pub(crate) auth: server::Settings,
    /// The longest transfer from one side to the other, in bytes.
    pub(crate) cut: usize,
}

/// What an application on either side has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Everything that happened, a line each, data left out.
    pub(crate) events: Vec<String>,
    /// The data of each channel.
    pub(crate) data: BTreeMap<ChannelId, Vec<u8>>,
    /// Data that was not taken yet, while the application is told to be slow.
    pub(crate) untaken: BTreeMap<ChannelId, usize>,
}

/// A client and a server, back to back.
pub(crate) struct Pair {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) now: Instant,
    pub(crate) host_key: HostKey,
    pub(crate) user_key: HostKey,
    pub(crate) cut: usize,
    pub(crate) at_server: Seen,
    pub(crate) at_client: Seen,
    /// The server takes data as it comes.
    pub(crate) server_takes: bool,
    /// The server answers requests and opens.
    pub(crate) server_answers: bool,
    pub(crate) verdict: Verdict,
    pub(crate) server_error: Option<Error>,
    pub(crate) client_error: Option<Error>,
    /// Bytes on the wire, to the server and to the client.
    pub(crate) carried: (usize, usize),
    /// The byte on its way to the server that arrives with one bit flipped.
    flip: Option<usize>,
}

/// Runs a script with whole transfers and once more byte by byte.
pub(crate) fn twice(script: impl Fn(Setup)) {
    for cut in [usize::MAX, 1] {
        script(Setup::new(cut));
    }
}

impl Setup {
    pub(crate) fn new(cut: usize) -> Setup {
        let host_key = HostKey::generate().expect("randomness");
        Setup {
            server: transport::Settings::new(Party::Server { host_key: host_key.public() }),
            client: transport::Settings::new(Party::Client),
            mux: mux::Settings::default(),
            auth: server::Settings::default(),
            cut,
        }
    }

    /// Two fresh sides that have not exchanged a byte.
    pub(crate) fn pair(mut self) -> Pair {
        let now = Instant::now();
        let host_key = HostKey::generate().expect("randomness");
        self.server.party = Party::Server { host_key: host_key.public() };
        let server = Settings { transport: Arc::new(self.server), mux: self.mux.clone() };
        let client = Settings { transport: Arc::new(self.client), mux: self.mux };
        Pair {
            server: Server::accepted(&server, Arc::new(self.auth), Box::new(Seeded(1)), now),
            client: Client::connected(&client, b"alice", Box::new(Seeded(2)), now),
            now,
            host_key,
            user_key: HostKey::generate().expect("randomness"),
            cut: self.cut,
            at_server: Seen::default(),
            at_client: Seen::default(),
            server_takes: true,
            server_answers: true,
            verdict: Verdict::Accept,
            server_error: None,
            client_error: None,
            carried: (0, 0),
            flip: None,
        }
    }

    /// Two sides of which the client has entered.
    pub(crate) fn authenticated(self) -> Pair {
        let mut pair = self.pair();
        pair.client.authenticate(client::Credential::None);
        pair.drive();
        assert_eq!(pair.server_error, None);
        assert!(pair.at_client.events.contains(&"entered".to_owned()), "{:?}", pair.at_client.events);
        pair
    }
}

impl Pair {
    /// Carries bytes and answers questions until nothing moves any more.
    pub(crate) fn drive(&mut self) {
        while self.step() {}
    }

    /// A turn of the server and one of the client. Says whether anything moved.
    pub(crate) fn step(&mut self) -> bool {
        let before = self.carried;
        self.serve();
        let to_client = carry(&mut self.server, &mut self.client, self.cut, None);
        self.call();
        let flip = self.flip.and_then(|at| at.checked_sub(before.0));
        let to_server = carry(&mut self.client, &mut self.server, self.cut, flip);
        self.carried = (before.0 + to_server, before.1 + to_client);
        self.carried != before
    }

    /// The server's turn.
    pub(crate) fn serve(&mut self) {
        if self.server_error.is_none() {
            let result = self.try_serve();
            if let Err(error) = result {
                self.server.disconnect(&error);
                self.server_error = Some(error);
            }
        }
    }

    fn try_serve(&mut self) -> Result<(), Error> {
        loop {
            let mut commands = Vec::new();
            let progress = receive(&mut self.server, self.now, &mut self.at_server, &mut commands)?;
            for (channel, command) in commands {
                match command {
                    Command::Took(count) if self.server_takes => self.server.taken(channel, count),
                    Command::Took(count) => *self.at_server.untaken.entry(channel).or_default() += count,
                    Command::Opened if self.server_answers => self.server.accept(channel),
                    Command::Requested if self.server_answers => self.server.reply(channel, true),
                    Command::Opened | Command::Requested => {}
                }
            }
            let asked = match self.server.question() {
                Some(ServerQuestion::Sign(hash)) => {
                    let signature = self.host_key.sign(hash.as_ref());
                    self.server.signed(&signature)?;
                    true
                }
                Some(ServerQuestion::Attempt(_)) => {
                    self.server.decide(self.verdict)?;
                    true
                }
                None => false,
            };
            self.server.settle(self.now)?;
            if !asked && progress == Progress::Done {
                return Ok(());
            }
        }
    }

    /// The client's turn.
    pub(crate) fn call(&mut self) {
        if self.client_error.is_none() {
            let result = self.try_call();
            if let Err(error) = result {
                self.client.disconnect(&error);
                self.client_error = Some(error);
            }
        }
    }

    fn try_call(&mut self) -> Result<(), Error> {
        loop {
            let mut commands = Vec::new();
            let progress = receive(&mut self.client, self.now, &mut self.at_client, &mut commands)?;
            for (channel, command) in commands {
                match command {
                    Command::Took(count) => self.client.taken(channel, count),
                    Command::Requested => self.client.reply(channel, true),
                    Command::Opened => {}
                }
            }
            let asked = match self.client.question() {
                Some(ClientQuestion::HostKey(_)) => {
                    self.client.trust(true)?;
                    true
                }
                Some(ClientQuestion::Sign(data)) => {
                    let signature = self.user_key.sign(&data);
                    self.client.signed(&signature);
                    true
                }
                None => false,
            };
            self.client.settle(self.now)?;
            if !asked && progress == Progress::Done {
                return Ok(());
            }
        }
    }

    /// A session that is open on both sides, with the server's number for it.
    pub(crate) fn open_session(&mut self) -> ChannelId {
        let channel = self.client.open_session().expect("room for a session");
        self.drive();
        assert!(self.at_client.events.contains(&format!("opened {}", channel.0)), "{:?}", self.at_client.events);
        channel
    }

    /// Writes all of `data` at the client, driving as windows open.
    pub(crate) fn client_writes(&mut self, channel: ChannelId, data: &[u8]) {
        let mut rest = data;
        while !rest.is_empty() {
            let took = self.client.write(channel, None, rest);
            rest = &rest[took..];
            self.drive();
        }
    }

    /// Writes all of `data` at the server, driving as windows open.
    pub(crate) fn server_writes(&mut self, channel: ChannelId, data: &[u8]) {
        let mut rest = data;
        while !rest.is_empty() {
            let took = self.server.write(channel, None, rest);
            rest = &rest[took..];
            self.drive();
        }
    }

    /// Lets time pass and both sides notice.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        if let Err(error) = self.server.handle_timeout(self.now) {
            self.server.disconnect(&error);
            self.server_error = Some(error);
        }
        self.drive();
    }

    /// One bit of the byte at this position on the way to the server will be flipped.
    pub(crate) fn flip_to_server(&mut self, position: usize) {
        self.flip = Some(position);
    }

    pub(crate) fn received_by_server(&self, channel: ChannelId) -> &[u8] {
        self.at_server.data.get(&channel).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn received_by_client(&self, channel: ChannelId) -> &[u8] {
        self.at_client.data.get(&channel).map_or(&[], Vec::as_slice)
    }
}

/// What an application would do about an event.
enum Command {
    Opened,
    Requested,
    Took(usize),
}

fn receive<A: whelk_ssh::auth::Machine>(
    side: &mut Connection<A>,
    now: Instant,
    seen: &mut Seen,
    commands: &mut Vec<(ChannelId, Command)>,
) -> Result<Progress, Error> {
    side.receive(now, |event| match event {
        Event::Channel(event) => notice(event, seen, commands),
        Event::Debug { text, .. } => seen.events.push(format!("debug {}", text.escape_ascii())),
        Event::Banner(text) => seen.events.push(format!("banner {}", text.escape_ascii())),
        Event::Refused { partial } => seen.events.push(format!("refused {partial}")),
        Event::Entered => seen.events.push("entered".to_owned()),
    })
}

fn notice(event: mux::Event<'_>, seen: &mut Seen, commands: &mut Vec<(ChannelId, Command)>) {
    match event {
        mux::Event::Open { channel } => {
            seen.events.push(format!("open {}", channel.0));
            commands.push((channel, Command::Opened));
        }
        mux::Event::Request { channel, request } => {
            seen.events.push(format!("request {} {}", channel.0, request.kind().escape_ascii()));
            commands.push((channel, Command::Requested));
        }
        mux::Event::Data { channel, data, .. } => {
            seen.data.entry(channel).or_default().extend_from_slice(data);
            commands.push((channel, Command::Took(data.len())));
        }
        mux::Event::Opened { channel } => seen.events.push(format!("opened {}", channel.0)),
        mux::Event::OpenFailed { channel, reason, .. } => {
            seen.events.push(format!("open failed {} {reason}", channel.0));
        }
        mux::Event::Answered { channel, success } => seen.events.push(format!("answered {} {success}", channel.0)),
        mux::Event::Eof { channel } => seen.events.push(format!("eof {}", channel.0)),
        mux::Event::Closed { channel } => seen.events.push(format!("closed {}", channel.0)),
        mux::Event::Writable { .. } => {}
        mux::Event::GlobalAnswered { success, .. } => seen.events.push(format!("global answered {success}")),
    }
}

/// Carries what one side has for the other, in pieces of at most `cut` bytes.
fn carry<A: whelk_ssh::auth::Machine, B: whelk_ssh::auth::Machine>(
    from: &mut Connection<A>,
    to: &mut Connection<B>,
    cut: usize,
    flip: Option<usize>,
) -> usize {
    // A side that does not want input is not read to, as a pump would do.
    if !to.wants_input() {
        return 0;
    }
    let output = from.output();
    let count = output.len().min(cut).min(1 << 20);
    let Some(piece) = output.get(..count).filter(|piece| !piece.is_empty()) else { return 0 };
    let space = to.input();
    let count = piece.len().min(space.len());
    space[..count].copy_from_slice(&piece[..count]);
    if let Some(byte) = flip.and_then(|at| space[..count].get_mut(at)) {
        *byte ^= 1;
    }
    to.filled(count);
    from.sent(count);
    count
}

//! Two of us in memory: a client and a server, a virtual clock, seeded randomness. Every script runs twice, once with
//! whole transfers and once with every transfer cut into single bytes.

#![allow(dead_code, reason = "each test program uses its own part of the pair")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use whelk_ssh::auth::server::Verdict;
use whelk_ssh::auth::{Machine, client, server};
use whelk_ssh::connection::{Client, ClientQuestion, Connection, Event, Progress, Server, ServerQuestion, Settings};
use whelk_ssh::crypto::key::{HostCertificate, HostKey};
use whelk_ssh::crypto::random::{Random, RandomFailed};
use whelk_ssh::error::Error;
use whelk_ssh::message::mux::{ChannelId, Stream};
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
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) server: transport::Settings,
    pub(crate) client: transport::Settings,
    pub(crate) mux: mux::Settings,
    pub(crate) auth: server::Settings,
    /// The longest transfer from one side to the other, in bytes.
    pub(crate) cut: usize,
    /// The random source of a side, from a seed.
    pub(crate) random: fn(u64) -> Box<dyn Random>,
}

/// Makes a signature of a host key and a hash.
pub(crate) type Forge = fn(&HostKey, &[u8]) -> Vec<u8>;

/// The application on either side: what it has seen, and what it does about it.
pub(crate) struct Application {
    /// Everything that happened, a line each, data left out.
    pub(crate) events: Vec<String>,
    /// Every channel that ever was, in the order of their births.
    pub(crate) lives: Vec<Life>,
    /// Data that was not taken yet, while the application is told to be slow.
    pub(crate) untaken: BTreeMap<ChannelId, usize>,
    /// It takes data as it comes.
    pub(crate) takes: bool,
    /// It answers requests and opens.
    pub(crate) answers: bool,
    /// What it answers to requests.
    pub(crate) says: bool,
    /// It keeps nothing of what it sees, for tests that weigh memory.
    pub(crate) forgets: bool,
    /// Server: who may enter.
    pub(crate) verdict: Verdict,
    /// Server: it has made up its mind about who may enter.
    pub(crate) decides: bool,
    /// Server: it computes costly key exchanges.
    pub(crate) computes: bool,
    /// Server: it has memory for large packets.
    pub(crate) grants: bool,
    /// Client: whether the server's key is the right one.
    pub(crate) trusts: bool,
    /// The host key or the user's key.
    pub(crate) key: HostKey,
    /// Server: makes another signature than the right one, from the host key and the hash.
    pub(crate) forges: Option<Forge>,
    /// Client: the algorithm of its signatures, if not the best of its key.
    pub(crate) signs_with: Option<&'static str>,
    /// Server: the host keys that it has beside.
    pub(crate) others: Vec<HostKey>,
    /// Server: certificates of its host keys.
    pub(crate) certificates: Vec<HostCertificate>,
}

/// One channel from its birth on. Numbers come again, lives do not.
pub(crate) struct Life {
    pub(crate) channel: ChannelId,
    /// The data of all its streams, as it came.
    pub(crate) data: Vec<u8>,
    /// The peer said EOF.
    pub(crate) eof: bool,
    /// It was closed.
    pub(crate) over: bool,
}

/// A client and a server, back to back.
pub(crate) struct Pair {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) now: Instant,
    pub(crate) cut: usize,
    pub(crate) at_server: Application,
    pub(crate) at_client: Application,
    pub(crate) server_error: Option<Error>,
    pub(crate) client_error: Option<Error>,
    /// All bytes that went over the wire, to the server and to the client, as they arrived.
    pub(crate) wire: (Vec<u8>, Vec<u8>),
    /// The bytes on their way to the server and to the client that arrive with one bit flipped.
    pub(crate) flip: (Option<usize>, Option<usize>),
}

/// A point to count from.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant cannot be had otherwise, and no test looks at the clock again"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
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
            server: transport::Settings::new(Party::Server {
                host_keys: vec![Arc::new(host_key.public().clone())],
                certificates: Vec::new(),
            }),
            client: transport::Settings::new(Party::Client),
            mux: mux::Settings::default(),
            auth: server::Settings::default(),
            cut,
            random: |seed| Box::new(Seeded(seed)),
        }
    }

    /// Two fresh sides that have not exchanged a byte.
    pub(crate) fn pair(self) -> Pair {
        self.pair_of(Application::new(), Application::new())
    }

    /// Two fresh sides with these applications.
    pub(crate) fn pair_of(self, at_server: Application, at_client: Application) -> Pair {
        let now = start();
        Pair {
            server: self.accepted(&at_server, now),
            client: self.connected(now),
            now,
            cut: self.cut,
            at_server,
            at_client,
            server_error: None,
            client_error: None,
            wire: (Vec::new(), Vec::new()),
            flip: (None, None),
        }
    }

    /// A server whose host key is that of its application.
    pub(crate) fn accepted(&self, application: &Application, now: Instant) -> Server {
        let host_keys = application.keys().map(|key| Arc::new(key.public().clone())).collect();
        let certificates = application.certificates.iter().cloned().map(Arc::new).collect();
        let party = Party::Server { host_keys, certificates };
        let transport = transport::Settings { party, ..self.server.clone() };
        let settings = Settings { transport: Arc::new(transport), mux: self.mux.clone() };
        Server::accepted(&settings, Arc::new(self.auth.clone()), (self.random)(1), now)
    }

    /// A client that wants to enter as alice.
    pub(crate) fn connected(&self, now: Instant) -> Client {
        let settings = Settings { transport: Arc::new(self.client.clone()), mux: self.mux.clone() };
        Client::connected(&settings, b"alice", (self.random)(2), now)
    }

    /// Two sides of which the client has entered.
    pub(crate) fn authenticated(self) -> Pair {
        let mut pair = self.pair();
        pair.client.authenticate(client::ClientCredential::None);
        pair.drive();
        assert_eq!(pair.server_error, None);
        assert!(pair.at_client.saw("entered"), "{:?}", pair.at_client.events);
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
        let before = (self.wire.0.len(), self.wire.1.len());
        turn(&mut self.server, &mut self.at_server, &mut self.server_error, self.now);
        carry(&mut self.server, &mut self.client, self.cut, self.flip.1, &mut self.wire.1);
        turn(&mut self.client, &mut self.at_client, &mut self.client_error, self.now);
        carry(&mut self.client, &mut self.server, self.cut, self.flip.0, &mut self.wire.0);
        (self.wire.0.len(), self.wire.1.len()) != before
    }

    /// The client asks for a session.
    pub(crate) fn client_opens(&mut self) -> Option<ChannelId> {
        let channel = self.client.open_session()?;
        self.at_client.born(channel);
        Some(channel)
    }

    /// A session that is open on both sides, with the server's number for it.
    pub(crate) fn open_session(&mut self) -> ChannelId {
        let channel = self.client_opens().expect("room for a session");
        self.drive();
        assert!(self.at_client.saw(&format!("opened {}", channel.0)), "{:?}", self.at_client.events);
        channel
    }

    /// Writes all of `data` at the client, driving as windows open.
    pub(crate) fn client_writes(&mut self, channel: ChannelId, data: &[u8]) {
        let (mut rest, mut idle) = (data, 0);
        while !rest.is_empty() {
            let took = self.client.write(channel, Stream::Data, rest);
            rest = &rest[took..];
            idle = if took == 0 { idle + 1 } else { 0 };
            assert!(idle < 3, "nobody takes the last {} bytes", rest.len());
            self.drive();
        }
    }

    /// Writes all of `data` at the server, driving as windows open.
    pub(crate) fn server_writes(&mut self, channel: ChannelId, data: &[u8]) {
        let (mut rest, mut idle) = (data, 0);
        while !rest.is_empty() {
            let took = self.server.write(channel, Stream::Data, rest);
            rest = &rest[took..];
            idle = if took == 0 { idle + 1 } else { 0 };
            assert!(idle < 3, "nobody takes the last {} bytes", rest.len());
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

    pub(crate) fn received_by_server(&self, channel: ChannelId) -> &[u8] {
        self.at_server.received(channel)
    }

    pub(crate) fn received_by_client(&self, channel: ChannelId) -> &[u8] {
        self.at_client.received(channel)
    }
}

/// What an application would do about an event.
enum Command {
    Opened,
    Requested,
    AskedGlobally,
    Took(usize),
}

impl Application {
    pub(crate) fn new() -> Application {
        Application {
            events: Vec::new(),
            lives: Vec::new(),
            untaken: BTreeMap::new(),
            takes: true,
            answers: true,
            says: true,
            forgets: false,
            verdict: Verdict::Accept,
            decides: true,
            computes: true,
            grants: true,
            trusts: true,
            key: HostKey::generate().expect("randomness"),
            others: Vec::new(),
            certificates: Vec::new(),
            forges: None,
            signs_with: None,
        }
    }

    /// All its keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &HostKey> {
        std::iter::once(&self.key).chain(&self.others)
    }

    /// Whether this line is among the events.
    pub(crate) fn saw(&self, event: &str) -> bool {
        self.events.iter().any(|other| other == event)
    }

    /// The data of the channel that has this number, or had it last.
    pub(crate) fn received(&self, channel: ChannelId) -> &[u8] {
        let life = self.lives.iter().rev().find(|life| life.channel == channel);
        life.map_or(&[], |life| &life.data)
    }

    pub(crate) fn born(&mut self, channel: ChannelId) {
        self.lives.push(Life { channel, data: Vec::new(), eof: false, over: false });
    }

    fn life(&mut self, channel: ChannelId) -> &mut Life {
        let alive = self.lives.iter_mut().find(|life| life.channel == channel && !life.over);
        alive.expect("nothing happens on a channel that is not alive")
    }

    fn note(&mut self, event: String) {
        if !self.forgets {
            self.events.push(event);
        }
    }

    fn notice(&mut self, event: mux::Event<'_>, commands: &mut Vec<(ChannelId, Command)>) {
        match event {
            mux::Event::Open { channel, .. } => {
                self.born(channel);
                self.note(format!("open {}", channel.0));
                commands.push((channel, Command::Opened));
            }
            mux::Event::Request { channel, request, .. } => {
                self.note(format!("request {} {}", channel.0, request.kind().escape_ascii()));
                commands.push((channel, Command::Requested));
            }
            mux::Event::Data { channel, data, .. } => {
                if !self.forgets {
                    self.life(channel).data.extend_from_slice(data);
                }
                commands.push((channel, Command::Took(data.len())));
            }
            mux::Event::Opened { channel } => self.note(format!("opened {}", channel.0)),
            mux::Event::OpenFailed { channel, reason, .. } => {
                self.note(format!("open failed {} {reason}", channel.0));
                self.life(channel).over = true;
            }
            mux::Event::Answered { channel, success } => self.note(format!("answered {} {success}", channel.0)),
            mux::Event::Eof { channel } => {
                self.life(channel).eof = true;
                self.note(format!("eof {}", channel.0));
            }
            mux::Event::ProtocolError { channel, violation } => {
                self.untaken.remove(&channel);
                self.note(format!("error {} {violation:?}", channel.0));
            }
            mux::Event::Closed { channel } => {
                self.life(channel).over = true;
                self.untaken.remove(&channel);
                self.note(format!("closed {}", channel.0));
            }
            mux::Event::Writable { .. } | mux::Event::EndOfWrite { .. } | mux::Event::Refused { .. } => {}
            mux::Event::GlobalRequest { name, .. } => {
                self.note(format!("global {}", name.escape_ascii()));
                commands.push((ChannelId(0), Command::AskedGlobally));
            }
            mux::Event::GlobalAnswered { tag: None, success, .. } => self.note(format!("global answered {success}")),
            mux::Event::GlobalAnswered { tag: Some(tag), success, body } => {
                self.note(format!("answered to {tag}: {success} {}", body.escape_ascii()));
            }
        }
    }

    fn carry_out<A: Machine>(&mut self, side: &mut Connection<A>, channel: ChannelId, command: Command) {
        match command {
            Command::Took(count) if self.takes => side.taken(channel, count),
            Command::Took(count) => *self.untaken.entry(channel).or_default() += count,
            Command::Opened if self.answers => side.accept(channel),
            Command::Requested if self.answers => side.reply(channel, self.says),
            Command::AskedGlobally if self.answers => {
                side.answer_global_request(self.says.then(|| b"here you are".to_vec()));
            }
            Command::Opened | Command::Requested | Command::AskedGlobally => {}
        }
    }
}

/// A side that an application can be behind.
pub(crate) trait Role: Machine + Sized {
    /// Answers the question that stands. Says whether there was one.
    fn answer(side: &mut Connection<Self>, application: &Application) -> Result<bool, Error>;
}

impl Role for server::ServerAuth {
    fn answer(side: &mut Server, application: &Application) -> Result<bool, Error> {
        match side.question() {
            Some(ServerQuestion::Agree(exchange)) if application.computes => {
                let agreed = exchange.respond();
                side.agreed(agreed, start())?;
            }
            Some(ServerQuestion::ProveHostKeys(proofs)) => {
                let keys: Vec<&HostKey> = application.keys().collect();
                let sign = |key: &_, algorithm: &_, data: &_| {
                    let key = keys.iter().find(|other| other.public() == key).expect("a key of its own");
                    key.sign_with(algorithm, data)
                };
                let proofs = proofs.prove(sign).ok();
                side.proved(proofs);
            }
            Some(ServerQuestion::Sign(request)) => {
                let key = application.keys().find(|key| key.public() == request.host_key).expect("a key of its own");
                let signature = match application.forges {
                    Some(forge) => forge(key, request.hash.as_ref()),
                    None => key.sign_with(request.algorithm, request.hash.as_ref()).expect("one that it makes"),
                };
                side.signed(&signature)?;
            }
            Some(ServerQuestion::Attempt(_)) if application.decides => side.decide(application.verdict.clone())?,
            Some(ServerQuestion::LargePacket(_)) if application.grants => side.grant_large_packet(),
            Some(ServerQuestion::Agree(_) | ServerQuestion::Attempt(_) | ServerQuestion::LargePacket(_)) | None => {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Role for client::ClientAuth {
    fn answer(side: &mut Client, application: &Application) -> Result<bool, Error> {
        match side.question() {
            Some(ClientQuestion::HostKey(_)) => side.trust(application.trusts)?,
            Some(ClientQuestion::Sign(data)) => {
                let signature = match application.signs_with {
                    Some(algorithm) => application.key.sign_with(algorithm, &data).expect("one that it makes"),
                    None => application.key.sign(&data),
                };
                side.signed(&signature);
            }
            // The script answers.
            Some(ClientQuestion::Challenge(_) | ClientQuestion::ChangePassword(_)) | None => return Ok(false),
        }
        Ok(true)
    }
}

/// The turn of one side: everything that has come is looked at, every question answered, everything owed put.
pub(crate) fn turn<A: Role>(
    side: &mut Connection<A>,
    application: &mut Application,
    error: &mut Option<Error>,
    now: Instant,
) {
    if error.is_none()
        && let Err(ending) = try_turn(side, application, now)
    {
        side.disconnect(&ending);
        *error = Some(ending);
    }
}

fn try_turn<A: Role>(side: &mut Connection<A>, application: &mut Application, now: Instant) -> Result<(), Error> {
    loop {
        let mut commands = Vec::new();
        let progress = side.receive(now, |event| match event {
            Event::Channel(event) => application.notice(event, &mut commands),
            Event::Debug { text, .. } => application.note(format!("debug {}", text.escape_ascii())),
            Event::Banner(text) => application.note(format!("banner {}", text.escape_ascii())),
            Event::Refused { partial } => application.note(format!("refused {partial}")),
            Event::Authenticated => application.note("entered".to_owned()),
        })?;
        for (channel, command) in commands {
            application.carry_out(side, channel, command);
        }
        let asked = A::answer(side, application)?;
        side.write_owed(now)?;
        if !asked && progress == Progress::Done {
            return Ok(());
        }
    }
}

/// Carries what one side has for the other, in pieces of at most `cut` bytes, and flips a bit of the byte at `flip` of
/// all.
fn carry<A: Machine, B: Machine>(
    from: &mut Connection<A>,
    to: &mut Connection<B>,
    cut: usize,
    flip: Option<usize>,
    wire: &mut Vec<u8>,
) {
    // A side that does not want input is not read to, as a driver would do.
    if !to.wants_input() {
        return;
    }
    let output = from.output();
    let piece = output.get(..cut.min(1 << 20)).unwrap_or(output);
    if piece.is_empty() {
        return;
    }
    let before = wire.len();
    let space = to.input();
    let count = piece.len().min(space.len());
    wire.extend_from_slice(&piece[..count]);
    if let Some(byte) = flip.and_then(|at| at.checked_sub(before)).and_then(|at| wire[before..].get_mut(at)) {
        *byte ^= 1;
    }
    space[..count].copy_from_slice(&wire[before..]);
    to.filled(count);
    from.sent(count);
}

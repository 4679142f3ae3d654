//! Two muxes back to back, with owners that act at random, and perhaps with sides that go on sending on channels that
//! they have closed. In every run: no violation, every written byte arrives in order at an owner that wants it, no
//! owner ever holds more than the windows allow, every request is answered once and in order, and in the end nothing is
//! left.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use whelk_ssh::message::Role;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::message::request::Request;
use whelk_ssh::mux::{Event, Exit, Mux, OpenFailure, Settings};

use crate::side::Collected;

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// Small limits, so that every bound is reached.
fn settings() -> Settings {
    Settings {
        max_channels: 6,
        max_sessions: 4,
        window_start: 100,
        window_max: 400,
        window_connection: 700,
        max_packet: 30,
        unanswered: 1000,
        owed_replies: 8,
    }
}

/// The next action of an owner, the transport or the network. `side` acts, `pick` selects one of its channels.
#[derive(Clone, Debug)]
enum Step {
    Open,
    Decide {
        accept: bool,
    },
    Write {
        side: usize,
        pick: usize,
        on: Stream,
        bytes: usize,
    },
    Take {
        side: usize,
        pick: usize,
        bytes: usize,
    },
    Eof {
        side: usize,
        pick: usize,
    },
    Ask {
        pick: usize,
        want_reply: bool,
    },
    /// A request that the server declines at once.
    AskInVain {
        pick: usize,
        want_reply: bool,
    },
    Resize {
        pick: usize,
    },
    Reply {
        pick: usize,
        success: bool,
    },
    Keepalive {
        side: usize,
    },
    Exit {
        pick: usize,
    },
    Close {
        side: usize,
        pick: usize,
    },
    /// This many messages reach the other side.
    Arrive {
        side: usize,
        count: usize,
    },
    /// The output has this much room from now on: none during a key exchange.
    Room {
        side: usize,
        bytes: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (side, pick, bytes) = (0..2usize, 0..4usize, 0..120usize);
    let on = prop_oneof![Just(Stream::Data), Just(Stream::STDERR)];
    prop_oneof![
        4 => Just(Step::Open),
        4 => (0..8u8).prop_map(|die| Step::Decide { accept: die > 0 }),
        16 => (side.clone(), pick.clone(), on, bytes.clone())
            .prop_map(|(side, pick, on, bytes)| Step::Write { side, pick, on, bytes }),
        12 => (side.clone(), pick.clone(), bytes).prop_map(|(side, pick, bytes)| Step::Take { side, pick, bytes }),
        1 => (side.clone(), pick.clone()).prop_map(|(side, pick)| Step::Eof { side, pick }),
        4 => (pick.clone(), any::<bool>()).prop_map(|(pick, want_reply)| Step::Ask { pick, want_reply }),
        2 => (pick.clone(), any::<bool>()).prop_map(|(pick, want_reply)| Step::AskInVain { pick, want_reply }),
        1 => pick.clone().prop_map(|pick| Step::Resize { pick }),
        4 => (pick.clone(), any::<bool>()).prop_map(|(pick, success)| Step::Reply { pick, success }),
        1 => side.clone().prop_map(|side| Step::Keepalive { side }),
        1 => pick.clone().prop_map(|pick| Step::Exit { pick }),
        1 => (side.clone(), pick).prop_map(|(side, pick)| Step::Close { side, pick }),
        16 => (side.clone(), 1..9usize).prop_map(|(side, count)| Step::Arrive { side, count }),
        4 => (side, prop_oneof![Just(0), Just(15), Just(60), Just(usize::MAX)])
            .prop_map(|(side, bytes)| Step::Room { side, bytes }),
    ]
}

/// One direction of a session: what was sent and what was received.
#[derive(Default)]
struct Direction {
    sent: Vec<(Stream, u8)>,
    received: Vec<(Stream, u8)>,
    /// The receiving owner ended the channel: it need not get the rest.
    deaf: bool,
}

/// A session as an omniscient observer sees it. The two sides learn from the first request which one a channel is.
#[derive(Default)]
struct Session {
    /// By the side that sends.
    streams: [Direction; 2],
    /// The server's answers to requests that wanted one, and those that the client received.
    replied: Vec<bool>,
    answered: Vec<bool>,
}

/// What an owner knows of its own channel.
#[derive(Default)]
struct Owned {
    /// Which session it is, once that is known.
    session: Option<usize>,
    /// Bytes that arrived and were not taken.
    held: usize,
    /// The unanswered requests.
    asked: VecDeque<Asked>,
    /// Its owner has ended it and waits for Closed.
    ended: bool,
}

/// A request, as far as answers are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    /// The owner answers, and the peer wants that.
    Wanted,
    /// The owner answers, and the peer does not want that.
    Silent,
    /// The owner has declined it, and the peer learns so in order.
    Declined,
}

impl Owned {
    /// Declined requests whose answers can be sent.
    fn answers_in_vain(&mut self) -> usize {
        let before = self.asked.len();
        let mut waits = false;
        self.asked.retain(|asked| {
            waits |= *asked == Asked::Wanted;
            waits || *asked != Asked::Declined
        });
        before - self.asked.len()
    }
}

/// A side: the mux, its owner's table, and the messages to the other side.
struct Half {
    mux: Mux,
    out: Collected,
    room: usize,
    way: VecDeque<Vec<u8>>,
    owned: BTreeMap<u32, Owned>,
    offered: VecDeque<ChannelId>,
    keepalives: (usize, usize),
    /// It goes on sending on channels that it has closed.
    talks_on: bool,
}

impl Half {
    fn new(role: Role) -> Half {
        Half {
            mux: Mux::new(role, &settings()),
            out: Collected { room: 0, payloads: Vec::new() },
            room: usize::MAX,
            way: VecDeque::new(),
            owned: BTreeMap::new(),
            offered: VecDeque::new(),
            keepalives: (0, 0),
            talks_on: false,
        }
    }

    /// A turn of the transport: written messages are sent, and there is room again.
    fn turn(&mut self) {
        self.out.room = self.room;
        self.mux.write_owed(&mut self.out);
        for payload in self.out.payloads.drain(..) {
            let closes = payload[0] == 97;
            let channel = payload.get(1..5).map(<[u8]>::to_vec);
            self.way.push_back(payload);
            if let (true, true, Some(channel)) = (closes, self.talks_on, channel) {
                let late: [(u8, &[u8]); 6] = [
                    (93, &[0, 0, 0, 9]),
                    (94, b"\0\0\0\x01x"),
                    (96, b""),
                    (97, b""),
                    (98, b"\0\0\0\x01x\x01"),
                    (99, b""),
                ];
                self.way.extend(late.map(|(number, rest)| [&[number], &channel[..], rest].concat()));
            }
        }
        assert!(self.room == 0 || self.out.room == 0 || !self.mux.owes(), "there was room and not all was put");
    }

    /// One of the channels, by a random number.
    fn pick(&mut self, pick: usize) -> Option<(ChannelId, &mut Owned)> {
        let count = self.owned.len();
        let (id, owned) = self.owned.iter_mut().nth(pick % count.max(1))?;
        Some((ChannelId(*id), owned))
    }
}

struct World {
    halves: [Half; 2],
    sessions: Vec<Session>,
}

impl World {
    fn new(talks_on: bool) -> World {
        let halves = [Role::Client, Role::Server].map(|role| Half { talks_on, ..Half::new(role) });
        World { halves, sessions: Vec::new() }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Open => {
                if let Some(channel) = self.halves[CLIENT].mux.open_session() {
                    assert!(self.halves[CLIENT].owned.insert(channel.0, Owned::default()).is_none(), "number in use");
                }
            }
            Step::Decide { accept } => self.decide(accept),
            Step::Write { side, pick, on, bytes } => self.write(side, pick, on, bytes),
            Step::Take { side, pick, bytes } => self.take(side, pick, bytes),
            Step::Eof { side, pick } => {
                let half = &mut self.halves[side];
                if let Some((channel, _)) = half.pick(pick) {
                    half.mux.send_eof(channel);
                }
            }
            Step::Ask { pick, want_reply } => {
                self.ask(pick, b"ask@x", if want_reply { b"want" } else { b"" }, want_reply)
            }
            Step::AskInVain { pick, want_reply } => {
                self.ask(pick, b"vain@x", if want_reply { b"want" } else { b"" }, want_reply)
            }
            Step::Resize { pick } => self.ask(pick, b"window-change", &[0; 16], false),
            Step::Reply { pick, success } => self.reply(pick, success),
            Step::Keepalive { side } => {
                let half = &mut self.halves[side];
                half.keepalives.0 += usize::from(half.mux.global_request(b"keepalive@openssh.com", b"", true));
            }
            Step::Exit { pick } => self.end(SERVER, pick, true),
            Step::Close { side, pick } => self.end(side, pick, false),
            Step::Arrive { side, count } => self.arrive(side, count),
            Step::Room { side, bytes } => self.halves[side].room = bytes,
        }
        for half in &mut self.halves {
            half.turn();
            let held: usize = half.owned.values().filter(|owned| !owned.ended).map(|owned| owned.held).sum();
            assert!(held <= 700, "{held} bytes wait for an owner");
            assert!(half.mux.sessions() <= 4);
        }
    }

    fn decide(&mut self, accept: bool) {
        let half = &mut self.halves[SERVER];
        let Some(channel) = half.offered.pop_front() else { return };
        if accept {
            half.mux.accept(channel);
            assert!(half.owned.insert(channel.0, Owned::default()).is_none(), "number in use");
        } else {
            half.mux.refuse(channel, OpenFailure::ConnectFailed, "not today");
        }
    }

    fn write(&mut self, side: usize, pick: usize, on: Stream, bytes: usize) {
        let half = &mut self.halves[side];
        let Some((channel, &mut Owned { session: Some(session), .. })) = half.pick(pick) else { return };
        let sent = &mut self.sessions[session].streams[side].sent;
        let data: Vec<u8> = (0..bytes).map(|byte| ((sent.len() + byte) % 251) as u8).collect();
        half.out.room = half.room;
        let (room, written) = (half.mux.room(channel), half.mux.write(channel, on, &data, &mut half.out));
        assert!(written <= room && written <= 30);
        sent.extend(data[..written].iter().map(|byte| (on, *byte)));
    }

    fn take(&mut self, side: usize, pick: usize, bytes: usize) {
        let half = &mut self.halves[side];
        let Some((channel, owned)) = half.pick(pick) else { return };
        let bytes = bytes.min(owned.held);
        owned.held -= bytes;
        half.mux.taken(channel, bytes);
    }

    fn ask(&mut self, pick: usize, kind: &[u8], body: &[u8], want_reply: bool) {
        let half = &mut self.halves[CLIENT];
        if let Some((channel, &mut Owned { session: Some(_), .. })) = half.pick(pick) {
            half.mux.request(channel, kind, body, want_reply);
        }
    }

    fn reply(&mut self, pick: usize, success: bool) {
        let half = &mut self.halves[SERVER];
        let Some((channel, owned)) = half.pick(pick) else { return };
        let (ended, session) = (owned.ended, owned.session);
        let Some(asked) = owned.asked.pop_front() else { return };
        let in_vain = owned.answers_in_vain();
        half.mux.reply(channel, success);
        if let (false, Some(session)) = (ended, session) {
            let replied = &mut self.sessions[session].replied;
            replied.extend((asked == Asked::Wanted).then_some(success));
            replied.extend(vec![false; in_vain]);
        }
    }

    fn end(&mut self, side: usize, pick: usize, exit: bool) {
        let half = &mut self.halves[side];
        let Some((channel, owned)) = half.pick(pick) else { return };
        match owned.session {
            Some(session) => self.sessions[session].streams[1 - side].deaf = true,
            // The server would end a session of which this test does not know yet what is in flight.
            None if side == SERVER => return,
            None => {}
        }
        owned.ended = true;
        if exit {
            half.mux.exit(channel, Exit::Status(0));
        } else {
            half.mux.close(channel);
        }
    }

    /// Messages of `side` reach the other, which reads only while it wants to.
    fn arrive(&mut self, side: usize, count: usize) {
        for _ in 0..count {
            if !self.halves[1 - side].mux.wants_input(false) {
                return;
            }
            let Some(payload) = self.halves[side].way.pop_front() else { return };
            let mut told = Vec::new();
            let handled = self.halves[1 - side].mux.handle(&payload, &mut |event| {
                if let Event::Request { request: Request::Other { kind: b"vain@x", .. }, decline, .. } = event {
                    decline.decline();
                }
                told.push(Told::from(event));
            });
            assert_eq!(handled, Ok(()), "{payload:?}");
            for told in told {
                self.tell(1 - side, told);
            }
        }
    }

    fn tell(&mut self, side: usize, told: Told) {
        let half = &mut self.halves[side];
        let (channel, what) = match told {
            Told::Open(channel) => return half.offered.push_back(channel),
            Told::KeptAlive => return half.keepalives.1 += 1,
            Told::Refused => return,
            Told::Gone(channel) => {
                assert!(half.owned.remove(&channel.0).is_some(), "it was gone before");
                return;
            }
            Told::Of(channel, what) => (channel, what),
        };
        let owned = half.owned.get_mut(&channel.0).expect("nothing comes before Open and after Closed");
        assert!(!owned.ended, "nothing but Closed comes after the end");
        match what {
            What::Opened => {
                owned.session = Some(self.sessions.len());
                let label = self.sessions.len() as u32;
                assert!(half.mux.request(channel, b"label@x", &label.to_be_bytes(), false));
                self.sessions.push(Session::default());
            }
            What::Label(session) => {
                owned.session = Some(session);
                owned.asked.push_back(Asked::Silent);
            }
            What::Asked(asked) => {
                owned.asked.push_back(asked);
                let in_vain = owned.answers_in_vain();
                if in_vain > 0 {
                    let session = owned.session.expect("only labelled channels ask");
                    self.sessions[session].replied.extend(vec![false; in_vain]);
                }
            }
            What::Data(kind, data) => {
                owned.held += data.len();
                let session = owned.session.expect("the label came first");
                let stream = &mut self.sessions[session].streams[1 - side];
                stream.received.extend(data.iter().map(|byte| (kind, *byte)));
                assert!(stream.sent.starts_with(&stream.received), "bytes came that were never sent so");
            }
            What::Answered(success) => {
                let session = owned.session.expect("only labelled channels ask");
                self.sessions[session].answered.push(success);
            }
            What::Nothing => {}
        }
    }

    /// Both sides read and answer until nothing is left to do.
    fn calm_down(&mut self) {
        for half in &mut self.halves {
            half.room = usize::MAX;
        }
        loop {
            while !self.halves[SERVER].offered.is_empty() {
                self.decide(true);
            }
            for pick in 0..6 {
                for side in [CLIENT, SERVER] {
                    self.take(side, pick, usize::MAX);
                }
                while self.halves[SERVER].pick(pick).is_some_and(|(_, owned)| !owned.asked.is_empty()) {
                    self.reply(pick, true);
                }
            }
            self.halves.iter_mut().for_each(Half::turn);
            if self.halves.iter().all(|half| half.way.is_empty()) {
                return;
            }
            self.arrive(CLIENT, usize::MAX);
            self.arrive(SERVER, usize::MAX);
        }
    }

    fn check_streams(&self) {
        for session in &self.sessions {
            for stream in &session.streams {
                assert!(stream.sent.starts_with(&stream.received));
                assert!(stream.deaf || stream.sent.len() == stream.received.len(), "bytes were lost");
            }
            assert!(session.replied.starts_with(&session.answered), "an answer came out of its turn");
            if session.streams.iter().all(|stream| !stream.deaf) {
                assert_eq!(session.replied, session.answered);
            }
        }
    }
}

/// A copy of a borrowed event.
enum Told {
    Open(ChannelId),
    Gone(ChannelId),
    KeptAlive,
    Refused,
    Of(ChannelId, What),
}

enum What {
    Opened,
    Label(usize),
    Asked(Asked),
    Data(Stream, Vec<u8>),
    Answered(bool),
    Nothing,
}

impl From<Event<'_>> for Told {
    fn from(event: Event<'_>) -> Told {
        match event {
            Event::Open { channel, .. } => Told::Open(channel),
            Event::Opened { channel } => Told::Of(channel, What::Opened),
            Event::OpenFailed { channel, .. } | Event::Closed { channel } => Told::Gone(channel),
            Event::Request { channel, request: Request::Other { kind: b"label@x", body }, .. } => {
                let label = u32::from_be_bytes(body.try_into().expect("four bytes"));
                Told::Of(channel, What::Label(label as usize))
            }
            Event::Request { channel, request: Request::Other { kind: b"vain@x", body }, .. } => {
                Told::Of(channel, if body == b"want" { What::Asked(Asked::Declined) } else { What::Nothing })
            }
            Event::Request { channel, request: Request::Other { body, .. }, .. } => {
                Told::Of(channel, What::Asked(if body == b"want" { Asked::Wanted } else { Asked::Silent }))
            }
            Event::Request { channel, .. } => Told::Of(channel, What::Asked(Asked::Silent)),
            Event::Data { channel, stream, data } => Told::Of(channel, What::Data(stream, data.to_vec())),
            Event::Answered { channel, success } => Told::Of(channel, What::Answered(success)),
            Event::Writable { channel } | Event::EndOfWrite { channel } | Event::Eof { channel } => {
                Told::Of(channel, What::Nothing)
            }
            // A session too many, which the other side refuses.
            Event::Refused { .. } => Told::Refused,
            Event::GlobalAnswered { .. } => Told::KeptAlive,
            Event::GlobalRequest { .. } => panic!("nobody wants to be told of one"),
            Event::ProtocolError { violation, .. } => panic!("neither of us is at fault: {violation}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_both_owners_do_no_data_is_lost_and_every_channel_ends(
        talks_on in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let mut world = World::new(talks_on);
        for step in &steps {
            world.step(step);
        }
        world.calm_down();
        world.check_streams();
        for side in [CLIENT, SERVER] {
            for pick in 0..6 {
                world.end(side, pick, false);
            }
        }
        world.calm_down();
        world.check_streams();
        for half in &world.halves {
            assert!(half.owned.is_empty(), "a channel never ended");
            assert_eq!(half.mux.sessions(), 0);
            assert!(!half.mux.owes());
            assert_eq!(half.keepalives.0, half.keepalives.1);
        }
    }
}

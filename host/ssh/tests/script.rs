//! Random scripts over two of us: sessions open and end from either side, both write and change keys when they like,
//! and the wire carries as much or as little at a time as it likes. Whatever the script, no byte is lost, doubled or
//! moved, neither side finds fault with the other, and in the end every channel is closed on both sides.

mod pair;

use pair::{Pair, Setup};
use proptest::prelude::*;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::mux::{self, Exit};

/// What happens next. A session is meant by its place among those that ever were, and counted round.
#[derive(Clone, Debug)]
enum Step {
    Open,
    Write {
        server: bool,
        session: usize,
        length: usize,
    },
    Ask {
        server: bool,
        session: usize,
        want_reply: bool,
    },
    Eof {
        server: bool,
        session: usize,
    },
    Close {
        server: bool,
        session: usize,
    },
    Exit {
        session: usize,
    },
    Rekey {
        server: bool,
    },
    /// The server's application takes data at once, or not yet.
    Takes(bool),
    /// The wire carries at most so much at a time, so many times.
    Carry {
        cut: usize,
        times: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let place = || (any::<bool>(), 0usize..12);
    prop_oneof![
        2 => Just(Step::Open),
        6 => (place(), 0usize..3000).prop_map(|((server, session), length)| Step::Write { server, session, length }),
        1 => (place(), any::<bool>())
            .prop_map(|((server, session), want_reply)| Step::Ask { server, session, want_reply }),
        1 => place().prop_map(|(server, session)| Step::Eof { server, session }),
        1 => place().prop_map(|(server, session)| Step::Close { server, session }),
        1 => (0usize..12).prop_map(|session| Step::Exit { session }),
        2 => any::<bool>().prop_map(|server| Step::Rekey { server }),
        1 => any::<bool>().prop_map(Step::Takes),
        8 => (prop_oneof![Just(1usize), 2usize..50, 50usize..5000], 1usize..60)
            .prop_map(|(cut, times)| Step::Carry { cut, times }),
    ]
}

/// Windows, packets and keys so small that all of them are used up all the time.
fn setup() -> impl Strategy<Value = Setup> {
    (prop_oneof![1u32..4, 4u32..2000], prop_oneof![1u32..4, 4u32..500], 3000u64..100_000, 20u64..500).prop_map(
        |(window_start, max_packet, bytes, packets)| {
            let mut setup = Setup::new(usize::MAX);
            setup.mux = mux::Settings {
                window_start,
                window_max: window_start * 4,
                window_connection: window_start * 30,
                max_packet,
                ..mux::Settings::default()
            };
            (setup.server.rekey.bytes, setup.client.rekey.packets) = (bytes, packets);
            setup
        },
    )
}

/// What each side of a session has written, and whether it has let go of it.
#[derive(Default)]
struct Written {
    by: [Vec<u8>; 2],
    ended: [bool; 2],
    eof: [bool; 2],
}

struct Play {
    pair: Pair,
    written: Vec<Written>,
}

impl Play {
    /// The number of a session at a side that has not let go of it.
    fn number(&self, server: bool, session: usize) -> Option<ChannelId> {
        let side = if server { &self.pair.at_server } else { &self.pair.at_client };
        let life = side.lives.get(session).filter(|life| !life.over)?;
        (!self.written[session].ended[usize::from(server)]).then_some(life.channel)
    }

    /// So many bytes that stand nowhere else.
    fn write(&mut self, server: bool, session: usize, length: usize) {
        let Some(channel) = self.number(server, session) else { return };
        let written = &mut self.written[session].by[usize::from(server)];
        let salt = session * 31 + usize::from(server) * 101;
        let data: Vec<u8> = (0..length).map(|index| ((written.len() + index) * 7 + salt) as u8).collect();
        let room = if server { self.pair.server.room(channel) } else { self.pair.client.room(channel) };
        let took = if server {
            self.pair.server.write(channel, Stream::Data, &data)
        } else {
            self.pair.client.write(channel, Stream::Data, &data)
        };
        assert!(took <= room.min(length), "{took} of {length} taken into {room}");
        written.extend_from_slice(&data[..took]);
    }

    fn end(&mut self, server: bool, session: usize, exit: bool) {
        let Some(channel) = self.number(server, session) else { return };
        self.written[session].ended[usize::from(server)] = true;
        match (server, exit) {
            (true, true) => self.pair.server.exit(channel, Exit::Status(session as u32)),
            (true, false) => self.pair.server.close(channel),
            (false, _) => self.pair.client.close(channel),
        }
    }

    fn play(&mut self, mut step: Step) {
        if let Step::Write { session, .. }
        | Step::Ask { session, .. }
        | Step::Eof { session, .. }
        | Step::Close { session, .. }
        | Step::Exit { session } = &mut step
        {
            let Some(place) = session.checked_rem(self.written.len()) else { return };
            *session = place;
        }
        match step {
            Step::Open => {
                if self.pair.client_opens().is_some() {
                    self.written.push(Written::default());
                }
            }
            Step::Write { server, session, length } => self.write(server, session, length),
            Step::Ask { server, session, want_reply } => {
                let Some(channel) = self.number(server, session) else { return };
                let _ = match server {
                    true => self.pair.server.request(channel, b"keepalive@openssh.com", b"", want_reply),
                    false => self.pair.client.request(channel, b"window-change", &[0; 16], want_reply),
                };
            }
            Step::Eof { server, session } => {
                let Some(channel) = self.number(server, session) else { return };
                self.written[session].eof[usize::from(server)] = true;
                match server {
                    true => self.pair.server.send_eof(channel),
                    false => self.pair.client.send_eof(channel),
                }
            }
            Step::Close { server, session } => self.end(server, session, false),
            Step::Exit { session } => self.end(true, session, true),
            Step::Rekey { server: true } => self.pair.server.rekey(),
            Step::Rekey { server: false } => self.pair.client.rekey(),
            Step::Takes(takes) => self.takes(takes),
            Step::Carry { cut, times } => {
                self.pair.cut = cut;
                for _ in 0..times {
                    self.pair.step();
                }
            }
        }
    }

    /// The server's application takes what it has not taken, from now on if it does.
    fn takes(&mut self, takes: bool) {
        self.pair.at_server.takes = takes;
        for (channel, count) in std::mem::take(&mut self.pair.at_server.untaken) {
            self.pair.server.taken(channel, count);
        }
    }

    /// Who has not ended its half can go on writing.
    fn write_on(&mut self, length: usize) {
        for session in 0..self.written.len() {
            for writer in [0, 1] {
                let written = &self.written[session];
                if written.ended != [false; 2] || written.eof[writer] {
                    continue;
                }
                let goal = written.by[writer].len() + length;
                while self.written[session].by[writer].len() < goal {
                    let before = self.written[session].by[writer].len();
                    self.write(writer == 1, session, goal - before);
                    self.pair.drive();
                    assert!(
                        self.written[session].by[writer].len() > before,
                        "session {session} of {writer} stands still"
                    );
                }
            }
        }
    }

    /// Everything that was written has come, unless its reader had let go of the session.
    fn check(&self) {
        assert_eq!((&self.pair.server_error, &self.pair.client_error), (&None, &None));
        let lives = [&self.pair.at_client.lives, &self.pair.at_server.lives];
        assert_eq!((lives[0].len(), lives[1].len()), (self.written.len(), self.written.len()));
        for (session, written) in self.written.iter().enumerate() {
            for reader in [0, 1] {
                let (came, went) = (&lives[reader][session].data, &written.by[1 - reader]);
                assert!(went.starts_with(came), "session {session}: bytes are not those that were written");
                assert!(
                    written.ended[reader] || came.len() == went.len(),
                    "session {session}: {} of {}",
                    came.len(),
                    went.len()
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_no_byte_is_lost_and_every_channel_ends(
        setup in setup(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let more = (setup.mux.window_start * 3).min(setup.mux.max_packet * 20) as usize;
        let mut play = Play { pair: setup.authenticated(), written: Vec::new() };
        for step in steps {
            play.play(step);
        }
        play.pair.cut = usize::MAX;
        play.takes(true);
        play.pair.drive();
        play.check();
        play.write_on(more);
        play.check();
        for session in 0..play.written.len() {
            play.end(true, session, true);
        }
        play.pair.drive();
        play.check();
        let ends = |events: &[String]| events.iter().filter(|event| event.starts_with("closed")).count();
        prop_assert_eq!(ends(&play.pair.at_server.events), play.written.len());
        prop_assert_eq!(ends(&play.pair.at_client.events), play.written.len());
        prop_assert!(play.pair.at_server.lives.iter().chain(&play.pair.at_client.lives).all(|life| life.over));
        prop_assert_eq!(play.pair.server.exchanges(), play.pair.client.exchanges());
        // And the connection is as good as new.
        let channel = play.pair.open_session();
        play.pair.client_writes(channel, b"still well");
        prop_assert_eq!(play.pair.received_by_server(channel), b"still well");
    }
}

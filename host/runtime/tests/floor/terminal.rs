//! The terminal of a session: raw for event handlers until they change the modes, with the client's modes for programs.

use whelk_runtime::{ChannelEvent, Exit, Limits, Output, SignalName};

use crate::client::{CAPACITY, Client, Heard};
use crate::guests;
use crate::program::{command, signal};
use crate::session::{env, pty};

/// A session with a terminal whose plugin has run this command.
async fn started(scripts: &[(&str, &str)], command: &str) -> Client {
    let mut client = Client::new(scripts).and(pty());
    client.run(command);
    client.until_replies(2).await;
    client
}

impl Client {
    /// Lets the session's task run until it waits.
    async fn settle(&mut self) {
        for _ in 0..100 {
            self.drain();
            tokio::task::yield_now().await;
        }
    }

    /// Takes output until so much credit has come back.
    async fn until_credit(&mut self, bytes: usize) {
        let mut credit = self.inbox.take_credit();
        while credit < bytes {
            self.until_woken().await;
            self.drain();
            credit += self.inbox.take_credit();
        }
        assert_eq!(credit, bytes);
    }

    async fn shows(&mut self, text: &str) {
        let all = self.until_stdout(text.len()).await;
        assert_eq!(all, text);
        self.recorder.heard.clear();
    }
}

#[tokio::test]
async fn a_cooked_terminal_echoes_edits_and_hands_over_lines() {
    let mut client = started(&[("eof", "trace;finish 0")], "cook").await;
    client.send(b"two words\x7f\x17x\r");
    // The line, and what the plugin writes when it gets it.
    client.shows(&format!("two words\x08 \x08{}x\r\ntwo x\r\n", "\x08 \x08".repeat(4))).await;
    client.send(b"a\nb\nc");
    client.shows("a\r\nb\r\nca\r\nb\r\n").await;
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    let trace = "open\r\npty-req xterm\r\nexec\r\ndata 6 two x\r\ndata 2 a\r\ndata 2 b\r\ndata 1 c\r\neof";
    assert_eq!(recorder.text(), format!("c{trace}"));
}

#[tokio::test]
async fn modes_act_from_the_next_byte_that_the_plugin_has_not_got() {
    let client = Client::new(&[("data", "modes-are 51=1"), ("eof", "trace;finish 0")]).and(pty());
    client.run("");
    let lines = b"123456789\n".repeat(10_000);
    client.send(&lines);
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    let text = recorder.text();
    let sizes: Vec<usize> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data "))
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    // A piece, the rest of a line, and the other lines.
    assert_eq!(sizes[..2], [32 << 10, 2]);
    assert!(sizes[2..].iter().all(|size| *size == 10), "{sizes:?}");
    assert_eq!(sizes.iter().sum::<usize>(), lines.len());
}

#[tokio::test]
async fn raw_again_means_that_nothing_of_the_line_is_lost() {
    let mut client = started(&[("signal", "modes-are 51=0 53=0")], "cook").await;
    client.send(b"ab");
    client.shows("ab").await;
    client.happen(ChannelEvent::Signal(SignalName::Usr1));
    // What the plugin writes of what it gets.
    client.shows("ab").await;
    client.send(b"c\x15");
    client.shows("c\x15").await;
    assert_eq!(client.inbox.take_credit(), 4);
}

#[tokio::test]
async fn one_byte_at_a_time_is_enough() {
    let mut client = started(&[("eof", "finish 0")], "cook").await;
    let mut credit = 1;
    for byte in b"hel\x7flo\x01\x1b \x16\x03 world\x17W\r" {
        assert_eq!(credit, 1, "the window is open");
        client.send(&[*byte]);
        credit = client.inbox.take_credit();
    }
    let echo = format!("hel\x08 \x08lo^A^[ ^\x08^C world{}W\r\n", "\x08 \x08".repeat(5));
    client.shows(&format!("{echo}helo^A\x1b \x03 W\r\n").replace("^A\x1b", "\x01\x1b")).await;
}

#[tokio::test]
async fn end_of_file_ends_a_read_and_not_the_channel() {
    let mut client = started(&[("data", ""), ("signal", "trace")], "cook").await;
    client.send(b"ab\x04\x04c\n");
    client.shows("abc\r\n").await;
    client.happen(ChannelEvent::Signal(SignalName::Usr1));
    let text = client.until_stdout(40).await;
    assert!(text.contains("data 2 ab\r\ndata 0\r\ndata 2 c"), "{text:?}");
}

#[tokio::test]
async fn a_key_makes_a_signal_and_drops_what_was_typed() {
    let mut client = started(&[("signal", "trace")], "cook").await;
    client.send(b"ab\x03");
    // The echo of the two letters is dropped, too: nobody has taken it.
    client.shows("^Copen\r\npty-req xterm\r\nexec\r\nsignal SignalName::Int").await;
    client.send(b"\x1c");
    client.shows("^\\signal SignalName::Quit").await;
    client.send(b"\x1a");
    client.shows("^Zsignal SignalName::Other(\"TSTP\")").await;
    client.send(b"c\n");
    client.shows("c\r\nc\r\n").await;
}

#[tokio::test]
async fn a_caught_key_interrupts_a_write_and_drops_the_output() {
    for (keeps, typed) in [("", "x\x03"), ("modes-are 57=1;", "\x03")] {
        let mut client = Client::new(&[]).and(pty());
        client.recorder.room = 0;
        client.run(&format!("cook;{keeps}catch INT;fill 1000000;caught;finish 0"));
        client.until_replies(2).await;
        client.settle().await;
        client.send(typed.as_bytes());
        client.settle().await;
        client.recorder.room = usize::MAX;
        let (recorder, _) = client.end().await;
        let output = recorder.text();
        if keeps.is_empty() {
            assert_eq!(output, "^C[SignalName::Int]");
        } else {
            // With NOFLSH the signal waits behind the output, of which nothing is lost.
            assert!(output.ends_with("^C[SignalName::Int]") && output.len() >= CAPACITY, "{}", output.len());
        }
        assert_eq!(recorder.exit(), Some(Exit::Status(0)));
    }
}

#[tokio::test]
async fn while_output_is_full_input_is_not_read_and_signals_are_looked_for() {
    let mut client = Client::new(&[("signal", "finish 5")]).and(pty());
    client.recorder.room = 0;
    client.run("cook;fill 1000000");
    client.until_replies(2).await;
    client.settle().await;
    client.send(b"abc");
    client.settle().await;
    assert_eq!(client.inbox.take_credit(), 0, "it waits");
    client.send(b"\x16\x03def\x03ghi");
    assert_eq!(client.inbox.take_credit(), 12, "up to the signal, and what could be echoed since");
    client.recorder.room = usize::MAX;
    let (recorder, _) = client.end().await;
    assert!(recorder.text().starts_with("^Cghi"), "{:?}", &recorder.text()[..100]);
    assert_eq!(recorder.exit(), Some(Exit::Status(5)));
}

#[tokio::test]
async fn output_that_was_full_and_is_taken_lets_input_go_on() {
    let mut client = Client::new(&[("data", "")]).and(pty());
    client.recorder.room = 0;
    client.run("cook;fill 262144");
    client.until_replies(2).await;
    client.settle().await;
    client.send(b"abc\r");
    client.settle().await;
    assert_eq!(client.inbox.take_credit(), 0);
    client.recorder.room = usize::MAX;
    client.until(|recorder| recorder.text().ends_with("abc\r\n")).await;
    assert_eq!(client.inbox.take_credit(), 4);
}

#[tokio::test]
async fn the_stop_character_holds_output_until_the_start_character() {
    let mut client = started(&[("on-writable", "write W")], "cook").await;
    client.send(b"\x13abc\n");
    client.settle().await;
    assert_eq!(client.recorder.text(), "");
    client.send(b"\x11");
    client.shows("abc\r\nabc\r\nW").await;
    // A signal lets output go on, too.
    client.send(b"\x13x\n");
    client.settle().await;
    assert_eq!(client.recorder.text(), "");
    client.send(b"\x03");
    client.shows("^Cx\r\nW").await;
}

#[tokio::test]
async fn output_is_processed_wherever_it_is_written() {
    let client = Client::new(&[("env", "cook;write a\nb;err c\n")]).and(pty());
    client.happen(env("A", "1"));
    client.run("ext 7 d\ne;write f\n\n;finish 0");
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "a\r\nbf\r\n\r\n");
    assert_eq!(recorder.bytes_of(Output::Stderr), b"c\r\n");
    assert_eq!(recorder.bytes_of(Output::Extended(7)), b"d\ne");
}

#[tokio::test]
async fn much_output_is_processed_whole_in_whatever_pieces_it_is_taken() {
    for room in [1, 7, 1000, usize::MAX] {
        let mut client = Client::new(&[]).and(pty());
        client.recorder.room = 0;
        client.run("cook;fill 500000;finish 0");
        let mut expected: Vec<u8> = Vec::new();
        for at in 0..500_000_u32 {
            let byte = u8::try_from(at % 251).unwrap();
            expected.extend_from_slice(if byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(&byte) });
        }
        while !matches!(client.recorder.heard.last(), Some(Heard::Exit(_))) {
            client.recorder.room = room.max(client.recorder.stdout().len() / 8);
            client.drain();
            tokio::task::yield_now().await;
        }
        assert!(client.recorder.stdout() == expected, "room {room}");
    }
}

#[tokio::test]
async fn much_input_is_received_in_turns_and_all_of_its_credit_returns() {
    let mut client = started(&[("data", "")], "cook;modes-are 53=0").await;
    client.inbox.take_credit();
    client.send(&[b'x'; 1_000_000]);
    client.until_credit(1_000_000).await;
    // The line that was too long can be ended.
    client.send(b"\x15\n");
    client.until_credit(2).await;
}

#[tokio::test]
async fn echo_is_bounded_by_the_tenants_output() {
    let limits = Limits { tenant_output: 32 << 10, ..Limits::default() };
    let mut client = Client::with(&guests::script(), &[("data", "")], &limits).and(pty());
    client.recorder.room = 0;
    client.run("cook");
    client.until_replies(2).await;
    client.send(&b"y\n".repeat(100_000));
    client.settle().await;
    let taken = client.inbox.take_credit();
    assert!((8_000..80_000).contains(&taken), "{taken}");
    client.recorder.room = usize::MAX;
    client.until(|recorder| recorder.stdout().len() == 300_000).await;
}

#[tokio::test]
async fn the_next_handler_starts_raw_with_what_was_not_read() {
    let mut client = Client::among(
        &guests::two(),
        &guests::script(),
        &[("signal", "pass second"), ("second.exec", "true")],
        &Limits::default(),
    )
    .and(pty());
    client.run("cook");
    client.until_replies(2).await;
    client.send(b"ab");
    client.shows("ab").await;
    client.happen(ChannelEvent::Signal(SignalName::Usr1));
    // The second writes what it gets.
    client.shows("ab").await;
    client.send(b"c\n");
    client.shows("c\n").await;
}

#[tokio::test]
async fn a_terminal_that_was_refused_has_no_line_discipline() {
    let mut client = Client::new(&[("pty-req", "false")]).and(pty());
    client.run("cook;trace");
    let text = client.until_stdout(20).await;
    assert!(text.ends_with("set-modes no-terminal"), "{text}");
    client.recorder.heard.clear();
    client.send(b"a\x03\n");
    client.shows("a\x03\n").await;
}

/// A program with a terminal that has written `ready`.
async fn program(words: &str) -> Client {
    program_after("", words).await
}

/// The same after it has done `first`.
async fn program_after(first: &str, words: &str) -> Client {
    let mut client = Client::with(&command(), &[], &Limits::default()).and(pty());
    client.run(&format!("{first} 'print ready' flush {words}"));
    client.until_stdout("ready".len()).await;
    client.recorder.heard.clear();
    client
}

#[tokio::test]
async fn a_program_reads_lines_that_are_echoed_and_edited() {
    let mut client = program("line 'print a' line cat 'print end'").await;
    client.send(b"hel\x7fn\rxy\x15z");
    client.send(b"\r\n");
    client
        .shows(&format!("hel\x08 \x08n\r\nxy{}z\r\n\r\n\"hen\\n\"\r\na\"z\\n\"\r\n\r\n", "\x08 \x08".repeat(2)))
        .await;
    // `cat` gets one line a read, and what was typed before the end-of-file character.
    client.send(b"b\nc\x04");
    client.shows("b\r\ncb\r\nc").await;
    client.send(b"\x04");
    let (recorder, _) = client.end().await;
    assert_eq!((recorder.text().as_str(), recorder.exit()), ("end", Some(Exit::Status(0))));
}

#[tokio::test]
async fn the_end_of_file_character_ends_one_read_and_the_clients_eof_all() {
    let mut client = program("cat cat 'print end'").await;
    client.send(b"a\n\x04b\n");
    client.shows("a\r\nb\r\na\r\nb\r\n").await;
    client.send(b"c");
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    assert_eq!((recorder.text().as_str(), recorder.exit()), ("ccend", Some(Exit::Status(0))));
}

#[tokio::test]
async fn a_program_that_spins_or_waits_ends_by_a_key() {
    for words in ["spin", "cat", "'sleep 1000000'", "'flood'"] {
        for (key, name) in [(b"\x03", SignalName::Int), (b"\x1c", SignalName::Quit)] {
            let client = program(words).await;
            client.send(key);
            let (recorder, _) = client.end().await;
            assert_eq!(recorder.exit(), Some(signal(name)), "{words}");
        }
    }
}

#[tokio::test]
async fn a_program_that_waits_for_room_ends_by_a_key_and_what_it_wrote_is_dropped() {
    let mut client = Client::with(&command(), &[], &Limits::default()).and(pty());
    client.recorder.room = 0;
    client.run("flood");
    client.until_replies(2).await;
    client.settle().await;
    client.send(b"abc\x03");
    client.recorder.room = usize::MAX;
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.exit(), Some(signal(SignalName::Int)));
    assert!(recorder.text().starts_with("^C"), "{:?}", recorder.heard);
}

#[tokio::test]
async fn a_program_catches_keys() {
    let mut client = program_after("'catch INT QUIT'", "await next await").await;
    client.send(b"ab\x03");
    client.shows("^Ccaught\r\nNone\r\n").await;
    client.send(b"\x1c");
    let (recorder, _) = client.end().await;
    assert_eq!((recorder.text().as_str(), recorder.exit()), ("^\\caught\r\n", Some(Exit::Status(0))));
}

#[tokio::test]
async fn no_key_stops_a_program_that_nobody_could_continue() {
    let mut client = program("line").await;
    // What was typed before the key is dropped, as under Linux.
    client.send(b"ab\x1a");
    client.shows("^Z").await;
    for name in ["TSTP", "TTIN", "TTOU"] {
        client.happen(ChannelEvent::Signal(SignalName::Other(name.to_owned())));
    }
    client.send(b"c\n");
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "c\r\n\"c\\n\"\r\n");
    let client = program("'sleep 5' 'print x'").await;
    client.send(b"\x1a");
    let (recorder, _) = client.end().await;
    assert_eq!((recorder.text().as_str(), recorder.exit()), ("^Zx", Some(Exit::Status(0))));
    let mut client = program_after("'catch TSTP'", "await").await;
    client.send(b"\x1a");
    client.shows("^Zcaught\r\n").await;
}

#[tokio::test]
async fn a_program_is_stopped_by_its_client_and_goes_on_when_it_is_told_to() {
    let mut client = program("line").await;
    client.happen(ChannelEvent::Signal(SignalName::Other("STOP".to_owned())));
    client.send(b"a\n");
    client.settle().await;
    assert_eq!(client.recorder.text(), "a\r\n", "only the echo");
    client.happen(ChannelEvent::Signal(SignalName::Other("CONT".to_owned())));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "a\r\n\"a\\n\"\r\n");
}

#[tokio::test]
async fn a_program_makes_its_terminal_raw_and_cooked_again() {
    let raw = "'modes-are 50=0 51=0 53=0 36=0 70=0'";
    let mut client = program_after(raw, "byte byte 'modes-are 50=1 51=1 53=1 70=1' 'print cooked' flush line").await;
    client.send(b"\x03");
    client.shows("1\n").await;
    client.send(b"\r");
    client.shows("1\ncooked").await;
    client.send(b"x\n");
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "x\r\n\"x\\n\"\r\n");
}

#[tokio::test]
async fn a_program_without_a_terminal_has_no_line_discipline() {
    let client = Client::with(&command(), &[], &Limits::default());
    client.run("'modes-are 53=1' cat");
    client.send(b"a\x03\r\x7f\n");
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    let text = recorder.text();
    assert!(text.contains("no-terminal") && text.ends_with("\na\x03\r\x7f\n"), "{text:?}");
}

#[tokio::test]
async fn much_output_of_a_program_is_processed_whole() {
    let client = Client::with(&command(), &[], &Limits::default()).and(pty());
    client.run("'flood 1000000'");
    let (recorder, _) = client.end().await;
    let text = recorder.text();
    assert_eq!((text.len(), text.matches("\r\n").count()), (1_000_000 + 976, 976));
    assert_eq!(text.matches('\n').count(), 976);
}

#[tokio::test]
async fn lines_that_were_read_return_credit_in_windows_of_one_byte() {
    let mut client = program("line line").await;
    client.inbox.take_credit();
    for byte in b"one\rtwo\r" {
        client.send(&[*byte]);
        client.until_credit(1).await;
    }
    let (recorder, _) = client.end().await;
    assert!(recorder.text().contains("\"one\\n\""), "{}", recorder.text());
}

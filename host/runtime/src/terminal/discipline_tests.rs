use super::*;

/// A terminal with changed modes, and what it has shown.
struct Terminal {
    discipline: LineDiscipline,
    shown: Vec<u8>,
}

fn terminal(change: impl FnOnce(&mut Modes)) -> Terminal {
    let mut modes = Modes::default();
    change(&mut modes);
    Terminal { discipline: LineDiscipline::new(modes), shown: Vec::new() }
}

impl Terminal {
    fn types(&mut self, keys: &str) -> Received {
        self.discipline.receive(keys.as_bytes(), &mut self.shown)
    }

    /// The same, however much is echoed.
    fn types_all(&mut self, keys: &str) {
        let mut taken = 0;
        while taken < keys.len() {
            taken += self.discipline.receive(&keys.as_bytes()[taken..], &mut self.shown).taken;
        }
    }

    fn writes(&mut self, text: &[u8], room: usize) -> usize {
        self.discipline.write(text, room, &mut |bytes| self.shown.extend_from_slice(bytes))
    }

    fn shown(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.shown)).unwrap()
    }

    fn reads(&mut self) -> Vec<String> {
        let mut buffer = [0; 8192];
        std::iter::from_fn(|| match self.discipline.read(&mut buffer) {
            Read::Nothing => None,
            Read::Bytes(count) => Some(String::from_utf8(buffer[..count].to_vec()).unwrap()),
        })
        .collect()
    }
}

#[test]
fn a_line_is_read_when_it_is_whole_and_edited_until_then() {
    let mut terminal = terminal(|_| {});
    terminal.types("two words\x7f\x7f");
    assert_eq!((terminal.shown().as_str(), terminal.reads().len()), ("two words\x08 \x08\x08 \x08", 0));
    terminal.types("\x17x\r");
    assert_eq!(terminal.shown(), format!("{}x\r\n", "\x08 \x08".repeat(3)));
    assert_eq!(terminal.reads(), ["two x\n"]);
    terminal.types("gone\x15\x16\x03\n");
    assert_eq!(terminal.shown(), format!("gone{}^\x08^C\r\n", "\x08 \x08".repeat(4)));
    assert_eq!(terminal.reads(), ["\x03\n"]);
}

#[test]
fn the_end_of_file_character_ends_the_input_at_the_beginning_of_a_line_and_sends_it_elsewhere() {
    let mut terminal = terminal(|_| {});
    terminal.types("ab\x04\x04c\n");
    assert_eq!(terminal.reads(), ["ab", "", "c\n"]);
    // A reader whose buffer is exactly as long as what was sent does not see the end of the input.
    terminal.types("ab\x04");
    assert_eq!(terminal.discipline.read(&mut [0; 2]), Read::Bytes(2));
    assert_eq!(terminal.discipline.read(&mut [0; 2]), Read::Nothing);
}

#[test]
fn a_signal_drops_what_was_typed_unless_the_modes_keep_it() {
    for (keeps, read) in [(false, "c\n"), (true, "ab c\n")] {
        let mut terminal = terminal(|modes| modes.set(Flag::Noflsh, keeps));
        let received = terminal.types("ab \x03c\n");
        let signal = Some(TerminalSignal::Interrupt);
        assert_eq!(received, Received { taken: 4, signal, drops_output: !keeps });
        assert_eq!(terminal.types("c\n").signal, None);
        assert_eq!(terminal.reads(), [read]);
        assert_eq!(terminal.shown(), if keeps { "ab ^Cc\r\n" } else { "^Cc\r\n" });
    }
    let mut terminal = terminal(|_| {});
    assert_eq!(terminal.types("\x1c").signal, Some(TerminalSignal::Quit));
    assert_eq!(terminal.types("\x1a").signal, Some(TerminalSignal::Suspend));
}

#[test]
fn a_raw_terminal_changes_nothing() {
    let raw = [Flag::Icrnl, Flag::Ixon, Flag::Isig, Flag::Icanon, Flag::Echo, Flag::Iexten, Flag::Opost];
    let mut terminal = terminal(|modes| raw.into_iter().for_each(|flag| modes.set(flag, false)));
    terminal.types("\x03\x04\r\x13a\x7f");
    assert_eq!(terminal.reads(), ["\x03\x04\r\x13a\x7f"]);
    assert_eq!(terminal.writes(b"a\nb", 100), 3);
    assert_eq!(terminal.shown(), "a\nb");
}

#[test]
fn held_output_waits_for_the_start_character() {
    let mut terminal = terminal(|_| {});
    terminal.types("\x13a");
    assert!(terminal.discipline.is_held() && terminal.shown.is_empty());
    terminal.types("\x11");
    assert!(!terminal.discipline.is_held());
    assert_eq!(terminal.shown(), "a");
    // A terminal that was held is not for ever when the characters lose their meaning.
    terminal.types("\x13");
    let mut modes = terminal.discipline.modes().clone();
    modes.set(Flag::Ixon, false);
    terminal.discipline.set_modes(modes, &mut terminal.shown);
    assert!(!terminal.discipline.is_held());
}

#[test]
fn a_line_that_is_too_long_keeps_its_beginning_and_its_end() {
    let mut terminal = terminal(|_| {});
    let long = "x".repeat(5_000);
    terminal.types_all(&long);
    assert_eq!(terminal.shown().len(), 5_000);
    terminal.types("\n");
    assert_eq!(terminal.reads(), [format!("{}\n", "x".repeat(4_095))]);
    // Without lines the program has to read first.
    let mut terminal = terminal_without_lines();
    assert_eq!(terminal.types(&long).taken, 4_095);
    assert_eq!(terminal.reads().concat().len(), 4_095);
    assert_eq!(terminal.types("y").taken, 1);
}

fn terminal_without_lines() -> Terminal {
    terminal(|modes| modes.set(Flag::Icanon, false))
}

#[test]
fn a_wide_character_is_erased_by_its_columns_if_it_is_to_be() {
    for (by_width, erased) in [(false, "\x08 \x08"), (true, "\x08 \x08\x08 \x08")] {
        let mut terminal = terminal(|modes| modes.set(Flag::Iutf8, true));
        terminal.discipline.erase_by_width(by_width);
        terminal.types("漢\x7f");
        assert_eq!(terminal.shown(), format!("漢{erased}"));
        // A combining character takes no column.
        terminal.types("e\u{301}\x7f");
        let erased = if by_width { "" } else { "\x08 \x08" };
        assert_eq!(terminal.shown(), format!("e\u{301}{erased}"));
    }
}

#[test]
fn what_was_typed_before_lines_were_asked_for_is_a_line() {
    let mut terminal = terminal_without_lines();
    terminal.types("ab");
    terminal.discipline.set_modes(Modes::default(), &mut terminal.shown);
    assert_eq!(terminal.reads(), ["ab"]);
}

#[test]
fn output_that_needs_more_room_is_taken_in_parts() {
    let text = "ab\ncd\n\n\té\n";
    let mut whole = terminal(|_| {});
    assert_eq!(whole.writes(text.as_bytes(), usize::MAX), text.len());
    let shown = whole.shown();
    assert_eq!(shown, text.replace('\n', "\r\n"));
    for room in 1..=shown.len() {
        let (mut terminal, mut taken, mut all) = (terminal(|_| {}), 0, String::new());
        while taken < text.len() {
            let before = taken;
            taken += terminal.writes(&text.as_bytes()[taken..], room);
            let piece = std::mem::take(&mut terminal.shown);
            assert!(taken > before && piece.len() <= room + 1, "{room}");
            all.extend(piece.iter().map(|byte| char::from(*byte)));
        }
        assert_eq!(all, shown.bytes().map(char::from).collect::<String>(), "{room}");
    }
}

#[test]
fn a_signal_is_found_behind_what_cannot_be_received() {
    let mut terminal = terminal(|_| {});
    assert_eq!(terminal.discipline.find_signal(b"ab\x16\x03c\x16\x16\x1ad", &mut false), Some(7));
    assert_eq!(terminal.discipline.find_signal(b"ab\x16\x03", &mut false), None);
    terminal.types("\x16");
    let mut is_literal = terminal.discipline.is_literal();
    assert_eq!(terminal.discipline.find_signal(b"\x03\x03", &mut is_literal), Some(1));
    terminal.types("xyz");
    terminal.shown();
    let received = terminal.discipline.receive_signal(3, &mut terminal.shown);
    let signal = Some(TerminalSignal::Interrupt);
    assert_eq!(received, Received { taken: 1, signal, drops_output: true });
    terminal.types("\n");
    assert_eq!((terminal.shown().as_str(), terminal.reads().as_slice()), ("^C\r\n", &["\n".to_owned()][..]));
}

#[test]
fn much_echo_comes_in_parts() {
    let mut terminal = terminal(|_| {});
    terminal.types(&"x".repeat(3_000));
    terminal.shown();
    // Each shows the line again.
    let received = terminal.types(&"\x12".repeat(100));
    assert!((2..5).contains(&received.taken), "{}", received.taken);
    assert_eq!(terminal.shown().len(), received.taken * (3_000 + "^R\r\n".len()));
}

#[test]
fn a_line_that_is_no_character_costs_no_more_to_erase_than_any_other() {
    let mut terminal = terminal(|modes| modes.set(Flag::Iutf8, true));
    let continuation = [0x80; 4_000];
    terminal.discipline.receive(&continuation, &mut terminal.shown);
    terminal.shown.clear();
    // Nothing is erased, again and again.
    let erasing = [0x7f; 1_000_000];
    assert_eq!(terminal.discipline.receive(&erasing, &mut terminal.shown).taken, erasing.len());
    assert!(terminal.shown.is_empty());
    terminal.types("é\x7f\x7fb\x7fc\n");
    let mut line = [0; 8192];
    assert_eq!(terminal.discipline.read(&mut line), Read::Bytes(continuation.len() + 2));
    assert!(line.starts_with(&continuation) && line[continuation.len()..].starts_with(b"c\n"));
}

#[test]
fn an_input_that_ends_leaves_the_line_that_was_begun() {
    let mut terminal = terminal(|_| {});
    terminal.types("a\nbc");
    terminal.discipline.end_input();
    assert_eq!(terminal.reads(), ["a\n", "bc"]);
    terminal.discipline.end_input();
    assert!(terminal.reads().is_empty());
}

//! Keys at random: whatever is typed, the editor goes on, and what was changed can be taken back.

use crate::terminal::{Random, Terminal};

/// Pieces of commands, beside single keys.
const PIECES: &[&str] = &[
    "\x1b",
    "\x1b",
    "\r",
    "dd",
    "yy",
    "p",
    "P",
    "u",
    "\x12",
    ".",
    "diw",
    "ci(",
    "da\"",
    "dip",
    "vap",
    "\x16",
    "jjd",
    "I漢\x1b",
    "\x16jI",
    "\x16jjA",
    "aéé漢",
    "\x0f",
    "A!\x1b",
    "r漢",
    "~",
    "J",
    "gJ",
    "gqip",
    ">>",
    "<ip",
    "qa",
    "q",
    "@a",
    "\"ayw",
    "\"Ap",
    "ma",
    "'a",
    "`a",
    "/o\r",
    "?.\r",
    "n",
    "N",
    "*",
    "#",
    "f漢",
    ";",
    ",",
    "%",
    "}",
    "(",
    ")",
    "g~w",
    "gUU",
    "\x01",
    "\x18",
    "\x04",
    "\x15",
    "\x06",
    "\x02",
    "5",
    "3",
    "G",
    "gg",
    "$",
    "0",
    ":s/o/漢/g\r",
    ":%s/\\w*/<&>/\r",
    ":%s/$/x/\r",
    ":g/o/m0\r",
    ":v/a/j\r",
    ":%s/\\n/,/\r",
    ":2,3t$\r",
    ":m0\r",
    ":%norm Ax\r",
    ":sort\r",
    ":set list!\r",
    ":set nu!\r",
    ":set wrap!\r",
    ":set ai!\r",
    ":set et!\r",
    ":set sw=3\r",
    ":set tw=15\r",
    ":retab\r",
    ":%!sort\r",
    ":1,2d\r",
    ":%d\r",
    ":'<,'>>\r",
    ":undo\r",
    "gv",
    "o",
    "O",
    "R",
    "i\t\x16u20ac\x0f",
    "\x17",
    "\x14",
    "\x19",
    "\x7f",
    "c",
    "d",
    "y",
    "V",
    "v",
    "gi",
];

const TEXT: &str = "héllo wörld (a [b] {c})\n\t漢字 かな \"quoted x\"\n\n  e\u{301}\u{302}nd. Two! o\n\u{1}\u{7f}x\u{10ffe9}\nlast 007 -3";

/// Types keys of a seed: what was typed.
fn typed(terminal: &mut Terminal, random: &mut Random) -> String {
    let mut all = String::new();
    for _ in 0..60 {
        let keys = match random.below(4) {
            0 => char::from(u8::try_from(random.below(127) + 1).expect("a byte")).to_string(),
            _ => PIECES[random.below(PIECES.len())].to_owned(),
        };
        all.push_str(&keys);
        // A text that grows without end says nothing more.
        if terminal.text().len() > 20_000 {
            break;
        }
        terminal.keys(&keys);
    }
    all
}

#[test]
fn nothing_that_is_typed_ends_the_editor() {
    for seed in 0..150 {
        let mut random = Random(seed);
        let mut terminal = Terminal::sized(TEXT, random.below(60) + 2, random.below(20) + 2);
        typed(&mut terminal, &mut random);
        let (line, column) = terminal.editor.cursor();
        let lines = terminal.editor.lines();
        assert!(lines[line].is_char_boundary(column), "seed {seed}");
    }
}

#[test]
fn everything_is_taken_back_and_made_again() {
    for seed in 1000..1100 {
        let mut random = Random(seed);
        let mut terminal = Terminal::sized(TEXT, 30, 10);
        let before = terminal.text();
        let keys = typed(&mut terminal, &mut random);
        terminal.keys("\x1b\x1b\x03\x1b");
        let after = terminal.text();
        terminal.keys(":set noro\r9999u");
        assert_eq!(terminal.text(), before, "seed {seed}: {keys:?}");
        terminal.keys("9999\x12");
        // What was taken back while typing is not made again.
        if !keys.contains(['u', '\x12']) {
            assert_eq!(terminal.text(), after, "seed {seed}: {keys:?}");
        }
    }
}

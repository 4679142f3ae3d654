//! Random keys and sizes: the screen shows the prompt and the text, with the cursor in its cell.

use crate::expected::draw;
use crate::terminal::Terminal;
use proptest::prelude::*;
use proptest::sample::select;
use whelk_guest::editor::{EditorSettings, KeyMap, LinePrompt};

const PROMPTS: [&str; 5] = ["$ ", "", "\x1b[1;32muser\x1b[0m:\x1b[34m~\x1b[0m$ ", "漢字> ", "two\nlines of prompt> "];

#[derive(Debug, Clone)]
enum Step {
    Keys(String),
    Resize(u32, u32),
    Print,
    Check,
}

fn keys() -> impl Strategy<Value = String> {
    let characters = "[ -~]{1,12}|[a-c漢字 ]{1,9}|e\u{301}|👩|ｗ|한|\u{16}\u{1}|\u{16}\t|\u{16}\u{1b}|é";
    let commands = [
        "\x01",
        "\x05",
        "\x02",
        "\x06",
        "\x1bb",
        "\x1bf",
        "\x1b[D",
        "\x1b[C",
        "\x1b[A",
        "\x1b[B",
        "\x7f",
        "\x1b[3~",
        "\x0b",
        "\x15",
        "\x17",
        "\x19",
        "\x1by",
        "\x14",
        "\x1bt",
        "\x1bu",
        "\x1bc",
        "\x1f",
        "\x1b\r",
        "\x0c",
        "\x12",
        "\x07",
        "\x1b\x7f",
        "\x1bd",
        "\x1b3",
        "\x1b[2~",
        "\x18\x18",
        "\x1b.",
        "\t",
        "\t\t",
        "\x1b[200~pasted\rtext\x1b[201~",
        "\x1bdw",
        "\x1bp",
        "\x1bx.",
        "\x1bcb",
        "\x1b/a\rn",
        "\x1b~",
        "\x1bR",
        "\x1b<",
        "\x1b>",
        "\x1b\\",
    ];
    prop_oneof![
        4 => characters.prop_map(|keys: String| keys),
        5 => select(commands.to_vec()).prop_map(str::to_owned),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![1 => (1u32..4, 1u32..4), 8 => (4u32..30, 2u32..12)];
    let step = prop_oneof![
        30 => keys().prop_map(Step::Keys),
        2 => size.prop_map(|(columns, rows)| Step::Resize(columns, rows)),
        1 => Just(Step::Print),
        15 => Just(Step::Check),
    ];
    prop::collection::vec(step, 1..40)
}

/// Compares the screen with a drawing of the text.
fn check(terminal: &Terminal, prompt: &LinePrompt) -> Result<(), TestCaseError> {
    let screen = terminal.screen.screen();
    let (rows, columns) = (usize::from(screen.size().0.get()), usize::from(screen.size().1.get()));
    let plain = plain(&prompt.first);
    let lines: Vec<&str> = plain.rsplitn(2, '\n').collect();
    let expected = draw(lines[0], &prompt.next, terminal.editor.text(), terminal.editor.cursor(), columns);
    let cursor = (usize::from(terminal.cursor().0), usize::from(terminal.cursor().1));
    prop_assert_eq!(cursor.1, expected.cursor.1, "column of the cursor in {:?}", terminal.text());
    // Rows of the drawing to rows of the screen.
    let offset = expected.cursor.0.cast_signed() - cursor.0.cast_signed();
    for row in 0..rows {
        let drawn = row.checked_add_signed(offset).map(|row| expected.rows.get(row).map_or(&[][..], Vec::as_slice));
        let Some(drawn) = drawn else { continue };
        for column in 0..columns {
            let [at_row, at_column] = [row, column].map(|cells| u16::try_from(cells).expect("a small screen"));
            let cell = screen.cell(at_row, at_column).expect("a cell");
            let shown = cell.contents().chars().next().filter(|shown| *shown != ' ');
            let wanted = drawn.get(column).copied().flatten().filter(|wanted| *wanted != ' ');
            prop_assert_eq!(
                shown,
                wanted,
                "row {} column {} of {:?}\n{}",
                row,
                column,
                terminal.text(),
                screen.contents()
            );
        }
    }
    // All of the text is seen if it fits.
    if expected.rows.len() <= rows {
        prop_assert!(offset <= 0, "the beginning is on the screen");
    }
    Ok(())
}

fn plain(prompt: &str) -> String {
    let mut plain = String::new();
    let mut rest = prompt;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

fn run(prompt: &str, keys: KeyMap, steps: &[Step]) -> Result<(), TestCaseError> {
    let shown = LinePrompt { first: prompt.to_owned(), next: "> ".to_owned() };
    let settings = EditorSettings { columns: 20, rows: 8, keys, ..EditorSettings::default() };
    let mut terminal = Terminal::with(settings, shown.clone());
    terminal.callbacks.0 = ["pasted", "passed", "past", "user", "漢字"].map(str::to_owned).to_vec();
    for line in ["first line", "漢字漢字漢字漢字漢字漢字漢字", "two\nlines", "abc \"d e\""] {
        terminal.editor.history_mut().add(line);
    }
    for step in steps.iter().chain([&Step::Check]) {
        match step {
            Step::Keys(keys) => {
                terminal.keys(keys);
                if !terminal.editor.is_editing() {
                    terminal.editor.begin(shown.clone());
                    terminal.show();
                }
            }
            Step::Resize(columns, rows) => {
                // A terminal that gets smaller moves what it shows in ways of its own: begin on an empty screen.
                terminal.keys("\x07");
                terminal.resize(*columns, *rows);
                terminal.keys("\x0c");
            }
            Step::Print => {
                terminal.editor.print("a message\nof two lines");
                terminal.show();
            }
            Step::Check => {
                // A search, an argument or a question has another prompt: these are left first.
                terminal.keys("\x07\x07");
                check(&terminal, &shown)?;
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_screen_shows_the_text(
        prompt in select(PROMPTS.to_vec()), keys in select(vec![KeyMap::Emacs, KeyMap::Vi]), steps in steps(),
    ) {
        run(prompt, keys, &steps)?;
    }
}

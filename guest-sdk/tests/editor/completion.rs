//! Completion with Tab.

use crate::terminal::Terminal;

fn with_words(words: &[&str]) -> Terminal {
    let mut terminal = Terminal::new("$ ", 30, 8);
    terminal.callbacks.0 = words.iter().map(|word| (*word).to_owned()).collect();
    terminal
}

#[test]
fn a_word_is_completed_as_far_as_all_agree() {
    let words = ["foobar", "foobaz", "qux", "été", "étude"];
    for (keys, text) in [
        ("q\t", "qux |"),
        ("a q\tx", "a qux x|"),
        ("f\t", "fooba|"),
        ("f\t\t", "fooba|"),
        ("z\t", "z|"),
        ("é\t", "ét|"),
        ("q x\x02\x02\t", "qux| x"),
        ("q\t\x1f", "q|"),
        ("f\x1b*", "foobar foobaz |"),
    ] {
        assert_eq!(with_words(&words).keys(keys).text(), text, "{keys:?}");
    }
}

#[test]
fn the_second_tab_lists_below_the_line() {
    let mut terminal = with_words(&["foobar", "foobaz", "foo"]);
    terminal.keys("x foo\t");
    assert_eq!(terminal.rows(), ["$ x foo"]);
    terminal.keys("\t");
    assert_eq!(
        (terminal.rows(), terminal.cursor()),
        (vec!["$ x foo".into(), "foobar  foobaz  foo".into(), "$ x foo".into()], (2, 7))
    );
    terminal.keys("\x02\x02\x1b?");
    assert_eq!((terminal.rows().len(), terminal.cursor()), (5, (4, 5)));
}

#[test]
fn many_are_listed_after_a_question_and_page_by_page() {
    let words: Vec<String> = (0..150).map(|number| format!("word{number:03}")).collect();
    let mut terminal = with_words(&words.iter().map(String::as_str).collect::<Vec<_>>());
    terminal.keys("w\t\t");
    assert_eq!(terminal.rows(), ["$ word", "Display all 150 possibilities?", " (y or n)"]);
    terminal.keys("n");
    assert_eq!((terminal.rows().last().map(String::as_str), terminal.text().as_str()), (Some("$ word"), "word|"));
    terminal.keys("\x1b?y");
    assert_eq!(terminal.rows().last().map(String::as_str), Some("--More--"));
    assert_eq!(terminal.rows()[0], "word000  word050  word100");
    terminal.keys("\r");
    assert_eq!(terminal.rows()[6], "word007  word057  word107");
    terminal.keys(" ");
    assert_eq!(terminal.rows()[6], "word014  word064  word114");
    terminal.keys("qx");
    assert_eq!((terminal.rows().last().map(String::as_str), terminal.text().as_str()), (Some("$ wordx"), "wordx|"));
    terminal.keys("\x7f\x1b?y");
    let mut pages = 1;
    while terminal.rows().last().map(String::as_str) == Some("--More--") {
        terminal.keys(" ");
        pages += 1;
    }
    assert_eq!(
        (pages, terminal.rows()[6].as_str(), terminal.rows()[7].as_str()),
        (8, "word049  word099  word149", "$ word")
    );
}

//! Keys, and what Vim makes of them: `vim.tsv` says how its results were made.

use crate::terminal::Terminal;

/// Reads `\n`, `\e`, `\x1b` and the like.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        out.push(match (sign, if sign == '\\' { signs.next() } else { None }) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('t')) => '\t',
            ('\\', Some('r')) => '\r',
            ('\\', Some('e')) => '\x1b',
            ('\\', Some('x')) => {
                let code: String = signs.by_ref().take(2).collect();
                char::from(u8::from_str_radix(&code, 16).expect("two digits"))
            }
            ('\\', Some(other)) => other,
            (other, _) => other,
        });
    }
    out
}

#[test]
fn keys_do_what_they_do_in_vim() {
    let mut text = String::new();
    let (mut count, mut wrong) = (0, Vec::new());
    for line in include_str!("vim.tsv").lines().filter(|line| !line.starts_with('#') || line.contains('\t')) {
        if let Some(new) = line.strip_prefix("= ") {
            text = unescaped(new);
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let [keys, expected, line, column] = fields[..] else { panic!("four fields: {line}") };
        let place = (line.parse().expect("a line"), column.parse().expect("a column"));
        let mut terminal = Terminal::sized(&text, 80, 24);
        terminal.keys(&unescaped(keys)).keys("\x1b");
        let found = (terminal.text(), terminal.editor.cursor());
        count += 1;
        if found != (unescaped(expected), place) {
            wrong.push(format!("{keys}\n    vim: {expected:?} {place:?}\n    here: {:?} {:?}", found.0, found.1));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 750, "only {count} cases");
}

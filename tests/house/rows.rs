//! The rows of the threat list that comments and limits cite.

use crate::source::{repository, rust_files};
use std::collections::BTreeSet;

/// The path of the list.
const LIST: &str = "tests/hostile/README.md";

/// The rows that a text cites: a letter of the list and a number, such as `W34`, alone between other characters.
fn rows(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && !"+_\\".contains(character));
    words.filter(|word| {
        let number = word.strip_prefix(|letter| "PKUCFIOWX".contains(letter));
        number.is_some_and(|number| (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

#[test]
fn every_threat_that_is_named_stands_in_the_list() {
    let list = std::fs::read_to_string(repository().join(LIST)).unwrap_or_else(|error| panic!("{LIST}: {error}"));
    let listed: BTreeSet<&str> = list.lines().filter_map(|line| rows(line.strip_prefix("| ")?).next()).collect();
    let mut offenders = Vec::new();
    for source in rust_files() {
        for (number, line) in source.text().lines().enumerate() {
            let comment = line.split_once("//").map(|(_, comment)| comment);
            // The table of limits cites the rows that each limit answers.
            let answers = line.rsplit_once(", \"").filter(|(_, last)| last.ends_with("\";")).map(|(_, last)| last);
            for row in comment.into_iter().chain(answers).flat_map(rows).filter(|row| !listed.contains(row)) {
                offenders.push(format!("{}:{}: {row}", source.name(), number + 1));
            }
        }
    }
    crate::assert_none(&offenders, &format!("threats that {LIST} does not list"));
}

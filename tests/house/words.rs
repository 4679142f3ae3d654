//! Plain words: the field's terms instead of metaphors.

use crate::assert_none;
use crate::source::{rust_files, text_files};
use crate::vocabulary::{FUNCTIONS, TYPES, WORDS};

/// The file that lists the words.
const VOCABULARY: &str = "tests/house/vocabulary.rs";

#[test]
fn every_word_is_the_fields_own() {
    let mut texts = text_files(&["toml", "wit", "md", "py", "js"]);
    texts.extend(rust_files().into_iter().map(|source| (source.name(), source.text().to_owned())));
    let mut offenders = Vec::new();
    for (name, text) in texts.iter().filter(|(name, _)| name != VOCABULARY) {
        for (number, line) in text.lines().enumerate() {
            // ILL is a signal's name too, and stands beside other signals or in capitals.
            let of_signals = line.contains("fpe");
            for word in words(line).filter(|word| !of_signals && !["Ill", "ILL"].contains(word)) {
                let found = WORDS.iter().find(|(refused, _)| refused.eq_ignore_ascii_case(word));
                offenders.extend(found.map(|(word, instead)| format!("{name}:{}: {word}: say {instead}", number + 1)));
            }
        }
    }
    assert_none(&offenders, "words that name nothing to a reader who knows SSH and Rust");
}

/// The words of a line. Identifiers are split at `_` and before capitals: `EngineSet` is two words.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !character.is_alphabetic()).flat_map(split_capitals)
}

fn split_capitals(identifier: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut after_capital = true;
    for (at, character) in identifier.char_indices() {
        if character.is_uppercase() && !after_capital {
            parts.push(&identifier[start..at]);
            start = at;
        }
        after_capital = character.is_uppercase();
    }
    parts.push(&identifier[start..]);
    parts
}

#[test]
fn no_type_or_function_has_a_name_that_fits_anything() {
    let mut offenders = Vec::new();
    for source in rust_files() {
        for (line, name) in source.declared_names() {
            let place = format!("{}:{line}: {name}", source.name());
            let of_type = TYPES.iter().find(|(refused, _)| *refused == name);
            offenders.extend(of_type.map(|(_, instead)| format!("{place}: say {instead}")));
            let of_function = FUNCTIONS.iter().find(|(refused, _, _)| *refused == name);
            let of_function = of_function.filter(|(_, _, place)| *place != Some(source.name().as_str()));
            offenders.extend(of_function.map(|(_, instead, _)| format!("{place}: say what it does: {instead}")));
        }
    }
    assert_none(&offenders, "names to replace");
}

#[test]
fn identifiers_are_split_into_words() {
    let split =
        |line| words(line).collect::<Vec<_>>().join(" ").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(split("/// An EngineSet, its http_get."), ["An", "Engine", "Set", "its", "http", "get"]);
    assert_eq!(split("HASH_LEN: SSHKey"), ["HASH", "LEN", "SSHKey"]);
}

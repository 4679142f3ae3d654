//! Ways through a text. Each takes a place and returns another, or none where there is no way.

mod bracket;
mod object;
mod paragraph;
mod word;

pub(crate) use bracket::{Find, enclosing, find_in_line, matching, quoted};
pub(crate) use object::{paragraph_object, word_object};
pub(crate) use paragraph::{next_paragraph, next_sentence, previous_paragraph, previous_sentence};
pub(crate) use word::{next_word, previous_end, previous_word, word_end};

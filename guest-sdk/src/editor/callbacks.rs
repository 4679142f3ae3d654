//! What an editor asks its caller: completions, and whether a text is complete.

/// Answers the questions of an editor. All have defaults; `()` has no others.
pub trait Callbacks {
    /// The completions of the word at the cursor, a byte of the text. See [`Completions`]. The default has none.
    fn complete(&mut self, text: &str, cursor: usize) -> Completions {
        let _ = (text, cursor);
        Completions::default()
    }

    /// Whether the text needs another line before it can be accepted, such as after an open quote. The default accepts
    /// any text.
    fn is_incomplete(&mut self, text: &str) -> bool {
        let _ = text;
        false
    }
}

impl Callbacks for () {}

/// What the word at the cursor may become.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Completions {
    /// Where the word begins, as a byte of the text. From here to the cursor it is replaced.
    pub start: usize,
    /// In the order in which they are listed.
    pub candidates: Vec<Candidate>,
}

/// A text that may take the place of a word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidate {
    /// What is inserted, with whatever quotes the caller's language needs.
    pub text: String,
    /// What is inserted after it if it is the only candidate, such as a blank or a closing quote. Nothing, if the text
    /// goes on with the same already.
    pub end: String,
    /// What a list shows. Empty: the text.
    pub shown: String,
}

impl Candidate {
    /// A word that is followed by a blank.
    pub fn word(text: impl Into<String>) -> Self {
        Self { text: text.into(), end: " ".to_owned(), shown: String::new() }
    }

    /// What a list shows.
    pub(super) fn label(&self) -> &str {
        if self.shown.is_empty() { &self.text } else { &self.shown }
    }
}

impl Completions {
    /// What all candidates begin with.
    pub(super) fn shared_beginning(&self) -> &str {
        let Some((first, others)) = self.candidates.split_first() else { return "" };
        let common = others.iter().fold(first.text.len(), |common, other| {
            let same = first.text.bytes().zip(other.text.bytes()).take_while(|(one, other)| one == other).count();
            common.min(same)
        });
        &first.text[..first.text.floor_char_boundary(common)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_beginning_ends_between_characters() {
        let of = |words: &[&str]| Completions {
            start: 0,
            candidates: words.iter().map(|word| Candidate::word(*word)).collect(),
        };
        assert_eq!(of(&[]).shared_beginning(), "");
        assert_eq!(of(&["abc"]).shared_beginning(), "abc");
        assert_eq!(of(&["abc", "abd", "ab"]).shared_beginning(), "ab");
        assert_eq!(of(&["aé", "aè"]).shared_beginning(), "a");
    }
}

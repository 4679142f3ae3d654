//! The list of completions below the line: the question whether to show many, and one page after the other.

mod listing;

use super::callbacks::Candidate;
use super::input::{Code, Key};

/// A list that waits for a key.
#[derive(Debug)]
pub(super) enum Menu {
    /// Whether to show this many.
    Ask(Vec<Candidate>),
    /// The rows that were not shown yet.
    More(std::vec::IntoIter<String>),
}

/// The size of the terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

const MORE: &str = "--More--";

/// What a key means to a question.
enum Answer {
    Yes,
    /// One row only.
    Row,
    No,
    Unclear,
}

fn answer(key: Key) -> Answer {
    match (key.code, key.control) {
        (Code::Char('y' | 'Y' | ' '), false) | (Code::Tab, _) => Answer::Yes,
        (Code::Enter, _) => Answer::Row,
        (Code::Char('n' | 'N' | 'q' | 'Q'), false) | (Code::Backspace | Code::Escape, _) => Answer::No,
        (Code::Char('c' | 'g' | 'd' | 'h'), true) => Answer::No,
        _ => Answer::Unclear,
    }
}

impl Menu {
    /// Writes a list, or the question before it. `None`: it is whole.
    pub(super) fn open(candidates: Vec<Candidate>, ask_above: usize, page: Page, out: &mut Vec<u8>) -> Option<Self> {
        if candidates.len() > ask_above {
            out.extend(format!("Display all {} possibilities? (y or n)", candidates.len()).bytes());
            return Some(Self::Ask(candidates));
        }
        Self::show(&candidates, page, out)
    }

    fn show(candidates: &[Candidate], page: Page, out: &mut Vec<u8>) -> Option<Self> {
        more(listing::rows(candidates, page.columns).into_iter(), page.rows.saturating_sub(1).max(1), out)
    }

    /// Takes a key. `None`: the list is over. The flag is false if the key means nothing.
    pub(super) fn key(self, key: Key, page: Page, out: &mut Vec<u8>) -> (Option<Self>, bool) {
        let answer = answer(key);
        match (self, answer) {
            (menu, Answer::Unclear) | (menu @ Self::Ask(_), Answer::Row) => (Some(menu), false),
            (Self::Ask(candidates), Answer::Yes) => {
                out.extend_from_slice(b"\r\n");
                (Self::show(&candidates, page, out), true)
            }
            (Self::Ask(_), Answer::No) => {
                out.extend_from_slice(b"\r\n");
                (None, true)
            }
            (Self::More(rows), answer) => {
                out.push(b'\r');
                out.extend(std::iter::repeat_n(b' ', MORE.len()));
                out.push(b'\r');
                let count = match answer {
                    Answer::Yes => page.rows.saturating_sub(1).max(1),
                    Answer::Row => 1,
                    Answer::No | Answer::Unclear => return (None, true),
                };
                (more(rows, count, out), true)
            }
        }
    }
}

/// Writes so many rows.
fn more(mut rows: std::vec::IntoIter<String>, count: usize, out: &mut Vec<u8>) -> Option<Menu> {
    for row in rows.by_ref().take(count) {
        out.extend_from_slice(row.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if rows.len() == 0 {
        return None;
    }
    out.extend_from_slice(MORE.as_bytes());
    Some(Menu::More(rows))
}

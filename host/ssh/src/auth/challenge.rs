//! RFC 4256, keyboard-interactive: what a server asks the client's user, and the answers.

use std::fmt;

use zeroize::Zeroizing;

use super::text::{Lines, printable};
use crate::message::interactive::InteractiveMessage;
use crate::message::{Encode, Output};
use crate::wire::{Malformed, Reader, Rest, Wire};

/// The most prompts of one challenge. Our limit.
pub const MOST_PROMPTS: usize = 16;
/// Longest name in bytes. Our limit, as the two below.
const NAME: usize = 256;
/// Longest instruction in bytes.
const INSTRUCTION: usize = 4096;
/// Longest prompt in bytes.
const PROMPT: usize = 512;
/// Longest answer in bytes: that of a password.
pub(super) const ANSWER: usize = 1024;

/// What a server asks the client's user in one round. RFC 4256 §3.2.
///
/// Texts have no control characters except tabs and, in the instruction and the prompts, line ends. Longer ones are
/// cut: a name to 256 bytes, an instruction to 4096, a prompt to 512.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    name: String,
    instruction: String,
    prompts: Vec<Prompt>,
}

/// One question to the client's user.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Prompt {
    text: String,
    /// Whether the answer may be shown while it is typed.
    echo: bool,
}

/// More prompts than [`MOST_PROMPTS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyPrompts;

impl fmt::Display for TooManyPrompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a challenge has at most {MOST_PROMPTS} prompts")
    }
}

impl std::error::Error for TooManyPrompts {}

impl Challenge {
    /// A challenge with these prompts. The flag of each says whether the answer may be shown while it is typed. A
    /// challenge without prompts only shows its texts; the client answers with an empty list (RFC 4256 §3.2).
    ///
    /// An empty prompt, which the RFC forbids, becomes a colon.
    ///
    /// # Errors
    /// There are more than [`MOST_PROMPTS`].
    pub fn new<'p>(
        name: &str,
        instruction: &str,
        prompts: impl IntoIterator<Item = (&'p str, bool)>,
    ) -> Result<Challenge, TooManyPrompts> {
        let mut kept = Vec::new();
        for (text, echo) in prompts {
            if kept.len() == MOST_PROMPTS {
                return Err(TooManyPrompts);
            }
            let text = printable(text, Lines::Lf, PROMPT);
            kept.push(Prompt { text: if text.is_empty() { ": ".to_owned() } else { text }, echo });
        }
        let name = printable(name, Lines::One, NAME);
        let instruction = printable(instruction, Lines::Lf, INSTRUCTION);
        Ok(Challenge { name, instruction, prompts: kept })
    }

    /// One prompt for a secret, with these words.
    pub fn secret(prompt: &str) -> Challenge {
        let text = printable(prompt, Lines::Lf, PROMPT);
        Challenge { name: String::new(), instruction: String::new(), prompts: vec![Prompt { text, echo: false }] }
    }

    /// How many prompts it has: the client must give as many answers.
    pub(super) fn prompts(&self) -> usize {
        self.prompts.len()
    }

    /// Writes INFO_REQUEST.
    pub(super) fn put(&self, out: &mut impl Output) {
        let mut prompts = Vec::new();
        for Prompt { text, echo } in &self.prompts {
            text.as_bytes().write(&mut prompts);
            echo.write(&mut prompts);
        }
        out.put(&InteractiveMessage::InfoRequest {
            name: self.name.as_bytes(),
            instruction: self.instruction.as_bytes(),
            language: b"",
            count: u32::try_from(self.prompts.len()).expect("at most MOST_PROMPTS"),
            prompts: Rest(&prompts),
        });
    }
}

/// The answers of a client's user, zeroized on drop.
pub(super) struct UserAnswers(Vec<Zeroizing<Vec<u8>>>);

impl UserAnswers {
    /// Copies the `count` answers of which `from` must consist. None if one of them has more than 1024 bytes.
    pub(super) fn read(from: &[u8], count: usize) -> Result<Option<UserAnswers>, Malformed> {
        let mut reader = Reader::new(from);
        let mut answers = Some(Vec::new());
        for _ in 0..count {
            let answer = reader.string()?;
            if answer.len() > ANSWER {
                answers = None;
            }
            if let Some(answers) = &mut answers {
                answers.push(Zeroizing::new(answer.to_vec()));
            }
        }
        reader.finish()?;
        Ok(answers.map(UserAnswers))
    }

    pub(super) fn as_slice(&self) -> &[Zeroizing<Vec<u8>>] {
        &self.0
    }
}

/// What a client was asked, as received: any bytes. Escape them before they are shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceivedChallenge {
    /// A headline.
    pub name: Vec<u8>,
    /// Text to show before the prompts.
    pub instruction: Vec<u8>,
    /// The prompts, each with whether the answer may be shown while it is typed.
    pub prompts: Vec<(Vec<u8>, bool)>,
}

impl ReceivedChallenge {
    /// Reads the fields of INFO_REQUEST. Never allocates by `count`, which the peer chooses.
    pub(super) fn read(
        name: &[u8],
        instruction: &[u8],
        count: u32,
        prompts: &[u8],
    ) -> Result<ReceivedChallenge, Malformed> {
        let mut reader = Reader::new(prompts);
        let mut received =
            ReceivedChallenge { name: name.to_vec(), instruction: instruction.to_vec(), prompts: Vec::new() };
        for _ in 0..count {
            received.prompts.push((reader.string()?.to_vec(), bool::read(&mut reader)?));
        }
        reader.finish()?;
        Ok(received)
    }
}

/// INFO_RESPONSE with these answers, RFC 4256 §3.4.
pub(super) struct Response<'a>(pub(super) &'a [Zeroizing<Vec<u8>>]);

impl Encode for Response<'_> {
    fn encode(&self, to: &mut Vec<u8>) {
        // Reserves room for everything: a buffer that grows leaves copies behind.
        let mut answers = Zeroizing::new(Vec::with_capacity(self.0.iter().map(|answer| 4 + answer.len()).sum()));
        for answer in self.0 {
            answer.as_slice().write(&mut answers);
        }
        let count = u32::try_from(self.0.len()).expect("no message of ours comes near 4 GiB");
        InteractiveMessage::InfoResponse { count, answers: Rest(&answers) }.encode(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_printable_and_bounded() {
        let challenge = Challenge::new("a\nb\x1b[m", "c\nd\x07", [("e\x1b]0;x\x07\nf", true), ("\0", false)]).unwrap();
        assert_eq!((challenge.name.as_str(), challenge.instruction.as_str()), ("ab[m", "c\nd"));
        let prompts = [("e]0;x\nf", true), (": ", false)].map(|(text, echo)| Prompt { text: text.to_owned(), echo });
        assert_eq!(challenge.prompts, prompts);
        let long = "ü".repeat(10_000);
        let challenge = Challenge::new(&long, &long, [(long.as_str(), false)]).unwrap();
        assert_eq!((challenge.name.len(), challenge.instruction.len()), (256, 4096));
        assert_eq!(challenge.prompts[0].text.len(), 512);
    }

    #[test]
    fn the_number_of_prompts_is_bounded() {
        let prompts = |count| Challenge::new("", "", std::iter::repeat_n(("x", false), count));
        assert_eq!(prompts(16).map(|challenge| challenge.prompts()), Ok(16));
        assert_eq!(prompts(17), Err(TooManyPrompts));
        assert_eq!(prompts(0).map(|challenge| challenge.prompts()), Ok(0));
    }

    #[test]
    fn answers_are_exactly_the_bytes_that_were_sent() {
        let answers = |from: &[u8], count| {
            let answers = UserAnswers::read(from, count)?;
            Ok(answers.map(|answers| answers.as_slice().iter().map(|answer| answer.to_vec()).collect::<Vec<_>>()))
        };
        assert_eq!(answers(b"", 0), Ok(Some(vec![])));
        assert_eq!(answers(b"\0\0\0\x01a\0\0\0\0", 2), Ok(Some(vec![b"a".to_vec(), vec![]])));
        assert_eq!(answers(b"\0\0\0\x01a\0\0\0\0", 1), Err(Malformed::Trailing));
        assert_eq!(answers(b"\0\0\0\x01a", 2), Err(Malformed::Truncated));
        assert_eq!(answers(b"\xff\xff\xff\xffa", 1), Err(Malformed::Truncated));
        let long = [&b"\0\0\x04\x01"[..], &[b'x'; 1025], b"\0\0\0\x01a"].concat();
        assert_eq!(answers(&long, 2), Ok(None));
        assert_eq!(answers(&long, 1), Err(Malformed::Trailing));
    }
}

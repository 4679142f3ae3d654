//! The words of a command by the rules of a shell, without expansion, as a program gets them.

use std::borrow::Cow;

/// Where programs are for those who name them by their paths.
const PLACES: [&str; 2] = ["/bin/", "/usr/bin/"];

/// The words of a command, up to one that is not UTF-8 or a quote without an end. If the first is the path of a program
/// in `/bin` or `/usr/bin`, it is the program's name.
pub(crate) fn command_words(command: &[u8]) -> impl Iterator<Item = String> {
    let words = shlex::bytes::Shlex::new(command).map_while(|word| String::from_utf8(word).ok());
    words.enumerate().map(|(at, word)| if at == 0 { name_of(&word).to_owned() } else { word })
}

/// The name of the program that the first word of a command names. `None` if it has no word. What is not UTF-8 is
/// replaced, since no program has such a name.
#[must_use]
pub fn program_name(command: &[u8]) -> Option<Cow<'_, str>> {
    if let Some(word) = plain_word(command) {
        return Some(name_of(word).into());
    }
    let word = shlex::bytes::Shlex::new(command).next()?;
    Some(name_of(&String::from_utf8_lossy(&word)).to_owned().into())
}

/// The first word of a command that begins with it, if nothing in it means anything to a shell.
fn plain_word(command: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./-".contains(byte);
    let end = command.iter().position(|byte| !is_plain(byte)).unwrap_or(command.len());
    let (word, rest) = command.split_at_checked(end)?;
    let ends = rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\n'));
    if word.is_empty() || !ends { None } else { str::from_utf8(word).ok() }
}

fn name_of(word: &str) -> &str {
    PLACES.iter().find_map(|place| word.strip_prefix(place)).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_the_folders_of_programs_are_no_part_of_a_name() {
        for command in ["ls", " ls -l", "'ls' -l", "\"l\"s", "l\\s", "/bin/ls", "'/usr/bin/ls' -l", "ls\n-l"] {
            assert_eq!(program_name(command.as_bytes()).as_deref(), Some("ls"), "{command:?}");
        }
        for other in ["/sbin/ls", "//bin/ls", "./ls", "bin/ls", "/bin/bin/ls", "LS", "l's", "ls\u{a0}"] {
            assert_ne!(program_name(other.as_bytes()).as_deref(), Some("ls"), "{other:?}");
        }
        for command in
            [&b"/bin/l-s.1_x"[..], b"/bin/l-s.1_x\t2", b"/bin/l-s.1_x\n", b"/bin/'l-s.1_x' 2", b"/bin/l-s.1_x''"]
        {
            assert_eq!(program_name(command).as_deref(), Some("l-s.1_x"), "{command:?}");
        }
        assert_eq!([program_name(b"  "), program_name(b"")], [None, None]);
        assert_eq!(program_name(b"l\xffs").as_deref(), Some("l\u{fffd}s"));
    }

    #[test]
    fn words_end_at_what_no_program_could_get() {
        let words = |command: &[u8]| command_words(command).collect::<Vec<_>>();
        assert_eq!(words(b"/bin/git 'l'fs /bin/x"), ["git", "lfs", "/bin/x"]);
        assert_eq!(words(b"git \xff lfs"), ["git"]);
        assert_eq!(words(b"git 'lfs"), ["git"]);
        assert_eq!(words(b"\xff git"), [""; 0]);
    }
}

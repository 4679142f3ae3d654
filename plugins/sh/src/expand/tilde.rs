//! Tilde expansion (XCU 2.6.1).

use crate::state::Shell;

impl Shell {
    /// Expands the tildes of unquoted text: one at the beginning, with `first`, and those after a colon, with
    /// `assignment`. `more`: other parts of the word follow. Returns a home that is not to be split, and the rest.
    pub(super) fn tildes(&self, text: &str, first: bool, more: bool, assignment: bool) -> (Option<String>, String) {
        if !assignment {
            return match self.tilde(text, more, !self.posix()) {
                Some((home, length)) if first => (Some(home), text[length..].to_owned()),
                _ => (None, text.to_owned()),
            };
        }
        let mut result = String::new();
        let pieces: Vec<&str> = text.split(':').collect();
        for (at, piece) in pieces.iter().enumerate() {
            if at > 0 {
                result.push(':');
            }
            let more = more && at + 1 == pieces.len();
            match self.tilde(piece, more, true) {
                Some((home, length)) if first || at > 0 => {
                    result.push_str(&home);
                    result.push_str(&piece[length..]);
                }
                _ => result.push_str(piece),
            }
        }
        (Some(result), String::new())
    }

    /// The directory that `~N`, `~+N` or `~-N` names: by its place on the stack, from its end with `-`.
    fn directory_at(&self, place: &str) -> Option<String> {
        let number: usize = place.trim_start_matches(['+', '-']).parse().ok()?;
        let all: Vec<&String> = std::iter::once(&self.cwd).chain(self.directories.iter().rev()).collect();
        let at = if place.starts_with('-') { all.len().checked_sub(number + 1)? } else { number };
        all.get(at).map(|path| (*path).clone())
    }

    /// The home that `~`, `~user`, `~+` or `~-` at the beginning names, and how long that name is.
    fn tilde(&self, text: &str, more: bool, colons: bool) -> Option<(String, usize)> {
        let rest = text.strip_prefix('~')?;
        let length = rest.find(|next| next == '/' || colons && next == ':').unwrap_or(rest.len());
        if length == rest.len() && more {
            // The name goes on in a part that is quoted or expanded.
            return None;
        }
        let user = &rest[..length];
        let home = match user {
            "" => self.text_of("HOME").or_else(|| {
                let user = self.text_of("USER").or_else(|| self.text_of("LOGNAME"))?;
                self.system.home_of(&user)
            })?,
            "+" => self.text_of("PWD")?,
            "-" => self.text_of("OLDPWD")?,
            place if place.trim_start_matches(['+', '-']).bytes().all(|byte| byte.is_ascii_digit()) => {
                self.directory_at(place)?
            }
            user => self.system.home_of(user)?,
        };
        // Two slashes in a row would be another path.
        let home =
            if rest[length..].starts_with('/') { home.strip_suffix('/').unwrap_or(&home).to_owned() } else { home };
        Some((home, length + 1))
    }
}

//! The options of `set` and `shopt`.

use std::collections::BTreeSet;

/// The options of `set`: letter (or a space) and name.
pub(crate) const SET_OPTIONS: &[(char, &str)] = &[
    ('a', "allexport"),
    ('B', "braceexpand"),
    (' ', "emacs"),
    ('e', "errexit"),
    ('E', "errtrace"),
    ('T', "functrace"),
    ('h', "hashall"),
    ('H', "histexpand"),
    (' ', "history"),
    (' ', "ignoreeof"),
    (' ', "interactive-comments"),
    ('k', "keyword"),
    ('m', "monitor"),
    ('C', "noclobber"),
    ('n', "noexec"),
    ('f', "noglob"),
    (' ', "nolog"),
    ('b', "notify"),
    ('u', "nounset"),
    ('t', "onecmd"),
    ('P', "physical"),
    (' ', "pipefail"),
    (' ', "posix"),
    ('p', "privileged"),
    ('v', "verbose"),
    (' ', "vi"),
    ('x', "xtrace"),
];

/// The options of `shopt`, and whether they are on at the start.
pub(crate) const SHOPTS: &[(&str, bool)] = &[
    ("autocd", false),
    ("assoc_expand_once", false),
    ("cdable_vars", false),
    ("cdspell", false),
    ("checkhash", false),
    ("checkjobs", false),
    ("checkwinsize", true),
    ("cmdhist", true),
    ("compat31", false),
    ("compat32", false),
    ("compat40", false),
    ("compat41", false),
    ("compat42", false),
    ("compat43", false),
    ("compat44", false),
    ("complete_fullquote", true),
    ("direxpand", false),
    ("dirspell", false),
    ("dotglob", false),
    ("execfail", false),
    ("expand_aliases", false),
    ("extdebug", false),
    ("extglob", false),
    ("extquote", true),
    ("failglob", false),
    ("force_fignore", true),
    ("globasciiranges", true),
    ("globskipdots", true),
    ("globstar", false),
    ("gnu_errfmt", false),
    ("histappend", false),
    ("histreedit", false),
    ("histverify", false),
    ("hostcomplete", true),
    ("huponexit", false),
    ("inherit_errexit", false),
    ("interactive_comments", true),
    ("lastpipe", false),
    ("lithist", false),
    ("localvar_inherit", false),
    ("localvar_unset", false),
    ("login_shell", false),
    ("mailwarn", false),
    ("no_empty_cmd_completion", false),
    ("nocaseglob", false),
    ("nocasematch", false),
    ("noexpand_translation", false),
    ("nullglob", false),
    ("patsub_replacement", true),
    ("progcomp", true),
    ("progcomp_alias", false),
    ("promptvars", true),
    ("restricted_shell", false),
    ("shift_verbose", false),
    ("sourcepath", true),
    ("varredir_close", false),
    ("xpg_echo", false),
];

/// The options that are on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    on: BTreeSet<&'static str>,
    /// Those that are asked for with each command.
    often: Often,
}

macro_rules! often {
    ($($field:ident)*) => {
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        struct Often {
            $($field: bool,)*
        }

        impl Often {
            /// None: it is not one of these. With a name that is known the compiler leaves one field.
            #[inline(always)]
            fn get(&self, name: &str) -> Option<bool> {
                $(if name == stringify!($field) { return Some(self.$field); })*
                None
            }

            fn set(&mut self, name: &str, on: bool) {
                $(if name == stringify!($field) { self.$field = on; })*
            }
        }
    };
}

often! {
    allexport braceexpand errexit extdebug extglob lastpipe monitor noglob nounset onecmd pipefail posix verbose xtrace
}

impl Options {
    pub(crate) fn new() -> Self {
        let shopts = SHOPTS.iter().filter(|(_, on)| *on).map(|(name, _)| *name);
        let on = shopts.chain(["braceexpand", "hashall", "interactive-comments"]).collect();
        Self { on, often: Often { braceexpand: true, ..Often::default() } }
    }

    #[inline(always)]
    pub(crate) fn is_on(&self, name: &str) -> bool {
        match self.often.get(name) {
            Some(on) => on,
            None => self.on.contains(name),
        }
    }

    /// Whether there is an option of that name.
    pub(crate) fn set(&mut self, name: &str, on: bool) -> bool {
        let names = SET_OPTIONS.iter().map(|(_, name)| *name).chain(SHOPTS.iter().map(|(name, _)| *name));
        let Some(name) = names.into_iter().find(|known| *known == name) else { return false };
        self.often.set(name, on);
        if on {
            self.on.insert(name);
            // Lines are edited with the keys of one of them.
            match name {
                "vi" => self.on.remove("emacs"),
                "emacs" => self.on.remove("vi"),
                _ => false,
            };
        } else {
            self.on.remove(name);
        }
        true
    }

    /// `$-`.
    pub(crate) fn letters(&self) -> String {
        let mut letters: Vec<char> = SET_OPTIONS
            .iter()
            .filter(|(letter, name)| *letter != ' ' && self.is_on(name))
            .map(|(letter, _)| *letter)
            .collect();
        letters.sort_by_key(|letter| (letter.is_uppercase(), *letter));
        letters.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_keys_of_one_editor() {
        let mut options = Options::new();
        let mut keys = |name, on| {
            options.set(name, on);
            (options.is_on("emacs"), options.is_on("vi"))
        };
        assert_eq!(keys("emacs", true), (true, false));
        assert_eq!(keys("vi", true), (false, true));
        assert_eq!(keys("emacs", false), (false, true));
        assert_eq!(keys("emacs", true), (true, false));
        assert_eq!(keys("emacs", false), (false, false));
    }
}

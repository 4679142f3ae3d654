//! The table of builtins.

use super::{control, declare, directory, help, history, jobs, limits, names, print, read, set, test, traps};
use crate::state::{Run, Shell};

/// A builtin: gets its fields, its name first, and gives a status.
pub(crate) type Builtin = fn(&mut Shell, &[String]) -> Run<i32>;

/// All builtins, and whether they are special (XCU 2.14).
const BUILTINS: &[(&str, bool, Builtin)] = &[
    (".", true, control::source),
    (":", true, control::success),
    ("[", false, test::test),
    ("alias", false, names::alias),
    ("bg", false, jobs::bg),
    ("break", true, control::leave_loop),
    ("builtin", false, names::builtin),
    ("caller", false, control::caller),
    ("cd", false, directory::cd),
    ("command", false, names::command),
    ("continue", true, control::leave_loop),
    ("declare", false, declare::declare),
    ("dirs", false, directory::dirs),
    ("disown", false, jobs::disown),
    ("echo", false, print::echo),
    ("enable", false, names::enable),
    ("eval", true, control::eval),
    ("exec", true, control::exec),
    ("exit", true, control::exit),
    ("export", true, declare::export),
    ("false", false, control::failure),
    ("fc", false, history::fc),
    ("fg", false, jobs::fg),
    ("getopts", false, read::getopts),
    ("hash", false, names::hash),
    ("help", false, help::help),
    ("history", false, history::history),
    ("jobs", false, jobs::jobs),
    ("kill", false, jobs::kill),
    ("let", false, control::arithmetic),
    ("local", false, declare::local),
    ("logout", false, control::exit),
    ("mapfile", false, read::mapfile),
    ("popd", false, directory::popd),
    ("printf", false, print::printf),
    ("pushd", false, directory::pushd),
    ("pwd", false, directory::pwd),
    ("read", false, read::read),
    ("readarray", false, read::mapfile),
    ("readonly", true, declare::readonly),
    ("return", true, control::leave_function),
    ("set", true, set::set),
    ("shift", true, control::shift),
    ("shopt", false, set::shopt),
    ("source", true, control::source),
    ("test", false, test::test),
    ("times", true, limits::times),
    ("trap", true, traps::trap),
    ("true", false, control::success),
    ("type", false, names::kinds),
    ("typeset", false, declare::declare),
    ("ulimit", false, limits::ulimit),
    ("umask", false, limits::umask),
    ("unalias", false, names::unalias),
    ("unset", true, declare::unset),
    ("wait", false, jobs::wait),
];

/// The names of all builtins.
pub(crate) fn all_names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|(name, ..)| *name)
}

/// The builtin of a name.
pub(crate) fn find(name: &str) -> Option<Builtin> {
    let found = BUILTINS.binary_search_by_key(&name, |(name, _, _)| name).ok()?;
    Some(BUILTINS[found].2)
}

pub(crate) fn is_special(name: &str) -> bool {
    BUILTINS.binary_search_by_key(&name, |(name, _, _)| name).is_ok_and(|found| BUILTINS[found].1)
}

/// Whether arguments that are assignments are expanded as such.
pub(crate) fn declares(name: &str) -> bool {
    ["declare", "typeset", "local", "export", "readonly"].contains(&name)
}

impl Shell {
    /// The builtin of a name.
    pub(crate) fn builtin_of(&self, name: &str) -> Option<Builtin> {
        find(name).filter(|_| self.disabled.is_empty() || !self.disabled.iter().any(|disabled| disabled == name))
    }

    /// The names of all builtins, and whether they are special.
    pub(super) fn builtin_names(&self) -> impl Iterator<Item = (&'static str, bool)> + use<> {
        BUILTINS.iter().map(|(name, special, _)| (*name, *special))
    }

    pub(super) fn is_special_builtin(&self, name: &str) -> bool {
        is_special(name)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_is_sorted() {
        assert!(super::BUILTINS.is_sorted_by_key(|(name, _, _)| name));
    }
}

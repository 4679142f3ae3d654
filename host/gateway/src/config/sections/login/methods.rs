//! The setting `methods`: which methods of authentication must succeed, one after the other.

use std::fmt;

use whelk_ssh::auth::method::AuthMethod;

use crate::config::reader::{Findings, Item};
use crate::config::setting::text;
use crate::config::suggest::nearest;

/// The most lists of one setting.
const MOST_LISTS: usize = 16;
/// The most methods of one list.
const MOST_METHODS: usize = 8;
/// The list that any method satisfies, as in sshd_config.
const ANY: &str = "any";

/// Which methods must succeed. The default is any one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredMethods {
    /// Lists of which one must succeed, each method in its turn. Empty: any one method.
    lists: Vec<Vec<AuthMethod>>,
}

impl RequiredMethods {
    /// One of these lists. None of them is empty.
    pub fn one_of(lists: Vec<Vec<AuthMethod>>) -> RequiredMethods {
        RequiredMethods { lists }
    }

    /// The lists of which one must succeed, or none if any one method does.
    pub fn lists(&self) -> &[Vec<AuthMethod>] {
        &self.lists
    }

    /// Whether a user with these credentials can satisfy a list: `keys` is how many keys the user may have.
    pub(in crate::config) fn can_be_satisfied(&self, keys: usize, password: bool) -> bool {
        let has = |list: &Vec<AuthMethod>| {
            let demanded = list.iter().filter(|method| **method == AuthMethod::PublicKey).count();
            demanded <= keys && (password || demanded == list.len())
        };
        self.lists.is_empty() || self.lists.iter().any(has)
    }
}

/// As the setting has it.
impl fmt::Display for RequiredMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lists.is_empty() {
            return f.write_str(ANY);
        }
        let list = |list: &Vec<AuthMethod>| list.iter().map(|method| method.name()).collect::<Vec<_>>().join(",");
        f.write_str(&self.lists.iter().map(list).collect::<Vec<_>>().join(" or "))
    }
}

/// Reads the setting. None only after an error.
pub(in crate::config) fn read(item: &Item<'_>, findings: &mut Findings) -> Option<RequiredMethods> {
    let before = findings.problems.len();
    let elements = item.elements(findings);
    if findings.problems.len() == before && (elements.is_empty() || elements.len() > MOST_LISTS) {
        let what = format!("must have from 1 to {MOST_LISTS} lists, such as \"publickey,password\", or \"any\"");
        findings.add(&item.span, &item.key, what);
    }
    let lists: Vec<Option<Vec<AuthMethod>>> = elements
        .iter()
        .filter_map(|element| {
            let list = findings.keep(element, text(element.value).and_then(|text| read_list(text, elements.len())))?;
            if list.as_ref().is_some_and(|list| asks_twice(list)) {
                findings.note(element, "asks for the same password twice, which is not a second factor");
            }
            Some(list)
        })
        .collect();
    if findings.problems.len() > before {
        return None;
    }
    Some(RequiredMethods { lists: lists.into_iter().flatten().collect() })
}

/// One list. None for "any", which stands alone.
fn read_list(text: &str, lists: usize) -> Result<Option<Vec<AuthMethod>>, String> {
    if text == ANY {
        let alone = "\"any\" stands alone: with it every other list has no effect".to_owned();
        return if lists == 1 { Ok(None) } else { Err(alone) };
    }
    let list = text.split(',').map(read_method).collect::<Result<Vec<_>, _>>()?;
    if list.len() > MOST_METHODS {
        return Err(format!("must have at most {MOST_METHODS} methods"));
    }
    for method in [AuthMethod::Password, AuthMethod::KeyboardInteractive] {
        if list.iter().filter(|other| **other == method).count() > 1 {
            return Err(format!(
                "requires {} twice: only publickey can be required again, with another key",
                method.name()
            ));
        }
    }
    Ok(Some(list))
}

fn read_method(name: &str) -> Result<AuthMethod, String> {
    let name = name.trim();
    AuthMethod::named(name).ok_or_else(|| {
        let names = AuthMethod::ALL.map(AuthMethod::name);
        let meant = nearest(name, names.into_iter()).map(|meant| format!(" (did you mean {meant:?}?)"));
        format!("there is no method {name:?}{}: {} or {ANY}", meant.unwrap_or_default(), names.join(", "))
    })
}

/// Whether the list asks for the user's one password by both methods.
fn asks_twice(list: &[AuthMethod]) -> bool {
    list.contains(&AuthMethod::Password) && list.contains(&AuthMethod::KeyboardInteractive)
}

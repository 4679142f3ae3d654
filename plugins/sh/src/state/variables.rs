//! Variables with their attributes and scopes.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// FNV-1a: names are short, and a tenant who makes them collide makes only its own shell wait.
#[derive(Clone, Copy)]
pub(crate) struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Names = HashMap<String, Variable, BuildHasherDefault<NameHasher>>;

/// The value of a variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Value {
    #[default]
    Unset,
    Scalar(String),
    Indexed(BTreeMap<i64, String>),
    Assoc(Assoc),
}

/// An associative array. Its keys are listed in the order in which bash lists them: by a hash, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Assoc {
    elements: HashMap<String, (u64, String)>,
    next: u64,
}

const BUCKETS: u32 = 1024;

impl Assoc {
    pub(crate) fn get(&self, key: &str) -> Option<&String> {
        self.elements.get(key).map(|(_, value)| value)
    }

    pub(crate) fn insert(&mut self, key: String, value: String) {
        self.next += 1;
        let number = self.elements.get(&key).map_or(self.next, |(number, _)| *number);
        self.elements.insert(key, (number, value));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.elements.remove(key);
    }

    /// Keys and values.
    pub(crate) fn list(&self) -> Vec<(&String, &String)> {
        let mut all: Vec<_> = self.elements.iter().collect();
        all.sort_by_key(|(key, (number, _))| (bucket(key), std::cmp::Reverse(*number)));
        all.into_iter().map(|(key, (_, value))| (key, value)).collect()
    }
}

/// bash's FNV-1 hash of a key.
fn bucket(key: &str) -> u32 {
    let hash = key.bytes().fold(2_166_136_261_u32, |hash, byte| hash.wrapping_mul(16_777_619) ^ u32::from(byte));
    hash & (BUCKETS - 1)
}

/// What kind of value a variable takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Scalar,
    Indexed,
    Assoc,
}

/// A variable. The flags are the attributes of `declare`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) value: Value,
    pub(crate) kind: Kind,
    pub(crate) exported: bool,
    pub(crate) readonly: bool,
    pub(crate) integer: bool,
    pub(crate) lower: bool,
    pub(crate) upper: bool,
    pub(crate) capital: bool,
    pub(crate) nameref: bool,
    pub(crate) trace: bool,
}

impl Variable {
    pub(crate) fn scalar(text: impl Into<String>) -> Self {
        Self { value: Value::Scalar(text.into()), ..Self::default() }
    }

    pub(crate) fn indexed(values: impl IntoIterator<Item = String>) -> Self {
        let value = Value::Indexed((0..).zip(values).collect());
        Self { value, kind: Kind::Indexed, ..Self::default() }
    }

    /// The value where a single one is wanted: of an array the element 0.
    pub(crate) fn text(&self) -> Option<&String> {
        match &self.value {
            Value::Unset => None,
            Value::Scalar(text) => Some(text),
            Value::Indexed(elements) => elements.get(&0),
            Value::Assoc(elements) => elements.get("0"),
        }
    }

    /// The letters of its attributes, in bash's order.
    pub(crate) fn letters(&self) -> String {
        let mut letters = String::new();
        let flags = [
            (self.kind == Kind::Indexed, 'a'),
            (self.kind == Kind::Assoc, 'A'),
            (self.integer, 'i'),
            (self.nameref, 'n'),
            (self.readonly, 'r'),
            (self.trace, 't'),
            (self.exported, 'x'),
            (self.capital, 'c'),
            (self.lower, 'l'),
            (self.upper, 'u'),
        ];
        letters.extend(flags.iter().filter(|(set, _)| *set).map(|(_, letter)| letter));
        letters
    }

    /// The text as its attributes `-l`, `-u` and `-c` make it.
    pub(crate) fn folded(&self, text: String) -> String {
        if self.lower {
            text.to_lowercase()
        } else if self.upper {
            text.to_uppercase()
        } else if self.capital {
            let mut chars = text.chars();
            chars
                .next()
                .map_or(String::new(), |first| first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect())
        } else {
            text
        }
    }
}

/// Why a scope was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScopeKind {
    Global,
    Function,
    /// The assignments before a command.
    Temporary,
}

#[derive(Debug, Clone)]
struct Scope {
    kind: ScopeKind,
    variables: Rc<Names>,
}

/// The scopes, the innermost last. Names are looked up from the innermost outwards.
#[derive(Debug, Clone)]
pub(crate) struct Variables {
    scopes: Vec<Scope>,
}

impl Variables {
    pub(crate) fn new() -> Self {
        let mut variables = Self { scopes: Vec::new() };
        variables.push(ScopeKind::Global);
        variables
    }

    pub(crate) fn push(&mut self, kind: ScopeKind) {
        self.scopes.push(Scope { kind, variables: Rc::default() });
    }

    /// Removes the innermost scope, and gives what was in it.
    pub(crate) fn pop(&mut self) -> Names {
        let scope = self.scopes.pop();
        scope.map(|scope| Rc::unwrap_or_clone(scope.variables)).unwrap_or_default()
    }

    /// Whether a variable is one of the assignments before a command.
    pub(crate) fn is_temporary(&self, name: &str) -> bool {
        self.index_of(name).is_some_and(|index| self.scopes[index].kind == ScopeKind::Temporary)
    }

    fn index_of(&self, name: &str) -> Option<usize> {
        self.scopes.iter().rposition(|scope| scope.variables.contains_key(name))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Variable> {
        self.scopes.iter().rev().find_map(|scope| scope.variables.get(name))
    }

    /// The variable, made in the global scope if there is none.
    pub(crate) fn get_mut(&mut self, name: &str) -> &mut Variable {
        let index = self.index_of(name).unwrap_or(0);
        Rc::make_mut(&mut self.scopes[index].variables).entry(name.to_owned()).or_default()
    }

    /// The scope of the innermost function.
    fn function_scope(&self) -> Option<usize> {
        self.scopes.iter().rposition(|scope| scope.kind == ScopeKind::Function)
    }

    pub(crate) fn in_function(&self) -> bool {
        self.function_scope().is_some()
    }

    /// Whether the innermost function has a variable of that name.
    pub(crate) fn is_local(&self, name: &str) -> bool {
        self.function_scope().is_some_and(|index| self.scopes[index].variables.contains_key(name))
    }

    /// Makes a variable of the innermost function. What was set for its call is its value.
    pub(crate) fn local(&mut self, name: &str) -> &mut Variable {
        let index = self.function_scope().unwrap_or(0);
        let before = index.checked_sub(1).map(|index| &self.scopes[index]);
        let passed = before
            .filter(|scope| scope.kind == ScopeKind::Temporary)
            .and_then(|scope| scope.variables.get(name))
            .cloned();
        let scope = Rc::make_mut(&mut self.scopes[index].variables);
        scope.entry(name.to_owned()).or_insert_with(|| passed.unwrap_or_default())
    }

    /// Sets a variable of the innermost scope, whatever it is.
    pub(crate) fn set_here(&mut self, name: &str, variable: Variable) {
        if let Some(scope) = self.scopes.last_mut() {
            Rc::make_mut(&mut scope.variables).insert(name.to_owned(), variable);
        }
    }

    pub(crate) fn global(&mut self, name: &str) -> &mut Variable {
        Rc::make_mut(&mut self.scopes[0].variables).entry(name.to_owned()).or_default()
    }

    /// Unsets a variable. One of the innermost function stays there without a value, so that it keeps hiding others.
    pub(crate) fn unset(&mut self, name: &str) {
        let Some(index) = self.index_of(name) else { return };
        let own = Some(index) == self.function_scope();
        let scope = Rc::make_mut(&mut self.scopes[index].variables);
        if own {
            scope.insert(name.to_owned(), Variable::default());
        } else {
            scope.remove(name);
        }
    }

    /// All visible variables in the order of their names.
    pub(crate) fn all(&self) -> BTreeMap<&String, &Variable> {
        self.scopes.iter().flat_map(|scope| scope.variables.iter()).collect()
    }

    /// The names of the innermost function's variables.
    pub(crate) fn locals(&self) -> Vec<String> {
        let scope = self.function_scope().map(|index| &self.scopes[index]);
        let mut names: Vec<String> = scope.into_iter().flat_map(|scope| scope.variables.keys().cloned()).collect();
        names.sort();
        names
    }

    /// The exported variables that have a value, for the environment of a program.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let exported = self.all().into_iter().filter(|(_, variable)| variable.exported);
        // An array has no place in it.
        let scalar = exported.filter(|(_, variable)| variable.kind == Kind::Scalar);
        scalar.filter_map(|(name, variable)| Some((name.clone(), variable.text()?.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_as_bash_lists_them() {
        let mut array = Assoc::default();
        for key in ["one", "two", "three", "a", "b", "c", "key", "foo", "bar"] {
            array.insert(key.to_owned(), String::new());
        }
        let keys: Vec<&str> = array.list().into_iter().map(|(key, _)| key.as_str()).collect();
        // declare -A a=([one]= [two]= [three]= [a]= [b]= [c]= [key]= [foo]= [bar]=); echo "${!a[@]}" in bash 5.2.
        assert_eq!(keys, EXPECTED);
    }

    const EXPECTED: [&str; 9] = ["c", "b", "a", "foo", "two", "bar", "key", "three", "one"];

    #[test]
    fn locals_hide_and_go() {
        let mut variables = Variables::new();
        variables.global("x").value = Value::Scalar("outer".to_owned());
        variables.push(ScopeKind::Function);
        variables.local("x").value = Value::Scalar("inner".to_owned());
        assert_eq!(variables.get("x").and_then(Variable::text).unwrap(), "inner");
        variables.unset("x");
        assert_eq!(variables.get("x").and_then(Variable::text), None);
        variables.pop();
        assert_eq!(variables.get("x").and_then(Variable::text).unwrap(), "outer");
    }
}

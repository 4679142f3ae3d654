//! The methods of authentication that a server offers.

/// A method that FAILURE can list, RFC 4252 §5.1. `none` is not among them: §5.2 forbids listing it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AuthMethod {
    /// RFC 4252 §7.
    PublicKey,
    /// RFC 4252 §8.
    Password,
    /// RFC 4256.
    KeyboardInteractive,
}

impl AuthMethod {
    /// All methods, in the order in which OpenSSH's server lists them.
    pub const ALL: [AuthMethod; 3] = [AuthMethod::PublicKey, AuthMethod::Password, AuthMethod::KeyboardInteractive];

    /// The name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            AuthMethod::PublicKey => "publickey",
            AuthMethod::Password => "password",
            AuthMethod::KeyboardInteractive => "keyboard-interactive",
        }
    }

    /// The method of this name.
    pub fn named(name: &str) -> Option<AuthMethod> {
        AuthMethod::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// A set of methods.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct MethodSet(u8);

impl MethodSet {
    /// No method.
    pub const NONE: MethodSet = MethodSet(0);
    /// Every method.
    pub const ALL: MethodSet = MethodSet(0b111);

    /// Whether `method` is in the set.
    pub fn contains(self, method: AuthMethod) -> bool {
        self.0 & bit(method) != 0
    }

    /// The set with `method`.
    #[must_use]
    pub fn with(self, method: AuthMethod) -> MethodSet {
        MethodSet(self.0 | bit(method))
    }

    /// The methods that are in both sets.
    #[must_use]
    pub fn and(self, other: MethodSet) -> MethodSet {
        MethodSet(self.0 & other.0)
    }

    /// The methods that are in either set.
    #[must_use]
    pub fn or(self, other: MethodSet) -> MethodSet {
        MethodSet(self.0 | other.0)
    }

    /// Whether no method is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The methods, in the order of [`AuthMethod::ALL`].
    pub fn iter(self) -> impl Iterator<Item = AuthMethod> {
        AuthMethod::ALL.into_iter().filter(move |method| self.contains(*method))
    }

    /// The names with commas between them, as FAILURE has them. RFC 4252 §5.1.
    pub fn list(self) -> String {
        self.iter().map(AuthMethod::name).collect::<Vec<_>>().join(",")
    }
}

impl FromIterator<AuthMethod> for MethodSet {
    fn from_iter<I: IntoIterator<Item = AuthMethod>>(methods: I) -> MethodSet {
        methods.into_iter().fold(MethodSet::NONE, MethodSet::with)
    }
}

fn bit(method: AuthMethod) -> u8 {
    match method {
        AuthMethod::PublicKey => 1,
        AuthMethod::Password => 2,
        AuthMethod::KeyboardInteractive => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_its_methods_in_the_order_of_openssh() {
        let set: MethodSet = [AuthMethod::KeyboardInteractive, AuthMethod::PublicKey].into_iter().collect();
        assert_eq!((set.list().as_str(), set.is_empty()), ("publickey,keyboard-interactive", false));
        assert_eq!(MethodSet::ALL.list(), "publickey,password,keyboard-interactive");
        assert_eq!((MethodSet::NONE.list().as_str(), MethodSet::NONE.is_empty()), ("", true));
        assert_eq!(set.and(MethodSet::NONE.with(AuthMethod::PublicKey)).list(), "publickey");
        assert_eq!(set.or(MethodSet::NONE.with(AuthMethod::Password)), MethodSet::ALL);
        for method in AuthMethod::ALL {
            assert_eq!(AuthMethod::named(method.name()), Some(method));
        }
        assert_eq!(AuthMethod::named("none"), None);
    }
}

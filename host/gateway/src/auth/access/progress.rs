//! How far the login of one connection has come, when several methods must succeed.

use std::sync::Arc;

use whelk_ssh::auth::method::{AuthMethod, MethodSet};

use super::decision::{Identity, PartialLogin};
use crate::config::RequiredMethods;

/// The methods that have succeeded on one connection, for its one user name: the protocol ends a connection on which
/// the name changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AuthProgress {
    proofs: Vec<(AuthMethod, Identity)>,
    /// The methods of which one must follow the last.
    next: Option<MethodSet>,
}

/// What must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: a list is satisfied.
    Nothing,
    /// One of these methods.
    Methods(MethodSet),
}

impl AuthProgress {
    /// Adds what has succeeded.
    pub(crate) fn add(&mut self, partial: PartialLogin) {
        self.next = Some(partial.next);
        self.proofs.push((partial.method, partial.identity));
    }

    /// The methods that have succeeded, in order.
    pub(crate) fn done(&self) -> impl Iterator<Item = AuthMethod> {
        self.proofs.iter().map(|(method, _)| *method)
    }

    /// Whether this key has been proven already: a second key must be another one.
    pub(super) fn has_used(&self, fingerprint: &str) -> bool {
        self.proofs.iter().any(|(_, identity)| identity.fingerprint.as_deref() == Some(fingerprint))
    }

    /// The identity of a user whose last proof is this one: with the key and the certificate that were proven before
    /// it, and with the restrictions of all of them. None if they force different commands.
    pub(super) fn join(&self, last: Identity) -> Option<Identity> {
        let Some((_, earlier)) = self.proofs.last() else { return Some(last) };
        Some(Identity {
            restrictions: Arc::new(earlier.restrictions.and(&last.restrictions)?),
            fingerprint: last.fingerprint.or_else(|| earlier.fingerprint.clone()),
            certificate: last.certificate.or_else(|| earlier.certificate.clone()),
            evidence: last.evidence.after(&earlier.evidence),
            ..last
        })
    }

    /// Whether `method` may come next.
    pub(super) fn expects(&self, required: &RequiredMethods, method: AuthMethod) -> bool {
        matches!(next(required, self.done()), Next::Methods(methods) if methods.contains(method))
    }

    /// The same where an authenticator has a say: whether `method` is among those that the client was told.
    pub(super) fn offers(&self, required: &RequiredMethods, method: AuthMethod) -> bool {
        self.next.map_or_else(|| self.expects(required, method), |next| next.contains(method))
    }

    /// What must follow when `method` has succeeded, too.
    pub(super) fn after(&self, required: &RequiredMethods, method: AuthMethod) -> Next {
        next(required, self.done().chain([method]))
    }
}

/// What must follow these methods. As in OpenSSH each method advances every list whose turn it is.
fn next(required: &RequiredMethods, done: impl Iterator<Item = AuthMethod>) -> Next {
    let mut rests: Vec<&[AuthMethod]> = required.lists().iter().map(Vec::as_slice).collect();
    let mut any = required.lists().is_empty().then_some(MethodSet::ALL);
    for method in done {
        any = any.map(|_| MethodSet::NONE);
        for rest in &mut rests {
            if let Some((first, others)) = rest.split_first()
                && *first == method
            {
                *rest = others;
            }
        }
    }
    match any {
        Some(methods) if methods.is_empty() => Next::Nothing,
        Some(methods) => Next::Methods(methods),
        None if rests.iter().any(|rest| rest.is_empty()) => Next::Nothing,
        None => Next::Methods(rests.iter().filter_map(|rest| rest.first().copied()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AuthMethod::{KeyboardInteractive, Password, PublicKey};

    fn methods(required: &RequiredMethods, done: &[AuthMethod]) -> Option<String> {
        match next(required, done.iter().copied()) {
            Next::Nothing => None,
            Next::Methods(methods) => Some(methods.list()),
        }
    }

    #[test]
    fn any_one_method_is_enough_by_default() {
        let any = RequiredMethods::default();
        assert_eq!(methods(&any, &[]).as_deref(), Some("publickey,password,keyboard-interactive"));
        for method in AuthMethod::ALL {
            assert_eq!(methods(&any, &[method]), None);
        }
    }

    #[test]
    fn the_methods_of_a_list_follow_one_another() {
        let both = RequiredMethods::one_of(vec![vec![PublicKey, Password], vec![PublicKey, KeyboardInteractive]]);
        assert_eq!(methods(&both, &[]).as_deref(), Some("publickey"));
        assert_eq!(methods(&both, &[PublicKey]).as_deref(), Some("password,keyboard-interactive"));
        assert_eq!(methods(&both, &[PublicKey, Password]), None);
        assert_eq!(methods(&both, &[PublicKey, KeyboardInteractive]), None);
        // What comes too early has no effect.
        assert_eq!(methods(&both, &[Password]).as_deref(), Some("publickey"));
    }

    #[test]
    fn each_method_advances_every_list_whose_turn_it_is() {
        let lists = vec![vec![PublicKey, Password], vec![Password, PublicKey], vec![PublicKey, PublicKey]];
        let lists = RequiredMethods::one_of(lists);
        assert_eq!(methods(&lists, &[]).as_deref(), Some("publickey,password"));
        assert_eq!(methods(&lists, &[PublicKey]).as_deref(), Some("publickey,password"));
        assert_eq!(methods(&lists, &[PublicKey, PublicKey]), None);
        assert_eq!(methods(&lists, &[Password]).as_deref(), Some("publickey"));
        assert_eq!(methods(&lists, &[Password, PublicKey]), None);
    }

    #[test]
    fn a_proven_key_is_used_up_and_remembered() {
        let identity = |method: AuthMethod, fingerprint: Option<&str>| Identity {
            user: "alice".to_owned(),
            principal: "alice".to_owned(),
            tenant: "acme".to_owned(),
            plugin: "echo".to_owned(),
            method: method.name(),
            fingerprint: fingerprint.map(str::to_owned),
            restrictions: Arc::default(),
            certificate: None,
            attributes: Arc::default(),
            evidence: Arc::default(),
        };
        let mut progress = AuthProgress::default();
        assert!(!progress.has_used("SHA256:one"));
        let last = identity(Password, None);
        assert_eq!(progress.join(last.clone()), Some(last.clone()));
        let (method, next) = (PublicKey, MethodSet::ALL);
        progress.add(PartialLogin { method, identity: identity(PublicKey, Some("SHA256:one")), next });
        assert!(progress.has_used("SHA256:one") && !progress.has_used("SHA256:two"));
        assert_eq!(progress.join(last), Some(identity(Password, Some("SHA256:one"))));
        let two = identity(PublicKey, Some("SHA256:two"));
        assert_eq!(progress.join(two.clone()), Some(two));
    }
}

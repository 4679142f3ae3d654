//! An authenticator: whoever has a certificate in which the user name is a principal is let in, and rules say to which
//! tenant. One rule serves any number of users, and nothing is kept about any of them.
//!
//! The host has checked the certificate: its authority, signature, times, addresses and revocation.

mod rules;

use rules::Rules;
use whelk_guest::{Attempt, Authenticator, Certificate, Grant, PublicKey, Verdict, authenticator, config, log};

/// The longest value of an attribute, in bytes.
const LONGEST: usize = 1024;

#[derive(Default)]
struct Principals {
    /// Read at the first certificate.
    rules: Option<Rules>,
}

impl Authenticator for Principals {
    /// A key without a certificate is nobody's.
    fn public_key(&mut self, attempt: &Attempt, key: &PublicKey, _is_proven: bool) -> Verdict {
        let Some(certificate) = &key.certificate else { return Verdict::Reject };
        let rules = self.rules.get_or_insert_with(|| Rules::of(config::all()));
        match decide(rules, &attempt.user, certificate) {
            Ok(Some(grant)) => grant.into(),
            Ok(None) => Verdict::Reject,
            Err(reason) => {
                log::warn(reason);
                Verdict::Reject
            }
        }
    }
}

authenticator!(Principals);

/// What the certificate gives to the user; nothing if it is for others.
///
/// # Errors
/// It is for this user, and no rule says to which tenant.
fn decide(rules: &Rules, user: &str, certificate: &Certificate) -> Result<Option<Grant>, String> {
    if !certificate.principals.iter().any(|principal| principal == user) {
        return Ok(None);
    }
    let tenant = rules.tenant(user, &certificate.principals)?;
    let key_id = &certificate.key_id[..certificate.key_id.floor_char_boundary(LONGEST)];
    Ok(Some(Grant::new(user, tenant).attribute("key-id", key_id).attribute("serial", &certificate.serial)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(principals: &[&str]) -> Certificate {
        Certificate {
            key_id: "alice's laptop".to_owned(),
            serial: "7".to_owned(),
            principals: principals.iter().map(|principal| (*principal).to_owned()).collect(),
            extensions: Vec::new(),
            authority_fingerprint: "SHA256:ca".to_owned(),
        }
    }

    fn rules() -> Rules {
        Rules::of([("*@acme".to_owned(), "acme".to_owned())])
    }

    #[test]
    fn only_who_is_a_principal_is_let_in() {
        let granted = decide(&rules(), "alice@acme", &certificate(&["admins", "alice@acme"])).unwrap();
        let expected = Grant::new("alice@acme", "acme").attribute("key-id", "alice's laptop").attribute("serial", "7");
        assert_eq!(granted, Some(expected));
        for principals in [&[][..], &["bob@acme"], &["alice"], &["Alice@acme"], &["*@acme"], &["alice@acme "]] {
            assert_eq!(decide(&rules(), "alice@acme", &certificate(principals)), Ok(None), "{principals:?}");
        }
        // The name fits no rule, though it is a principal.
        assert!(decide(&rules(), "alice", &certificate(&["alice"])).is_err());
    }

    #[test]
    fn a_long_key_id_is_cut_to_what_an_attribute_may_hold() {
        let long = Certificate { key_id: "é".repeat(600), ..certificate(&["a@acme"]) };
        let granted = decide(&rules(), "a@acme", &long).unwrap().unwrap();
        assert_eq!(granted.attributes[0].1.len(), 1024);
        let odd = Certificate { key_id: format!("a{}", "é".repeat(600)), ..certificate(&["a@acme"]) };
        let granted = decide(&rules(), "a@acme", &odd).unwrap().unwrap();
        assert_eq!(granted.attributes[0].1.len(), 1023);
    }
}

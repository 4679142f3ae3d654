//! Which tenant a certificate is for: rules of the operator's configuration.
//!
//! ```toml
//! "*@acme" = "acme"        # whoever's name ends in @acme is in the tenant acme
//! "*" = "tenant:*"         # everybody else's tenant stands in the certificate, as the principal tenant:NAME
//! ```

/// What a star stands for in a pattern and in a tenant.
const STAR: char = '*';

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// A pattern of user names: each star stands for any text.
    users: String,
    /// The name of a tenant, or a pattern with one star of a principal that has the name at the star.
    tenant: String,
}

/// All rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules(Vec<Rule>);

impl Rules {
    /// Reads the pairs of the configuration, in any order.
    pub(crate) fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut rules: Vec<_> = pairs.into_iter().map(|(users, tenant)| Rule { users, tenant }).collect();
        // The most exact comes first. The rest of the order is only there to be the same always.
        rules.sort_by_key(|rule| (usize::MAX - rule.weight(), rule.users.clone()));
        Self(rules)
    }

    /// The tenant of a user with these principals.
    ///
    /// # Errors
    /// No rule gives one.
    pub(crate) fn tenant(&self, user: &str, principals: &[String]) -> Result<String, String> {
        let mut fitting = self.0.iter().filter(|rule| fits(&rule.users, user));
        let Some(rule) = fitting.next() else { return Err(format!("no rule fits the user {user:?}")) };
        if let Some(other) = fitting.next().filter(|other| other.weight() == rule.weight()) {
            let (users, others) = (&rule.users, &other.users);
            return Err(format!(
                "the rules {users:?} and {others:?} fit the user {user:?} equally well: make one longer"
            ));
        }
        let Some((before, after)) = rule.tenant.split_once(STAR) else { return Ok(rule.tenant.clone()) };
        let named = |principal: &str| {
            let name = principal.strip_prefix(before)?.strip_suffix(after)?;
            (!name.is_empty()).then(|| name.to_owned())
        };
        // Otherwise a certificate for two tenants would let its owner in under the name of one of them.
        if named(user).is_some() {
            return Err(format!("the user {user:?} has the name of a principal like {:?}", rule.tenant));
        }
        let mut tenants: Vec<_> = principals.iter().filter_map(|principal| named(principal)).collect();
        tenants.sort();
        tenants.dedup();
        match tenants.as_slice() {
            [tenant] => Ok(tenant.clone()),
            [] => Err(format!("the certificate of {user:?} has no principal like {:?}", rule.tenant)),
            more => {
                let count = more.len();
                Err(format!("the certificate of {user:?} has principals like {:?} for {count} tenants", rule.tenant))
            }
        }
    }
}

impl Rule {
    /// How much of a name it says: its length without the stars.
    fn weight(&self) -> usize {
        self.users.chars().filter(|character| *character != STAR).count()
    }
}

/// Whether a whole name fits a pattern: each star stands for any text, which may be empty, and nothing else is special.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once(STAR) else { return pattern == name };
    let (middle, last) = rest.rsplit_once(STAR).unwrap_or(("", rest));
    let Some(mut between) = name.strip_prefix(first).and_then(|name| name.strip_suffix(last)) else { return false };
    // Each piece where it first occurs.
    for piece in middle.split(STAR) {
        let Some((_, behind)) = between.split_once(piece) else { return false };
        between = behind;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(pairs: &[(&str, &str)]) -> Rules {
        Rules::of(pairs.iter().map(|(users, tenant)| ((*users).to_owned(), (*tenant).to_owned())))
    }

    fn tenant(rules: &Rules, user: &str, principals: &[&str]) -> Result<String, String> {
        let principals: Vec<_> = principals.iter().map(|principal| (*principal).to_owned()).collect();
        rules.tenant(user, &principals)
    }

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_is_special() {
        for (pattern, fitting, others) in [
            ("*@acme", &["alice@acme", "@acme", "a@b@acme"][..], &["alice@acme.org", "acme", "alice@ACME"][..]),
            ("*", &["", "alice", "*"], &[]),
            ("a*a", &["aa", "aba", "aaa"], &["a", "ab", "baa"]),
            ("a*b*c", &["abc", "axbyc", "abbc"], &["ac", "acb", "abcd"]),
            ("**", &["", "x"], &[]),
            ("alice", &["alice"], &["alic", "alicee", ""]),
            ("a.c?[x]", &["a.c?[x]"], &["abc?[x]", "a.cd[x]"]),
            ("é*", &["é", "éa"], &["e"]),
        ] {
            for name in fitting {
                assert!(fits(pattern, name), "{pattern} {name}");
            }
            for name in others {
                assert!(!fits(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn the_most_exact_rule_counts_in_any_order() {
        let pairs = [("*", "public"), ("*@acme", "acme"), ("root@acme", "admins"), ("*@zeta", "zeta")];
        let backwards: Vec<_> = pairs.iter().rev().copied().collect();
        for rules in [rules(&pairs), rules(&backwards)] {
            for (user, expected) in
                [("bob", "public"), ("alice@acme", "acme"), ("root@acme", "admins"), ("x@zeta", "zeta")]
            {
                assert_eq!(tenant(&rules, user, &[user]), Ok(expected.to_owned()));
            }
        }
        let reason = tenant(&rules(&[("a*", "one"), ("*e", "two")]), "alice", &[]).unwrap_err();
        assert_eq!(reason, "the rules \"*e\" and \"a*\" fit the user \"alice\" equally well: make one longer");
        assert!(tenant(&rules(&[]), "alice", &["alice"]).unwrap_err().contains("no rule fits"));
    }

    #[test]
    fn a_tenant_may_stand_in_the_certificate() {
        let rules = rules(&[("*", "tenant:*"), ("*@a", "x*y")]);
        assert_eq!(tenant(&rules, "alice", &["alice", "tenant:acme"]), Ok("acme".to_owned()));
        assert_eq!(tenant(&rules, "alice", &["tenant:acme", "alice", "tenant:acme"]), Ok("acme".to_owned()));
        assert_eq!(tenant(&rules, "bob@a", &["x1y", "x", "y", "xy", "bob@a"]), Ok("1".to_owned()));
        assert!(tenant(&rules, "alice", &["alice"]).unwrap_err().contains("no principal like \"tenant:*\""));
        assert!(tenant(&rules, "alice", &["tenant:"]).is_err());
        assert!(tenant(&rules, "alice", &["tenant:a", "tenant:b"]).unwrap_err().contains("for 2 tenants"));
        // The name of the user is not also the tenant's, and chooses none.
        assert!(tenant(&rules, "tenant:acme", &["tenant:acme"]).is_err());
        assert!(tenant(&rules, "tenant:a", &["alice", "tenant:a", "tenant:b"]).is_err());
    }
}

//! What the operator writes beside the users.

use crate::account::Account;
use crate::guard::WrongCodes;

/// The names of settings, which no user can have here.
const TENANT: &str = "tenant";
const MOST: &str = "wrong-codes";
const MINUTES: &str = "wrong-codes-minutes";

/// The limit unless the operator sets another.
const DEFAULT: WrongCodes = WrongCodes { most: 10, period: 15 * 60 };

/// Where texts are looked up by name: `wasi:config`.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The limit of wrong codes.
///
/// # Errors
/// What is wrong with the settings.
pub(crate) fn wrong_codes(lookup: Lookup<'_>) -> Result<WrongCodes, String> {
    let number = |name: &str, default: u64| match lookup(name) {
        None => Ok(default),
        Some(text) => match text.parse() {
            Ok(number @ 1..=1_000_000) => Ok(number),
            _ => Err(format!("{name} = {text:?} must be a number from 1 to 1000000, in quotes")),
        },
    };
    Ok(WrongCodes { most: number(MOST, DEFAULT.most)?, period: number(MINUTES, DEFAULT.period / 60)? * 60 })
}

/// The account of a user, if there is one.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn account(lookup: Lookup<'_>, user: &str) -> Result<Option<Account>, String> {
    if [TENANT, MOST, MINUTES].contains(&user) {
        return Ok(None);
    }
    lookup(user).map(|text| Account::parse(&text)).transpose().map_err(|reason| format!("the user {user:?}: {reason}"))
}

/// The tenant of a user: the same for everybody, or what stands behind the last `@` of the name.
///
/// # Errors
/// There is none.
pub(crate) fn tenant(lookup: Lookup<'_>, user: &str) -> Result<String, String> {
    let own = || user.rsplit_once('@').map(|(_, tenant)| tenant.to_owned()).filter(|tenant| !tenant.is_empty());
    lookup(TENANT).or_else(own).ok_or_else(|| {
        format!("the user {user:?} has no tenant: add {TENANT} = \"NAME\" to the configuration, or use names like alice@NAME")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn the_limit_of_wrong_codes_has_a_default_and_bounds() {
        assert_eq!(wrong_codes(&|_| None), Ok(WrongCodes { most: 10, period: 900 }));
        let set = |most: &'static str, minutes: &'static str| {
            wrong_codes(&move |name| Some(if name == MOST { most } else { minutes }.to_owned()))
        };
        assert_eq!(set("3", "60"), Ok(WrongCodes { most: 3, period: 3_600 }));
        for wrong in ["", "0", "-1", "1000001", "ten", "99999999999999999999"] {
            assert!(set(wrong, "1").is_err_and(|reason| reason.starts_with("wrong-codes = ")), "{wrong}");
            assert!(set("1", wrong).is_err_and(|reason| reason.starts_with("wrong-codes-minutes = ")), "{wrong}");
        }
    }

    #[test]
    fn a_setting_is_no_user() {
        let everything = |_: &str| Some(SECRET.to_owned());
        assert!(account(&everything, "alice").is_ok_and(|account| account.is_some()));
        for setting in [TENANT, MOST, MINUTES] {
            assert!(account(&everything, setting).is_ok_and(|account| account.is_none()), "{setting}");
        }
        assert!(account(&|_| None, "alice").is_ok_and(|account| account.is_none()));
        let reason = account(&|_| Some("?".to_owned()), "alice").err().unwrap_or_default();
        assert!(reason.starts_with("the user \"alice\": its secret"), "{reason}");
    }

    #[test]
    fn the_tenant_is_everybodys_or_stands_in_the_name() {
        let acme = |name: &str| (name == TENANT).then(|| "acme".to_owned());
        assert_eq!(tenant(&acme, "alice@zeta"), Ok("acme".to_owned()));
        assert_eq!(tenant(&|_| None, "alice@corp@zeta"), Ok("zeta".to_owned()));
        assert!(tenant(&|_| None, "alice").is_err() && tenant(&|_| None, "alice@").is_err());
    }
}

//! What crosses to an authenticator and back: conversions, and the bounds of its answers.

use super::types::{LoginAnswer, LoginAttempt, LoginChallenge, LoginCredential, LoginGrant, LoginKey, LoginMethod};
use crate::error::Error;
use crate::host::bindings::exports::authenticator as wit;

/// The longest name of a principal, a tenant or a plugin, in bytes.
const NAME: usize = 255;
/// The most attributes, and the longest name and value of one, in bytes.
const ATTRIBUTES: usize = 16;
const ATTRIBUTE_NAME: usize = 64;
const ATTRIBUTE_VALUE: usize = 1024;
/// The most prompts of a challenge. It may have none, RFC 4256 §3.2.
const PROMPTS: usize = 16;
/// The longest title, instruction and prompt of a challenge, and the longest request to change a password, in bytes: as
/// much as is sent to a client.
const TITLE: usize = 256;
const INSTRUCTION: usize = 4096;
const PROMPT_TEXT: usize = 512;
const CHANGE: usize = 512;

/// What a client can be asked for instead of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CanAsk {
    Nothing,
    /// Answers to questions: it has begun keyboard-interactive.
    Answers,
    /// Another password: it has sent one.
    NewPassword,
}

impl CanAsk {
    /// After this credential.
    pub(super) fn after(credential: &LoginCredential) -> Self {
        match credential {
            LoginCredential::InteractiveStarted | LoginCredential::Answers(_) => Self::Answers,
            LoginCredential::Password(_) | LoginCredential::NewPassword { .. } => Self::NewPassword,
            LoginCredential::None
            | LoginCredential::KeyOffered(_)
            | LoginCredential::KeyProven(_)
            | LoginCredential::Abandoned => Self::Nothing,
        }
    }
}

/// Checks an answer.
///
/// # Errors
/// What is out of bounds, or that the client cannot be asked.
pub(super) fn check(verdict: wit::Verdict, can_ask: CanAsk) -> Result<LoginAnswer, Error> {
    let answer = match verdict {
        wit::Verdict::Challenge(_) if can_ask != CanAsk::Answers => {
            Err("it asks questions of a client that has not begun keyboard-interactive".to_owned())
        }
        wit::Verdict::ChangePassword(_) if can_ask != CanAsk::NewPassword => {
            Err("it asks for another password of a client that has sent none".to_owned())
        }
        wit::Verdict::ChangePassword(text) if text.len() > CHANGE => {
            Err(format!("its request to change the password has {} bytes, and {CHANGE} are allowed", text.len()))
        }
        wit::Verdict::ChangePassword(text) => Ok(LoginAnswer::ChangePassword(text)),
        wit::Verdict::Accept(grant) => grant_of(grant).map(LoginAnswer::Accept),
        wit::Verdict::Partial(methods) => methods_of(methods).map(LoginAnswer::Partial),
        wit::Verdict::Challenge(challenge) => challenge_of(challenge).map(LoginAnswer::Challenge),
        wit::Verdict::Reject => Ok(LoginAnswer::Reject),
    };
    answer.map_err(|what| Error::Refused(format!("its answer cannot be used: {what}")))
}

fn grant_of(grant: wit::Grant) -> Result<LoginGrant, String> {
    let wit::Grant { principal, tenant, plugin, attributes } = grant;
    name("the principal", &principal)?;
    name("the tenant", &tenant)?;
    plugin.as_deref().map_or(Ok(()), |plugin| name("the plugin", plugin))?;
    if attributes.len() > ATTRIBUTES {
        return Err(format!("it grants {} attributes, and {ATTRIBUTES} are allowed", attributes.len()));
    }
    for (index, (name, value)) in attributes.iter().enumerate() {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > ATTRIBUTE_NAME || !name.bytes().all(is_word) {
            return Err(format!(
                "the name of attribute {index} must have 1 to {ATTRIBUTE_NAME} letters, digits, `-`, `_` or `.`"
            ));
        }
        if value.len() > ATTRIBUTE_VALUE {
            return Err(format!("attribute {name} has {} bytes, and {ATTRIBUTE_VALUE} are allowed", value.len()));
        }
        if attributes.iter().take(index).any(|(other, _)| other == name) {
            return Err(format!("attribute {name} is granted twice"));
        }
    }
    Ok(LoginGrant { principal, tenant, plugin, attributes })
}

fn name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME || name.chars().any(char::is_control) {
        return Err(format!("{what} must have 1 to {NAME} bytes and no control characters"));
    }
    Ok(())
}

fn methods_of(methods: Vec<wit::Method>) -> Result<Vec<LoginMethod>, String> {
    let methods: Vec<_> = methods.into_iter().map(LoginMethod::from).collect();
    if methods.is_empty() || methods.contains(&LoginMethod::None) {
        return Err("a partial success must name the methods that may follow, and `none` is none".to_owned());
    }
    Ok(methods)
}

fn challenge_of(challenge: wit::ChallengeInfo) -> Result<LoginChallenge, String> {
    let wit::ChallengeInfo { name, instruction, prompts } = challenge;
    if prompts.len() > PROMPTS {
        return Err(format!("the challenge has {} prompts, and {PROMPTS} are allowed", prompts.len()));
    }
    let texts = [("the title", &name, TITLE), ("the instruction", &instruction, INSTRUCTION)];
    let texts = texts.into_iter().chain(prompts.iter().map(|prompt| ("a prompt", &prompt.text, PROMPT_TEXT)));
    if let Some((what, text, most)) = texts.into_iter().find(|(_, text, most)| text.len() > *most) {
        return Err(format!("{what} of the challenge has {} bytes, and {most} are allowed", text.len()));
    }
    let prompts = prompts.into_iter().map(|prompt| (prompt.text, prompt.echo)).collect();
    Ok(LoginChallenge { name, instruction, prompts })
}

impl From<wit::Method> for LoginMethod {
    fn from(method: wit::Method) -> Self {
        match method {
            wit::Method::None => Self::None,
            wit::Method::Password => Self::Password,
            wit::Method::PublicKey => Self::PublicKey,
            wit::Method::KeyboardInteractive => Self::KeyboardInteractive,
        }
    }
}

impl From<LoginMethod> for wit::Method {
    fn from(method: LoginMethod) -> Self {
        match method {
            LoginMethod::None => Self::None,
            LoginMethod::Password => Self::Password,
            LoginMethod::PublicKey => Self::PublicKey,
            LoginMethod::KeyboardInteractive => Self::KeyboardInteractive,
        }
    }
}

impl From<&LoginAttempt> for wit::Attempt {
    fn from(attempt: &LoginAttempt) -> Self {
        Self {
            user: attempt.user.clone(),
            address: attempt.address.clone(),
            client_version: attempt.client_version.clone(),
            number: attempt.number,
            satisfied: attempt.satisfied.iter().copied().map(wit::Method::from).collect(),
        }
    }
}

impl From<&LoginCredential> for wit::Credential {
    fn from(credential: &LoginCredential) -> Self {
        match credential {
            LoginCredential::None => Self::None,
            LoginCredential::Password(password) => Self::Password(password.clone()),
            LoginCredential::NewPassword { old, new } => {
                Self::NewPassword(wit::PasswordChange { old: old.clone(), new: new.clone() })
            }
            LoginCredential::KeyOffered(key) => Self::KeyOffered(key.into()),
            LoginCredential::KeyProven(key) => Self::KeyProven(key.into()),
            LoginCredential::InteractiveStarted => Self::InteractiveStarted,
            LoginCredential::Answers(answers) => Self::Answers(answers.clone()),
            LoginCredential::Abandoned => Self::Abandoned,
        }
    }
}

impl From<&LoginKey> for wit::PublicKey {
    fn from(key: &LoginKey) -> Self {
        let certificate = key.certificate.as_ref().map(|certificate| wit::Certificate {
            key_id: certificate.key_id.clone(),
            serial: certificate.serial.to_string(),
            principals: certificate.principals.clone(),
            extensions: certificate.extensions.clone(),
            authority_fingerprint: certificate.authority_fingerprint.clone(),
        });
        Self {
            algorithm: key.algorithm.clone(),
            blob: key.blob.clone(),
            fingerprint: key.fingerprint.clone(),
            certificate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(change: impl FnOnce(&mut wit::Grant)) -> Result<LoginAnswer, String> {
        let mut grant = wit::Grant {
            principal: "alice".to_owned(),
            tenant: "acme".to_owned(),
            plugin: None,
            attributes: vec![("team".to_owned(), "blue".to_owned())],
        };
        change(&mut grant);
        check(wit::Verdict::Accept(grant), CanAsk::Nothing).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_granted_is_within_bounds() {
        assert!(matches!(grant(|_| ()), Ok(LoginAnswer::Accept(grant)) if grant.principal == "alice"));
        let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let numbered = |count: usize| (0..count).map(|index| attribute(&index.to_string(), "")).collect();
        assert!(grant(|grant| grant.attributes = numbered(16)).is_ok());
        assert!(grant(|grant| grant.attributes = vec![attribute(&"n".repeat(64), &"v".repeat(1024))]).is_ok());
        type Change<'a> = Box<dyn FnOnce(&mut wit::Grant) + 'a>;
        let wrong: [(Change<'_>, &str); 9] = [
            (Box::new(|grant| grant.principal.clear()), "the principal must have 1 to 255 bytes"),
            (Box::new(|grant| grant.principal = "a".repeat(256)), "the principal must have 1 to 255 bytes"),
            (Box::new(|grant| grant.tenant = "a\nb".to_owned()), "the tenant must have"),
            (Box::new(|grant| grant.plugin = Some(String::new())), "the plugin must have"),
            (Box::new(|grant| grant.attributes = numbered(17)), "17 attributes, and 16 are allowed"),
            (Box::new(|grant| grant.attributes = vec![attribute("a=b", "")]), "the name of attribute 0"),
            (Box::new(|grant| grant.attributes = vec![attribute(&"n".repeat(65), "")]), "the name of attribute 0"),
            (Box::new(|grant| grant.attributes = vec![attribute("a", &"v".repeat(1025))]), "1025 bytes"),
            (Box::new(|grant| grant.attributes = vec![attribute("a", ""), attribute("a", "")]), "granted twice"),
        ];
        for (change, what) in wrong {
            let error = grant(change).unwrap_err();
            assert!(error.contains("its answer cannot be used") && error.contains(what), "{what}: {error}");
        }
    }

    #[test]
    fn a_partial_success_names_methods_that_can_follow() {
        let partial = |methods: &[wit::Method]| check(wit::Verdict::Partial(methods.to_vec()), CanAsk::Nothing);
        assert!(partial(&[]).is_err() && partial(&[wit::Method::None]).is_err());
        let both = partial(&[wit::Method::Password, wit::Method::KeyboardInteractive]).unwrap();
        assert_eq!(both, LoginAnswer::Partial(vec![LoginMethod::Password, LoginMethod::KeyboardInteractive]));
    }

    #[test]
    fn a_challenge_has_bounded_prompts() {
        let challenge = |count: usize, length: usize| {
            let prompt = wit::Prompt { text: "t".repeat(length), echo: false };
            let (name, instruction) = (String::new(), String::new());
            wit::Verdict::Challenge(wit::ChallengeInfo { name, instruction, prompts: vec![prompt; count] })
        };
        let check_challenge = |count: usize, length: usize| check(challenge(count, length), CanAsk::Answers);
        assert!(check_challenge(0, 0).is_ok() && check_challenge(16, 512).is_ok());
        for can_ask in [CanAsk::Nothing, CanAsk::NewPassword] {
            assert!(check(challenge(1, 1), can_ask).unwrap_err().to_string().contains("has not begun"));
        }
        assert!(check_challenge(17, 1).unwrap_err().to_string().contains("17 prompts"));
        assert!(check_challenge(1, 513).unwrap_err().to_string().contains("a prompt of the challenge has 513 bytes"));
    }

    #[test]
    fn a_password_is_changed_by_who_has_sent_one() {
        let change = |length: usize, can_ask| check(wit::Verdict::ChangePassword("t".repeat(length)), can_ask);
        assert_eq!(change(512, CanAsk::NewPassword).unwrap(), LoginAnswer::ChangePassword("t".repeat(512)));
        assert!(change(513, CanAsk::NewPassword).unwrap_err().to_string().contains("513 bytes"));
        for can_ask in [CanAsk::Nothing, CanAsk::Answers] {
            assert!(change(1, can_ask).unwrap_err().to_string().contains("has sent none"));
        }
        let (old, new) = (String::new(), String::new());
        assert_eq!(CanAsk::after(&LoginCredential::NewPassword { old, new }), CanAsk::NewPassword);
        assert_eq!(CanAsk::after(&LoginCredential::Abandoned), CanAsk::Nothing);
    }
}

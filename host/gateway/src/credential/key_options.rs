//! The options before a public key, sshd(8), "AUTHORIZED_KEYS FILE FORMAT".
//!
//! As in OpenSSH, an option that is not known makes the line an error: without the option the key might permit more
//! than was meant. `no-port-forwarding` and `restrict` keep the client from the channel types and global requests of a
//! connection plugin. The other options about forwarding and `~/.ssh/rc` are read and kept, and have no effect yet.

use super::addresses::AddressList;
use super::expiry;

/// The longest name of an option that an error shows.
const LONGEST_SHOWN: usize = 40;

/// What a key may do, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOptions {
    /// `cert-authority`: the key signs certificates, and lets nobody in by itself.
    pub is_authority: bool,
    /// `command="..."`: what runs, whatever the client asks for.
    pub command: Option<String>,
    /// `environment="NAME=value"`: of several with one name, the first.
    pub environment: Vec<(String, String)>,
    /// `from="..."`: the addresses that the key may be used from.
    pub from: Option<AddressList>,
    /// `expiry-time="..."`: the last second in which the key may be used, since 1970. Of several, the earliest.
    pub expires: Option<u64>,
    /// `principals="..."`: a certificate must have one of them instead of the user's name.
    pub principals: Option<Vec<String>>,
    /// `no-pty`, `restrict`: no terminal.
    pub pty: bool,
    /// `no-touch-required`: a security key need not be touched.
    pub touch_required: bool,
    /// `verify-required`: a security key must have verified its user, by PIN or biometry.
    pub verify_required: bool,
    /// What may be forwarded, once forwarding exists.
    pub forwarding: ForwardingOptions,
}

/// The options about forwarding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardingOptions {
    /// `no-port-forwarding`: no channels and requests of a connection plugin either.
    pub port: bool,
    /// `no-agent-forwarding`.
    pub agent: bool,
    /// `no-X11-forwarding`.
    pub x11: bool,
    /// `no-user-rc`.
    pub user_rc: bool,
    /// `permitopen="host:port"`; empty: everywhere.
    pub permit_open: Vec<String>,
    /// `permitlisten="[host:]port"`; empty: everywhere.
    pub permit_listen: Vec<String>,
    /// `tunnel="n"`.
    pub tunnel: Option<String>,
}

impl Default for KeyOptions {
    fn default() -> KeyOptions {
        let forwarding = ForwardingOptions {
            port: true,
            agent: true,
            x11: true,
            user_rc: true,
            permit_open: Vec::new(),
            permit_listen: Vec::new(),
            tunnel: None,
        };
        KeyOptions {
            is_authority: false,
            command: None,
            environment: Vec::new(),
            from: None,
            expires: None,
            principals: None,
            pty: true,
            touch_required: true,
            verify_required: false,
            forwarding,
        }
    }
}

impl KeyOptions {
    /// Whether they restrict what the key may do, or when and from where.
    pub(crate) fn restricts(&self) -> bool {
        let (is_authority, touch_required) = (self.is_authority, self.touch_required);
        *self != KeyOptions { is_authority, touch_required, ..KeyOptions::default() }
    }

    /// Reads options with commas between them.
    ///
    /// # Errors
    /// An option is unknown, malformed, is given twice, or makes no sense with the others. The error shows no values
    /// except addresses and times.
    pub fn parse(text: &str) -> Result<KeyOptions, String> {
        if text.contains('\u{fffd}') {
            return Err("has options that are not UTF-8".to_owned());
        }
        let mut options = KeyOptions::default();
        let mut rest = text;
        loop {
            let word = rest.split(['=', ',']).next().unwrap_or_default();
            rest = rest.get(word.len()..).unwrap_or_default();
            let name = word.to_ascii_lowercase();
            match rest.strip_prefix('=') {
                Some(value) => {
                    let (value, behind) =
                        unquote(value).map_err(|what| format!("has the option {}, {what}", shown(word)))?;
                    options
                        .set_value(&name, value)
                        .map_err(|what| format!("has the option {}, {what}", shown(word)))?;
                    rest = behind;
                }
                None if options.set_flag(&name) => {}
                None => return Err(format!("has the option {}, which is not known", shown(word))),
            }
            match rest.strip_prefix(',') {
                Some(behind) => rest = behind,
                None if rest.is_empty() => break,
                None => return Err("has options with something between a value and the next comma".to_owned()),
            }
        }
        if options.principals.is_some() && !options.is_authority {
            return Err("has the option principals, which only goes with cert-authority".to_owned());
        }
        Ok(options)
    }

    /// An option without a value. False if there is none of this name.
    fn set_flag(&mut self, name: &str) -> bool {
        let (plain, yes) = match name.strip_prefix("no-") {
            Some(plain) => (plain, false),
            None => (name, true),
        };
        let forwarding = &mut self.forwarding;
        match plain {
            "restrict" if yes => {
                self.pty = false;
                (forwarding.port, forwarding.agent, forwarding.x11, forwarding.user_rc) = (false, false, false, false);
            }
            "cert-authority" if yes => self.is_authority = true,
            "pty" => self.pty = yes,
            "touch-required" => self.touch_required = yes,
            "verify-required" => self.verify_required = yes,
            "port-forwarding" => forwarding.port = yes,
            "agent-forwarding" => forwarding.agent = yes,
            "x11-forwarding" => forwarding.x11 = yes,
            "user-rc" => forwarding.user_rc = yes,
            _ => return false,
        }
        true
    }

    /// An option with a value. The error is the end of a sentence.
    fn set_value(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "command" => once(&mut self.command, value),
            "principals" => once(&mut self.principals, value.split(',').map(str::to_owned).collect()),
            "from" => {
                once(&mut self.from, AddressList::parse_patterns(&value).map_err(|what| format!("which {what}"))?)
            }
            "expiry-time" => {
                let time = expiry::parse(&value).map_err(|what| format!("which {what}"))?;
                self.expires = Some(self.expires.map_or(time, |other| other.min(time)));
                Ok(())
            }
            "environment" => {
                let (name, value) = value.split_once('=').ok_or("which is not of the form NAME=value")?;
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                if name.is_empty() || !name.bytes().all(is_name) {
                    return Err("whose name has other characters than letters, digits and _".to_owned());
                }
                if value.contains('\0') {
                    return Err("whose value has a byte 0".to_owned());
                }
                if !self.environment.iter().any(|(other, _)| other == name) {
                    self.environment.push((name.to_owned(), value.to_owned()));
                }
                Ok(())
            }
            "permitopen" => {
                check_place(&value, true)?;
                self.forwarding.permit_open.push(value);
                Ok(())
            }
            "permitlisten" => {
                check_place(&value, false)?;
                self.forwarding.permit_listen.push(value);
                Ok(())
            }
            "tunnel" if value.eq_ignore_ascii_case("any") || value.parse::<u32>().is_ok() => {
                self.forwarding.tunnel = Some(value);
                Ok(())
            }
            "tunnel" => Err("which is neither a number nor \"any\"".to_owned()),
            _ => Err("which is not known".to_owned()),
        }
    }
}

/// Sets an option that may be given once.
fn once<T>(option: &mut Option<T>, value: T) -> Result<(), String> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err("which is given twice".to_owned()),
    }
}

/// Takes a value in quotes, in which `\"` is a quote. Returns what follows it, too.
///
/// # Errors
/// There is no quote at its beginning or its end, as the end of a sentence.
fn unquote(text: &str) -> Result<(String, &str), &'static str> {
    let text = text.strip_prefix('"').ok_or("whose value is not in quotes")?;
    let mut value = String::new();
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' if !escaped => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '"' => value.push('"'),
            other => {
                if escaped {
                    value.push('\\');
                }
                if other != '\\' {
                    value.push(other);
                }
            }
        }
        escaped = character == '\\';
    }
    Err("whose value has no quote at its end")
}

/// Checks the value of `permitopen` or `permitlisten`: a host and a port, or `*` for each. IPv6 is in brackets.
fn check_place(place: &str, needs_host: bool) -> Result<(), String> {
    let (host, port) = place.rsplit_once(':').unwrap_or(("", place));
    let is_bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let is_port = port == "*" || port.parse::<u16>().is_ok_and(|port| port > 0);
    if is_bare_ipv6 || !is_port || (needs_host && host.is_empty()) {
        return Err(format!("which is not of the form {}", if needs_host { "host:port" } else { "[host:]port" }));
    }
    Ok(())
}

/// The name of an option, if it looks like one: anything else may be part of a secret.
fn shown(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_name = (1..=LONGEST_SHOWN).contains(&word.len()) && word.bytes().all(plain);
    if is_name { format!("`{word}`") } else { "at their beginning".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> KeyOptions {
        KeyOptions::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn each_flag_has_its_effect_and_capitals_do_not_matter() {
        assert!(parse("cert-authority").is_authority);
        assert!(!parse("no-pty").pty && parse("PTY").pty && parse("no-pty,pty").pty);
        assert!(!parse("no-touch-required").touch_required && parse("touch-required").touch_required);
        assert!(
            parse("Verify-Required").verify_required && !parse("verify-required,no-verify-required").verify_required
        );
        let forwarding = |text| parse(text).forwarding;
        assert!(!forwarding("no-port-forwarding").port && forwarding("no-port-forwarding,port-forwarding").port);
        assert!(!forwarding("no-agent-forwarding").agent && !forwarding("no-X11-forwarding").x11);
        assert!(!forwarding("no-user-rc").user_rc);
    }

    #[test]
    fn restrict_denies_all_and_what_follows_it_permits_again() {
        let options = parse("restrict");
        let ForwardingOptions { port, agent, x11, user_rc, .. } = options.forwarding;
        assert_eq!((options.pty, port, agent, x11, user_rc), (false, false, false, false, false));
        let options = parse("restrict,pty,command=\"x\"");
        assert!(options.pty && !options.forwarding.port);
        assert!(!parse("pty,restrict").pty);
    }

    #[test]
    fn values_are_unquoted() {
        for (text, command) in [
            (r#"command="echo a b, c""#, "echo a b, c"),
            (r#"command="echo \"a\" \b\\ c""#, r#"echo "a" \b\\ c"#),
            (r#"command="""#, ""),
            (r#"COMMAND="a",no-pty"#, "a"),
        ] {
            assert_eq!(parse(text).command.as_deref(), Some(command), "{text}");
        }
    }

    #[test]
    fn each_value_has_its_effect() {
        let options = parse(
            "environment=\"A=1\",environment=\"B=x=\\\"y\\\"\",environment=\"A=2\",from=\"192.0.2.0/24,!192.0.2.7\",\
             expiry-time=\"20261129Z\",expiry-time=\"20271129Z\",cert-authority,principals=\"a,b\",\
             permitopen=\"h:22\",permitopen=\"[::1]:*\",permitlisten=\"8080\",permitlisten=\"*:1\",tunnel=\"0\"",
        );
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(options.environment, [variable("A", "1"), variable("B", "x=\"y\"")]);
        assert!(options.from.as_ref().is_some_and(|from| from.contains("192.0.2.8".parse().ok())));
        assert_eq!(options.expires, Some(1_795_910_400));
        assert_eq!(options.principals.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
        assert_eq!(options.forwarding.permit_open, ["h:22", "[::1]:*"]);
        assert_eq!(options.forwarding.permit_listen, ["8080", "*:1"]);
        assert_eq!(options.forwarding.tunnel.as_deref(), Some("0"));
    }

    #[test]
    fn whatever_is_not_understood_is_an_error() {
        for (text, why) in [
            ("", "at their beginning, which is not known"),
            ("banana", "`banana`, which is not known"),
            ("no-banana", "which is not known"),
            ("no-restrict", "which is not known"),
            ("no-cert-authority", "which is not known"),
            ("banana=\"x\"", "`banana`, which is not known"),
            ("command", "`command`, which is not known"),
            ("pty=\"yes\"", "`pty`, which is not known"),
            ("no-pty,", "which is not known"),
            ("no-pty,,pty", "which is not known"),
            ("command=x", "not in quotes"),
            ("command=\"x", "no quote at its end"),
            ("command=\"x\\\"", "no quote at its end"),
            ("command=\"x\"pty", "between a value and the next comma"),
            ("command=\"x\",command=\"y\"", "is given twice"),
            ("from=\"a\",from=\"b\"", "is given twice"),
            ("cert-authority,principals=\"a\",principals=\"b\"", "is given twice"),
            ("principals=\"a\"", "only goes with cert-authority"),
            ("from=\"\"", "has an empty part"),
            ("from=\"192.0.2.1/24\"", "must be written \"192.0.2.0/24\""),
            ("expiry-time=\"tomorrow\"", "YYYYMMDD"),
            ("environment=\"A\"", "NAME=value"),
            ("environment=\"=x\"", "letters, digits and _"),
            ("environment=\"A-B=x\"", "letters, digits and _"),
            ("environment=\"A=\0\"", "byte 0"),
            ("permitopen=\"h\"", "host:port"),
            ("permitopen=\":22\"", "host:port"),
            ("permitopen=\"::1:22\"", "host:port"),
            ("permitopen=\"h:0\"", "host:port"),
            ("permitopen=\"h:65536\"", "host:port"),
            ("permitlisten=\"h:\"", "[host:]port"),
            ("tunnel=\"x\"", "neither a number"),
            ("command=\"\u{fffd}\"", "not UTF-8"),
        ] {
            let error = KeyOptions::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn no_value_and_nothing_that_may_be_a_secret_is_shown() {
        for text in ["command=\"s3cret", "environment=\"s3cret\"", "s3cret/+=", "s3cretpassword_=\"x\""] {
            let error = KeyOptions::parse(text).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}

//! Certificates: who is let in by which, and what its options permit. U17.

use std::sync::Arc;
use std::time::Duration;

use whelk_ssh::crypto::key::{Certificate, HostKey};

use super::shown::Entry;
use super::tests::{KEY, shown};
use super::*;
use crate::auth::access::secret::TimingSecret;
use crate::credential::KeyPath;
use crate::credential::parse_key;
use crate::source::Peer;

const NOW: u64 = 1_800_000_000;

/// A certificate to be made.
struct Draft {
    kind: u32,
    principals: Vec<&'static str>,
    valid: (u64, u64),
    critical: Vec<(&'static str, Vec<u8>)>,
    extensions: Vec<(&'static str, Vec<u8>)>,
}

impl Default for Draft {
    fn default() -> Draft {
        let (principals, valid) = (vec!["alice"], (NOW - 10, NOW + 10));
        Draft { kind: 1, principals, valid, critical: Vec::new(), extensions: vec![("permit-pty", Vec::new())] }
    }
}

fn put(blob: &mut Vec<u8>, bytes: &[u8]) {
    blob.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    blob.extend(bytes);
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, text.as_bytes());
    bytes
}

fn pairs(options: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (name, value) in options {
        put(&mut list, name.as_bytes());
        put(&mut list, value);
    }
    list
}

impl Draft {
    fn critical(name: &'static str, value: Vec<u8>) -> Draft {
        Draft { critical: vec![(name, value)], ..Draft::default() }
    }

    /// The certificate of a fresh key, signed by an authority.
    fn sign(&self, authority: &HostKey) -> ShownCredential {
        let key = HostKey::generate().unwrap();
        let mut blob = string("ssh-ed25519-cert-v01@openssh.com");
        put(&mut blob, b"nonce");
        put(&mut blob, &key.public().blob()[19..]);
        blob.extend(7_u64.to_be_bytes());
        blob.extend(self.kind.to_be_bytes());
        put(&mut blob, b"alice's \x1b[31m laptop");
        put(&mut blob, &self.principals.iter().flat_map(|name| string(name)).collect::<Vec<_>>());
        blob.extend(self.valid.0.to_be_bytes());
        blob.extend(self.valid.1.to_be_bytes());
        put(&mut blob, &pairs(&self.critical));
        put(&mut blob, &pairs(&self.extensions));
        put(&mut blob, b"");
        put(&mut blob, authority.public().blob());
        let signature = authority.sign(&blob);
        put(&mut blob, &signature);
        ShownCredential::Certificate(Box::new(Certificate::from_blob(&blob).unwrap()))
    }
}

/// The decision by an authority of the server.
fn trusted(draft: &Draft, principals: Option<&[String]>, address: Option<&str>) -> Result<GrantedKey, String> {
    let shown = shown(draft.sign(&HostKey::generate().unwrap()), address, NOW);
    shown.among(Vec::new(), principals, true).map_err(reason)
}

/// The decision by an authority among the user's keys, with these options.
fn listed(draft: &Draft, options: &str) -> Result<GrantedKey, String> {
    let authority = HostKey::generate().unwrap();
    let shown = shown(draft.sign(&authority), Some("192.0.2.7"), NOW);
    let line = crate::credential::public_line(authority.public().blob());
    let parsed = parse_key(&format!("{options} {line}"));
    shown.among(vec![Entry { place: None, parsed }], None, false).map_err(reason)
}

fn reason(refusal: KeyRefusal) -> String {
    match refusal {
        KeyRefusal::NotNow(reason) => reason,
        other => format!("{other:?}"),
    }
}

#[test]
fn a_certificate_lets_in_the_user_whom_it_names() {
    let granted = trusted(&Draft::default(), None, None).unwrap();
    let facts = granted.certificate.unwrap();
    assert_eq!((facts.key_id.as_str(), facts.serial), ("alice's \\x1b[31m laptop", 7));
    assert!(granted.restrictions.pty && granted.restrictions.forced_command.is_none());
    let principals = ["admins".to_owned(), "dba".to_owned()];
    let dba = Draft { principals: vec!["ops", "dba"], ..Draft::default() };
    assert!(trusted(&dba, Some(&principals), None).is_ok());
    // With principals of their own the name of the user does not count.
    let none = "none of its principals is one of the user's";
    assert_eq!(trusted(&Draft::default(), Some(&principals), None), Err(none.to_owned()));
    assert!(listed(&Draft::default(), "cert-authority").is_ok());
    assert!(listed(&dba, "cert-authority,principals=\"a,dba\"").is_ok());
    assert_eq!(listed(&Draft::default(), "cert-authority,principals=\"dba\""), Err(none.to_owned()));
}

#[test]
fn a_certificate_that_is_not_the_users_or_not_valid_now_is_refused() {
    let draft = |draft: Draft| trusted(&draft, None, None).unwrap_err();
    let valid = |after, before| Draft { valid: (after, before), ..Draft::default() };
    assert!(trusted(&valid(NOW, NOW + 1), None, None).is_ok());
    assert!(trusted(&valid(0, u64::MAX), None, None).is_ok());
    assert_eq!(draft(valid(NOW - 10, NOW)), "it has expired");
    assert_eq!(draft(valid(NOW + 1, u64::MAX)), "it is not yet valid");
    assert_eq!(draft(valid(NOW + 1, NOW - 1)), "it is not yet valid");
    assert_eq!(draft(Draft { kind: 2, ..Draft::default() }), "it is a host's certificate");
    assert_eq!(draft(Draft { principals: Vec::new(), ..Draft::default() }), "it names no principals");
    for name in ["bob", "Alice", "alice ", "", "*", "alice,bob"] {
        let wrong = Draft { principals: vec![name], ..Draft::default() };
        assert_eq!(draft(wrong), "the user's name is none of its principals", "{name}");
    }
}

#[test]
fn a_critical_option_that_is_not_known_or_malformed_is_refused() {
    let long = "x".repeat(200);
    for (name, value, why) in [
        ("banana@example.org", Vec::new(), "its critical option banana@example.org is not known"),
        ("permit-pty", Vec::new(), "its critical option permit-pty is not known"),
        ("", Vec::new(), "its critical option  is not known"),
        ("force-command", Vec::new(), "its critical option force-command is malformed"),
        ("force-command", b"id".to_vec(), "its critical option force-command is malformed"),
        ("force-command", [string("id"), vec![0]].concat(), "its critical option force-command is malformed"),
        ("force-command", vec![0, 0, 0, 1, 0xff], "its critical option force-command is malformed"),
        ("source-address", string(""), "its critical option source-address has an empty part"),
        ("source-address", string("garbage"), "its critical option source-address has a part that is neither"),
        ("source-address", string("!192.0.2.7"), "its critical option source-address has a part that is neither"),
        ("source-address", string("192.0.2.7/24"), "its critical option source-address has the network"),
        ("verify-required", string("x"), "its critical option verify-required has a value"),
    ] {
        let error = trusted(&Draft::critical(name, value), None, Some("192.0.2.7")).unwrap_err();
        assert!(error.starts_with(why), "{name}: {error}");
    }
    let error = trusted(&Draft::critical(long.leak(), Vec::new()), None, None).unwrap_err();
    assert!(error.len() < 120, "{error}");
    let twice =
        |name, value: Vec<u8>| Draft { critical: vec![(name, value.clone()), (name, value)], ..Draft::default() };
    for draft in [twice("force-command", string("id")), twice("source-address", string("192.0.2.7"))] {
        assert!(trusted(&draft, None, Some("192.0.2.7")).unwrap_err().ends_with("is given twice"));
    }
}

#[test]
fn source_addresses_are_checked_and_an_unknown_address_is_none_of_them() {
    let draft = Draft::critical("source-address", string("192.0.2.0/24,2001:db8::1"));
    for (address, expected) in [
        (Some("192.0.2.7"), true),
        (Some("::ffff:192.0.2.7"), true),
        (Some("2001:db8::1"), true),
        (Some("192.0.3.7"), false),
        (Some("2001:db8::2"), false),
        (None, false),
    ] {
        assert_eq!(trusted(&draft, None, address).is_ok(), expected, "{address:?}");
    }
}

#[test]
fn what_sessions_may_do_is_what_certificate_and_authority_both_permit() {
    let plain = Draft { extensions: vec![("name@example.org", string("any"))], ..Draft::default() };
    assert!(!trusted(&plain, None, None).unwrap().restrictions.pty, "nothing is permitted by itself");
    assert!(!listed(&Draft::default(), "cert-authority,no-pty").unwrap().restrictions.pty);
    let wrong = Draft { extensions: vec![("permit-pty", string("x"))], ..Draft::default() };
    assert_eq!(trusted(&wrong, None, None), Err("its extension permit-pty has a value".to_owned()));
    let forced = Draft::critical("force-command", string("id -u"));
    let command = |granted: Result<GrantedKey, String>| granted.unwrap().restrictions.forced_command;
    assert_eq!(command(trusted(&forced, None, None)).as_deref(), Some("id -u"));
    assert_eq!(command(listed(&forced, "cert-authority,command=\"id -u\"")).as_deref(), Some("id -u"));
    assert_eq!(command(listed(&Draft::default(), "cert-authority,command=\"w\"")).as_deref(), Some("w"));
    assert!(listed(&forced, "cert-authority,command=\"w\"").unwrap_err().contains("differs from the command="));
    let environment = listed(&Draft::default(), "cert-authority,environment=\"A=1\"").unwrap().restrictions.environment;
    assert_eq!(environment, [("A".to_owned(), "1".to_owned())]);
}

#[test]
fn an_authority_that_is_not_trusted_lets_nobody_in() {
    let shown = shown(Draft::default().sign(&HostKey::generate().unwrap()), None, NOW);
    assert_eq!(shown.among(Vec::new(), None, false), Err(KeyRefusal::Unknown));
    for (options, why) in [
        ("no-pty", "its authority is listed as a key, without cert-authority"),
        ("cert-authority,expiry-time=\"20010101Z\"", "its expiry-time has passed"),
        ("cert-authority,from=\"192.0.2.8\"", "it may not be used from this address (from=)"),
    ] {
        assert_eq!(listed(&Draft::default(), options), Err(why.to_owned()), "{options}");
    }
    assert!(listed(&Draft::default(), "cert-authority,from=\"192.0.2.0/24\"").is_ok());
}

#[tokio::test]
async fn authorities_are_those_of_the_server_of_the_tenant_and_of_files() {
    let authority = HostKey::generate().unwrap();
    let line = crate::credential::public_line(authority.public().blob());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pub");
    let listing = Authorities { listed: vec![parse_key(&line).unwrap()], file: None };
    let in_file = Authorities { listed: Vec::new(), file: Some(file.clone()) };
    let context = AttemptContext::of(Peer::Unknown);
    let judge = async |of_server: &Authorities, of_tenant: &Authorities| {
        let user = UserKeys { authorities: Arc::new(of_tenant.clone()), ..UserKeys::default() };
        let access = KeyAccess::new(KeySources::new(
            ([&user].into_iter(), std::iter::empty()),
            Arc::new(of_server.clone()),
            None,
            Duration::from_secs(60),
            TimingSecret::new([7; 32]),
        ));
        let draft = Draft { valid: (0, u64::MAX), ..Draft::default() };
        let shown = draft.sign(&authority);
        let known = access.judge((b"alice", Some(&user)), shown.clone(), true, &context).await;
        assert_eq!(access.judge((b"alice", None), shown, true, &context).await, Err(KeyRefusal::Unknown));
        known
    };
    let none = Authorities::default();
    assert_eq!(judge(&none, &none).await, Err(KeyRefusal::Unknown));
    assert!(judge(&listing, &none).await.is_ok() && judge(&none, &listing).await.is_ok());
    // The file is absent, has another key, this key with options, and at last the key.
    assert_eq!(judge(&in_file, &none).await, Err(KeyRefusal::Unknown));
    for (text, expected) in [(KEY.to_owned(), false), (format!("no-pty {line}"), false), (format!("# x\n{line}"), true)]
    {
        std::fs::write(&file, text).unwrap();
        assert_eq!(judge(&in_file, &none).await.is_ok(), expected);
        assert_eq!(judge(&none, &in_file).await.is_ok(), expected);
    }
}

/// U30, U32. The decoys are of tenants that the name does not belong to.
#[tokio::test]
async fn a_name_without_a_file_of_authorities_costs_a_read_of_another_and_is_not_let_in_by_it() {
    let authority = HostKey::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pub");
    std::fs::write(&file, crate::credential::public_line(authority.public().blob())).unwrap();
    let in_file = Authorities { listed: Vec::new(), file: Some(file.clone()) };
    let of_tenant = UserKeys { authorities: Arc::new(in_file), ..UserKeys::default() };
    let users = [&of_tenant, &of_tenant, &UserKeys::default()];
    let access = KeyAccess::new(KeySources::new(
        (users.into_iter(), std::iter::empty()),
        Arc::default(),
        None,
        Duration::from_secs(60),
        TimingSecret::new([7; 32]),
    ));
    let draft = Draft { valid: (0, u64::MAX), ..Draft::default() };
    let shown = draft.sign(&authority);
    let context = AttemptContext::of(Peer::Unknown);
    assert_eq!(access.0.decoy(&access.0.authority_files, b"mallory"), Some(&KeyPath::named(&file)));
    assert!(access.judge((b"alice", Some(&of_tenant)), shown.clone(), true, &context).await.is_ok());
    for other in [None, Some(&UserKeys::default())] {
        let judged = access.judge((b"alice", other), shown.clone(), true, &context).await;
        assert_eq!(judged, Err(KeyRefusal::Unknown));
    }
}

#[tokio::test]
async fn a_revoked_certificate_and_one_of_a_revoked_authority_are_refused() {
    let authority = HostKey::generate().unwrap();
    let line = crate::credential::public_line(authority.public().blob());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("revoked");
    let user = UserKeys::default();
    let listing = Authorities { listed: vec![parse_key(&line).unwrap()], file: None };
    let grace = Duration::from_secs(60);
    let access = KeyAccess::new(KeySources::new(
        ([&user].into_iter(), std::iter::empty()),
        Arc::new(listing),
        Some(file.clone()),
        grace,
        TimingSecret::new([7; 32]),
    ));
    let context = AttemptContext::of(Peer::Unknown);
    let draft = Draft { valid: (0, u64::MAX), ..Draft::default() };
    let shown = draft.sign(&authority);
    let ShownCredential::Certificate(certificate) = &shown else { panic!("it is one") };
    let key = crate::credential::public_line(certificate.key().blob());
    for (text, expected) in [
        (KEY, Ok(())),
        (&line, Err("its authority is revoked")),
        (&key, Err("its key is revoked")),
        ("nonsense", Err("the file of revoked keys cannot be used")),
    ] {
        std::fs::write(&file, text).unwrap();
        let judged = access.judge((b"alice", Some(&user)), shown.clone(), true, &context).await;
        let expected = expected.map_err(|reason: &str| KeyRefusal::NotNow(reason.to_owned()));
        assert_eq!(judged.map(|_| ()), expected, "{text}");
    }
}

/// An authenticator is shown certificates of its own authorities, or else of the server's, for whomever they are.
#[tokio::test]
async fn an_authenticator_is_shown_what_its_authorities_have_certified_and_is_valid() {
    let (own, server) = (HostKey::generate().unwrap(), HostKey::generate().unwrap());
    let list = |key: &HostKey| {
        let line = crate::credential::public_line(key.public().blob());
        Authorities { listed: vec![parse_key(&line).unwrap()], file: None }
    };
    let (owns, servers, grace) = (list(&own), list(&server), Duration::from_secs(60));
    let users = (std::iter::empty(), [&owns].into_iter());
    let access = KeyAccess::new(KeySources::new(users, Arc::new(servers), None, grace, TimingSecret::new([7; 32])));
    let context = AttemptContext::of("192.0.2.7:1".parse::<std::net::SocketAddr>().unwrap().into());
    let check = async |authorities, draft: &Draft, authority: &HostKey| {
        let checked = access.check((b"x@acme", authorities), draft.sign(authority), true, &context).await;
        checked.map_err(reason)
    };
    let lasting = || Draft { principals: vec!["acme", "ops"], valid: (0, u64::MAX), ..Draft::default() };
    let with = |name, value: &str| Draft { critical: vec![(name, string(value))], ..lasting() };
    let granted = check(Some(&owns), &lasting(), &own).await.unwrap();
    assert_eq!(granted.certificate.unwrap().serial, 7);
    assert!(granted.restrictions.pty && granted.restrictions.forced_command.is_none());
    assert!(check(None, &lasting(), &server).await.is_ok());
    // Of each other's authorities neither is shown any, and a certificate is never taken for its key.
    assert_eq!(check(Some(&owns), &lasting(), &server).await, Err("Unknown".to_owned()));
    assert_eq!(check(None, &lasting(), &own).await, Err("Unknown".to_owned()));
    let forced = check(Some(&owns), &with("force-command", "ls"), &own).await.unwrap();
    assert_eq!(forced.restrictions.forced_command.as_deref(), Some("ls"));
    for (draft, expected) in [
        (Draft { valid: (0, 1), ..lasting() }, "it has expired"),
        (Draft { valid: (u64::MAX - 1, u64::MAX), ..lasting() }, "it is not yet valid"),
        (Draft { kind: 2, ..lasting() }, "it is a host's certificate"),
        (Draft { principals: Vec::new(), ..lasting() }, "it names no principals"),
        (with("source-address", "198.51.100.0/24"), "it may not be used from this address (source-address)"),
        (with("no-such-option", ""), "its critical option no-such-option is not known"),
    ] {
        assert_eq!(check(Some(&owns), &draft, &own).await, Err(expected.to_owned()));
    }
    // Any key is shown that is not revoked.
    let key = || ShownCredential::Key(HostKey::generate().unwrap().public().clone());
    assert!(access.check((b"x@acme", Some(&owns)), key(), true, &context).await.is_ok());
    let none = (std::iter::empty(), std::iter::empty());
    let revoked = Some(std::path::PathBuf::from("/nonexistent/revoked"));
    let access = KeyAccess::new(KeySources::new(none, Arc::default(), revoked, grace, TimingSecret::new([7; 32])));
    let refused = access.check((b"x@acme", None), key(), true, &context).await.map_err(reason);
    assert_eq!(refused, Err("the file of revoked keys cannot be used".to_owned()));
}

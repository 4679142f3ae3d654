//! A key or certificate that a client shows, and whether an entry of `authorized_keys`, or a trusted authority, lets it
//! in. No clock and no files.

use std::net::IpAddr;
use std::sync::Arc;

use whelk_ssh::crypto::key::{Presence, PublicKey};

use super::certificate::{self, CertificateOptions, ValidFor};
use crate::auth::access::decision::CertificateFacts;
use crate::auth::proof::{SeenFile, ShownCredential};
use crate::auth::restrictions::Restrictions;
use crate::credential::{AuthorizedKey, KeyOptions};

/// A key that a user may use, and how.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::auth::access) struct GrantedKey {
    pub(in crate::auth::access) fingerprint: String,
    pub(in crate::auth::access) restrictions: Restrictions,
    pub(in crate::auth::access) certificate: Option<CertificateFacts>,
    /// The key or certificate itself.
    pub(in crate::auth::access) shown: Arc<ShownCredential>,
    /// The files that have a say in it, as they were.
    pub(in crate::auth::access) files: Vec<SeenFile>,
}

impl GrantedKey {
    /// Shown, and accepted with nothing more known of it than this.
    fn new(shown: &ShownCredential, restrictions: Restrictions) -> GrantedKey {
        let (fingerprint, certificate) = match shown {
            ShownCredential::Key(key) => (key.fingerprint(), None),
            ShownCredential::Certificate(shown) => (shown.key().fingerprint(), Some(CertificateFacts::of(shown))),
        };
        GrantedKey { fingerprint, restrictions, certificate, shown: Arc::new(shown.clone()), files: Vec::new() }
    }
}

/// Why a key is refused.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::auth::access) enum KeyRefusal {
    /// The user does not have it.
    Unknown,
    /// The user has it, but may not use it: why, for the log.
    NotNow(String),
    /// The files could not be read in time.
    Slow,
    /// Reading a file panicked, which was logged.
    Panic,
}

/// What a client shows, and how.
#[derive(Clone, Debug)]
pub(super) struct ShownKey {
    /// The name that the client gives.
    pub(super) user: Vec<u8>,
    pub(super) credential: ShownCredential,
    /// The client has signed: with what a security key says of its user, if it is one.
    pub(super) proven: Option<Option<Presence>>,
    /// The address of the client, if it is known.
    pub(super) address: Option<IpAddr>,
    /// Seconds since 1970.
    pub(super) now: u64,
}

/// A line or list element that holds the key, or the authority of the certificate.
pub(super) struct Entry {
    /// File and line; none of the configuration.
    pub(super) place: Option<String>,
    /// What it says, or why it is not understood.
    pub(super) parsed: Result<AuthorizedKey, String>,
}

impl ShownKey {
    /// The key that the entries of a user hold for this one: itself, or the authority of its certificate.
    pub(super) fn listed_key(&self) -> &PublicKey {
        match &self.credential {
            ShownCredential::Key(key) => key,
            ShownCredential::Certificate(certificate) => certificate.authority(),
        }
    }

    /// Decides by the entries of the user, the first of which that lets the client in counts, as in OpenSSH; and then,
    /// for a certificate, by whether its authority `is_trusted`. `principals`: those that such a certificate needs
    /// instead of the user's name.
    pub(super) fn among(
        &self,
        entries: Vec<Entry>,
        principals: Option<&[String]>,
        is_trusted: bool,
    ) -> Result<GrantedKey, KeyRefusal> {
        let mut refusal = KeyRefusal::Unknown;
        for Entry { place, parsed } in entries {
            match parsed.and_then(|entry| self.check(&entry)) {
                Ok(granted) => return Ok(granted),
                Err(reason) => {
                    let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
                    refusal = KeyRefusal::NotNow(format!("{place}{reason}"));
                }
            }
        }
        match (&self.credential, is_trusted) {
            (ShownCredential::Certificate(_), true) => {
                let valid_for = principals.map_or(ValidFor::User(&self.user), ValidFor::Principals);
                self.check_certificate(&KeyOptions::default(), valid_for, true).map_err(KeyRefusal::NotNow)
            }
            _ => Err(refusal),
        }
    }

    /// Decides what can be decided without knowing whose it is: any key, and a certificate for whomever it names if its
    /// authority `is_trusted`.
    pub(super) fn of_anybody(&self, is_trusted: bool) -> Result<GrantedKey, KeyRefusal> {
        let checked = match &self.credential {
            ShownCredential::Key(_) => {
                self.check_presence(true, false).map(|()| GrantedKey::new(&self.credential, Restrictions::default()))
            }
            ShownCredential::Certificate(_) if is_trusted => {
                self.check_certificate(&KeyOptions::default(), ValidFor::Anybody, true)
            }
            ShownCredential::Certificate(_) => return Err(KeyRefusal::Unknown),
        };
        checked.map_err(KeyRefusal::NotNow)
    }

    /// Whether this entry lets the client in now.
    pub(super) fn check(&self, entry: &AuthorizedKey) -> Result<GrantedKey, String> {
        match (&self.credential, entry.options.is_authority) {
            (ShownCredential::Key(_), true) => {
                Err("it is an authority (cert-authority), which lets nobody in by itself".to_owned())
            }
            (ShownCredential::Key(_), false) => {
                self.check_options(&entry.options)?;
                self.check_presence(entry.options.touch_required, entry.options.verify_required)?;
                Ok(GrantedKey::new(&self.credential, Restrictions::of_key(&entry.options)))
            }
            (ShownCredential::Certificate(_), true) => {
                self.check_options(&entry.options)?;
                let principals = entry.options.principals.as_deref();
                let valid_for = principals.map_or(ValidFor::User(&self.user), ValidFor::Principals);
                self.check_certificate(&entry.options, valid_for, false)
            }
            (ShownCredential::Certificate(_), false) => {
                Err("its authority is listed as a key, without cert-authority".to_owned())
            }
        }
    }

    /// Whether the certificate lets the client in now, by an authority with these options. `is_shared`: the
    /// authority is one of a server or a tenant, and has no options.
    fn check_certificate(
        &self,
        authority: &KeyOptions,
        valid_for: ValidFor<'_>,
        is_shared: bool,
    ) -> Result<GrantedKey, String> {
        let ShownCredential::Certificate(shown) = &self.credential else {
            return Err("it is no certificate".to_owned());
        };
        certificate::check_validity(shown, valid_for, self.now)?;
        let options = CertificateOptions::of(shown)?;
        if options.source_address.as_ref().is_some_and(|list| !list.contains(self.address)) {
            return Err("it may not be used from this address (source-address)".to_owned());
        }
        let touch = options.touch_required || (!is_shared && authority.touch_required);
        self.check_presence(touch, options.verify_required || authority.verify_required)?;
        Ok(GrantedKey::new(&self.credential, options.restrictions(authority)?))
    }

    /// Whether the options of an entry let it be used now and from here.
    fn check_options(&self, options: &KeyOptions) -> Result<(), String> {
        if options.expires.is_some_and(|last| last < self.now) {
            return Err("its expiry-time has passed".to_owned());
        }
        if options.from.as_ref().is_some_and(|from| !from.contains(self.address)) {
            return Err("it may not be used from this address (from=)".to_owned());
        }
        Ok(())
    }

    /// Whether the security key that has signed, if it is one, says enough of its user.
    fn check_presence(&self, touch_required: bool, verify_required: bool) -> Result<(), String> {
        let Some(Some(presence)) = self.proven else { return Ok(()) };
        if touch_required && !presence.touched {
            return Err("the security key was not touched".to_owned());
        }
        if verify_required && !presence.verified {
            return Err("the security key has not verified its user (verify-required)".to_owned());
        }
        Ok(())
    }
}

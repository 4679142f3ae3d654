//! What a certificate permits: OpenSSH `PROTOCOL.certkeys`, and sshd(8) for how its options and those of its authority
//! go together.

use whelk_ssh::crypto::key::{Certificate, CertificateKind, option_text};

use crate::auth::restrictions::Restrictions;
use crate::credential::{AddressList, KeyOptions};
use crate::observe::escape::escape;

/// The most bytes of an unknown option's name that the log shows.
const NAME_SHOWN: usize = 64;

/// The options of a certificate. Unlike those of a key they permit nothing by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertificateOptions {
    force_command: Option<String>,
    pub(super) source_address: Option<AddressList>,
    pub(super) verify_required: bool,
    pub(super) touch_required: bool,
    pty: bool,
    port_forwarding: bool,
}

/// For whom a certificate must be valid.
#[derive(Clone, Copy)]
pub(super) enum ValidFor<'a> {
    /// For this name.
    User(&'a [u8]),
    /// For one of these.
    Principals(&'a [String]),
    /// For whomever it names.
    Anybody,
}

/// Whether a certificate is a user's, valid at this time, and valid for whom it must be. One without principals is
/// valid for nobody.
///
/// # Errors
/// Why not, for the log.
pub(super) fn check_validity(certificate: &Certificate, valid_for: ValidFor<'_>, now: u64) -> Result<(), String> {
    if certificate.kind() != CertificateKind::User {
        return Err("it is a host's certificate".to_owned());
    }
    if now < certificate.valid_after() {
        return Err("it is not yet valid".to_owned());
    }
    if now >= certificate.valid_before() {
        return Err("it has expired".to_owned());
    }
    if certificate.principals().next().is_none() {
        return Err("it names no principals".to_owned());
    }
    let is_valid = |name: &[u8]| certificate.principals().any(|principal| principal == name);
    match valid_for {
        ValidFor::User(name) if is_valid(name) => Ok(()),
        ValidFor::User(_) => Err("the user's name is none of its principals".to_owned()),
        ValidFor::Principals(names) if names.iter().any(|name| is_valid(name.as_bytes())) => Ok(()),
        ValidFor::Principals(_) => Err("none of its principals is one of the user's".to_owned()),
        ValidFor::Anybody => Ok(()),
    }
}

impl CertificateOptions {
    /// Reads them.
    ///
    /// # Errors
    /// A critical option is not known, is given twice, or is malformed: why, for the log.
    pub(super) fn of(certificate: &Certificate) -> Result<CertificateOptions, String> {
        let mut options = CertificateOptions {
            force_command: None,
            source_address: None,
            verify_required: false,
            touch_required: true,
            pty: false,
            port_forwarding: false,
        };
        for (name, value) in certificate.critical_options() {
            options.set_critical(name, value)?;
        }
        for (name, value) in certificate.extensions() {
            let known = match name {
                b"permit-pty" => &mut options.pty,
                b"permit-port-forwarding" => &mut options.port_forwarding,
                b"no-touch-required" => &mut options.touch_required,
                // Others need not be understood.
                _ => continue,
            };
            if !value.is_empty() {
                return Err(format!("its extension {} has a value", escape(name)));
            }
            *known = name != b"no-touch-required";
        }
        Ok(options)
    }

    fn set_critical(&mut self, name: &[u8], value: &[u8]) -> Result<(), String> {
        let text = || {
            let text = option_text(value).and_then(|text| str::from_utf8(text).ok());
            text.ok_or_else(|| format!("its critical option {} is malformed", escape(name)))
        };
        let is_new = match name {
            b"force-command" => self.force_command.replace(text()?.to_owned()).is_none(),
            b"source-address" => {
                let list = AddressList::parse_networks(text()?);
                let list = list.map_err(|what| format!("its critical option source-address {what}"))?;
                self.source_address.replace(list).is_none()
            }
            b"verify-required" if value.is_empty() => !std::mem::replace(&mut self.verify_required, true),
            b"verify-required" => return Err("its critical option verify-required has a value".to_owned()),
            _ => {
                let shown = escape(name.get(..NAME_SHOWN).unwrap_or(name));
                return Err(format!("its critical option {shown} is not known"));
            }
        };
        if is_new { Ok(()) } else { Err(format!("its critical option {} is given twice", escape(name))) }
    }

    /// What sessions may do by this certificate and the options of its authority: whatever both permit.
    ///
    /// # Errors
    /// They force different commands.
    pub(super) fn restrictions(self, authority: &KeyOptions) -> Result<Restrictions, String> {
        let KeyOptions { command, environment, pty, forwarding, .. } = authority;
        let forced_command = match (self.force_command, command) {
            (Some(forced), Some(command)) if forced != *command => {
                return Err("its force-command differs from the command= of its authority".to_owned());
            }
            (forced, command) => forced.or_else(|| command.clone()),
        };
        let port_forwarding = self.port_forwarding && forwarding.port;
        Ok(Restrictions { forced_command, environment: environment.clone(), pty: self.pty && *pty, port_forwarding })
    }
}

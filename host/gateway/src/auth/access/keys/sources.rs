//! Where keys come from: the configuration, the files of users, of authorities and of revoked keys.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::readers::Readers;
use crate::auth::access::secret::TimingSecret;
use crate::config::Authorities;
use crate::credential::{AuthorizedKey, KeyPath, RevokedKeys};

/// The keys of one user, and the certificates that let the user in.
#[derive(Clone, Debug, Default)]
pub(in crate::auth::access) struct UserKeys {
    /// Those that the configuration lists.
    pub(in crate::auth::access) listed: Arc<[AuthorizedKey]>,
    /// The user's key files.
    pub(in crate::auth::access) files: Arc<[KeyPath]>,
    /// The authorities of the user's tenant.
    pub(in crate::auth::access) authorities: Arc<Authorities>,
    /// A certificate of such an authority, or of one of the server's, must have one of these instead of the user's
    /// name.
    pub(in crate::auth::access) principals: Option<Arc<[String]>>,
}

/// All keys that count, and the files that have them.
pub(in crate::auth::access) struct KeySources {
    /// The key files of each user who has any. Those of one are read for an attempt without any.
    pub(in crate::auth::access) key_files: Vec<Arc<[KeyPath]>>,
    /// The files of authorities of all users' tenants, one of which is read for an attempt without one.
    pub(in crate::auth::access) authority_files: Vec<KeyPath>,
    /// The authorities whose certificates any user may have.
    pub(super) authorities: Arc<Authorities>,
    /// The file of revoked keys.
    pub(super) revoked: Option<Arc<RevokedKeys>>,
    pub(super) readers: Readers,
    /// Chooses the files that are read for an attempt without any, by the name.
    secret: TimingSecret,
}

/// Who decides whose a key is.
#[derive(Clone, Copy)]
pub(in crate::auth::access) enum KeyOwner<'a> {
    /// A name that is no user's.
    Nobody,
    /// A user of the configuration.
    User(&'a UserKeys),
    /// An authenticator, with authorities of its own or the server's.
    Authenticator(Option<&'a Authorities>),
}

impl UserKeys {
    /// Whether the user may have any key or certificate.
    pub(in crate::auth::access) fn any(&self) -> bool {
        !self.listed.is_empty() || !self.files.is_empty() || self.authorities.any()
    }
}

impl KeySources {
    /// For these users, the authorities of authenticators, those of the server, and a file of revoked keys. `grace`:
    /// how long reading one file may take.
    pub(in crate::auth::access) fn new<'u>(
        (users, others): (impl Iterator<Item = &'u UserKeys>, impl Iterator<Item = &'u Authorities>),
        authorities: Arc<Authorities>,
        revoked: Option<PathBuf>,
        grace: Duration,
        secret: TimingSecret,
    ) -> KeySources {
        let (mut key_files, mut authority_files) = (Vec::new(), BTreeSet::new());
        for user in users {
            key_files.extend(Some(&user.files).filter(|files| !files.is_empty()).cloned());
            authority_files.extend(user.authorities.file.as_deref().map(KeyPath::named));
        }
        authority_files.extend(others.filter_map(|other| other.file.as_deref().map(KeyPath::named)));
        let shared = authorities.file.as_deref().into_iter().chain(revoked.as_deref()).map(KeyPath::named);
        let of_users = key_files.iter().flat_map(|files| files.iter().cloned());
        let readers = Readers::new(of_users.chain(authority_files.iter().cloned()).chain(shared), grace);
        let revoked = revoked.map(|path| Arc::new(RevokedKeys::new(&path)));
        let authority_files = authority_files.into_iter().collect();
        KeySources { key_files, authority_files, authorities, revoked, readers, secret }
    }

    /// One of these, always the same for a name.
    pub(in crate::auth::access) fn decoy<'f, T>(&self, all: &'f [T], name: &[u8]) -> Option<&'f T> {
        let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
        all.get(usize::try_from(self.secret.number("key files", name, count)).ok()?)
    }
}

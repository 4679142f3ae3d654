//! Decides on public keys and certificates: whether a user has one, and whether it may be used now, from here, and in
//! this way.
//!
//! `shown` decides, `certificate` knows what certificates permit; both without waiting. This file finds what they need:
//! a user's key file and the files of authorities and of revoked keys are looked at in each attempt, on a thread that
//! may wait for the disk. For a name that is no user's, and for a user without a file, another user's file is read and
//! the result is ignored: the steps are the same, and the failure delay hides how long they took.

mod certificate;
#[cfg(test)]
mod certificate_tests;
mod shown;

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::auth::attempt::AttemptContext;
use crate::config::Authorities;
use crate::credential::{AuthorizedKey, RevokedKeys, find_in_file};
use crate::observe::escape::escape;
use crate::observe::event::{LoginEvent, emit};
use shown::{Entry, ShownKey};

pub(super) use shown::{GrantedKey, KeyRefusal, ShownCredential};

/// How many attempts read files at the same time. Further ones wait.
const READERS: usize = 32;

/// The keys of one user, and the certificates that let the user in.
#[derive(Clone, Debug, Default)]
pub(super) struct UserKeys {
    /// Those that the configuration lists.
    pub(super) listed: Arc<[AuthorizedKey]>,
    /// The user's key file.
    pub(super) file: Option<Arc<Path>>,
    /// The authorities of the user's tenant.
    pub(super) authorities: Arc<Authorities>,
    /// A certificate of such an authority, or of one of the server's, must have one of these instead of the user's
    /// name.
    pub(super) principals: Option<Arc<[String]>>,
}

/// Decides on keys. Shared by all connections.
pub(super) struct KeyAccess {
    /// The key files of all users, one of which is read for an attempt without one.
    files: Vec<Arc<Path>>,
    /// The authorities whose certificates any user may have.
    authorities: Arc<Authorities>,
    revoked: Option<Arc<RevokedKeys>>,
    readers: Arc<Semaphore>,
    /// Chooses the file that is read for an attempt without one, by the name.
    secret: RandomState,
    /// How long reading may take.
    grace: Duration,
}

/// A user in question, whom the name may not be.
type Asked<'a> = (&'a [u8], Option<&'a UserKeys>);

impl UserKeys {
    /// Whether the user may have any key or certificate.
    pub(super) fn any(&self) -> bool {
        !self.listed.is_empty() || self.file.is_some() || self.authorities.any()
    }
}

impl KeyAccess {
    /// For these users, authorities, and a file of revoked keys.
    pub(super) fn new<'u>(
        users: impl Iterator<Item = &'u UserKeys>,
        authorities: Arc<Authorities>,
        revoked: Option<PathBuf>,
        grace: Duration,
    ) -> KeyAccess {
        KeyAccess {
            files: users.filter_map(|user| user.file.clone()).collect(),
            authorities,
            revoked: revoked.map(|path| Arc::new(RevokedKeys::new(path))),
            readers: Arc::new(Semaphore::new(READERS)),
            secret: RandomState::new(),
            grace,
        }
    }

    /// Whether any user may have a certificate.
    pub(super) fn has_authorities(&self) -> bool {
        self.authorities.any()
    }

    /// Decides whether a user, or a name that is no user's, may use what the client shows. `proven`: the client has
    /// signed with it.
    pub(super) async fn judge(
        &self,
        (name, user): Asked<'_>,
        credential: ShownCredential,
        proven: bool,
        context: &AttemptContext,
    ) -> Result<GrantedKey, KeyRefusal> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let (proven, context) = (proven.then_some(context.presence), context.clone());
        let shown = ShownKey { user: name.to_vec(), credential, proven, address: context.peer.ip(), now };
        let own = user.and_then(|user| user.file.clone());
        let lookup = Lookup {
            file: own.clone().or_else(|| self.decoy(name)),
            is_own: own.is_some(),
            user: user.cloned(),
            authorities: Arc::clone(&self.authorities),
            revoked: self.revoked.clone(),
            connection: context.connection,
        };
        if !lookup.reads_files() {
            return lookup.judge(&shown);
        }
        // Never closed.
        let permit = Arc::clone(&self.readers).acquire_owned().await.ok();
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            lookup.judge(&shown)
        });
        match timeout(self.grace, work).await {
            Ok(Ok(judged)) => judged,
            Ok(Err(_)) | Err(_) => Err(KeyRefusal::Slow),
        }
    }

    fn decoy(&self, name: &[u8]) -> Option<Arc<Path>> {
        let files = u64::try_from(self.files.len()).ok().filter(|files| *files > 0)?;
        self.files.get(usize::try_from(self.secret.hash_one(name) % files).ok()?).cloned()
    }
}

/// What one attempt is decided with, on a thread that may wait for the disk.
struct Lookup {
    /// A key file: the user's own, or another.
    file: Option<Arc<Path>>,
    is_own: bool,
    /// None for a name that is no user's.
    user: Option<UserKeys>,
    authorities: Arc<Authorities>,
    revoked: Option<Arc<RevokedKeys>>,
    connection: u64,
}

impl Lookup {
    fn reads_files(&self) -> bool {
        let of_tenant = self.user.as_ref().is_some_and(|user| user.authorities.file.is_some());
        self.file.is_some() || self.revoked.is_some() || self.authorities.file.is_some() || of_tenant
    }

    fn judge(&self, shown: &ShownKey) -> Result<GrantedKey, KeyRefusal> {
        let lines = self.lines(shown);
        let is_trusted = self.is_trusted(shown);
        let revoked = self.revoked(shown);
        let Some(user) = &self.user else { return Err(KeyRefusal::Unknown) };
        let listed = user.listed.iter().filter(|key| key.is(shown.listed_key()));
        let listed = listed.map(|key| Entry { place: None, parsed: Ok(key.clone()) });
        let entries = listed.chain(lines).collect();
        match (shown.among(entries, user.principals.as_deref(), is_trusted), revoked) {
            // A key that the user does not have is not said to be revoked.
            (Err(KeyRefusal::Unknown), _) => Err(KeyRefusal::Unknown),
            (_, Some(reason)) => Err(KeyRefusal::NotNow(reason)),
            (judged, None) => judged,
        }
    }

    /// The lines of the user's key file that hold the key, or the authority of the certificate.
    fn lines(&self, shown: &ShownKey) -> Vec<Entry> {
        let Some(file) = &self.file else { return Vec::new() };
        match find_in_file(file, shown.listed_key()) {
            Ok(found) if self.is_own => {
                let place = |line| Some(format!("{}:{line}", file.display()));
                found.into_iter().map(|(line, parsed)| Entry { place: place(line), parsed }).collect()
            }
            Err(reason) if self.is_own => {
                self.log_unusable(&shown.user, &reason);
                Vec::new()
            }
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    /// Whether the authority of the certificate is one of the server's or of the user's tenant.
    fn is_trusted(&self, shown: &ShownKey) -> bool {
        let ShownCredential::Certificate(certificate) = &shown.credential else { return false };
        let authority = certificate.authority();
        let lists = std::iter::once(&self.authorities).chain(self.user.as_ref().map(|user| &user.authorities));
        let mut is_trusted = false;
        for list in lists {
            is_trusted |= list.listed.iter().any(|key| key.is(authority));
            let Some(file) = &list.file else { continue };
            match find_in_file(file, authority) {
                Ok(found) => {
                    is_trusted |= found.iter().any(|(_, line)| line.as_ref().is_ok_and(AuthorizedKey::is_plain))
                }
                Err(reason) => self.log_unusable(&shown.user, &reason),
            }
        }
        is_trusted
    }

    /// Why the key or the certificate is revoked, if it is. As with sshd a file that cannot be read revokes all.
    fn revoked(&self, shown: &ShownKey) -> Option<String> {
        let list = match self.revoked.as_ref()?.current() {
            Ok(list) => list,
            Err(reason) => {
                self.log_unusable(&shown.user, &reason);
                return Some("the file of revoked keys cannot be used".to_owned());
            }
        };
        match &shown.credential {
            ShownCredential::Key(key) => list.has_key(key).then(|| "it is revoked".to_owned()),
            ShownCredential::Certificate(certificate) => list.revokes(certificate).map(str::to_owned),
        }
    }

    fn log_unusable(&self, user: &[u8], reason: &str) {
        emit(LoginEvent::KeyFileUnusable { connection: self.connection, user: escape(user), reason });
    }
}

#[cfg(test)]
mod tests;

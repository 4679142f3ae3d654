//! Decides on public keys and certificates: whether a user has one, and whether it may be used now, from here, and in
//! this way.
//!
//! `shown` decides, `certificate` knows what certificates permit; both without waiting. This file finds what they need:
//! a user's key file and the files of authorities and of revoked keys are looked at in each attempt, by `readers`. For
//! a name that is no user's, and for a user without a key file or without a file of authorities, those of another are
//! read and the result is ignored: the steps are the same, and the failure delay hides how long they took.

mod certificate;
#[cfg(test)]
mod certificate_tests;
mod readers;
mod shown;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::secret::TimingSecret;
use crate::auth::attempt::AttemptContext;
use crate::config::Authorities;
use crate::credential::{AuthorizedKey, RevokedKeys, RevokedList, find_in_file};
use crate::observe::escape::escape;
use crate::observe::event::{LoginEvent, emit};
use readers::Readers;
use shown::{Entry, ShownKey};

pub(super) use shown::{GrantedKey, KeyRefusal, ShownCredential};

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
    key_files: Vec<Arc<Path>>,
    /// The files of authorities of all users' tenants, one of which is read for an attempt without one.
    authority_files: Vec<Arc<Path>>,
    /// The authorities whose certificates any user may have.
    authorities: Arc<Authorities>,
    /// The revoked keys, and their file.
    revoked: Option<(Arc<RevokedKeys>, PathBuf)>,
    readers: Readers,
    /// Chooses the files that are read for an attempt without any, by the name.
    secret: TimingSecret,
}

/// The name of an attempt, and the keys of the user of that name, if there is one.
type Asked<'a> = (&'a [u8], Option<&'a UserKeys>);

impl UserKeys {
    /// Whether the user may have any key or certificate.
    pub(super) fn any(&self) -> bool {
        !self.listed.is_empty() || self.file.is_some() || self.authorities.any()
    }
}

impl KeyAccess {
    /// For these users, the authorities of authenticators, those of the server, and a file of revoked keys. `grace`:
    /// how long reading one file may take.
    pub(super) fn new<'u>(
        (users, others): (impl Iterator<Item = &'u UserKeys>, impl Iterator<Item = &'u Authorities>),
        authorities: Arc<Authorities>,
        revoked: Option<PathBuf>,
        grace: Duration,
        secret: TimingSecret,
    ) -> KeyAccess {
        let (mut key_files, mut authority_files) = (Vec::new(), BTreeSet::new());
        for user in users {
            key_files.extend(user.file.clone());
            authority_files.extend(user.authorities.file.as_deref().map(Arc::from));
        }
        authority_files.extend(others.filter_map(|other| other.file.as_deref().map(Arc::from)));
        let shared = authorities.file.as_deref().into_iter().chain(revoked.as_deref()).map(Arc::from);
        let files = key_files.iter().chain(&authority_files).cloned().chain(shared);
        let readers = Readers::new(files, grace);
        let revoked = revoked.map(|path| (Arc::new(RevokedKeys::new(path.clone())), path));
        let authority_files = authority_files.into_iter().collect();
        KeyAccess { key_files, authority_files, authorities, revoked, readers, secret }
    }

    /// Shares the readers with the generation before.
    pub(super) fn continue_from(&mut self, before: &KeyAccess) {
        self.readers.continue_from(&before.readers);
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
        let shown = shown_key(name, credential, proven, context);
        let authorities = user.map(|user| &*user.authorities);
        let lookup =
            Lookup { access: self, user, authorities, by_server: true, shown: &shown, connection: context.connection };
        let (lines, is_trusted, revoked) = lookup.read().await?;
        let Some(user) = user else { return Err(KeyRefusal::Unknown) };
        let listed = user.listed.iter().filter(|key| key.is(shown.listed_key()));
        let listed = listed.map(|key| Entry { place: None, parsed: Ok(key.clone()) });
        let entries = listed.chain(lines).collect();
        unless_revoked(shown.among(entries, user.principals.as_deref(), is_trusted), revoked)
    }

    /// Decides whether an authenticator is shown what the client shows: any key that is not revoked, and a certificate
    /// of one of these authorities, or else the server's, that may be used now, from here, and in this way. Whose it is
    /// the authenticator decides.
    pub(super) async fn check(
        &self,
        (name, authorities): (&[u8], Option<&Authorities>),
        credential: ShownCredential,
        proven: bool,
        context: &AttemptContext,
    ) -> Result<GrantedKey, KeyRefusal> {
        let shown = shown_key(name, credential, proven, context);
        let (user, by_server, connection) = (None, authorities.is_none(), context.connection);
        let lookup = Lookup { access: self, user, authorities, by_server, shown: &shown, connection };
        let (_, is_trusted, revoked) = lookup.read().await?;
        unless_revoked(shown.of_anybody(is_trusted), revoked)
    }

    /// One of these files, always the same for a name.
    fn decoy<'f>(&self, files: &'f [Arc<Path>], name: &[u8]) -> Option<&'f Path> {
        let count = u64::try_from(files.len()).ok().filter(|count| *count > 0)?;
        files.get(usize::try_from(self.secret.number("key files", name, count)).ok()?).map(|file| &**file)
    }
}

/// What a client shows for a name, now.
fn shown_key(name: &[u8], credential: ShownCredential, proven: bool, context: &AttemptContext) -> ShownKey {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let proven = proven.then_some(context.presence);
    ShownKey { user: name.to_vec(), credential, proven, address: context.peer.ip(), now }
}

/// A key that nobody in question has is not said to be revoked.
fn unless_revoked(judged: Result<GrantedKey, KeyRefusal>, revoked: Option<String>) -> Result<GrantedKey, KeyRefusal> {
    match (judged, revoked) {
        (Err(KeyRefusal::Unknown), _) => Err(KeyRefusal::Unknown),
        (_, Some(reason)) => Err(KeyRefusal::NotNow(reason)),
        (judged, None) => judged,
    }
}

/// What one attempt is decided with. Which files are read does not depend on whether the name is a user's.
struct Lookup<'a> {
    access: &'a KeyAccess,
    /// None for a name that is no user's.
    user: Option<&'a UserKeys>,
    /// The authorities of the user's tenant, or of the authenticator.
    authorities: Option<&'a Authorities>,
    /// The authorities of the server count, too.
    by_server: bool,
    shown: &'a ShownKey,
    connection: u64,
}

impl Lookup<'_> {
    /// Reads all files: the lines of the user's key file, whether the authority of the certificate is trusted, and why
    /// it or the key is revoked.
    async fn read(&self) -> Result<(Vec<Entry>, bool, Option<String>), KeyRefusal> {
        Ok((self.lines().await?, self.is_trusted().await?, self.revoked().await?))
    }

    /// The lines of the user's key file that hold the key, or the authority of the certificate.
    async fn lines(&self) -> Result<Vec<Entry>, KeyRefusal> {
        let own = self.user.and_then(|user| user.file.as_deref());
        let decoy = || self.access.decoy(&self.access.key_files, &self.shown.user);
        let Some(file) = own.or_else(decoy) else { return Ok(Vec::new()) };
        let (path, key) = (file.to_owned(), self.shown.listed_key().clone());
        let found = self.access.readers.read(file, move || find_in_file(&path, &key)).await?;
        Ok(match found {
            Ok(found) if own.is_some() => {
                let place = |line| Some(format!("{}:{line}", file.display()));
                found.into_iter().map(|(line, parsed)| Entry { place: place(line), parsed }).collect()
            }
            Err(reason) if own.is_some() => {
                self.log_unusable(&reason);
                Vec::new()
            }
            Ok(_) | Err(_) => Vec::new(),
        })
    }

    /// Whether the authority of the certificate is one that counts.
    async fn is_trusted(&self) -> Result<bool, KeyRefusal> {
        let ShownCredential::Certificate(certificate) = &self.shown.credential else { return Ok(false) };
        let authority = certificate.authority();
        let of_server = &self.access.authorities;
        let by_server = of_server.listed.iter().filter(|_| self.by_server);
        let listed = by_server.chain(self.authorities.into_iter().flat_map(|list| &list.listed));
        let mut is_trusted = listed.filter(|key| key.is(authority)).count() > 0;
        let own = self.authorities.and_then(|list| list.file.as_deref());
        let decoy = || self.access.decoy(&self.access.authority_files, &self.shown.user);
        let files = [(of_server.file.as_deref(), self.by_server), (own.or_else(decoy), own.is_some())];
        for (file, counts) in files {
            let Some(file) = file else { continue };
            let (path, key) = (file.to_owned(), authority.clone());
            let found = self.access.readers.read(file, move || find_in_file(&path, &key)).await?;
            match found {
                Ok(found) => {
                    let is_plain =
                        |line: &Result<AuthorizedKey, String>| line.as_ref().is_ok_and(AuthorizedKey::is_plain);
                    is_trusted |= counts && found.iter().any(|(_, line)| is_plain(line));
                }
                Err(reason) if counts => self.log_unusable(&reason),
                Err(_) => {}
            }
        }
        Ok(is_trusted)
    }

    /// Why the key or the certificate is revoked, if it is. As with sshd a file that cannot be read revokes all.
    async fn revoked(&self) -> Result<Option<String>, KeyRefusal> {
        let Some((revoked, file)) = &self.access.revoked else { return Ok(None) };
        let revoked = Arc::clone(revoked);
        let list = self.access.readers.read(file, move || revoked.current()).await?;
        Ok(match list {
            Ok(list) => self.revoked_by(&list),
            Err(reason) => {
                self.log_unusable(&reason);
                Some("the file of revoked keys cannot be used".to_owned())
            }
        })
    }

    fn revoked_by(&self, list: &RevokedList) -> Option<String> {
        match &self.shown.credential {
            ShownCredential::Key(key) => list.has_key(key).then(|| "it is revoked".to_owned()),
            ShownCredential::Certificate(certificate) => list.revokes(certificate).map(str::to_owned),
        }
    }

    fn log_unusable(&self, reason: &str) {
        emit(LoginEvent::KeyFileUnusable { connection: self.connection, user: escape(&self.shown.user), reason });
    }
}

#[cfg(test)]
mod tests;

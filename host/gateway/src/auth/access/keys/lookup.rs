//! Reads the files that decide on one key or certificate, and decides by what they say.

use std::sync::Arc;
use std::time::Instant;

use super::shown::{Entry, GrantedKey, KeyRefusal, ShownKey};
use super::sources::{KeyOwner, KeySources, UserKeys};
use crate::auth::proof::{SeenFile, ShownCredential};
use crate::config::Authorities;
use crate::credential::{AuthorizedKey, FileFault, FoundKey, KeyPath, RevokedList, find_in_cached_file, find_in_file};
use crate::observe::escape::{cut, escape};
use crate::observe::event::{LoginEvent, emit_throttled};
use crate::observe::strangers::{self, About};
use crate::source::Source;

/// What a key or certificate is decided with. Which files are read in an attempt does not depend on whether the name is
/// a user's.
pub(super) struct Lookup<'a> {
    pub(super) sources: &'a KeySources,
    pub(super) owner: KeyOwner<'a>,
    pub(super) shown: &'a ShownKey,
    pub(super) kind: LookupKind,
}

/// Purpose of the lookup.
#[derive(Clone, Copy)]
pub(super) enum LookupKind {
    /// A client shows the key, on the connection of this number.
    Attempt { connection: u64 },
    /// A client has logged in with the key. A list of revoked keys that was read at this time or later is used again.
    Again { since: Instant },
}

/// What the files say.
#[derive(Default)]
pub(super) struct KeyFindings {
    /// Lines of the operator's files with the key, or the authority of the certificate.
    operators: Vec<Entry>,
    /// Those of files in the user's home.
    in_home: Vec<Entry>,
    /// A line of the operator's files restricts some key.
    restricts: bool,
    /// The authority of the certificate is one that counts.
    is_trusted: bool,
    /// Why the key or the certificate is revoked.
    pub(super) revoked: Option<String>,
    /// Every file that has a say in it.
    seen: Vec<SeenFile>,
    /// A file of the operator's with keys or authorities could not be used, or is perhaps just being written, so it may
    /// restrict any key.
    may_restrict: bool,
    /// Fault of the last file of keys or authorities that could not be used. One that passes stays.
    pub(super) unusable: Option<FileFault>,
    /// Why the file of revoked keys could not be used.
    pub(super) unread: Option<String>,
}

impl Lookup<'_> {
    /// Reads all files.
    pub(super) async fn read(&self) -> Result<KeyFindings, KeyRefusal> {
        let mut findings = KeyFindings::default();
        self.read_keys(&mut findings).await?;
        self.read_authorities(&mut findings).await?;
        self.read_revoked(&mut findings).await?;
        Ok(findings)
    }

    /// Decides by what the files say.
    pub(super) fn decide(&self, findings: KeyFindings) -> Result<GrantedKey, KeyRefusal> {
        let KeyFindings { is_trusted, revoked, seen, .. } = &findings;
        let (is_trusted, revoked, files) = (*is_trusted, revoked.clone(), seen.clone());
        let judged = match self.owner {
            KeyOwner::Nobody => Err(KeyRefusal::Unknown),
            KeyOwner::Authenticator(_) => self.shown.of_anybody(is_trusted),
            KeyOwner::User(user) => {
                self.shown.among(self.entries(user, findings), user.principals.as_deref(), is_trusted)
            }
        };
        match (judged, revoked) {
            // Do not report "revoked" for a key that the user does not have.
            (Err(KeyRefusal::Unknown), _) => Err(KeyRefusal::Unknown),
            (_, Some(reason)) => Err(KeyRefusal::NotNow(reason)),
            (judged, None) => judged.map(|granted| GrantedKey { files, ..granted }),
        }
    }

    /// Whether any file of keys or authorities has a say, which may be in the middle of a change.
    pub(super) fn has_files(&self, findings: &KeyFindings) -> bool {
        let list = self.sources.revoked.as_ref().map(|revoked| revoked.path());
        findings.seen.iter().any(|(file, _)| Some(file) != list)
    }

    /// What the configuration and the files say of the key, those of the home last and only if they lift nothing.
    fn entries(&self, user: &UserKeys, findings: KeyFindings) -> Vec<Entry> {
        let listed = user.listed.iter().filter(|key| key.is(self.shown.listed_key()));
        let listed = listed.map(|key| Entry { place: None, parsed: Ok(key.clone()) });
        let mut entries: Vec<Entry> = listed.chain(findings.operators).collect();
        if !entries.is_empty() || findings.is_trusted {
            return entries;
        }
        let may_restrict = findings.may_restrict;
        let restricts = findings.restricts || user.listed.iter().any(|key| key.options.restricts());
        entries.extend(findings.in_home.into_iter().map(|Entry { place, parsed }| {
            let parsed = if may_restrict {
                Err("it is in a home, and a file of the operator's cannot be used, which may restrict it".to_owned())
            } else if restricts {
                Err("it is in a home, and another key of the user has options that restrict it".to_owned())
            } else {
                parsed.map(|mut key| {
                    key.options.environment.clear();
                    key
                })
            };
            Entry { place, parsed }
        }));
        entries
    }

    /// The lines of the user's key files that hold the key, or the authority of the certificate.
    async fn read_keys(&self, findings: &mut KeyFindings) -> Result<(), KeyRefusal> {
        let own = match self.owner {
            KeyOwner::User(user) => Some(&user.files).filter(|files| !files.is_empty()),
            KeyOwner::Nobody | KeyOwner::Authenticator(_) => None,
        };
        let Some(files) = own.or_else(|| self.decoy(&self.sources.key_files)) else { return Ok(()) };
        let has_home = files.iter().any(KeyPath::is_in_home);
        for file in files.iter() {
            let found = self.find(file, has_home && !file.is_in_home()).await?;
            if own.is_some()
                && let Some(FoundKey { lines, restricts, stamp }) = self.seen(file, found, findings)
            {
                if !file.is_in_home() && matches!(self.kind, LookupKind::Attempt { .. }) {
                    // Who writes a file anew empties it first. Those who are logged in keep what they had.
                    findings.may_restrict |= stamp.is_some_and(|stamp| stamp.is_empty() && !stamp.is_settled());
                }
                let place = |line| Some(format!("{file}:{line}"));
                let entries = lines.into_iter().map(|(line, parsed)| Entry { place: place(line), parsed });
                if file.is_in_home() {
                    findings.in_home.extend(entries);
                } else {
                    findings.restricts |= restricts;
                    findings.operators.extend(entries);
                }
            }
        }
        Ok(())
    }

    /// Whether the authority of the certificate is one that counts.
    async fn read_authorities(&self, findings: &mut KeyFindings) -> Result<(), KeyRefusal> {
        let ShownCredential::Certificate(certificate) = &self.shown.credential else { return Ok(()) };
        let (own, by_server): (Option<&Authorities>, bool) = match self.owner {
            KeyOwner::Nobody => (None, true),
            KeyOwner::User(user) => (Some(&user.authorities), true),
            KeyOwner::Authenticator(own) => (own, own.is_none()),
        };
        let of_server = &self.sources.authorities;
        let listed = of_server.listed.iter().filter(|_| by_server);
        let listed = listed.chain(own.into_iter().flat_map(|list| &list.listed));
        findings.is_trusted = listed.filter(|key| key.is(certificate.authority())).count() > 0;
        let own = own.and_then(|list| list.file.as_deref()).map(KeyPath::named);
        let counts = own.is_some();
        let own = own.or_else(|| self.decoy(&self.sources.authority_files).cloned());
        let files = [(of_server.file.as_deref().map(KeyPath::named), by_server), (own, counts)];
        for (file, counts) in files {
            let Some(file) = file else { continue };
            let found = self.find(&file, false).await?;
            if counts && let Some(FoundKey { lines, .. }) = self.seen(&file, found, findings) {
                let is_plain = |line: &Result<AuthorizedKey, String>| line.as_ref().is_ok_and(AuthorizedKey::is_plain);
                findings.is_trusted |= lines.iter().any(|(_, line)| is_plain(line));
            }
        }
        Ok(())
    }

    /// Why the key or the certificate is revoked, if it is. As with sshd a file that cannot be read revokes all.
    async fn read_revoked(&self, findings: &mut KeyFindings) -> Result<(), KeyRefusal> {
        let Some(revoked) = &self.sources.revoked else { return Ok(()) };
        let file = revoked.path().clone();
        let since = match self.kind {
            LookupKind::Attempt { .. } => Instant::now(),
            LookupKind::Again { since } => since,
        };
        let revoked = Arc::clone(revoked);
        let list = self.sources.readers.read(&file, move || revoked.current(since)).await?;
        match list {
            Ok((list, stamp)) => {
                findings.revoked = self.revoked_by(&list);
                findings.seen.push((file, Some(stamp)));
            }
            Err(reason) => {
                findings.revoked = Some("the file of revoked keys cannot be used".to_owned());
                self.unusable(&file, &reason, findings);
                findings.unread = Some(reason);
            }
        }
        Ok(())
    }

    fn revoked_by(&self, list: &RevokedList) -> Option<String> {
        match &self.shown.credential {
            ShownCredential::Key(key) => list.has_key(key).then(|| "it is revoked".to_owned()),
            ShownCredential::Certificate(certificate) => list.revokes(certificate).map(str::to_owned),
        }
    }

    /// Looks for the key, or the authority of the certificate, in a file: at once if it is in memory, else on a thread
    /// that may wait for the disk.
    async fn find(&self, file: &KeyPath, all: bool) -> Result<Result<FoundKey, FileFault>, KeyRefusal> {
        if let Some(found) = find_in_cached_file(file, self.shown.listed_key(), all) {
            return Ok(Ok(found));
        }
        let (path, key) = (file.clone(), self.shown.listed_key().clone());
        self.sources.readers.read(file, move || find_in_file(&path, &key, all)).await
    }

    /// Remembers the file as it was. None if it could not be used.
    fn seen(&self, file: &KeyPath, found: Result<FoundKey, FileFault>, findings: &mut KeyFindings) -> Option<FoundKey> {
        let fault = match found {
            Ok(FoundKey { stamp: None, .. }) if matches!(self.kind, LookupKind::Again { .. }) => {
                FileFault::from(format!("{file} is not there any more"))
            }
            Ok(found) => {
                findings.seen.push((file.clone(), found.stamp));
                return Some(found);
            }
            Err(fault) => fault,
        };
        self.unusable(file, &fault.reason, findings);
        findings.may_restrict |= !file.is_in_home();
        if !findings.unusable.as_ref().is_some_and(|earlier| earlier.is_passing) {
            findings.unusable = Some(fault);
        }
        None
    }

    fn unusable(&self, file: &KeyPath, reason: &str, findings: &mut KeyFindings) {
        if let LookupKind::Attempt { connection } = self.kind {
            let source = self.shown.address.map_or(Source::Unknown, Source::of);
            let user = cut(&self.shown.user, strangers::NAME);
            let unusable = LoginEvent::KeyFileUnusable { connection, user: escape(user), reason };
            emit_throttled(strangers::may_tell(About::Other, source, user.len()), unusable);
        }
        findings.seen.push((file.clone(), None));
    }

    /// What is read for an attempt without files of its own, always the same for a name.
    fn decoy<'f, T>(&self, all: &'f [T]) -> Option<&'f T> {
        match self.kind {
            LookupKind::Attempt { .. } => self.sources.decoy(all, &self.shown.user),
            LookupKind::Again { .. } => None,
        }
    }
}

//! Checks which folders a tenant may have: none that is, contains or is inside one of the operator or of another
//! tenant.
//!
//! Paths are compared after following links like the kernel, even if their last parts do not exist yet. Existing
//! folders are compared by identity too, so that a folder that is mounted twice is recognised.
//!
//! Checked when the configuration is read. What a tenant does with links of its own later is restricted by the
//! directory grant.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::reader::Findings;
use crate::state::plugin_files::programs::BIN;

/// The error for a grant to deploy without effect.
pub(super) const DEPLOYS_NOTHING: &str = "deploy = true does nothing here: it takes a directory to write in that holds the tenant's own `plugins`, or `process = true`";
/// As many links as Linux follows, path_resolution(7).
const MOST_LINKS: usize = 40;

/// Where a path leads.
#[derive(Clone, Debug, Default)]
pub(super) struct ResolvedPath {
    /// Absolute and without links.
    pub(super) path: PathBuf,
    /// Every link on the way, by its own path.
    links: Vec<PathBuf>,
    /// The device and inode numbers of it and its parents, as far as they exist.
    chain: Vec<FileId>,
    /// Its identity, if it exists.
    identity: Option<FileId>,
}

type FileId = (u64, u64);

/// A folder that the configuration gives a tenant.
pub(super) struct Claim {
    pub(super) tenant: String,
    pub(super) kind: Kind,
    pub(super) place: ResolvedPath,
    /// The place in the file.
    pub(super) span: Range<usize>,
    pub(super) key: String,
}

/// The purpose of a tenant's folder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// For its plugins to read, and perhaps to write.
    Directory {
        writes: bool,
        /// The tenant may write where its own plugins are.
        deploys: bool,
        /// Its programs may start programs from files, so that `deploy` has an effect in any case.
        starts: bool,
        /// It is in the state folder because whelk creates it there.
        private: bool,
    },
    /// For its own plugins.
    Plugins,
    /// What its homes begin with. Tenants may share it.
    Skeleton,
    /// For its plugins to read, beside the directory. Tenants may share it.
    Mount,
}

/// What a list of authorities is called.
pub(super) const AUTHORITIES: &str = "the authorities whose certificates let users in";

/// A folder or file of the operator.
pub(super) struct Owned<'a> {
    pub(super) file: &'a Path,
    pub(super) state: &'a Path,
    pub(super) plugins: &'a Path,
    pub(super) host_keys: &'a [PathBuf],
    pub(super) keys: &'a [UserKeyFile],
    /// Files that decide who logs in, beside those of users, and what they are.
    pub(super) lists: Vec<(&'static str, PathBuf)>,
    /// Folders of recordings.
    pub(super) recordings: Vec<PathBuf>,
}

/// A key file of a user.
pub(super) struct UserKeyFile {
    pub(super) path: PathBuf,
    pub(super) user: String,
    pub(super) tenant: String,
}

impl Kind {
    /// Whether the tenant may change the contents ...
    fn writes(self) -> bool {
        matches!(self, Kind::Directory { writes: true, .. })
    }

    /// ... including plugins.
    pub(super) fn deploys(self) -> bool {
        matches!(self, Kind::Directory { writes: true, deploys: true, .. })
    }
}

impl ResolvedPath {
    /// Resolves a path. Parts that do not exist are taken literally.
    ///
    /// # Errors
    /// When it cannot be resolved: too many links, a file in place of a folder, no permission.
    pub(super) fn resolve(path: &Path) -> io::Result<ResolvedPath> {
        ResolvedPath::resolve_up_to(path, None)
    }

    /// The same, but everything inside `end` is taken literally too: a tenant may place links there, which must have no
    /// effect.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve).
    pub(super) fn resolve_up_to(path: &Path, end: Option<&ResolvedPath>) -> io::Result<ResolvedPath> {
        let mut ahead: VecDeque<OsString> = parts(&std::path::absolute(path)?);
        let (mut at, mut links) = (PathBuf::from("/"), Vec::new());
        // Where the path was found to be in `end`: below a second mount only the mount point itself can tell.
        let mut inside: Option<PathBuf> = None;
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            let is_inside = |inside: &PathBuf| at.starts_with(inside);
            if !inside.as_ref().is_some_and(is_inside) {
                inside = end.filter(|end| end.holds(&at)).map(|_| at.clone());
            }
            if inside.is_some() {
                at = next;
                continue;
            }
            match fs::symlink_metadata(&next) {
                Ok(facts) if facts.is_symlink() => {
                    let target = fs::read_link(&next)?;
                    if target.has_root() {
                        at = PathBuf::from("/");
                    }
                    for part in parts(&target).into_iter().rev() {
                        ahead.push_front(part);
                    }
                    links.push(next);
                    if links.len() > MOST_LINKS {
                        return Err(io::Error::other("too many links"));
                    }
                }
                Ok(_) => at = next,
                Err(error) if error.kind() == io::ErrorKind::NotFound => at = next,
                Err(error) => return Err(error),
            }
        }
        // What was taken literally may be a link, so it has no identity.
        let is_known =
            |path: &&Path| !inside.as_ref().is_some_and(|inside| path.starts_with(inside) && *path != inside);
        let chain = at.ancestors().filter(is_known).filter_map(identity).collect();
        let identity = Some(at.as_path()).filter(is_known).and_then(identity);
        Ok(ResolvedPath { path: at, links, chain, identity })
    }

    /// Whether a path without links is this folder or inside it. Two mounts of one folder are recognised only by its
    /// identity.
    fn holds(&self, path: &Path) -> bool {
        path.starts_with(&self.path) || self.identity.is_some_and(|own| identity(path) == Some(own))
    }

    /// Whether it is the other, or inside it.
    pub(super) fn is_within(&self, other: &ResolvedPath) -> bool {
        self.path.starts_with(&other.path) || other.identity.is_some_and(|identity| self.chain.contains(&identity))
    }

    /// How the two conflict, as the middle of a sentence.
    fn relation(&self, other: &ResolvedPath) -> Option<&'static str> {
        match (self.is_within(other), other.is_within(self)) {
            (true, true) => Some("is"),
            (true, false) => Some("lies in"),
            (false, true) => Some("holds"),
            (false, false) => None,
        }
    }

    /// Whether it contains a link on the path to the other: whoever may write here decides where that leads.
    fn leads_to(&self, other: &ResolvedPath) -> bool {
        other.links.iter().any(|link| link.starts_with(&self.path))
    }
}

fn identity(path: &Path) -> Option<FileId> {
    path.metadata().ok().map(|facts| (facts.dev(), facts.ino()))
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// Checks every claim against the operator's folders and those of the other tenants.
pub(super) fn check(claims: &mut [Claim], owned: &Owned<'_>, findings: &mut Findings) {
    claims.sort_by_key(|claim| claim.span.start);
    if claims.is_empty() {
        return;
    }
    let places = operator_paths(owned, findings);
    for (index, claim) in claims.iter().enumerate() {
        match claim.kind {
            Kind::Directory { private, .. } => check_directory(claim, private, &places, findings),
            Kind::Skeleton | Kind::Mount => check_directory(claim, false, &places, findings),
            Kind::Plugins => check_plugins(claim, &places, findings),
        }
        for other in claims.iter().take(index) {
            check_pair(claim, other, findings);
        }
    }
    for claim in claims.iter().filter(|claim| matches!(claim.kind, Kind::Directory { deploys: true, .. })) {
        check_deploys(claim, claims, findings);
    }
}

/// The operator's folders.
struct OperatorPaths {
    state: ResolvedPath,
    /// What no directory may overlap, and its description.
    others: Vec<(&'static str, ResolvedPath)>,
    plugins: ResolvedPath,
    keys: Vec<(String, String, ResolvedPath)>,
    lists: Vec<(&'static str, ResolvedPath)>,
}

fn operator_paths(owned: &Owned<'_>, findings: &mut Findings) -> OperatorPaths {
    let mut resolve = |key: &str, path: &Path| match ResolvedPath::resolve(path) {
        Ok(place) => place,
        Err(error) => {
            findings.add(&(0..0), key, format!("{} cannot be found: {error}", path.display()));
            // Absolute and non-existent, so that it overlaps nothing.
            ResolvedPath { path: PathBuf::from("/\0"), ..ResolvedPath::default() }
        }
    };
    let (state, plugins) = (resolve("state", owned.state), resolve("plugins", owned.plugins));
    let file = resolve("", owned.file);
    let keys = owned.keys.iter().map(|key| {
        // An unreadable key file has been reported.
        (key.user.clone(), key.tenant.clone(), ResolvedPath::resolve(&key.path).unwrap_or_default())
    });
    let keys = keys.filter(|(.., place)| !place.path.as_os_str().is_empty()).collect();
    // An unreadable one has been reported.
    let host_keys = owned.host_keys.iter().filter_map(|path| ResolvedPath::resolve(path).ok());
    let mut others = vec![("the configuration", file), ("the operator's plugin folder", plugins.clone())];
    others.extend(host_keys.map(|place| ("a host key", place)));
    // One that cannot be resolved has been reported.
    let recordings = owned.recordings.iter().filter_map(|path| ResolvedPath::resolve(path).ok());
    others.extend(recordings.map(|place| ("a folder of recordings", place)));
    // One that cannot be read has been reported.
    let lists =
        owned.lists.iter().filter_map(|(what, path)| Some((*what, ResolvedPath::resolve(path).ok()?))).collect();
    OperatorPaths { state, others, plugins, keys, lists }
}

fn check_directory(claim: &Claim, private: bool, places: &OperatorPaths, findings: &mut Findings) {
    let writes = claim.kind.writes();
    let shown = claim.place.path.display();
    let state = ("the state folder", &places.state);
    let others = places.others.iter().map(|(name, place)| (*name, place));
    for (name, place) in others.chain((!private).then_some(state)) {
        let other = place.path.display();
        if let Some(relation) = claim.place.relation(place) {
            findings.add(&claim.span, &claim.key, format!("{shown} {relation} {name} ({other})"));
        } else if writes && claim.place.leads_to(place) {
            findings.add(&claim.span, &claim.key, format!("{shown} holds a link on the way to {name} ({other})"));
        }
    }
    // The tenant's own too: a plugin that writes there would decide who logs in.
    for (user, tenant, place) in places.keys.iter().filter(|_| writes) {
        if place.is_within(&claim.place) || claim.place.leads_to(place) {
            let what = format!("{shown} holds the keys by which {user:?} of tenant {tenant} enters");
            findings.add(&claim.span, &claim.key, what);
        }
    }
    for (what, place) in places.lists.iter().filter(|_| writes) {
        if place.is_within(&claim.place) || claim.place.leads_to(place) {
            findings.add(&claim.span, &claim.key, format!("{shown} holds {what} ({})", place.path.display()));
        }
    }
}

fn check_plugins(claim: &Claim, places: &OperatorPaths, findings: &mut Findings) {
    let shown = claim.place.path.display();
    if claim.place.relation(&places.plugins) == Some("is") {
        let what = format!("{shown} is the operator's plugin folder, which every tenant sees: remove the setting");
        findings.add(&claim.span, &claim.key, what);
    } else if claim.place.path.starts_with(places.plugins.path.join(BIN)) {
        let what =
            format!("{shown} lies in the folder of the operator's programs, which every tenant has: choose another");
        findings.add(&claim.span, &claim.key, what);
    }
}

/// Two claims, the first of which comes later in the file.
fn check_pair(claim: &Claim, other: &Claim, findings: &mut Findings) {
    let (directory, plugins) = match (claim.kind, other.kind) {
        (Kind::Directory { .. } | Kind::Skeleton | Kind::Mount, Kind::Plugins) => (claim, other),
        (Kind::Plugins, Kind::Directory { .. } | Kind::Skeleton | Kind::Mount) => (other, claim),
        (Kind::Skeleton | Kind::Mount, Kind::Skeleton | Kind::Mount) => return,
        _ => return check_alike(claim, other, findings),
    };
    let (writes, deploys) = (directory.kind.writes(), directory.kind.deploys());
    let relation = directory.place.relation(&plugins.place);
    let relation =
        relation.or((writes && directory.place.leads_to(&plugins.place)).then_some("holds a link on the way to"));
    let Some(relation) = relation else { return };
    let (shown, other) = (directory.place.path.display(), plugins.place.path.display());
    let what = if directory.tenant != plugins.tenant {
        let place = findings.place(&plugins.span);
        format!("{shown} {relation} the plugin folder of tenant {} ({other}, at {place})", plugins.tenant)
    } else if writes && !deploys {
        format!("{shown} {relation} the tenant's own plugin folder ({other}): to write plugins takes deploy = true")
    } else {
        return;
    };
    findings.add(&directory.span, &directory.key, what);
}

/// Two directories, two plugin folders, or a directory and a skeleton.
fn check_alike(claim: &Claim, other: &Claim, findings: &mut Findings) {
    let mut told = |claim: &Claim, relation: &str, other: &Claim| {
        let name = match other.kind {
            Kind::Plugins => "plugin folder",
            Kind::Directory { .. } => "directory",
            Kind::Skeleton => "skeleton",
            Kind::Mount => "mount",
        };
        let (shown, theirs, tenant) = (claim.place.path.display(), other.place.path.display(), &other.tenant);
        let place = findings.place(&other.span);
        let what = format!("{shown} {relation} the {name} of tenant {tenant} ({theirs}, at {place})");
        findings.add(&claim.span, &claim.key, what);
    };
    if let Some(relation) = claim.place.relation(&other.place) {
        return told(claim, relation, other);
    }
    for (one, two) in [(claim, other), (other, claim)] {
        if one.kind.writes() && one.place.leads_to(&two.place) {
            told(one, "holds a link on the way to", two);
        }
    }
}

/// A grant to deploy without effect is an error.
fn check_deploys(directory: &Claim, claims: &[Claim], findings: &mut Findings) {
    let Kind::Directory { writes, starts: false, .. } = directory.kind else { return };
    let own = claims.iter().find(|claim| claim.kind == Kind::Plugins && claim.tenant == directory.tenant);
    if !own.is_some_and(|own| writes && own.place.relation(&directory.place).is_some()) {
        findings.add(&directory.span, &directory.key, DEPLOYS_NOTHING);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn resolve(path: &Path) -> PathBuf {
        ResolvedPath::resolve(path).unwrap().path
    }

    #[test]
    fn paths_resolve_like_the_kernels_even_if_they_do_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("a/b", root.join("relative")).unwrap();
        symlink(root.join("a"), root.join("absolute")).unwrap();
        symlink("../relative/../c", root.join("a/up")).unwrap();
        symlink("nowhere/yet", root.join("dangling")).unwrap();
        for (path, leads_to) in [
            ("a/./b", "a/b"),
            ("relative", "a/b"),
            ("relative/new/folder", "a/b/new/folder"),
            ("absolute/b", "a/b"),
            // `..` leaves the folder that the link led to.
            ("relative/..", "a"),
            ("a/up", "a/c"),
            ("dangling", "nowhere/yet"),
            ("dangling/below", "nowhere/yet/below"),
            ("absent/../a", "a"),
        ] {
            assert_eq!(resolve(&root.join(path)), root.join(leads_to), "{path}");
        }
        assert_eq!(resolve(Path::new("/..")), Path::new("/"));
    }

    #[test]
    fn endless_links_and_files_in_the_path_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        symlink("b", folder.path().join("a")).unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        assert!(ResolvedPath::resolve(&folder.path().join("a")).is_err());
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(ResolvedPath::resolve(&folder.path().join("file/below")).is_err());
    }

    #[test]
    fn a_common_prefix_of_names_is_not_a_common_folder() {
        let place = |path: &str| ResolvedPath { path: path.into(), ..ResolvedPath::default() };
        assert_eq!(place("/srv/acme").relation(&place("/srv/acme2")), None);
        assert_eq!(place("/srv/acme").relation(&place("/srv/acme/x")), Some("holds"));
        assert_eq!(place("/srv/acme/x").relation(&place("/srv/acme")), Some("lies in"));
        assert_eq!(place("/srv/acme").relation(&place("/srv/acme")), Some("is"));
        assert_eq!(place("/").relation(&place("/srv")), Some("holds"));
    }

    #[test]
    fn a_folder_mounted_twice_is_one_folder() {
        let state = ResolvedPath {
            path: "/var/state".into(),
            identity: Some((1, 7)),
            chain: vec![(1, 7), (1, 2)],
            ..ResolvedPath::default()
        };
        let mounted = ResolvedPath {
            path: "/srv/x".into(),
            identity: Some((1, 7)),
            chain: vec![(1, 7), (1, 3)],
            ..ResolvedPath::default()
        };
        let below = ResolvedPath {
            path: "/srv/x/y".into(),
            identity: None,
            chain: vec![(1, 7), (1, 3)],
            ..ResolvedPath::default()
        };
        assert_eq!(mounted.relation(&state), Some("is"));
        assert_eq!(below.relation(&state), Some("lies in"));
        assert_eq!(state.relation(&below), Some("holds"));
    }
}

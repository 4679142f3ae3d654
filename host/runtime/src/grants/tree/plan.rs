//! The parts of a tenant's trees, made once for all of its sessions.

use std::ffi::OsStr;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, OnceLock};

use super::device::{DEVICES, Device, number};
use crate::grants::directory::{Directory, DiskQueue};

/// A folder that the host fills, with names of files that can be looked at and run, and not read. Neither function
/// blocks.
pub trait NameFolder: Send + Sync + fmt::Debug {
    /// All names as they are now, in the order of a listing.
    fn names(&self) -> Vec<String>;

    /// The bytes of the file with this name; `None` if there is none.
    fn size(&self, name: &str) -> Option<u64>;
}

/// Makes the `/tmp` of a session.
pub trait TemporaryFolders: Send + Sync + fmt::Debug {
    /// Makes one, empty. It is removed when the last who holds it drops it. Blocks.
    ///
    /// # Errors
    ///
    /// Why it cannot be made.
    fn make(&self) -> io::Result<Arc<Directory>>;
}

/// A directory of the operator that plugins see at a path, for reading.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Where: absolute, without `.`, `..` and empty names.
    pub path: String,
    /// What.
    pub directory: Arc<Directory>,
}

/// What plugins see beside the granted directory.
#[derive(Debug, Clone, Default)]
pub struct TreeSettings {
    /// Directories of the operator.
    pub mounts: Vec<Mount>,
    /// Whether handlers see what programs see. Otherwise they see the granted directory and the mounts.
    pub for_handlers: bool,
    /// Who makes `/tmp`; without it there is none.
    pub temporary: Option<Arc<dyn TemporaryFolders>>,
    /// What is seen as `/bin` and `/usr/bin`; without it they are not there.
    pub programs: Option<Arc<dyn NameFolder>>,
}

/// The trees of a tenant: that of its programs, and that of its handlers.
#[derive(Debug, Clone)]
pub struct FileTree(Arc<Trees>);

/// Each is made when a session first sees it: most tenants run no programs, or no handlers.
#[derive(Debug)]
struct Trees {
    settings: TreeSettings,
    programs: OnceLock<Arc<Plan>>,
    handlers: OnceLock<Arc<Plan>>,
}

/// The kind of something that the host makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    Device,
    File,
}

/// What is at a place of a tree.
#[derive(Debug)]
pub(super) enum NodeKind {
    /// The directory of the session, or nothing but other parts.
    Home,
    /// The directory of the session for files that it needs for a while.
    Temporary(Arc<dyn TemporaryFolders>),
    Mount(Arc<Directory>),
    /// Nothing but other parts.
    Folder,
    Device(Device),
    /// The numbers of a process's descriptors, which [`Plan::descriptor`] counts behind all other places.
    Descriptors,
    /// One of them.
    Descriptor,
    Names(Arc<dyn NameFolder>),
}

/// The places of a tree where something begins that is not its parent's, by number.
#[derive(Debug)]
pub(crate) struct Plan {
    nodes: Vec<Node>,
    /// `/dev/fd`, if it is there.
    descriptors: usize,
    queue: Arc<DiskQueue>,
    /// The secret of the hashes of what the host makes.
    secret: RandomState,
}

#[derive(Debug)]
struct Node {
    /// The root is its own parent.
    parent: usize,
    children: Vec<(String, usize)>,
    kind: NodeKind,
}

impl FileTree {
    /// The trees with these parts.
    #[must_use]
    pub fn new(settings: TreeSettings) -> Self {
        Self(Arc::new(Trees { settings, programs: OnceLock::new(), handlers: OnceLock::new() }))
    }

    pub(super) fn of_programs(&self) -> &Arc<Plan> {
        let Trees { settings, programs, .. } = &*self.0;
        programs.get_or_init(|| Arc::new(Plan::new(settings, true)))
    }

    pub(super) fn of_handlers(&self) -> &Arc<Plan> {
        let Trees { settings, handlers, .. } = &*self.0;
        if settings.for_handlers {
            return self.of_programs();
        }
        handlers.get_or_init(|| Arc::new(Plan::new(settings, false)))
    }

    /// The names in the root that hide what the granted directory has there, for programs or for handlers.
    pub fn root_names(&self, is_program: bool) -> impl Iterator<Item = &str> {
        let plan = if is_program { self.of_programs() } else { self.of_handlers() };
        plan.children(Plan::ROOT).map(|(name, _)| name)
    }
}

impl Default for FileTree {
    fn default() -> Self {
        Self::new(TreeSettings::default())
    }
}

impl Plan {
    /// The number of the root.
    pub(super) const ROOT: usize = 0;

    fn new(settings: &TreeSettings, whole: bool) -> Self {
        let root = Node { parent: Self::ROOT, children: Vec::new(), kind: NodeKind::Home };
        let mut plan =
            Self { nodes: vec![root], descriptors: Self::ROOT, queue: DiskQueue::new(), secret: RandomState::new() };
        if whole {
            let dev = plan.add("dev", NodeKind::Folder);
            for (name, device) in DEVICES {
                plan.add_to(dev, name, NodeKind::Device(device));
            }
            plan.descriptors = plan.add_to(dev, "fd", NodeKind::Descriptors);
            if let Some(folders) = &settings.temporary {
                plan.add("tmp", NodeKind::Temporary(Arc::clone(folders)));
            }
            if let Some(folder) = &settings.programs {
                for path in ["bin", "usr/bin"] {
                    plan.add(path, NodeKind::Names(Arc::clone(folder)));
                }
            }
        }
        for Mount { path, directory } in &settings.mounts {
            plan.add(path, NodeKind::Mount(Arc::clone(directory)));
        }
        for node in &mut plan.nodes {
            node.children.sort();
        }
        plan
    }

    /// Adds a place with this path, and the folders on the way to it.
    fn add(&mut self, path: &str, kind: NodeKind) -> usize {
        let mut at = Self::ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = match self.child(at, OsStr::new(name)) {
                Some(child) => child,
                None => self.add_to(at, name, NodeKind::Folder),
            };
        }
        if at != Self::ROOT {
            self.nodes[at].kind = kind;
        }
        at
    }

    fn add_to(&mut self, parent: usize, name: &str, kind: NodeKind) -> usize {
        let number = self.nodes.len();
        self.nodes.push(Node { parent, children: Vec::new(), kind });
        self.nodes[parent].children.push((name.to_owned(), number));
        number
    }

    pub(super) fn kind(&self, part: usize) -> &NodeKind {
        self.nodes.get(part).map_or(&NodeKind::Descriptor, |node| &node.kind)
    }

    pub(super) fn parent(&self, part: usize) -> usize {
        self.nodes.get(part).map_or(self.descriptors, |node| node.parent)
    }

    /// The place of a descriptor of this name.
    pub(super) fn descriptor(&self, name: &OsStr) -> Option<usize> {
        let number = usize::try_from(number(name.to_str()?)?).ok()?;
        Some(self.nodes.len() + number)
    }

    /// The number of the descriptor at this place.
    fn number(&self, part: usize) -> Option<u32> {
        u32::try_from(part.checked_sub(self.nodes.len())?).ok()
    }

    /// Its path from the root, without a slash at the beginning.
    pub(super) fn path(&self, mut part: usize) -> String {
        let mut names = Vec::new();
        while part != Self::ROOT {
            let parent = self.parent(part);
            if let Some(number) = self.number(part) {
                names.push(number.to_string());
                part = parent;
                continue;
            }
            names.extend(self.children(parent).find(|(_, child)| *child == part).map(|(name, _)| name.to_owned()));
            part = parent;
        }
        names.reverse();
        names.join("/")
    }

    pub(super) fn children(&self, part: usize) -> impl Iterator<Item = (&str, usize)> {
        self.nodes.get(part).into_iter().flat_map(|node| &node.children).map(|(name, child)| (name.as_str(), *child))
    }

    pub(super) fn child(&self, part: usize, name: &OsStr) -> Option<usize> {
        self.children(part).find(|(child, _)| OsStr::new(child) == name).map(|(_, number)| number)
    }

    pub(super) fn has_mounts(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.kind, NodeKind::Mount(_)))
    }

    pub(super) fn is_folder(&self, part: usize) -> bool {
        self.device(part).is_none()
    }

    pub(super) fn device(&self, part: usize) -> Option<Device> {
        match self.kind(part) {
            NodeKind::Device(device) => Some(*device),
            NodeKind::Descriptor => self.number(part).map(Device::Number),
            _ => None,
        }
    }

    /// What it is if the host makes it.
    pub(super) fn made(&self, part: usize) -> Kind {
        if self.is_folder(part) { Kind::Folder } else { Kind::Device }
    }

    pub(super) fn queue(&self) -> &Arc<DiskQueue> {
        &self.queue
    }

    /// Identifies something that the host makes.
    pub(super) fn hash(&self, part: usize, name: &str) -> (u64, u64) {
        (self.secret.hash_one((part, name, 0)), self.secret.hash_one((part, name, 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn children(plan: &Plan, part: usize) -> Vec<&str> {
        plan.children(part).map(|(name, _)| name).collect()
    }

    #[test]
    fn the_folders_on_the_way_to_a_mount_are_part_of_the_tree() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open_mount(place.path()).unwrap();
        let mount = |path: &str| Mount { path: path.to_owned(), directory: Arc::clone(&directory) };
        let mounts = vec![mount("/usr/share/data/more"), mount("/usr/share/data"), mount("/opt")];
        let tree = FileTree::new(TreeSettings { mounts, ..TreeSettings::default() });
        let (programs, handlers) = (tree.of_programs(), tree.of_handlers());
        assert_eq!(children(programs, Plan::ROOT), ["dev", "opt", "usr"]);
        assert_eq!(tree.root_names(false).collect::<Vec<_>>(), ["opt", "usr"]);
        let child = |at, name: &str| handlers.child(at, OsStr::new(name)).unwrap();
        let data = child(child(child(Plan::ROOT, "usr"), "share"), "data");
        assert!(matches!(handlers.kind(data), NodeKind::Mount(_)) && handlers.has_mounts());
        assert_eq!((children(handlers, data), handlers.parent(child(data, "more"))), (vec!["more"], data));
        assert_eq!((handlers.path(child(data, "more")).as_str(), handlers.path(Plan::ROOT).as_str()), {
            ("usr/share/data/more", "")
        });
    }

    #[test]
    fn without_settings_a_handler_sees_only_its_directory_and_a_program_devices() {
        let tree = FileTree::default();
        assert_eq!(tree.root_names(false).count(), 0);
        assert_eq!(tree.root_names(true).collect::<Vec<_>>(), ["dev"]);
    }
}

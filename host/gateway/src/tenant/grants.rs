//! Turns the grants of the configuration into those of the runtime.
//!
//! A grant that is not possible is reported, and the caller decides whether that prevents the start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use whelk_runtime::keyvalue::{self, Buckets, Embedded};
use whelk_runtime::{
    Access, AllowList, Clock, Configuration, Directories, Directory, FileTree, Grants, HomeQuota, HomeSettings, Homes,
    Limits, Mount, NameFolder, Quota, ReservedAddresses, TcpAllow, TemporaryFolders, Topics, TreeSettings,
};

use crate::config::{self, AuthenticatorConfig, DirectoryAccess, HomesConfig, MountConfig};
use crate::state::{KEYVALUE, State};
use crate::tenant::counts::{Counts, SharedByName};
use crate::tenant::programs::Programs;
use crate::tenant::session_folders::SessionFolders;

/// The path at which plugins see their granted directory.
const GUEST_PATH: &str = "/";

/// Makes the grants of every tenant. All generations of a process share one, so that what is granted again is the same:
/// the store, the counts of a directory, the topics.
pub(crate) struct Granter {
    state: PathBuf,
    /// Whether this process serves all connections, so that what it counts is complete. False with `--stdio`: see
    /// [`Config::one_connection`](crate::config::Config::one_connection).
    serves_all: bool,
    /// Opened when the first tenant is granted buckets; shared by all.
    store: OnceLock<Arc<Embedded>>,
    /// Held while the store is opened: its file can be opened once.
    opening: Mutex<()>,
    directories: Arc<Directories>,
    /// The topics of each tenant that has any.
    topics: SharedByName<Topics>,
    counts: Counts,
    /// Addresses that no grant leads to.
    reserved: Arc<ReservedAddresses>,
}

impl Granter {
    /// `state` is the state folder.
    pub(crate) fn new(state: &Path) -> Granter {
        Granter {
            state: state.to_owned(),
            serves_all: true,
            store: OnceLock::new(),
            opening: Mutex::default(),
            directories: Arc::default(),
            topics: SharedByName::default(),
            counts: Counts::default(),
            reserved: Arc::default(),
        }
    }

    /// For a process that serves one connection: gives no grants that are counted over all connections.
    pub(crate) fn without_counts(state: &Path) -> Granter {
        Granter { serves_all: false, ..Granter::new(state) }
    }

    /// What is counted of every tenant and authenticator.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Addresses that no grant leads to.
    pub(crate) fn reserved(&self) -> &Arc<ReservedAddresses> {
        &self.reserved
    }

    /// Whether the grant of a directory is possible here: a quota has to be counted.
    fn may_open(&self, directory: &config::Directory) -> bool {
        self.serves_all || directory.access == DirectoryAccess::ReadOnly
    }

    /// The grants of a tenant's plugins, which see these programs, and the reasons why others are not possible. Blocks
    /// on disks.
    pub(crate) fn grant(
        &self,
        tenant: &str,
        granted: &config::Grants,
        limits: &Limits,
        programs: &Arc<Programs>,
    ) -> (Grants, Vec<String>) {
        let mut refused = Vec::new();
        let granted_directory = granted.directory.as_ref().filter(|directory| self.may_open(directory));
        let homes =
            granted_directory.and_then(|directory| Some(self.homes(tenant, directory, directory.homes.as_ref()?)));
        let directory = granted_directory.filter(|directory| directory.homes.is_none());
        let directory = directory.map(|directory| self.directory(tenant, directory));
        let keyvalue = granted.keyvalue.filter(|_| self.serves_all).map(|quota| self.buckets(tenant, quota));
        // Both lists were checked when the configuration was read.
        let http = (!granted.http.is_empty()).then(|| AllowList::parse(&granted.http).map_err(joined));
        let http = http.map(|list| list.map(|list| list.without(&self.reserved)));
        let tcp = (!granted.tcp.is_empty()).then(|| TcpAllow::parse(&granted.tcp).map_err(joined));
        let tcp = tcp.map(|list| list.map(|list| list.without(&self.reserved)));
        let grants = Grants {
            environment: granted.environment.clone(),
            config: Configuration::default(),
            clock: match granted.clock {
                config::Clock::Coarse => Clock::Coarse,
                config::Clock::Fine => Clock::Fine,
            },
            http: kept(http, "http", &mut refused).map(Arc::new),
            tcp: kept(tcp, "tcp", &mut refused).map(Arc::new),
            directory: kept(directory, "directory", &mut refused),
            tree: self.tree(tenant, granted, (limits, programs), &mut refused),
            homes: kept(homes, "directory", &mut refused),
            keyvalue: kept(keyvalue, "keyvalue", &mut refused),
            topics: (granted.topics && self.serves_all).then(|| self.topics.get_or_make(tenant, Topics::new)),
            process: granted.process,
        };
        (grants, refused)
    }

    /// The grants of an authenticator, whose store has this name: the store and its configuration. Blocks on the disk.
    ///
    /// # Errors
    /// Why the store cannot be used.
    pub(crate) fn authenticator(&self, store: &str, configured: &AuthenticatorConfig) -> Result<Grants, String> {
        let keyvalue = self.serves_all.then(|| self.buckets(store, configured.keyvalue)).transpose()?;
        let config = configured.config.iter().cloned().collect();
        Ok(Grants { keyvalue, config, ..Grants::default() })
    }

    fn directory(&self, tenant: &str, granted: &config::Directory) -> Result<Arc<Directory>, String> {
        let path = match &granted.path {
            Some(path) => path.clone(),
            None => {
                self.opened_state().and_then(|state| state.private_folder(tenant).map_err(|error| error.to_string()))?
            }
        };
        let access = match granted.access {
            DirectoryAccess::ReadOnly => Access::ReadOnly,
            DirectoryAccess::ReadWrite => Access::ReadWrite,
        };
        self.directories.open(&path, access, quota(granted), GUEST_PATH).map_err(|error| error.to_string())
    }

    /// What the tenant's plugins see of files beside their directory.
    fn tree(
        &self,
        tenant: &str,
        granted: &config::Grants,
        (limits, programs): (&Limits, &Arc<Programs>),
        refused: &mut Vec<String>,
    ) -> FileTree {
        let mut mounts = Vec::new();
        for MountConfig { at, path } in &granted.mounts {
            match Directory::open_mount(path) {
                Ok(directory) => mounts.push(Mount { path: at.clone(), directory }),
                Err(error) => refused.push(format!("mounts.{at:?}: {error}")),
            }
        }
        let each = Quota { bytes: limits.tmp_bytes as u64, files: limits.tmp_files.into() };
        let total = Quota { bytes: limits.tenant_tmp_bytes as u64, files: limits.tenant_tmp_files.into() };
        let quota = HomeQuota { each, total };
        let folders = || SessionFolders::new(&self.state, tenant, quota, &self.directories);
        FileTree::new(TreeSettings {
            mounts,
            for_handlers: granted.system_folders,
            // It has to be counted.
            temporary: self.serves_all.then(|| folders() as Arc<dyn TemporaryFolders>),
            programs: Some(Arc::clone(programs) as Arc<dyn NameFolder>),
        })
    }

    fn homes(&self, tenant: &str, granted: &config::Directory, homes: &HomesConfig) -> Result<Arc<Homes>, String> {
        let path = match &granted.path {
            Some(path) => path.clone(),
            None => self
                .opened_state()
                .and_then(|state| state.ephemeral_folder(tenant).map_err(|error| error.to_string()))?,
        };
        let total = Quota { bytes: homes.total_bytes as u64, files: homes.total_files.into() };
        let quota = HomeQuota { each: quota(granted), total };
        let settings = HomeSettings { lifetime: homes.lifetime, skeleton: homes.from.clone(), quota };
        self.directories.homes(&path, settings, tenant, GUEST_PATH).map_err(|error| error.to_string())
    }

    /// Waits until ephemeral homes that have ended are removed, but not longer than this. Blocks.
    pub(crate) fn settle(&self, most: Duration) {
        // What is left then is removed by the next start.
        self.directories.settle(most);
    }

    fn buckets(&self, tenant: &str, granted: config::KeyValue) -> Result<Arc<dyn Buckets>, String> {
        let store = self.opened_store()?;
        let quota = keyvalue::StoreQuota { bytes: granted.bytes as u64, keys: granted.keys.into() };
        Ok(store.tenant(tenant, quota))
    }

    /// The store, opened by the first who needs it. A failure is not remembered: a reload tries again.
    fn opened_store(&self) -> Result<Arc<Embedded>, String> {
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = self.store.get() {
            return Ok(Arc::clone(store));
        }
        self.opened_state()?;
        let store = Embedded::open(&self.state.join(KEYVALUE)).map_err(|error| error.to_string())?;
        Ok(Arc::clone(self.store.get_or_init(|| store)))
    }

    /// The store of all tenants and authenticators; none if nobody has used one yet. Blocks on the disk.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn existing_store(&self) -> Result<Option<Arc<Embedded>>, String> {
        let exists = self.serves_all && (self.store.get().is_some() || self.state.join(KEYVALUE).exists());
        exists.then(|| self.opened_store()).transpose()
    }

    /// The state folder, created if it does not exist.
    fn opened_state(&self) -> Result<State, String> {
        State::open(&self.state).map_err(|error| error.to_string())
    }
}

/// The quota of a directory. A usize has at most 64 bits wherever this program builds.
pub(super) fn quota(granted: &config::Directory) -> Quota {
    Quota { bytes: granted.bytes as u64, files: granted.files.into() }
}

fn kept<T>(made: Option<Result<T, String>>, name: &str, refused: &mut Vec<String>) -> Option<T> {
    made?.map_err(|what| refused.push(format!("{name}: {what}"))).ok()
}

fn joined(wrong: Vec<(usize, String)>) -> String {
    wrong.into_iter().map(|(_, what)| what).collect::<Vec<_>>().join("; ")
}

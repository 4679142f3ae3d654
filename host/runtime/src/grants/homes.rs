//! Homes: a directory for each principal, connection or session of a tenant, instead of one for all.
//!
//! A home is made when a session opens that has none, with the contents of a skeleton if there is one: in a temporary
//! folder beside the homes, which gets its name when it is complete. A copy that fails or is interrupted, also by the
//! end of the process, leaves no half home.
//!
//! * *Persistent*: one for each principal, `PLACE/NAME` (`name`). The principal is what the login was granted, never a
//!   name that a client has typed.
//! * *For a connection*, shared by all its sessions, or *for a session*: a temporary folder (`marked`) that is removed
//!   by the reaper when nobody uses it any more, and otherwise by the next start.

mod error;
mod lock;
mod marked;
mod name;
mod place;
mod reaper;
mod skeleton;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::event::{LogEvent, emit};
use crate::grants::{Directory, Quota, Usage};
use crate::limits::usage::ProcessUsage;
pub(crate) use error::HomeError;
pub use lock::lock_file;
pub(super) use marked::open_above;
pub use place::HomeQuota;
pub(super) use place::HomesPlace;
use place::{MadeHome, NewHome};
pub(super) use reaper::FolderReaper;
pub use skeleton::{Skeleton, SkeletonError};

/// How long a home lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HomeLifetime {
    /// It stays: one for each principal.
    Persistent,
    /// It is removed when its connection has ended.
    Connection,
    /// It is removed when its session has ended.
    Session,
}

/// What homes are like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeSettings {
    /// How long they last.
    pub lifetime: HomeLifetime,
    /// The folder whose contents a new one begins with.
    pub skeleton: Option<PathBuf>,
    /// How much they may hold.
    pub quota: HomeQuota,
}

/// The homes of a tenant.
pub struct Homes {
    place: Arc<HomesPlace>,
    settings: HomeSettings,
    tenant: Arc<str>,
    guest_path: Arc<str>,
}

/// The home that the sessions of one connection share, if there is one. It is removed once nobody has this any more.
#[derive(Default)]
pub struct ConnectionHome {
    /// The number of the connection, for the log.
    connection: Option<u64>,
    shared: Mutex<Option<SharedHome>>,
}

struct SharedHome {
    place: Arc<HomesPlace>,
    directory: Arc<Directory>,
}

impl ConnectionHome {
    /// That of a connection, by its number.
    #[must_use]
    pub fn new(connection: u64) -> Arc<Self> {
        Arc::new(Self { connection: Some(connection), ..Self::default() })
    }
}

impl fmt::Debug for ConnectionHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionHome").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl fmt::Debug for Homes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Homes").field("path", &self.path()).field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Homes {
    /// Homes in this place. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn of(
        place: Arc<HomesPlace>,
        settings: HomeSettings,
        tenant: &str,
        guest_path: &str,
    ) -> io::Result<Arc<Self>> {
        if settings.lifetime == HomeLifetime::Persistent {
            place.begin_count(tenant)?;
        }
        Ok(Arc::new(Self { place, settings, tenant: tenant.into(), guest_path: guest_path.into() }))
    }

    /// The folder above them.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// The folder name of a principal's home.
    #[must_use]
    pub fn folder_name(principal: &str) -> String {
        name::encode(principal)
    }

    /// Whether a folder of this name may be a principal's home.
    #[must_use]
    pub fn is_folder_name(name: &str) -> bool {
        name::is_encoded(name)
    }

    /// What all of them hold, as far as they are counted, what is being removed included.
    #[must_use]
    pub fn total(&self) -> Usage {
        self.place.total()
    }

    /// The most that all of them may hold together.
    #[must_use]
    pub fn most(&self) -> Quota {
        self.settings.quota.total
    }

    /// Makes a temporary folder, empty, which is removed when nobody uses it any more. Blocks, but does not wait for
    /// the removal of others: the caller has the tenant's turn.
    ///
    /// # Errors
    /// When the disk fails; `ResourceBusy` while too many entries of others wait for their removal.
    pub fn make_temporary(&self) -> io::Result<Arc<Directory>> {
        if !self.place.has_room() {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "too many files of others are being removed"));
        }
        let (tenant, guest_path) = (&*self.tenant, &*self.guest_path);
        let new = NewHome { tenant, skeleton: None, guest_path, is_home: false, is_wanted: &|| true };
        let made = self.place.make_temporary(&new);
        made.map(|made| made.directory).map_err(|error| {
            let kind = match &error {
                HomeError::Disk(_, error) => error.kind(),
                HomeError::Skeleton(_) | HomeError::Panicked => io::ErrorKind::Other,
            };
            io::Error::new(kind, error.to_string())
        })
    }

    /// Puts the quota of these settings in force, also for the homes that are open.
    pub fn apply_quota(&self) {
        self.place.set_quota(self.settings.quota);
    }

    /// The home for a session of this principal. What is done for it on the disk is done in the tenant's turn, and
    /// charged to the session.
    pub(crate) async fn home_of(
        self: &Arc<Self>,
        principal: &str,
        connection: &ConnectionHome,
        usage: &Arc<ProcessUsage>,
    ) -> Result<Arc<Directory>, HomeError> {
        let entered = match self.settings.lifetime {
            HomeLifetime::Persistent => self.persistent(principal, usage).await,
            HomeLifetime::Session => self.temporary(usage).await,
            HomeLifetime::Connection => {
                let mut shared = connection.shared.lock().await;
                match &*shared {
                    Some(SharedHome { place, directory }) if Arc::ptr_eq(place, &self.place) => {
                        return Ok(Arc::clone(directory));
                    }
                    Some(_) | None => {}
                }
                let made = self.temporary(usage).await;
                if let Ok(MadeHome { directory, .. }) = &made {
                    let (place, directory) = (Arc::clone(&self.place), Arc::clone(directory));
                    *shared = Some(SharedHome { place, directory });
                }
                made
            }
        };
        self.tell(principal, connection.connection, entered)
    }

    /// Logs that a home was made or refused.
    fn tell(
        &self,
        principal: &str,
        connection: Option<u64>,
        entered: Result<MadeHome, HomeError>,
    ) -> Result<Arc<Directory>, HomeError> {
        let tenant = &*self.tenant;
        let MadeHome { directory, made } = entered.inspect_err(|error| {
            emit(LogEvent::HomeRefused { connection, tenant, principal, reason: &error.to_string() });
        })?;
        if let Some((path, skeleton)) = made {
            let special_files = skeleton.left_out();
            emit(LogEvent::HomeMade {
                connection,
                tenant,
                principal,
                home: &path,
                bytes: skeleton.usage.bytes,
                files: skeleton.usage.files,
                special_files: special_files.as_deref(),
            });
        }
        Ok(directory)
    }

    async fn persistent(self: &Arc<Self>, principal: &str, usage: &Arc<ProcessUsage>) -> Result<MadeHome, HomeError> {
        let name = name::encode(principal);
        // Whoever comes second waits here, before it takes a turn.
        let known = self.place.slot(&name).lock_owned().await;
        if known.as_ref().and_then(place::KnownHome::open).is_some() {
            return self.work(usage, move |homes, new| homes.place.enter_home(&name, known, new)).await;
        }
        self.place.until_counted().await;
        self.work(usage, move |homes, new| homes.place.open_home(&name, known, new)).await
    }

    async fn temporary(self: &Arc<Self>, usage: &Arc<ProcessUsage>) -> Result<MadeHome, HomeError> {
        self.place.until_removed().await;
        self.work(usage, |homes, new| homes.place.make_temporary(new)).await
    }

    /// Does blocking work in the tenant's turn, and charges it. The work is asked to stop when nobody waits for it any
    /// more.
    async fn work<R: Send + 'static>(
        self: &Arc<Self>,
        usage: &Arc<ProcessUsage>,
        work: impl FnOnce(&Self, &NewHome<'_>) -> Result<R, HomeError> + Send + 'static,
    ) -> Result<R, HomeError> {
        let turn = self.place.queue().turn().await;
        let (homes, usage, waits) = (Arc::clone(self), Arc::clone(usage), Waits::default());
        let is_waited_for = Arc::clone(&waits.0);
        let done = spawn_blocking(move || {
            let new = NewHome {
                tenant: &homes.tenant,
                skeleton: homes.settings.skeleton.as_deref(),
                guest_path: &homes.guest_path,
                is_home: true,
                is_wanted: &|| !is_waited_for.load(Ordering::Relaxed),
            };
            let working = usage.working();
            let result = work(&homes, &new);
            drop(working);
            drop(turn);
            result
        });
        done.await.map_err(|_| HomeError::Panicked)?
    }
}

/// Says, when it is dropped, that nobody waits any more.
#[derive(Default)]
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

//! A granted directory on a disk, and a session of the files plugin that runs scripts in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use whelk_runtime::{Access, ChannelEvent, Directory, Grants, Limits, Quota, Tenant, Usage};

use crate::client::Client;
use crate::guests;

/// Enough for tests that are not about quotas.
pub(crate) const AMPLE: Quota = Quota { bytes: 1 << 20, files: 1_000 };

/// A tenant with a directory. Beside the directory are files that must not be reached.
pub(crate) struct Place {
    place: TempDir,
    pub(crate) directory: Arc<Directory>,
    pub(crate) tenant: Arc<Tenant>,
}

impl Place {
    pub(crate) fn new(quota: Quota) -> Self {
        Self::with(Access::ReadWrite, quota, |_| {})
    }

    /// `fill` creates the files that exist before.
    pub(crate) fn with(access: Access, quota: Quota, fill: impl FnOnce(&Path)) -> Self {
        Self::limited(&Limits { cpu_call: Duration::from_millis(1_000_000), ..Limits::default() }, access, quota, fill)
    }

    pub(crate) fn limited(limits: &Limits, access: Access, quota: Quota, fill: impl FnOnce(&Path)) -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("granted");
        std::fs::create_dir(&path).unwrap();
        fill(&path);
        let directory = Directory::open(&path, access, quota, "/").unwrap();
        let grants = Grants { directory: Some(Arc::clone(&directory)), ..Grants::default() };
        Self { place, directory, tenant: Tenant::new("acme", limits.clone(), grants) }
    }

    /// The path of the directory for the host.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.place.path().join("granted").join(name)
    }

    /// A session in it.
    pub(crate) fn shell(&self) -> Shell {
        Shell::of(&self.tenant)
    }

    pub(crate) fn usage(&self) -> (u64, u64) {
        let Usage { bytes, files } = self.directory.usage();
        (bytes, files)
    }

    /// Lets removed files be closed that ended sessions had open: that is done by other threads.
    pub(crate) async fn settle(&self) {
        for _ in 0..10_000 {
            if self.usage() == self.recount() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    /// What a server that starts now would count.
    pub(crate) fn recount(&self) -> (u64, u64) {
        let path = self.place.path().join("granted");
        let Usage { bytes, files } = Directory::open(&path, Access::ReadOnly, AMPLE, "/").unwrap().usage();
        (bytes, files)
    }
}

/// A session that works with files.
pub(crate) struct Shell {
    pub(crate) client: Client,
    heard: usize,
}

impl Shell {
    pub(crate) fn of(tenant: &Arc<Tenant>) -> Self {
        let client = Client::of(tenant, &guests::files(), &[]);
        client.happen(ChannelEvent::Shell);
        Self { client, heard: 0 }
    }

    /// Runs these actions and returns their results, a line each.
    pub(crate) async fn run(&mut self, script: &str) -> String {
        self.client.send(script.as_bytes());
        let heard = self.heard;
        self.client.until(|recorder| recorder.stdout().len() > heard && recorder.stdout().ends_with(b"\0")).await;
        let output = self.client.recorder.stdout();
        self.heard = output.len();
        let answer = String::from_utf8_lossy(&output[heard..output.len() - 1]).into_owned();
        answer.trim_end().to_owned()
    }

    /// Ends the session.
    pub(crate) async fn end(self) {
        self.client.happen(ChannelEvent::Eof);
        let (_, report) = self.client.end().await;
        assert!(report.error.is_none(), "{report:?}");
    }
}

//! Which plugin a name means now. The table is swapped whole, so a session sees the old one or the new one and never half of each;
//! sessions that run keep their own plugin.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

use crate::engine::Engine;
use crate::error::Error;
use crate::plugin::Plugin;

/// Name to plugin.
type Table = BTreeMap<String, Arc<Plugin>>;

/// The plugins that new sessions may have.
#[derive(Default)]
pub struct Registry {
    current: RwLock<Arc<Table>>,
}

/// What a directory held.
#[derive(Default)]
pub struct Loaded {
    /// The plugins, by the name of their file without `.wasm`.
    pub plugins: Vec<Arc<Plugin>>,
    /// The files that are none, and why. They keep nobody else from being loaded.
    pub refused: Vec<(PathBuf, Error)>,
}

impl Registry {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The plugin of exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Plugin>> {
        self.table().get(name).cloned()
    }

    /// All of them, in the order of their names.
    #[must_use]
    pub fn plugins(&self) -> Vec<Arc<Plugin>> {
        self.table().values().cloned().collect()
    }

    /// Puts these in the place of all that were there. Of two with one name the later counts.
    pub fn replace(&self, plugins: impl IntoIterator<Item = Arc<Plugin>>) {
        let table: Table = plugins.into_iter().map(|plugin| (plugin.name().to_owned(), plugin)).collect();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Loaded {
    /// Compiles every `*.wasm` of a directory, in the order of their names. Fails only if the directory itself cannot be read.
    pub fn from_directory(engine: &Engine, directory: &Path) -> io::Result<Self> {
        let mut paths = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
        paths.sort();
        let mut loaded = Self::default();
        for path in paths {
            match load(engine, &path) {
                Ok(plugin) => loaded.plugins.push(plugin),
                Err(error) => loaded.refused.push((path, error)),
            }
        }
        Ok(loaded)
    }
}

fn load(engine: &Engine, path: &Path) -> Result<Arc<Plugin>, Error> {
    let unreadable = |error: io::Error| Error::Refused(format!("it cannot be read: {error}"));
    let name = path.file_stem().and_then(|name| name.to_str());
    let Some(name) = name.filter(|name| !name.is_empty() && !name.chars().any(char::is_control)) else {
        return Err(Error::Refused("its name cannot be typed".to_owned()));
    };
    // Asked before it is opened: opening a FIFO would wait for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Error::Refused("this is not a file".to_owned()));
    }
    let mut wasm = Vec::new();
    // One byte more than is allowed is enough to be refused.
    let most = u64::try_from(engine.component()).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut wasm)).map_err(unreadable)?;
    Plugin::load(engine, name, &wasm)
}

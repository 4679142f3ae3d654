//! The homes of tenants: where they are, how many there are, and whether they fit the disk.

use std::path::Path;

use rustix::fs::statvfs;
use whelk_runtime::{HomeLifetime, Homes};

use super::finding::{Finding, Health};
use crate::config::{Config, Directory, HomesConfig, size};
use crate::state::ephemeral_folder;

/// As many entries of a folder are looked at.
const MOST_ENTRIES: usize = 100_000;
/// How many names are told.
const TOLD: usize = 3;

/// What is in the folder above homes.
#[derive(Default)]
struct Found {
    homes: usize,
    /// What is no home: the operator's, or something of another program.
    others: Vec<String>,
    more: bool,
}

/// The homes of every tenant that has any.
pub(super) fn all(config: &Config) -> Vec<Finding> {
    let tenants = config.tenants.iter();
    let with_homes = tenants.filter_map(|(name, tenant)| {
        let directory = tenant.grants.directory.as_ref()?;
        Some(finding(config, name, directory, directory.homes.as_ref()?))
    });
    with_homes.collect()
}

fn finding(config: &Config, tenant: &str, directory: &Directory, homes: &HomesConfig) -> Finding {
    let path = directory.path.clone().unwrap_or_else(|| ephemeral_folder(&config.state, tenant));
    let what = format!("homes of tenant {tenant}");
    let found = match found(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && directory.path.is_none() => Found::default(),
        Err(error) => {
            let value = format!("{}: {error}", path.display());
            return Finding::new(Health::Missing, &what, value, "the tenant's sessions could have no home");
        }
    };
    let count = match (homes.lifetime, found.homes, found.more) {
        (HomeLifetime::Persistent, homes, false) => format!("{homes} in {}", path.display()),
        (HomeLifetime::Persistent, homes, true) => format!("{homes} and more in {}", path.display()),
        (HomeLifetime::Connection | HomeLifetime::Session, ..) => format!("ephemeral in {}", path.display()),
    };
    let (most, total) = (size(directory.bytes), homes.total_bytes);
    let (files, total_files) = (directory.files, homes.total_files);
    let value =
        format!("{count}, at most {most} in {files} files each and {} in {total_files} files together", size(total));
    if !found.others.is_empty() {
        let names = found.others.iter().take(TOLD).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let more = found.others.len().saturating_sub(TOLD);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return Finding::new(Health::Note, &what, value, format!("no principal's home has the name {names}{more}"))
            .change("move away what is no home: the folder counts as the tenant's");
    }
    match free(&path) {
        Some(free) if (total as u64) > free => {
            let free = size(usize::try_from(free).unwrap_or(usize::MAX));
            let means = format!("the disk has {free} free: it may be full before the quota is met");
            Finding::new(Health::Note, &what, value, means).change("lower total_bytes, or add space")
        }
        Some(_) | None => Finding::new(Health::Ok, &what, value, "made by the first session of each"),
    }
}

fn found(path: &Path) -> std::io::Result<Found> {
    let mut found = Found::default();
    for (number, entry) in path.read_dir()?.enumerate() {
        let name = entry?.file_name();
        if number == MOST_ENTRIES {
            found.more = true;
            break;
        }
        match name.to_str() {
            Some(name) if Homes::is_folder_name(name) => found.homes += 1,
            // Temporary ones, and other hidden files.
            Some(name) if name.starts_with('.') => {}
            _ => found.others.push(name.to_string_lossy().into_owned()),
        }
    }
    found.others.sort();
    Ok(found)
}

/// The free bytes of the disk of a folder, or of the folder that it will be made in.
fn free(path: &Path) -> Option<u64> {
    let facts = path.ancestors().find_map(|path| statvfs(path).ok())?;
    facts.f_bavail.checked_mul(facts.f_frsize)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Overrides;

    #[test]
    fn homes_are_counted_and_what_is_no_home_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["plugins", "homes/alice", "homes/%41lice", "homes/.whelk-temporary-0"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::write(root.join("plugins/echo.wasm"), "").unwrap();
        let findings = || {
            let text = "state = \"state\"\n[users.x]\nplugin = \"echo\"\nauth = \"none\"\n[tenants.acme.grants]\n\
                        directory = { path = \"homes/{principal}\", bytes = \"1 KiB\", total_bytes = \"1 MiB\" }\n\
                        [tenants.brief.grants]\ndirectory = { ephemeral = true, total_bytes = \"1000000000 GiB\" }\n";
            let config = Config::parse(&root.join("whelk.toml"), text, &Overrides::default()).unwrap();
            all(&config)
        };
        let [acme, brief] = findings().try_into().unwrap();
        assert!(acme.health == Health::Ok && acme.value.starts_with("2 in "), "{acme:?}");
        assert!(brief.health == Health::Note && brief.means.contains("free"), "{brief:?}");
        fs::create_dir(root.join("homes/Lost")).unwrap();
        let acme = findings().swap_remove(0);
        assert!(
            acme.health == Health::Note && acme.means.ends_with("no principal's home has the name \"Lost\""),
            "{acme:?}"
        );
    }
}

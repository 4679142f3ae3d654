//! What tests of the bridge need: a gateway, and a user.

use std::sync::Arc;

use whelk_ssh::crypto::key::HostKey;

use super::user::SessionUser;
use crate::auth::access::Identity;
use crate::config::{Config, Overrides};
use crate::server::drain::Stopper;
use crate::server::gateway::Gateway;

/// A gateway whose plugin folder has not been listed.
pub(super) fn unlisted() -> (tempfile::TempDir, Gateway) {
    with_host_key(HostKey::generate().unwrap())
}

/// The same, with this host key.
pub(in crate::connection) fn with_host_key(key: HostKey) -> (tempfile::TempDir, Gateway) {
    let folder = tempfile::tempdir().unwrap();
    let (plugins, state) = (folder.path().join("plugins"), folder.path().join("state"));
    std::fs::create_dir(&plugins).unwrap();
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let overrides = Overrides { listen, plugins: Some(plugins), state: Some(state) };
    let mut config = Config::demonstration(&overrides).unwrap();
    config.limits.plugins.instances = 1;
    let gateway = Gateway::new(&config, vec![key], &Stopper::new()).unwrap();
    gateway.registry().expect_all();
    (folder, gateway)
}

/// A user of the demonstration, of whom nothing else is known.
pub(super) fn user() -> SessionUser {
    let (user, tenant, plugin) = ("alice".to_owned(), "echo".to_owned(), "echo".to_owned());
    let identity = Identity {
        principal: user.clone(),
        user,
        tenant,
        plugin,
        method: "none",
        fingerprint: None,
        restrictions: Arc::default(),
        certificate: None,
        attributes: Arc::default(),
        evidence: Arc::default(),
    };
    SessionUser::of_no_connection(identity)
}

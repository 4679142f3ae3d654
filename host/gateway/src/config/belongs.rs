//! Where a setting belongs that stands in another table, or that sshd_config calls otherwise.

use super::reader::Findings;
use crate::config::sections::limits::Limits;
use crate::config::suggest::plain;

/// Where the settings belong that come before every table.
const TOP: &str = "at the top of the file, before the first [table]";

/// Where the settings of an authenticator belong.
const AUTHENTICATORS: &str = "in [[authenticators]]";

/// Every setting but the limits and those in `audit` and `recording`, by the table that it belongs in.
const SETTINGS: [(&str, &[&str]); 17] = [
    (TOP, &["proxies", "penalty_exempt"]),
    (TOP, &["listen", "plugins", "state", "host_key_files", "host_certificates", "banner", "environment_names"]),
    (TOP, &["methods", "users", "tenants", "algorithms", "limits", "trusted_user_ca_keys", "revoked_keys"]),
    (TOP, &["authenticators", "end_revoked", "audit", "erase_by_width", "programs", "software_version"]),
    (TOP, &["metrics"]),
    ("in [metrics]", &["remote"]),
    ("in [users.NAME]", &["tenant", "plugin", "password", "keys", "authorized_keys", "auth", "principals", "methods"]),
    ("in [tenants.NAME]", &["plugin", "connection_plugin", "plugins", "methods", "routes", "limits", "grants"]),
    ("in [tenants.NAME]", &["trusted_user_ca_keys", "exec_programs", "programs", "files", "recording"]),
    ("in [programs.NAME] or [tenants.NAME.programs.NAME]", &["exec", "shell"]),
    ("in [tenants.NAME.routes]", &["subsystem", "exec"]),
    (
        "in [tenants.NAME.grants]",
        &["directory", "deploy", "environment", "clock", "keyvalue", "topics", "process", "http", "tcp"],
    ),
    ("in [tenants.NAME.grants]", &["mounts", "system_folders"]),
    (
        "in `directory` of [tenants.NAME.grants]",
        &["path", "access", "bytes", "files", "from", "total_bytes", "total_files", "ephemeral"],
    ),
    ("in `keyvalue` of [tenants.NAME.grants] or [[authenticators]]", &["bytes", "keys"]),
    (AUTHENTICATORS, &["name", "plugin", "users", "tenants", "methods", "trusted_user_ca_keys", "config", "keyvalue"]),
    ("in [algorithms]", &["key_exchange", "host_key_algorithms", "ciphers", "macs", "compression"]),
];

/// The settings in the tables `audit` and `recording`. Whoever writes such a name elsewhere means something else:
/// `size` in another table is none of the audit.
#[cfg(test)]
const GENERIC: [&str; 13] =
    ["to", "file", "size", "keep", "age", "server", "required", "format", "hash", "input", "hmac", "rate", "folder"];

/// What sshd_config(5) calls otherwise, and what it is here.
const OF_SSHD: [(&str, &str); 30] = [
    ("Port", "`listen`"),
    ("ListenAddress", "`listen`"),
    ("HostKey", "`host_key_files`"),
    ("HostCertificate", "`host_certificates`"),
    ("AcceptEnv", "`environment_names`"),
    ("AuthorizedKeysFile", "`authorized_keys` in [users.NAME]"),
    ("AuthenticationMethods", "`methods`"),
    ("KbdInteractiveAuthentication", "`password` in [users.NAME], and `methods`"),
    ("PasswordAuthentication", "`password` in [users.NAME]"),
    ("PubkeyAuthentication", "`keys` or `authorized_keys` in [users.NAME]"),
    ("AuthorizedPrincipalsFile", "`principals` in [users.NAME]"),
    ("AllowUsers", "the tables [users.NAME]"),
    ("ForceCommand", "`plugin` in [users.NAME]"),
    ("ChrootDirectory", "`directory` in [tenants.NAME.grants]"),
    ("HostKeyAlgorithms", "`host_key_algorithms` in [algorithms]"),
    ("KexAlgorithms", "`key_exchange` in [algorithms]"),
    ("Compression", "`compression` in [algorithms]"),
    ("LoginGraceTime", "`authentication_grace` in [limits]"),
    ("MaxAuthTries", "`failed_attempts` in [limits]"),
    ("MaxSessions", "`sessions` in [limits]"),
    ("MaxStartups", "`unauthenticated_full` in [limits]"),
    ("PerSourceMaxStartups", "`unauthenticated_per_source` in [limits]"),
    ("PerSourcePenalties", "the limits that begin with `penalty_`"),
    ("PerSourcePenaltyExemptList", "`penalty_exempt`"),
    ("TCPKeepAlive", "`tcp_keepalive` in [limits]"),
    ("ClientAliveInterval", "`keepalive` in [limits]"),
    ("ClientAliveCountMax", "`keepalive_count` in [limits]"),
    ("RekeyLimit", "`rekey_bytes` and `rekey_time` in [limits]"),
    ("VersionAddendum", "`software_version`"),
    ("LogLevel", "the environment variable WHELK_LOG"),
];

/// Says of each key that nobody asked for where it belongs, if that is known.
pub(super) fn amend(findings: &mut Findings) {
    for unknown in std::mem::take(&mut findings.unknown).into_iter().filter(|unknown| !unknown.is_spelling) {
        let Some(problem) = findings.problems.get_mut(unknown.problem) else { continue };
        let places = places(&unknown.name);
        let of_sshd = OF_SSHD.iter().find(|(name, _)| plain(name) == plain(&unknown.name));
        if !places.is_empty() {
            let (_, guess) = problem.what.split_once(" (").unwrap_or_default();
            let guess = if guess.is_empty() { String::new() } else { format!(" ({guess}") };
            problem.what = format!("there is no such setting here: it belongs {}{guess}", places.join(", or "));
        } else if let Some((name, ours)) = of_sshd {
            problem.what = format!("there is no such setting: what sshd_config calls {name} is {ours}");
        }
    }
}

fn places(name: &str) -> Vec<&'static str> {
    let name = plain(name);
    let settings = SETTINGS.iter().filter(|(_, names)| names.iter().any(|known| plain(known) == name));
    let mut places: Vec<&'static str> = settings.map(|(place, _)| *place).collect();
    if let Some(row) = Limits::table().into_iter().find(|row| plain(row.name) == name) {
        places.push("in [limits]");
        if row.scope.is_for_tenants() {
            places.push("in [tenants.NAME.limits]");
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_setting_is_placed_in_each_table_that_has_it() {
        for (name, expected) in [
            ("listen", &[TOP][..]),
            ("plugin", &["in [users.NAME]", "in [tenants.NAME]", AUTHENTICATORS]),
            ("memory", &["in [limits]", "in [tenants.NAME.limits]"]),
            ("drain", &["in [limits]"]),
            ("Authorized-Keys", &["in [users.NAME]"]),
            ("banana", &[]),
        ] {
            assert_eq!(places(name), expected, "{name}");
        }
    }

    /// What this list has and the reference has not would lead an operator astray, and the other way round.
    #[test]
    fn the_settings_are_those_of_the_reference() {
        let reference = crate::config::reference();
        let general = reference.split("[limits]\n#").next().unwrap_or_default();
        for name in SETTINGS.iter().flat_map(|(_, names)| *names).chain(&GENERIC) {
            let shown = [format!("{name} = "), format!("[{name}"), format!(".{name}]"), format!("{name}.")];
            assert!(shown.iter().any(|shown| general.contains(shown.as_str())), "{name}");
        }
        let known: BTreeSet<&str> = SETTINGS.iter().flat_map(|(_, names)| *names).chain(&GENERIC).copied().collect();
        let lines = general.lines().filter_map(|line| line.trim_start_matches(['#', ' ']).split_once(" = "));
        let named =
            lines.map(|(name, _)| name).filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        let missing: Vec<&str> = named.filter(|name| !known.contains(name) && places(name).is_empty()).collect();
        assert_eq!(missing, [""; 0]);
    }
}

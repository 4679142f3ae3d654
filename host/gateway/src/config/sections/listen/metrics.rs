//! The table `[metrics]`: where Prometheus reads the metrics, and what they show.

use std::fmt;
use std::net::SocketAddr;

use whelk_runtime::{AllowList, TcpAllow};

use crate::config::reader::{Findings, Item, Section};
use crate::config::sections::grants::Grants;
use crate::config::sections::listen::{overlap, parse_address};
use crate::config::setting::{text, truth};

/// Where and how metrics are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Where they are served by HTTP, if they are.
    pub listen: Option<SocketAddr>,
    /// Whether that may be an address that other machines reach.
    pub remote: bool,
    /// What each tenant has is shown, by name, and the plugins of its own folder.
    pub tenants: bool,
}

impl Default for MetricsConfig {
    fn default() -> MetricsConfig {
        MetricsConfig { listen: None, remote: false, tenants: true }
    }
}

/// In short.
impl fmt::Display for MetricsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.listen {
            Some(address) => write!(f, "at {address}")?,
            None => f.write_str("not served")?,
        }
        if self.tenants { Ok(()) } else { f.write_str(", without tenants") }
    }
}

/// The table as it was read, and the place of the address.
pub(in crate::config) struct ReadMetrics<'t> {
    pub(in crate::config) config: MetricsConfig,
    listen: Option<Item<'t>>,
}

/// Reads the table.
pub(in crate::config) fn read<'t>(top: &mut Section<'t>, findings: &mut Findings) -> ReadMetrics<'t> {
    let mut config = MetricsConfig::default();
    let Some(mut section) = top.take("metrics").and_then(|table| table.section(findings)) else {
        return ReadMetrics { config, listen: None };
    };
    let mut keep =
        |name, findings: &mut Findings| section.take(name).and_then(|item| findings.keep(&item, truth(item.value)));
    config.remote = keep("remote", findings).unwrap_or(config.remote);
    config.tenants = keep("tenants", findings).unwrap_or(config.tenants);
    let listen = section.take("listen");
    if let Some(item) = &listen {
        config.listen = findings.keep(item, text(item.value).and_then(parse_address).and_then(fixed));
        if let Some(address) = config.listen.filter(|address| !address.ip().is_loopback()) {
            if config.remote {
                let what = format!(
                    "whoever reaches {address} can read the metrics, without any password: which tenants and plugins \
                     there are, and how busy they are"
                );
                findings.note(item, what);
            } else {
                let what = "must be a loopback address, such as \"127.0.0.1:9222\": metrics need no password. With \
                            remote = true any address is allowed";
                findings.add(&item.span, &item.key, what);
            }
        }
    }
    section.finish(findings);
    ReadMetrics { config, listen }
}

/// The port must be known when grants are checked.
fn fixed(address: SocketAddr) -> Result<SocketAddr, String> {
    if address.port() == 0 { Err("must have a port, such as 9222, is 0".to_owned()) } else { Ok(address) }
}

impl ReadMetrics<'_> {
    /// Checks that the address is neither one for SSH nor one that a tenant's plugins may connect to.
    pub(in crate::config) fn check<'a>(
        &self,
        ssh: &[SocketAddr],
        grants: impl IntoIterator<Item = (&'a str, &'a Grants)>,
        findings: &mut Findings,
    ) {
        let (Some(address), Some(item)) = (self.config.listen, &self.listen) else { return };
        if let Some(ssh) = ssh.iter().find(|ssh| overlap(ssh, &address)) {
            findings.add(&item.span, &item.key, format!("{address} is an address for SSH, {ssh}: choose another port"));
        }
        for (name, Grants { http, tcp, .. }) in grants {
            let (http, tcp) = (AllowList::parse(http), TcpAllow::parse(tcp));
            let of_http = http.is_ok_and(|list| list.leads_to(address)).then_some("http");
            let of_tcp = tcp.is_ok_and(|list| list.leads_to(address)).then_some("tcp");
            for grant in of_http.into_iter().chain(of_tcp) {
                let what = format!(
                    "tenants.{name}.grants.{grant} lets plugins connect to {address}, where they would read the metrics: \
                     choose another port, or another grant"
                );
                findings.add(&item.span, &item.key, what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use toml::de::DeTable;

    use super::*;

    /// The table, with SSH at one address and one tenant with these grants.
    fn read_text(text: &str, http: &[&str], tcp: &[&str]) -> (MetricsConfig, Vec<String>, Vec<String>) {
        let table = DeTable::parse(text).unwrap();
        let mut findings = Findings::new(Path::new("w.toml"), text);
        let mut top = Section::top(&table);
        let read = read(&mut top, &mut findings);
        top.finish(&mut findings);
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let grants = Grants { http: texts(http), tcp: texts(tcp), ..Grants::default() };
        read.check(&["127.0.0.1:2222".parse().unwrap()], [("acme", &grants)], &mut findings);
        let shown = |problems: &[crate::config::Problem]| problems.iter().map(ToString::to_string).collect();
        (read.config, shown(&findings.problems), shown(&findings.notes))
    }

    #[test]
    fn metrics_are_on_loopback_unless_another_setting_says_otherwise() {
        let (config, problems, notes) = read_text("", &["127.0.0.1:9222"], &[]);
        assert_eq!((config, problems, notes), (MetricsConfig::default(), vec![], vec![]));
        let text = "[metrics]\nlisten = \"[::1]:9222\"\ntenants = false";
        let (config, problems, notes) = read_text(text, &["127.0.0.1:9222"], &["10.0.0.0/8:9222"]);
        assert_eq!((config.to_string().as_str(), problems, notes), ("at [::1]:9222, without tenants", vec![], vec![]));
        let (_, problems, _) = read_text("[metrics]\nlisten = \"0.0.0.0:9222\"", &[], &[]);
        assert!(problems[0].starts_with("w.toml:2: metrics.listen: must be a loopback address"), "{problems:?}");
        let text = "[metrics]\nlisten = \"0.0.0.0:9222\"\nremote = true";
        let (config, problems, notes) = read_text(text, &[], &[]);
        assert_eq!((config.listen, problems), (Some("0.0.0.0:9222".parse().unwrap()), vec![]));
        assert!(notes[0].contains("whoever reaches 0.0.0.0:9222 can read the metrics"), "{notes:?}");
    }

    #[test]
    fn the_address_is_nobody_elses() {
        let text = "[metrics]\nlisten = \"127.0.0.1:9222\"";
        for (http, tcp, grant) in [(vec!["127.0.0.1:9222"], vec![], "http"), (vec![], vec!["127.0.0.0/8:9222"], "tcp")]
        {
            let (_, problems, _) = read_text(text, &http, &tcp);
            let begins = format!("w.toml:2: metrics.listen: tenants.acme.grants.{grant} lets plugins connect to");
            assert!(problems.len() == 1 && problems[0].starts_with(&begins), "{problems:?}");
        }
        assert!(read_text(text, &["127.0.0.1:9223"], &["127.0.0.0/8:80"]).1.is_empty());
        let (_, problems, _) = read_text("[metrics]\nlisten = \"127.0.0.1:2222\"", &[], &[]);
        assert!(problems[0].contains("is an address for SSH"), "{problems:?}");
        for (text, problem) in [
            ("[metrics]\nlisten = \"127.0.0.1:0\"", "w.toml:2: metrics.listen: must have a port"),
            ("[metrics]\nlisten = \"localhost\"", "w.toml:2: metrics.listen: must be an address in numbers and a port"),
            ("[metrics]\nremote = \"yes\"", "w.toml:2: metrics.remote: must be true or false"),
            ("[metrics]\nport = 9222", "w.toml:2: metrics.port: there is no such setting"),
            ("metrics = true", "w.toml:1: metrics: must be a table"),
        ] {
            let problems = read_text(text, &[], &[]).1;
            assert!(problems[0].starts_with(problem), "{text}: {problems:?}");
        }
    }
}

//! The tables `[[authenticators]]`: plugins that decide about logins, in the order in which they are asked.
//!
//! Exactly one is asked about a user name, and none about the name of a user of the configuration: the first with a
//! pattern that the name fits.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::de::DeValue;

use super::grants::{KeyValue, read_keyvalue};
use super::login::authorities::{self, Authorities};
use super::login::methods::{self, RequiredMethods};
use super::login::patterns::UserPattern;
use super::plugins::{Plugins, Visible};
use super::tenants::TenantConfigs;
use super::users::User;
use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::{kind, text};

/// The longest name of an authenticator, in bytes.
const LONGEST_NAME: usize = 64;

/// One authenticator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatorConfig {
    /// Its name: of its store of keys and values, and in the log.
    pub name: String,
    /// The plugin, one of the operator's.
    pub plugin: String,
    /// It is asked about names that fit one of these.
    pub users: Vec<UserPattern>,
    /// The tenants that it may grant.
    pub tenants: Vec<String>,
    /// The methods that must succeed besides what the plugin says.
    pub methods: RequiredMethods,
    /// The authorities whose certificates it is shown. None: the server's.
    pub authorities: Option<Authorities>,
    /// What the plugin reads by `wasi:config`.
    pub config: Vec<(String, String)>,
    /// The quota of its store of keys and values, which no tenant sees.
    pub keyvalue: KeyValue,
}

/// What authenticators are read with.
pub(in crate::config) struct Surroundings<'a> {
    /// The base of relative paths.
    pub(in crate::config) folder: &'a Path,
    pub(in crate::config) tenants: &'a TenantConfigs<'a>,
    /// The operator's plugins, unless they cannot be read.
    pub(in crate::config) plugins: Option<&'a Plugins>,
    /// The methods that the server requires.
    pub(in crate::config) methods: &'a RequiredMethods,
    /// The users of the configuration, which come first.
    pub(in crate::config) users: &'a BTreeMap<String, User>,
}

/// The authenticators so far, with the places of their names and patterns.
#[derive(Default)]
struct Known {
    read: Vec<AuthenticatorConfig>,
    names: Vec<(String, Range<usize>)>,
    patterns: Vec<(UserPattern, Range<usize>)>,
}

/// Reads all of them, in the order of the file.
pub(in crate::config) fn read(
    item: &Item<'_>,
    around: &Surroundings<'_>,
    findings: &mut Findings,
) -> Vec<AuthenticatorConfig> {
    if let DeValue::Table(_) = item.value {
        let what = "must be a list of tables: write [[authenticators]] above each, with two brackets";
        findings.add(&item.span, &item.key, what);
        return Vec::new();
    }
    let mut known = Known::default();
    for element in item.elements(findings) {
        let Some(section) = element.section(findings) else { continue };
        if let Some(read) = read_one(section, around, &mut known, findings) {
            known.read.push(read);
        }
    }
    known.read
}

/// None only after an error.
fn read_one(
    mut section: Section<'_>,
    around: &Surroundings<'_>,
    known: &mut Known,
    findings: &mut Findings,
) -> Option<AuthenticatorConfig> {
    let name = required(&mut section, "name", "\"acme\"", findings).and_then(|item| read_name(&item, known, findings));
    let plugin = required(&mut section, "plugin", "\"totp\"", findings).and_then(|item| {
        let visible = Visible { has_own: false, deploys: false, own: None, operators: around.plugins };
        visible.read(&item, findings).map(str::to_owned)
    });
    let users = required(&mut section, "users", "\"*@acme\"", findings)
        .map(|item| read_users(&item, around.users, known, findings));
    let tenants = required(&mut section, "tenants", "[\"acme\"]", findings)
        .map(|item| read_tenants(&item, around.tenants, findings));
    let methods = section.take("methods").and_then(|item| methods::read(&item, findings));
    let authorities =
        section.take("trusted_user_ca_keys").map(|item| authorities::read(&item, around.folder, findings));
    let config = section.take("config").map(|item| read_config(&item, findings));
    let keyvalue = section.take("keyvalue").and_then(|item| read_keyvalue(&item, findings));
    section.finish(findings);
    Some(AuthenticatorConfig {
        name: name?,
        plugin: plugin?,
        users: users?,
        tenants: tenants?,
        methods: methods.unwrap_or_else(|| around.methods.clone()),
        authorities,
        config: config.unwrap_or_default(),
        keyvalue: keyvalue.unwrap_or_default(),
    })
}

/// A setting that every authenticator needs.
fn required<'t>(
    section: &mut Section<'t>,
    name: &'static str,
    example: &str,
    findings: &mut Findings,
) -> Option<Item<'t>> {
    let item = section.take(name);
    if item.is_none() {
        findings.add(&section.span, &section.key, format!("has no `{name}`: add {name} = {example}"));
    }
    item
}

fn read_name(item: &Item<'_>, known: &mut Known, findings: &mut Findings) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let read = text(item.value).and_then(|name| {
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
            return Err(format!("the name of an authenticator has from 1 to {LONGEST_NAME} letters, digits, - and _"));
        }
        match known.names.iter().find(|(other, _)| other == name) {
            Some((_, first)) => {
                Err(format!("{name:?} is the name of another authenticator, too {}", findings.first(first)))
            }
            None => Ok(name.to_owned()),
        }
    });
    let name = findings.keep(item, read)?;
    known.names.push((name.clone(), item.span.clone()));
    Some(name)
}

/// One pattern, or a list.
fn read_users(
    item: &Item<'_>,
    users: &BTreeMap<String, User>,
    known: &mut Known,
    findings: &mut Findings,
) -> Vec<UserPattern> {
    let elements = match item.value {
        DeValue::String(_) => vec![item.clone()],
        DeValue::Array(_) => item.elements(findings),
        other => {
            let what = format!("must be a pattern of user names such as \"*@acme\", or a list, is {}", kind(other));
            findings.add(&item.span, &item.key, what);
            return Vec::new();
        }
    };
    if elements.is_empty() {
        findings.add(&item.span, &item.key, "must name at least one pattern of user names, such as \"*@acme\"");
    }
    let mut patterns = Vec::new();
    for element in elements {
        let read = text(element.value).and_then(UserPattern::parse);
        let Some(pattern) = findings.keep(&element, read) else { continue };
        if let Some(user) = pattern.exact().filter(|name| users.contains_key(*name)) {
            findings
                .note(&element, format!("has no effect: {user:?} is a user of the configuration, which comes first"));
        } else if let Some((other, first)) = known.patterns.iter().find(|(other, _)| other.covers(&pattern)) {
            let first = findings.first(first);
            findings.note(
                &element,
                format!("has no effect: every name that it fits, {:?} fits {first}", other.to_string()),
            );
        }
        known.patterns.push((pattern.clone(), element.span));
        patterns.push(pattern);
    }
    patterns
}

fn read_tenants(item: &Item<'_>, tenants: &TenantConfigs<'_>, findings: &mut Findings) -> Vec<String> {
    let elements = item.elements(findings);
    if let (DeValue::Array(_), true) = (item.value, elements.is_empty()) {
        findings.add(&item.span, &item.key, "must name at least one tenant: it could let nobody in");
    }
    let mut names = Vec::new();
    for element in elements {
        let Some(name) = findings.keep(&element, text(element.value)) else { continue };
        let Some((tenant, _)) = findings.keep(&element, tenants.find(name)) else { continue };
        if names.iter().any(|known| known == name) {
            findings.note(&element, format!("{name:?} is listed twice"));
        }
        if tenant.plugin.is_none() {
            findings.note(
                &element,
                format!("[tenants.{name}] has no `plugin`: whoever is granted it needs a plugin of the authenticator's choice"),
            );
        }
        names.push(name.to_owned());
    }
    names
}

/// Texts by name. They may be secrets, so no message shows them.
fn read_config(item: &Item<'_>, findings: &mut Findings) -> Vec<(String, String)> {
    let items = item.section(findings).map(|section| section.all()).unwrap_or_default();
    let read = |item: &Item<'_>, findings: &mut Findings| {
        let value = text(item.value).map_err(|_| "must be a text in quotes".to_owned());
        Some((item.name.clone(), findings.keep(item, value)?.to_owned()))
    };
    items.iter().filter_map(|item| read(item, findings)).collect()
}

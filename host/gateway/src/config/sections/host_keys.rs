//! The settings `host_key_files` and `host_certificates`: the files by which the server proves who it is.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use toml::de::DeValue;
use whelk_ssh::crypto::key::PublicKey;

use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::path;
use crate::state::host_keys::{HostKeyFiles, NOT_OURS, read_host_certificate, read_host_key};
use crate::state::strict_modes::{Asked, is_asked};

/// Reads both lists and the files, so that they cannot fail later. Subcommands that start no server read no file: they
/// may run as another user.
pub(in crate::config) fn read(top: &mut Section<'_>, folder: &Path, findings: &mut Findings) -> HostKeyFiles {
    let (mut files, reads) = (HostKeyFiles::default(), is_asked(Asked::Modes));
    let (mut known, mut all_read): (Vec<(PublicKey, Range<usize>)>, bool) = (Vec::new(), reads);
    for (element, path) in paths(top.take("host_key_files"), folder, findings) {
        if reads {
            match read_host_key(&path) {
                Ok(key) => {
                    let first = known.iter().find(|(other, _)| other == key.public()).map(|(_, span)| span.clone());
                    if let Some(first) = first {
                        let first = findings.first(&first);
                        let what = format!("{}: the key is listed twice {first}", path.display());
                        findings.add(&element.span, &element.key, what);
                    }
                    known.push((key.public().clone(), element.span.clone()));
                }
                Err(error) => {
                    all_read = false;
                    findings.add(&element.span, &element.key, error.to_string());
                }
            }
        }
        files.keys.push(path);
    }
    for (element, path) in paths(top.take("host_certificates"), folder, findings) {
        if reads {
            // The keys of the state folder are read at the start.
            let keys = (all_read && !files.keys.is_empty()).then_some(known.as_slice());
            check_certificate(&element, &path, keys, findings);
        }
        files.certificates.push(path);
    }
    files
}

/// The paths of a list, each with its place.
fn paths<'t>(list: Option<Item<'t>>, folder: &Path, findings: &mut Findings) -> Vec<(Item<'t>, PathBuf)> {
    let Some(list) = list else { return Vec::new() };
    let elements = list.elements(findings);
    if let (DeValue::Array(_), true) = (list.value, elements.is_empty()) {
        findings.add(&list.span, &list.key, "must name at least one file: remove the setting to have none");
    }
    let read = |element: Item<'t>| {
        let read = findings.keep(&element, path(element.value, folder))?;
        Some((element, read))
    };
    elements.into_iter().filter_map(read).collect()
}

/// Checks that clients will take a certificate: of one of these keys, if they are known, and valid now.
fn check_certificate(
    element: &Item<'_>,
    path: &Path,
    keys: Option<&[(PublicKey, Range<usize>)]>,
    findings: &mut Findings,
) {
    let certificate = match read_host_certificate(path) {
        Ok(certificate) => certificate,
        Err(error) => return findings.add(&element.span, &element.key, error.to_string()),
    };
    let shown = path.display();
    if keys.is_some_and(|keys| !keys.iter().any(|(key, _)| key == certificate.key().as_ref())) {
        let what = format!("{shown}: {NOT_OURS}: that has the fingerprint {}", certificate.key().fingerprint());
        findings.add(&element.span, &element.key, what);
    }
    let now = SystemTime::now();
    if certificate.is_expired(now) {
        findings.note(element, format!("{shown} has expired: clients do not take it, and ask about the plain key"));
    } else if certificate.is_early(now) {
        findings.note(element, format!("{shown} is not valid yet: clients do not take it until then"));
    }
}

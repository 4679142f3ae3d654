//! TLS for the page: the certificate and the key of the operator.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
#[cfg(feature = "aws-lc-rs")]
use tokio_rustls::rustls::crypto::aws_lc_rs as provider;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Accepts TLS with this chain of certificates and its key, both PEM.
///
/// # Errors
/// Which file is wrong, and why.
pub(super) fn acceptor(chain: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let of_chain = |error: &dyn std::fmt::Display| format!("--tls-certificate: {}: {error}", chain.display());
    let of_key = |error: &dyn std::fmt::Display| format!("--tls-key: {}: {error}", key.display());
    let certificates = CertificateDer::pem_file_iter(chain).map_err(|error| of_chain(&error))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(|error| of_chain(&error))?;
    if certificates.is_empty() {
        return Err(of_chain(&"has no certificate (\"BEGIN CERTIFICATE\")"));
    }
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(|error| of_key(&error))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("each provider has the suites of TLS 1.2 and 1.3");
    let config = builder.with_no_client_auth().with_single_cert(certificates, private_key);
    Ok(TlsAcceptor::from(Arc::new(config.map_err(|error| of_key(&error))?)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    use super::*;

    /// Writes what `der` is as PEM (RFC 7468 §2).
    fn write_pem(path: &Path, label: &str, der: &[u8]) {
        let text = data_encoding::BASE64.encode(der);
        fs::write(path, format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")).unwrap();
    }

    /// The paths of a certificate for `localhost` and of its key, and the certificate.
    fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf, CertificateDer<'static>) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (chain, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        write_pem(&chain, "CERTIFICATE", cert.der());
        write_pem(&key, "PRIVATE KEY", &signing_key.serialize_der());
        (chain, key, cert.der().clone())
    }

    #[tokio::test]
    async fn a_client_that_trusts_the_certificate_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key, certificate) = certificate(folder.path(), "own");
        let acceptor = acceptor(&chain, &key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()));
        let client = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let connector = TlsConnector::from(Arc::new(client.with_no_client_auth()));
        let (near, far) = tokio::io::duplex(16 << 10);
        let name = ServerName::try_from("localhost").unwrap();
        let (accepted, connected) = tokio::join!(acceptor.accept(far), connector.connect(name, near));
        accepted.unwrap();
        connected.unwrap();
    }

    #[test]
    fn a_file_that_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key, _) = certificate(folder.path(), "own");
        let (_, other, _) = certificate(folder.path(), "other");
        let absent = folder.path().join("absent");
        let refused = |chain: &Path, key: &Path| acceptor(chain, key).err().unwrap();
        assert!(refused(&absent, &key).starts_with("--tls-certificate: "));
        assert!(refused(&key, &key).contains("has no certificate"));
        assert!(refused(&chain, &absent).starts_with("--tls-key: "));
        assert!(refused(&chain, &chain).starts_with("--tls-key: "));
        assert!(refused(&chain, &other).starts_with("--tls-key: "));
    }
}

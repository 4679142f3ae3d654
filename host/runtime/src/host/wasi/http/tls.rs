//! TLS for requests: the web's root certificates, the project's cryptography provider, the name that the plugin
//! requested.

use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
#[cfg(feature = "aws-lc-rs")]
use tokio_rustls::rustls::crypto::aws_lc_rs as provider;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use wasmtime_wasi_http::Error;

use crate::grants::Host;

/// The configuration for servers on the web, made once.
pub(super) fn public() -> &'static Arc<ClientConfig> {
    static PUBLIC: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    PUBLIC.get_or_init(|| config(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }))
}

/// Trusts these root certificates.
fn config(roots: RootCertStore) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("each provider has the suites of TLS 1.2 and 1.3");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Starts TLS with a server that must prove that it is this host.
pub(super) async fn handshake(
    config: &Arc<ClientConfig>,
    host: &Host,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Error> {
    let name = match host {
        Host::Address(address) => ServerName::from(*address),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid)?,
    };
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|error| failure(&error))
}

fn failure(error: &std::io::Error) -> Error {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
        Some(rustls::Error::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::ServerConfig;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server with a certificate for these names, and a client that trusts it.
    async fn server(names: &[&str]) -> (SocketAddr, Arc<ClientConfig>) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let certificate: CertificateDer<'static> = cert.der().clone();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()));
        let server = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let server = server.with_single_cert(vec![certificate.clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(server));
            while let Ok((stream, _)) = listener.accept().await {
                let _ = acceptor.accept(stream).await;
            }
        });
        (address, config(roots))
    }

    async fn speak(config: &Arc<ClientConfig>, host: &str, address: SocketAddr) -> Result<(), Error> {
        let stream = TcpStream::connect(address).await.unwrap();
        handshake(config, &Host::read(host).unwrap(), stream).await.map(|_| ())
    }

    #[tokio::test]
    async fn a_certificate_is_valid_for_its_own_names_only() {
        let (address, trusting) = server(&["api.example.org", "127.0.0.1"]).await;
        speak(&trusting, "api.example.org", address).await.unwrap();
        speak(&trusting, "127.0.0.1", address).await.unwrap();
        for (config, host) in [
            (&trusting, "other.example.org"),
            (&trusting, "x.api.example.org"),
            (&trusting, "127.0.0.2"),
            (public(), "api.example.org"),
        ] {
            let error = speak(config, host, address).await.unwrap_err();
            assert!(matches!(error, Error::TlsCertificateError), "{host}: {error}");
        }
    }

    #[tokio::test]
    async fn a_server_without_tls_and_one_with_a_bad_certificate_are_distinguished() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        });
        let error = speak(public(), "api.example.org", address).await.unwrap_err();
        assert!(matches!(error, Error::TlsProtocolError), "{error}");
    }
}

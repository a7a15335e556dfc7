//! HTTPS.

use crate::server::Server;
use baimo_server::Config;
use baimo_server::config::Tls;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate for localhost that vouches for itself, and its key: made for this test.
fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "tls", name].iter().collect()
}

#[tokio::test]
async fn https_is_spoken_with_a_certificate_and_a_key() {
    let tls = Tls { certificate: file("certificate.pem"), key: file("key.pem") };
    let config = Config { tls: Some(tls), ..Config::default() };
    let server = tokio::task::spawn_blocking(|| Server::start(config)).await.expect("a server");
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(file("certificate.pem")).expect("PEM");
    roots.add(certificate).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.address).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.expect("a handshake");
    let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("a reply, closed in good order");
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    drop(tokio::task::spawn_blocking(move || drop(server)).await);
}

#[test]
fn a_key_that_is_none_is_named() {
    let tls = Tls { certificate: file("certificate.pem"), key: file("certificate.pem") };
    let config = Config { tls: Some(tls), ..Config::default() };
    let error = Server::try_start(config).err().expect("no server").to_string();
    assert!(error.contains("certificate.pem"), "{error}");
}

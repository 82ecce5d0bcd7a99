//! A server that asks for tokens and speaks TLS.

use std::fs::write;
use std::time::Duration;

use managedagents::{Certificate, Client, ClientTlsConfig, ErrorKind};

use crate::support::server::Server;
use crate::support::soon;

#[tokio::test]
async fn a_server_with_tls_and_tokens_is_spoken_to_by_whom_it_knows() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = rcgen::generate_simple_self_signed(["agents.test".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    write(path("cert.pem"), &certificate).unwrap();
    write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    write(path("tokens"), "t0k\n").unwrap();
    let flags = ["--tls-cert", &path("cert.pem"), "--tls-key", &path("key.pem"), "--tokens", &path("tokens")];
    let server = Server::started(path("log.db"), &flags.map(str::to_owned)).await;

    let client = |tls, token: &str| Client::builder(&*server.address).tls(tls).token(token);
    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificate)).domain_name("agents.test");
    let known = client(trusting.clone(), "t0k").connect().unwrap();
    assert_eq!(soon(known.status("ses_none")).await.unwrap_err().kind(), ErrorKind::NotFound);
    let unknown = client(trusting, "other").connect().unwrap();
    assert_eq!(soon(unknown.status("ses_none")).await.unwrap_err().kind(), ErrorKind::Unauthenticated);

    let soon_given_up = Duration::from_millis(500);
    let distrusting = client(ClientTlsConfig::new().with_enabled_roots(), "t0k");
    let distrusting = distrusting.connect_timeout(soon_given_up).connect().unwrap();
    let error = soon(distrusting.status("ses_none")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAnswer);
    assert!(error.message().contains("certificate"), "{error}");
    let plain = Client::builder(&*server.address).connect_timeout(soon_given_up).connect().unwrap();
    assert_eq!(soon(plain.status("ses_none")).await.unwrap_err().kind(), ErrorKind::NoAnswer);
}

//! Files, good and bad, and reading them again.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::tls::{Error, Fingerprint, Roots};

/// Which certificate a client of this name is shown.
async fn shown(server: &Server, name: &str) -> Fingerprint {
    let client = Client::builder().danger_no_verification().build().unwrap();
    greet(server, &client, name).await.1.1.peer_fingerprint().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_folder_of_certificates() {
    let desk = Desk::new();
    let authority = Authority::new("root");
    let [a, b, c, d, e] =
        ["a.test", "b.test", "c.test", "d.test", "e.test"].map(|name| authority.issue(&[name]));
    desk.pair("a", &a);
    desk.write("b.crt", &b.certificate);
    desk.write("b.key", &b.key);
    desk.write("live/c.test/fullchain.pem", "not looked at: two levels down");
    desk.write("c.test/fullchain.pem", &(c.certificate.clone() + &authority.pem()));
    desk.write("c.test/privkey.pem", &c.key);
    desk.write("c.test/cert.pem", "not looked at: fullchain.pem is there");
    desk.write("d.pem", &format!("{}{}", d.key, d.certificate));
    desk.pair("e/default", &e);
    desk.write("root.pem", &authority.pem());
    desk.write("README", "not looked at");
    desk.write(".hidden.pem", "not looked at");
    let server = Server::builder().folder(desk.path("")).build().unwrap();
    for (name, issued) in
        [("a.test", &a), ("b.test", &b), ("c.test", &c), ("d.test", &d), ("other.test", &e)]
    {
        assert_eq!(shown(&server, name).await, issued.fingerprint(), "{name}");
    }
    assert_eq!(server.fingerprint(), Some(e.fingerprint()));
    let warnings = server.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("root.pem") && warnings[0].contains("root.key"), "{warnings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reload_shows_the_new_one_and_leaves_live_connections_alone() {
    let desk = Desk::new();
    let authority = Authority::new("root");
    let (old, new) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    let (certificate, key) = desk.pair("server", &old);
    let server = Server::builder().pem_files(certificate, key).build().unwrap();
    let client = client_of(&authority);
    let (mut at_server, mut at_client) = greet(&server, &client, "localhost").await;
    desk.pair("server", &new);
    assert_eq!(shown(&server, "localhost").await, old.fingerprint(), "not before it is told");
    let clone = server.clone();
    server.reload().unwrap();
    assert_eq!(shown(&clone, "localhost").await, new.fingerprint());
    talk(&mut at_server, &mut at_client).await;
    // Nobody is verified by this server, so sessions go on.
    assert!(greet(&server, &client, "localhost").await.0.1.resumed());
    Server::from_config(server.config()).reload().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_changes_nothing_and_is_named() {
    let desk = Desk::new();
    let authority = Authority::new("root");
    let good = authority.issue(&["localhost"]);
    let (certificate, key) = desk.pair("server", &good);
    let server = Server::builder().pem_files(&certificate, &key).build().unwrap();
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let encrypted = good.key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let other = authority.issue(&["localhost"]);
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let nokey = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    // (file, its new content if any, what is said)
    let table: [(&PathBuf, Option<&str>, &[&str]); 11] = [
        (&certificate, None, &["server.pem", "cannot be read", "check the spelling"]),
        (&key, None, &["server.key", "cannot be read"]),
        (&certificate, Some(""), &["server.pem", "no certificate in it", "BEGIN CERTIFICATE"]),
        (&certificate, Some(&good.key), &["server.pem", "no certificate in it"]),
        (&certificate, Some(&half(&good.certificate)), &["server.pem", "damaged PEM"]),
        (&certificate, Some(nonsense), &["server.pem", "not a certificate"]),
        (&certificate, Some(&other.certificate), &["server.key", "does not match", "server.pem"]),
        (&key, Some(&other.key), &["server.key", "does not match", "server.pem"]),
        (&key, Some(&good.certificate), &["server.key", "no private key in it"]),
        (&key, Some(&encrypted), &["server.key", "encrypted", "openssl pkey"]),
        (&key, Some(nokey), &["server.key", "not a private key", "ECDSA"]),
    ];
    for (file, content, words) in table {
        match content {
            Some(content) => fs::write(file, content).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
        assert_says(&server.reload().unwrap_err(), words);
        let again = Server::builder().pem_files(&certificate, &key).build();
        assert_says(&again.unwrap_err(), words);
        assert_eq!(shown(&server, "localhost").await, good.fingerprint());
        desk.pair("server", &good);
        server.reload().unwrap();
    }
}

#[test]
fn an_expired_certificate_is_a_warning() {
    let desk = Desk::new();
    let (certificate, key) =
        desk.pair("late", &Authority::new("root").issue_expired(&["localhost"]));
    let server = Server::builder().pem_files(certificate, key).build().unwrap();
    let warnings = server.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for word in ["late.pem", "expired", "days ago"] {
        assert!(warnings[0].contains(word), "{warnings:?}");
    }
}

#[test]
fn what_cannot_be_built() {
    let desk = Desk::new();
    let empty = desk.path("empty");
    fs::create_dir(&empty).unwrap();
    let text = desk.write("text", "no PEM");
    let server = |error: Result<Server, Error>| error.unwrap_err();
    let client = |error: Result<Client, Error>| error.unwrap_err();
    let signed = |name: &str| Server::builder().self_signed([name]).build();
    let roots = |roots| Client::builder().roots(roots).build();
    let nobody: [rustls::pki_types::CertificateDer<'static>; 0] = [];
    for (error, words) in [
        (server(Server::builder().build()), &["needs a certificate"][..]),
        (server(Server::builder().folder(&empty).build()), &["empty", "NAME.pem"]),
        (server(Server::builder().folder(&text).build()), &["text", "a folder is wanted"]),
        (server(Server::builder().folder(desk.path("no")).build()), &["no", "check the spelling"]),
        (server(Server::builder().pem_files(&empty, &empty).build()), &["a file is wanted"]),
        (server(signed("tür")), &["tür", "host names"]),
        (client(roots(Roots::file(&text))), &["text", "no certificate in it"]),
        (client(roots(Roots::file(desk.path("gone")))), &["gone", "check the spelling"]),
        (client(roots(Roots::certificates(nobody))), &["trusts nobody"]),
        (client(roots(Roots::certificates([vec![1].into()]))), &["given roots"]),
        (client(Client::builder().client_certificate(&text, &text).build()), &["text"]),
    ] {
        assert_says(&error, words);
        let kind = io::Error::from(error).kind();
        assert_ne!(kind, io::ErrorKind::Other);
    }
}

#[test]
fn the_platform_has_roots_or_says_so() {
    if let Err(error) = Client::new() {
        assert_says(&error, &["ca-certificates"]);
    }
}

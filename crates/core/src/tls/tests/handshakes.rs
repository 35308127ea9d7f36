//! Who can talk to whom, and what each learns.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::tls::{ClientAuth, ClientBuilder, Fingerprint, Roots, ServerBuilder, Version};

#[tokio::test(start_paused = true)]
async fn both_versions_shake_hands_and_resume() {
    let desk = Desk::new();
    let authority = Authority::new("root");
    let server = server_of(&authority, &desk);
    let no_resumption = {
        let files = (desk.path("server.pem"), desk.path("server.key"));
        Server::builder().pem_files(files.0, files.1).session_cache(0).build().unwrap()
    };
    for (client, version) in
        [(client_of(&authority), Version::Tls13), (old_client_of(&authority), Version::Tls12)]
    {
        for (server, resumed) in
            [(&server, false), (&server, true), (&server, true), (&no_resumption, false)]
        {
            let (mut at_server, mut at_client) = greet(server, &client, "localhost").await;
            talk(&mut at_server, &mut at_client).await;
            for facts in [&at_server.1, &at_client.1] {
                assert_eq!(facts.version(), version);
                assert_eq!(facts.resumed(), resumed, "{version}");
                assert_eq!(facts.server_name(), Some("localhost"));
                assert_eq!(facts.alpn(), None);
                assert!(facts.cipher_suite().starts_with("TLS"), "{facts:?}");
            }
            assert_eq!(at_client.1.peer_fingerprint(), server.fingerprint());
            assert!(at_server.1.peer_certificates().is_empty());
            let binding = at_server.1.channel_binding();
            assert_eq!(binding, at_client.1.channel_binding());
            assert_eq!(binding.is_some(), version == Version::Tls13);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bad_pipes_delay_a_handshake_and_nothing_more() {
    let server = Server::builder().self_signed(["localhost"]).build().unwrap();
    let client = Client::builder().pin(server.fingerprint().unwrap()).build().unwrap();
    let latency = Duration::from_millis(100);
    let bad = |seed| Knobs { seed: Some(seed), latency, chunk: 100, ..Knobs::default() };
    for knobs in (0..10).map(bad).chain([Knobs { chunk: 1, ..Knobs::default() }]) {
        let (at_server, at_client) = meet_over(knobs, &server, &client, "localhost").await;
        talk(&mut at_server.unwrap(), &mut at_client.unwrap()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn debug_shows_no_secret() {
    let server = Server::builder().self_signed(["localhost"]).build().unwrap();
    let client = Client::builder().pin(server.fingerprint().unwrap()).build().unwrap();
    let (at_server, _) = greet(&server, &client, "localhost").await;
    let shown = format!("{:?}", at_server.1);
    assert!(shown.contains("localhost") && shown.len() < 300, "{shown}");
    let shown = format!("{server:?} {client:?}");
    assert!(!shown.contains("PRIVATE") && !shown.contains("secret"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn alpn_takes_the_servers_favourite() {
    type Agreed = Result<Option<&'static str>, &'static str>;
    // (server offers, client offers, agreed)
    let table: [(&[&str], &[&str], Agreed); 6] = [
        (&[], &[], Ok(None)),
        (&["h2"], &[], Ok(None)),
        (&[], &["h2"], Ok(None)),
        (&["h2", "http/1.1"], &["http/1.1", "h2"], Ok(Some("h2"))),
        (&["http/1.1"], &["h2", "http/1.1"], Ok(Some("http/1.1"))),
        (&["imap"], &["h2"], Err("application protocols")),
    ];
    for (ours, theirs, agreed) in table {
        let server = Server::builder().self_signed(["localhost"]).alpn(ours).build().unwrap();
        let client = Client::builder().danger_no_verification().alpn(theirs).build().unwrap();
        let (at_server, at_client) = meet(&server, &client, "localhost").await;
        match agreed {
            Ok(agreed) => {
                for facts in [at_server.unwrap().1, at_client.unwrap().1] {
                    assert_eq!(facts.alpn(), agreed.map(str::as_bytes));
                }
            }
            Err(words) => {
                assert_says(&at_server.unwrap_err(), &[words]);
                assert_says(&at_client.unwrap_err(), &[words]);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn names_choose_the_certificate() {
    let desk = Desk::new();
    let authority = Authority::new("root");
    let first = authority.issue(&["a.example", "b.example"]);
    let wild = authority.issue(&["*.example.org", "example.org"]);
    let exact = authority.issue(&["Mail.example.org"]);
    let mut builder = Server::builder();
    for (name, issued) in [("first", &first), ("wild", &wild), ("exact", &exact)] {
        let (certificate, key) = desk.pair(name, issued);
        builder = builder.pem_files(certificate, key);
    }
    let server = builder.build().unwrap();
    let client = Client::builder().danger_no_verification().build().unwrap();
    for (asked, shown) in [
        ("a.example", &first),
        ("B.EXAMPLE", &first),
        ("example.org", &wild),
        ("www.example.org", &wild),
        ("WWW.Example.org", &wild),
        ("mail.example.org", &exact),
        ("deep.www.example.org", &first), // a wildcard is one label
        ("nobody.test", &first),
        ("org", &first),
        ("127.0.0.1", &first), // no SNI for addresses
    ] {
        let (at_server, at_client) = greet(&server, &client, asked).await;
        assert_eq!(at_client.1.peer_fingerprint(), Some(shown.fingerprint()), "{asked}");
        let sni = (asked != "127.0.0.1").then(|| asked.to_lowercase());
        assert_eq!(at_server.1.server_name(), sni.as_deref(), "{asked}");
    }
}

/// What a client that verifies one kind of signature only knows.
const P256_ONLY: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[webpki::aws_lc_rs::ECDSA_P256_SHA256],
    mapping: &[(SignatureScheme::ECDSA_NISTP256_SHA256, &[webpki::aws_lc_rs::ECDSA_P256_SHA256])],
};

#[tokio::test(start_paused = true)]
async fn two_kinds_of_key_for_one_name() {
    let desk = Desk::new();
    let authority = Authority::new("root");
    let mut builder = Server::builder();
    let mut fingerprints = Vec::new();
    for (file, kind) in [("p384", &PKCS_ECDSA_P384_SHA384), ("p256", &PKCS_ECDSA_P256_SHA256)] {
        let key = KeyPair::generate_for(kind).unwrap();
        let issued = authority.issue_with(&["a.example"], &key, |_| {});
        fingerprints.push(issued.fingerprint());
        let (certificate, key) = desk.pair(file, &issued);
        builder = builder.pem_files(certificate, key);
    }
    let server = builder.build().unwrap();
    // Verifies P-256 only.
    let p256 = Client::from_config(
        rustls::ClientConfig::builder_with_provider(Arc::new(CryptoProvider {
            signature_verification_algorithms: P256_ONLY,
            ..(*provider()).clone()
        }))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots().load().unwrap())
        .with_no_client_auth(),
    );
    for (client, shown) in [(client_of(&authority), fingerprints[0]), (p256, fingerprints[1])] {
        let (_, at_client) = greet(&server, &client, "a.example").await;
        assert_eq!(at_client.1.peer_fingerprint(), Some(shown));
    }
}

#[tokio::test(start_paused = true)]
async fn a_self_signed_certificate_is_pinned_by_its_fingerprint() {
    let server = Server::builder().self_signed(["localhost", "::1"]).build().unwrap();
    let fingerprint = server.fingerprint().unwrap();
    server.reload().unwrap();
    assert_eq!(server.fingerprint(), Some(fingerprint), "a reload keeps what was printed");
    let printed: Fingerprint = fingerprint.to_string().parse().unwrap();
    let other = Fingerprint::of(&Authority::new("other").issue(&["localhost"]).der);
    let trusting = Client::builder().roots(Roots::certificates(server.certificate())).build();
    for client in [
        Client::builder().pin(printed).build().unwrap(),
        Client::builder().pin(other).pin(printed).build().unwrap(),
        Client::builder().danger_no_verification().build().unwrap(),
        trusting.unwrap(),
    ] {
        for name in ["localhost", "::1"] {
            let (_, at_client) = greet(&server, &client, name).await;
            assert_eq!(at_client.1.peer_fingerprint(), Some(fingerprint));
        }
    }
    let client = Client::builder().pin(other).build().unwrap();
    let (_, at_client) = meet(&server, &client, "localhost").await;
    assert_says(&at_client.unwrap_err(), &["localhost", &printed.to_string(), "pin"]);
}

#[tokio::test(start_paused = true)]
async fn client_certificates() {
    let desk = Desk::new();
    let authority = Authority::new("root");
    let (ours, others) = (Authority::new("staff"), Authority::new("strangers"));
    let (certificate, key) = desk.pair("server", &authority.issue(&["localhost"]));
    let good = ours.issue(&["alice"]);
    desk.pair("good", &good);
    desk.pair("wrong", &others.issue(&["mallory"]));
    desk.pair("late", &ours.issue_expired(&["bob"]));
    let roots = Roots::file(desk.write("staff-root.pem", &ours.pem()));
    let wanted = ClientAuth::Wanted(roots.clone());
    let required = ClientAuth::Required(roots);
    // (asked, shown, number of certificates the server sees or what it says, what the client hears)
    for (auth, shown, seen) in [
        (&ClientAuth::None, "", Ok(0)),
        (&ClientAuth::None, "good", Ok(0)),
        (&wanted, "", Ok(0)),
        (&wanted, "good", Ok(1)),
        (&wanted, "wrong", Err(("none of the roots", "UnknownCA"))),
        (&wanted, "late", Err(("expired", "CertificateExpired"))),
        (&required, "", Err(("no certificate", "requires a client certificate"))),
        (&required, "good", Ok(1)),
        (&required, "wrong", Err(("none of the roots", "UnknownCA"))),
    ] {
        let builder = Server::builder().pem_files(&certificate, &key);
        let server = builder.client_auth(auth.clone()).build().unwrap();
        let mut builder = Client::builder().roots(authority.roots());
        if !shown.is_empty() {
            let file = |kind| desk.path(&format!("{shown}.{kind}"));
            builder = builder.client_certificate(file("pem"), file("key"));
        }
        let client = builder.build().unwrap();
        let (at_server, at_client) = meet(&server, &client, "localhost").await;
        // In TLS 1.3 the client is done before the server has seen its certificate.
        let mut at_client = at_client.unwrap();
        match (at_server, seen) {
            (Ok(mut at_server), Ok(count)) => {
                assert_eq!(at_server.1.peer_certificates().len(), count);
                let fingerprint = at_server.1.peer_fingerprint();
                assert_eq!(fingerprint, (count > 0).then(|| good.fingerprint()));
                talk(&mut at_server, &mut at_client).await;
            }
            (Err(error), Err((words, heard))) => {
                assert_says(&error, &[words]);
                let alert = at_client.0.read_u8().await.unwrap_err();
                assert_says(&super::super::explain::explained(alert, Some("it")), &[heard]);
            }
            (got, seen) => panic!("{shown} {auth:?}: {seen:?}, got {:?}", got.map(|it| it.1)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resumed_client_is_still_known() {
    let desk = Desk::new();
    let authority = Authority::new("root");
    let (certificate, key) = desk.pair("server", &authority.issue(&["localhost"]));
    let (own, own_key) = desk.pair("own", &authority.issue(&["alice"]));
    let root = desk.write("root.pem", &authority.pem());
    let auth = ClientAuth::Required(Roots::file(&root));
    let server = Server::builder().pem_files(certificate, key).client_auth(auth).build().unwrap();
    let client =
        Client::builder().roots_file(&root).client_certificate(own, own_key).build().unwrap();
    for resumed in [false, true] {
        let (mut at_server, mut at_client) = greet(&server, &client, "localhost").await;
        talk(&mut at_server, &mut at_client).await;
        assert_eq!(at_server.1.resumed(), resumed);
        assert_eq!(at_server.1.peer_certificates().len(), 1);
    }
    // Other roots after a reload: who was let in by the old ones must not resume.
    desk.write("root.pem", &Authority::new("other").pem());
    server.reload().unwrap();
    let (at_server, _) = meet(&server, &client, "localhost").await;
    assert_says(&at_server.unwrap_err(), &["none of the roots"]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_agree_is_told_why() {
    let desk = Desk::new();
    let authority = Authority::new("root");
    let (certificate, key) = desk.pair("good", &authority.issue(&["localhost"]));
    let good = || Server::builder().pem_files(&certificate, &key);
    let (late, late_key) = desk.pair("late", &authority.issue_expired(&["localhost"]));
    let trusting = || Client::builder().roots(authority.roots());
    let check =
        async |server: ServerBuilder, client: Client, name, at_server: &[&str], at_client| {
            let (server, client) = meet(&server.build().unwrap(), &client, name).await;
            assert_says(&server.unwrap_err(), at_server);
            assert_says(&client.unwrap_err(), at_client);
        };
    let build = |client: ClientBuilder| client.build().unwrap();
    check(
        good(),
        build(Client::builder().roots(Authority::new("other").roots())),
        "localhost",
        &["a client", "UnknownCA", "issued our certificate"],
        &["localhost", "issued by nobody", "root", "pin"],
    )
    .await;
    check(
        good(),
        build(trusting()),
        "other.test",
        &["alert"],
        &["other.test", "not valid for name"],
    )
    .await;
    check(
        Server::builder().pem_files(late, late_key),
        build(trusting()),
        "localhost",
        &["CertificateExpired", "renew"],
        &["expired"],
    )
    .await;
    check(
        good().min_version(Version::Tls13),
        old_client_of(&authority),
        "localhost",
        &["version"],
        &["ProtocolVersion", "version"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn plain_text_is_not_tls() {
    let server = Server::builder().self_signed(["localhost"]).build().unwrap();
    let (ours, mut theirs) = pipe(Knobs::default());
    theirs.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let talk = async {
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let (result, heard) = tokio::join!(accept(&server, ours), talk);
    assert_says(&result.unwrap_err(), &["does not speak TLS"]);
    assert_eq!(heard[0], 21, "an alert was sent, then the end");

    let client = Client::builder().danger_no_verification().build().unwrap();
    let (ours, mut theirs) = pipe(Knobs::default());
    theirs.write_all(b"220 mail.example.org ESMTP\r\n").await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    assert_says(&connect(&client, &name, ours).await.unwrap_err(), &["does not speak TLS"]);

    let (ours, theirs) = pipe(Knobs::default());
    drop(theirs);
    let error = accept(&server, ours).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_says(&error, &["a client", "closed"]);
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_serves_is_told_what_is_wrong() {
    let desk = Desk::new();
    let authority = Authority::new("root");
    let issued = authority.issue_with(&["localhost"], &KeyPair::generate().unwrap(), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let (certificate, key) = desk.pair("server", &issued);
    let server = Server::builder().pem_files(certificate, key).build().unwrap();
    let (_, at_client) = meet(&server, &client_of(&authority), "localhost").await;
    assert_says(&at_client.unwrap_err(), &["CA:TRUE", "pin"]);
}

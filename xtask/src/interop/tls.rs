//! openssl s_client against our TLS: versions, names, client certificates, half close.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::ours::{self, contains, mutual_tls, tls};
use super::{Direction, Lab};
use crate::peers::{Certificate, OPENSSL, certificate};
use crate::process::{Ran, free_port, run_with_input};

const REQUEST: &str = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A handshake: the case, s_client's arguments, whether it gets its answer, what it prints.
type Case = (&'static str, &'static [&'static str], bool, &'static str);

#[rustfmt::skip]
const TABLE: &[Case] = &[
    ("TLS 1.3", &["-tls1_3"], true, "TLSv1.3"),
    ("TLS 1.2", &["-tls1_2"], true, "TLSv1.2"),
    ("TLS 1.1 is refused", &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false, ""),
    ("server name sent", &["-servername", "localhost"], true, "Verify return code: 0 (ok)"),
    ("no server name sent", &["-noservername"], true, ""),
    ("ALPN http/1.1", &["-alpn", "http/1.1"], true, "ALPN protocol: http/1.1"),
    ("ALPN of several", &["-alpn", "h2,http/1.1"], true, "ALPN protocol: http/1.1"),
    ("X25519", &["-groups", "X25519"], true, "X25519"),
    ("P-256", &["-groups", "P-256"], true, ""),
    ("ChaCha20", &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], true, "CHACHA20"),
    ("AES-256 in TLS 1.2", &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"], true, "AES256"),
];

/// Every handshake against a `ropewalk web` of its own.
pub fn run_all(lab: &mut Lab, site: &Path, files: &Certificate) -> Result<()> {
    let (port, mutual) = (free_port()?, free_port()?);
    let client = certificate(&lab.scratch, "client")?;
    let listen = [tls(port, files), mutual_tls(mutual, files, &client.certificate)];
    let web = ours::web(lab, "web-openssl", site, &listen, &[])
        .and_then(|web| web.ready(&[port, mutual]));
    let up = web.as_ref().map(|_| ()).map_err(|error| format!("{error:#}"));
    for (case, arguments, answered, prints) in TABLE {
        lab.case(OPENSSL, Direction::ToOurs, case, |_| {
            up.clone().map_err(anyhow::Error::msg)?;
            let ran = s_client(port, files, arguments)?;
            answer(&ran, *answered)?;
            contains(&ran.all(), prints)
        });
    }
    let (own, key) = (client.certificate.display().to_string(), client.key.display().to_string());
    let stranger = [files.certificate.display().to_string(), files.key.display().to_string()];
    let with: [(&str, Vec<&str>, bool); 3] = [
        ("client certificate wanted and shown", vec!["-cert", &own, "-key", &key], true),
        ("client certificate wanted, none shown", vec![], false),
        (
            "client certificate of a stranger",
            vec!["-cert", &stranger[0], "-key", &stranger[1]],
            false,
        ),
    ];
    for (case, arguments, answered) in with {
        lab.case(OPENSSL, Direction::ToOurs, case, |_| {
            up.clone().map_err(anyhow::Error::msg)?;
            answer(&s_client(mutual, files, &arguments)?, answered)
        });
    }
    let session = lab.scratch.join("session");
    lab.case(OPENSSL, Direction::ToOurs, "session resumed", |_| {
        up.clone().map_err(anyhow::Error::msg)?;
        let path = session.display().to_string();
        answer(&s_client(port, files, &["-sess_out", &path])?, true)?;
        let ran = s_client(port, files, &["-sess_in", &path])?;
        answer(&ran, true)?;
        contains(&ran.all(), "Reused,")
    });
    Ok(())
}

fn s_client(port: u16, files: &Certificate, arguments: &[&str]) -> Result<Ran> {
    let mut command = OPENSSL.command()?;
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-ign_eof", "-CAfile"]);
    command.arg(&files.certificate).args(arguments);
    run_with_input(&command, REQUEST.as_bytes(), Duration::from_secs(15))
}

fn answer(ran: &Ran, wanted: bool) -> Result<()> {
    let got = ran.out().contains("HTTP/1.1 200");
    ensure!(got == wanted, "answered: {got}: {}", crate::process::tail(&ran.all(), 500));
    Ok(())
}

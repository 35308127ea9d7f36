//! curl against `ropewalk web` with hosts, redirects, fields and pages of one's own.

use std::path::Path;

use anyhow::Result;

use super::curl::Want::{self, Body, Field, Holds, NoField, Status};
use super::curl::{self, Case};
use super::ours::{tcp, tls};
use super::{Lab, ours};
use crate::peers::{OPENSSL, certificate};
use crate::process::free_port;

const B: Want = Body(b"<p>b</p>");

#[rustfmt::skip]
const HOSTS: &[Case] = &[
    ("the site of all other hosts", &[], "/hello.txt", &[Status(&[200]), Body(b"Hello, world!")]),
    ("a host of its own", &["-H", "Host: b.test"], "/", &[Status(&[200]), B]),
    ("a host of its own, with a port and in capitals", &["-H", "Host: B.TEST:8080"], "/", &[B]),
    ("a host below a wildcard", &["-H", "Host: x.y.c.test"], "/", &[B]),
    ("a host as the target says it", &["--request-target", "http://b.test/"], "/", &[B]),
    ("a host that has moved", &["-H", "Host: old.test"], "/a?b", &[Status(&[308]), Field("location", "https://new.test/a?b")]),
    ("a field of one's own", &[], "/hello.txt", &[Field("x-own", "mine")]),
    ("a field of one's own on an error", &[], "/missing", &[Status(&[404]), Field("x-own", "mine")]),
    ("how long a file stays fresh", &[], "/hello.txt", &[Field("cache-control", "max-age=60")]),
    ("an error says nothing of that", &[], "/missing", &[NoField("cache-control")]),
    ("a page of one's own for an error", &[], "/missing", &[Status(&[404]), Holds("the page")]),
    ("the same for HEAD", &["--head"], "/missing", &[Status(&[404]), Field("content-type", "text/html")]),
];

#[rustfmt::skip]
const HTTPS: &[Case] = &[
    ("sent to https", &[], "/hello.txt?a", &[Status(&[308]), Field("location", "/hello.txt?a"), Field("location", "https://localhost:")]),
    ("sent to https, and followed", &["-L"], "/hello.txt", &[Status(&[200]), Body(b"Hello, world!")]),
    ("sent to https by HTTP/1.0", &["--http1.0"], "/", &[Status(&[308])]),
];

/// All of them, each server with a site of its own beside `site`.
pub fn run_all(lab: &mut Lab, site: &Path) -> Result<()> {
    lab.scratch.write("b/index.html", "<p>b</p>")?;
    let b = lab.scratch.join("b").display().to_string();
    let (exact, wild) = (format!("b.test={b}"), format!("*.c.test={b}"));
    let options = [
        ["--host", &exact],
        ["--host", &wild],
        ["--host", "old.test=https://new.test"],
        ["--header", "X-Own: mine"],
        ["--max-age", "60"],
        ["--error-page", "404=page/index.html"],
    ];
    let port = free_port()?;
    {
        let web = ours::web(lab, "web-hosts", site, &[tcp(port)], &options.concat())?;
        let _web = web.ready(&[port])?;
        curl::each(lab, HOSTS, &format!("http://127.0.0.1:{port}"), "", &[]);
    }
    if OPENSSL.path().is_none() {
        let why = "no openssl to make a certificate with";
        lab.skip(OPENSSL, super::Direction::ToOurs, "redirects to https", why);
        return Ok(());
    }
    let files = certificate(&lab.scratch, "localhost")?;
    let (port, https) = (free_port()?, free_port()?);
    let listen = [tcp(port), tls(https, &files)];
    let web = ours::web(lab, "web-https", site, &listen, &["--https-redirect"])?;
    let _web = web.ready(&[port, https])?;
    let roots = files.certificate.display().to_string();
    curl::each(lab, HTTPS, &format!("http://localhost:{port}"), "", &["--cacert", &roots]);
    Ok(())
}

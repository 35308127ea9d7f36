//! The HTTP part: one `ropewalk web` over plain TCP and TLS, and everybody against it.

use anyhow::Result;

use super::ours::{tcp, tls};
use super::{Lab, clients, curl, fetch, front, load, ours, sites, stop};
use crate::peers::{OPENSSL, certificate};
use crate::process::free_port;

pub fn run(lab: &mut Lab) -> Result<()> {
    let site = ours::site(&lab.scratch)?;
    let port = free_port()?;
    println!("http over tcp");
    {
        let _web = ours::web(lab, "web", &site, &[tcp(port)], &[])?.ready(&[port])?;
        let base = format!("http://127.0.0.1:{port}");
        curl::run_all(lab, &base, "", None);
        clients::run_all(lab, &base, "", None);
        load::run_all(lab, &base, "");
    }
    over_tls(lab, &site)?;
    println!("http, several sites");
    sites::run_all(lab, &site)?;
    println!("http behind proxies");
    front::run_all(lab, &site)?;
    fetch::run_all(lab, &site)?;
    println!("http, stopping and under pressure");
    stop::run_all(lab, &site);
    Ok(())
}

fn over_tls(lab: &mut Lab, site: &std::path::Path) -> Result<()> {
    println!("http over tls");
    if OPENSSL.path().is_none() {
        let why = "no openssl to make a certificate with";
        lab.skip(OPENSSL, super::Direction::ToOurs, "everything over TLS", why);
        return Ok(());
    }
    let files = certificate(&lab.scratch, "localhost")?;
    let port = free_port()?;
    let _web = ours::web(lab, "web-tls", site, &[tls(port, &files)], &[])?.ready(&[port])?;
    let base = format!("https://localhost:{port}");
    curl::run_all(lab, &base, ", TLS", Some(&files.certificate));
    clients::run_all(lab, &base, ", TLS", Some(&files.certificate));
    load::run_all(lab, &format!("https://127.0.0.1:{port}"), ", TLS");
    Ok(())
}

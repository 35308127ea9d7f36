//! What the owner of a folder wants on every answer: fields, freshness, pages for errors.

use std::fs;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use ropewalk_http::files::{Files, Settings};

use crate::folder::{Folder, ask};
use crate::ways;

#[test]
fn the_owner_says_what_stands_on_every_answer() {
    let folder = Folder::new();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("link", "</a>; rel=preload"),
        ("link", "</b>; rel=preload"),
        ("content-security-policy", "default-src 'self'"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    let max_age = Some(Duration::from_secs(3600));
    let files = folder.files(Settings { headers, max_age, ..Settings::default() });
    let etag = ask(&files, Method::GET, "/a.txt", "").field("etag").to_owned();
    for (method, path, fields, status, cache) in [
        (Method::GET, "/a.txt", "", 200, "max-age=3600"),
        (Method::HEAD, "/a.txt", "", 200, "max-age=3600"),
        (Method::GET, "/a.txt", "range: bytes=1-2", 206, "max-age=3600"),
        (Method::GET, "/a.txt", "range: bytes=1-2,4-5", 206, "max-age=3600"),
        (Method::GET, "/a.txt", &format!("if-none-match: {etag}"), 304, "max-age=3600"),
        (Method::GET, "/a.txt", "range: bytes=99-", 416, ""),
        (Method::GET, "/absent", "", 404, ""),
        (Method::GET, "/dir", "", 301, ""),
        (Method::GET, "/dir/", "", 200, "no-cache"),
        (Method::POST, "/a.txt", "", 405, ""),
        (Method::OPTIONS, "/a.txt", "", 204, ""),
    ] {
        let answer = ask(&files, method.clone(), path, fields);
        let name = format!("{method} {path} {fields}");
        assert_eq!(
            (answer.status.as_u16(), answer.field("cache-control")),
            (status, cache),
            "{name}"
        );
        assert_eq!(answer.field("x-frame-options"), "DENY", "{name}");
        assert_eq!(answer.fields.get_all("link").iter().count(), 2, "{name}");
        let policies: Vec<_> = answer.fields.get_all("content-security-policy").iter().collect();
        assert_eq!(policies, ["default-src 'self'"], "{name}");
    }
}

#[test]
fn errors_have_the_owners_pages() {
    let folder = Folder::new();
    fs::write(folder.path("lost.html"), "<p>lost</p>").expect("a file");
    fs::write(folder.path("sorry.txt"), "sorry").expect("a file");
    let page = |status: u16, path: &str| (StatusCode::from_u16(status).expect("one"), path.into());
    for settings in ways() {
        let pages = [
            page(404, "/lost.html"),
            page(405, "sorry.txt"),
            page(416, "sorry.txt"),
            page(400, "dir/sub/c.txt"),
        ];
        let files = folder.files(Settings { error_pages: pages.into(), ..settings });
        for (method, path, fields, status, body) in [
            (Method::GET, "/absent", "", 404, "<p>lost</p>"),
            (Method::HEAD, "/absent", "", 404, ""),
            (Method::GET, "/absent/", "range: bytes=0-1", 404, "<p>lost</p>"),
            (Method::POST, "/a.txt", "", 405, "sorry"),
            (Method::GET, "/a.txt", "range: bytes=99-", 416, "sorry"),
            // The pages themselves are files as others are.
            (Method::GET, "/lost.html", "", 200, "<p>lost</p>"),
        ] {
            let answer = ask(&files, method.clone(), path, fields);
            let name = format!("{method} {path}");
            assert_eq!((answer.status.as_u16(), &*answer.text()), (status, body), "{name}");
            assert!(!answer.has("content-security-policy"), "{name}");
        }
        let head = ask(&files, Method::HEAD, "/absent", "");
        assert_eq!(head.field("content-length"), "11");
        assert_eq!(head.field("content-type"), "text/html; charset=utf-8");
        assert_eq!(ask(&files, Method::POST, "/a.txt", "").field("allow"), "GET, HEAD, OPTIONS");
        let range = ask(&files, Method::GET, "/a.txt", "range: bytes=99-");
        assert_eq!(range.field("content-range"), "bytes */10");
        // A page that has gone is no reason to fail.
        fs::rename(folder.path("lost.html"), folder.path("gone")).expect("it is there");
        let answer = ask(&files, Method::GET, "/absent", "");
        assert!(answer.status == 404 && answer.text().contains("404 Not Found"));
        fs::rename(folder.path("gone"), folder.path("lost.html")).expect("it is there");
    }
}

#[test]
fn settings_that_cannot_hold_are_refused() {
    let folder = Folder::new();
    let refused = |settings| {
        let error = Files::new(folder.path(""), settings).expect_err("refused");
        error.to_string()
    };
    for name in ["content-length", "transfer-encoding", "connection", "etag", "date"] {
        let headers =
            HeaderMap::from_iter([(name.parse().expect("a name"), HeaderValue::from_static("1"))]);
        let error = refused(Settings { headers, ..Settings::default() });
        assert!(error.contains(name), "{error}");
    }
    for (status, path, what) in [
        (200, "a.txt", "no error"),
        (404, "absent", "no such file"),
        (404, "../outside.txt", "no such file"),
        (404, "link-out", "no such file"),
        (404, "dir", "no file"),
    ] {
        let status = StatusCode::from_u16(status).expect("one");
        let error_pages = [(status, path.into())].into();
        let error = refused(Settings { error_pages, ..Settings::default() });
        assert!(error.contains(what), "{path}: {error}");
    }
}

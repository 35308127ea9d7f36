//! A real folder, served: what is found, what of it is sent, and that nothing beside it is.
#![cfg(feature = "io")]

#[path = "files/folder.rs"]
mod folder;
#[path = "files/owner.rs"]
mod owner;

use std::fs;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use ropewalk_http::files::{Cache, Files, Settings};

use folder::{Folder, SECRET, ask};

/// Every way of opening: by `openat2` and step by step, with and without following links.
fn ways() -> [Settings; 4] {
    [(false, false), (false, true), (true, false), (true, true)].map(
        |(without_openat2, follow_links)| Settings {
            without_openat2,
            follow_links,
            dotfiles: true,
            ..Settings::default()
        },
    )
}

#[test]
fn nothing_outside_the_root_by_any_spelling() {
    let folder = Folder::new();
    let spellings = include_str!("files/spellings.txt").lines();
    let spellings = spellings.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let long = ["/".to_owned() + &"x".repeat(300), "/".to_owned() + &"d/".repeat(3000)];
    let spellings: Vec<_> = spellings.chain(long.iter().map(String::as_str)).collect();
    assert!(spellings.len() >= 100);
    for settings in ways() {
        let files = folder.files(settings.clone());
        for &spelling in &spellings {
            let answer = ask(&files, Method::GET, spelling, "");
            let refused = matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND);
            assert!(refused, "{spelling:.80} {settings:?}: {}", answer.status);
            assert!(!answer.text().contains(SECRET) && !answer.text().contains("root:"));
        }
    }
}

#[test]
fn links_are_followed_only_if_asked_and_only_inside() {
    let folder = Folder::new();
    for settings in ways() {
        let files = folder.files(settings.clone());
        let expected = if settings.follow_links { 200 } else { 404 };
        for path in [
            "/link-in",
            "/link-dir/b.txt",
            "/dir/link-back",
            "/link-dir/sub/c.txt",
            "/link-twice",
            "/link-dir/link-back",
            "/link-dotted",
            "/link-index/",
        ] {
            let answer = ask(&files, Method::GET, path, "");
            assert_eq!(answer.status.as_u16(), expected, "{path} {settings:?}");
        }
        let listing = ask(&files, Method::GET, "/dir/", "").text();
        assert_eq!(listing.contains("link-back"), settings.follow_links);
        assert!(!listing.contains("link-far"), "it leads outside, so it is not shown");
    }
}

#[test]
fn a_folder_swapped_for_a_link_meanwhile_leads_nowhere() {
    let folder = Folder::new();
    let (stable, swapped) = (folder.path("swap-folder"), folder.path("swap"));
    fs::create_dir(&stable).expect("a folder");
    fs::write(stable.join("outside.txt"), "inside").expect("a file");
    std::os::unix::fs::symlink("..", folder.path("swap-link")).expect("a link");
    for settings in ways() {
        let files = folder.files(settings);
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    for name in ["swap-folder", "swap-link"] {
                        fs::rename(folder.path(name), &swapped).expect("free");
                        fs::rename(&swapped, folder.path(name)).expect("free");
                    }
                }
            });
            // Nothing may panic in here, or the other thread would go on for ever.
            let leaks = (0..3000)
                .filter(|_| {
                    let answer = ask(&files, Method::GET, "/swap/outside.txt", "");
                    answer.text().contains(SECRET)
                })
                .count();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(leaks, 0);
        });
    }
}

#[test]
fn names_and_types() {
    let folder = Folder::new();
    for settings in ways() {
        let files = folder.files(settings);
        for (path, status, media, body) in [
            ("/", 200, "text/html; charset=utf-8", "<p>root</p>"),
            ("/index.html", 200, "text/html; charset=utf-8", "<p>root</p>"),
            ("/a.txt", 200, "text/plain; charset=utf-8", "0123456789"),
            ("/a.txt?/../../outside.txt/", 200, "text/plain; charset=utf-8", "0123456789"),
            ("http://host/a.txt", 200, "text/plain; charset=utf-8", "0123456789"),
            ("/%61%2etxt", 200, "text/plain; charset=utf-8", "0123456789"),
            ("/empty.txt", 200, "text/plain; charset=utf-8", ""),
            ("/site/", 200, "text/html; charset=utf-8", "<p>site</p>"),
            ("/sp%20ace.txt", 200, "text/plain; charset=utf-8", "space"),
            ("/%C3%BC.txt", 200, "text/plain; charset=utf-8", "umlaut"),
            ("/100%25.txt", 200, "text/plain; charset=utf-8", "percent"),
            ("/new%0Aline", 200, "application/octet-stream", "newline"),
            ("/%FF", 200, "application/octet-stream", "byte"),
            ("/.secret", 200, "application/octet-stream", "dot"),
            ("/dir/.hidden/x", 200, "application/octet-stream", "x"),
            ("/page.html", 200, "text/html; charset=utf-8", "plain"),
            ("/page.html.gz", 200, "application/gzip", "gzip"),
        ] {
            let answer = ask(&files, Method::GET, path, "");
            assert_eq!(answer.status.as_u16(), status, "{path}");
            assert_eq!(answer.field("content-type"), media, "{path}");
            assert_eq!(answer.text(), body, "{path}");
            assert_eq!(answer.field("x-content-type-options"), "nosniff");
            assert_eq!(answer.field("accept-ranges"), "bytes");
            assert!(!answer.has("vary") && !answer.has("content-encoding"));
            let head = ask(&files, Method::HEAD, path, "");
            assert_eq!(head.field("content-length"), body.len().to_string());
            assert_eq!((head.status, head.body.len()), (answer.status, 0));
            assert_eq!(head.field("etag"), answer.field("etag"));
        }
    }
}

#[test]
fn what_is_hidden_does_not_exist() {
    let folder = Folder::new();
    let files = folder.files(Settings::default());
    for path in ["/.secret", "/dir/.hidden/x", "/dir/.hidden/", "/%2esecret", "/.absent"] {
        assert_eq!(ask(&files, Method::GET, path, "").status, 404, "{path}");
    }
    assert!(!ask(&files, Method::GET, "/dir/", "").text().contains(".hidden"));
}

#[test]
fn methods() {
    let folder = Folder::new();
    let files = folder.files(Settings::default());
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a token");
        let answer = ask(&files, method, "/a.txt", "");
        assert_eq!((answer.status.as_u16(), answer.field("allow")), (405, "GET, HEAD, OPTIONS"));
    }
    for path in ["/a.txt", "*", "/absent"] {
        let answer = ask(&files, Method::OPTIONS, path, "");
        assert_eq!((answer.status.as_u16(), answer.field("allow")), (204, "GET, HEAD, OPTIONS"));
    }
}

#[test]
fn error_pages_are_pages_and_tell_nothing() {
    let folder = Folder::new();
    let files = folder.files(Settings { listing: false, ..Settings::default() });
    for (path, fields, status) in [
        ("/absent", "", 404),
        ("/../x", "", 400),
        ("/dir/", "", 403),
        ("/a.txt", "if-match: \"x\"", 412),
        ("/a.txt", "range: bytes=99-", 416),
        ("/absent?%3Cscript", "", 404),
    ] {
        let answer = ask(&files, Method::GET, path, fields);
        let text = answer.text();
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.field("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.field("x-content-type-options"), "nosniff");
        assert!(text.contains(&format!("<h1>{status} ")), "{text}");
        for inside in ["<script", "/root", "ropewalk", "os error"] {
            assert!(!text.contains(inside), "{inside}");
        }
        if status != 416 {
            let head = ask(&files, Method::HEAD, path, fields);
            assert_eq!(head.status.as_u16(), status);
            assert_eq!(head.field("content-length"), text.len().to_string());
            assert!(head.body.is_empty());
        }
    }
}

#[test]
fn what_may_not_be_read_is_forbidden() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.path("a.txt");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("it is ours");
    if fs::File::open(&path).is_ok() {
        return; // The superuser reads everything.
    }
    for settings in ways() {
        assert_eq!(ask(&folder.files(settings), Method::GET, "/a.txt", "").status, 403);
    }
}

#[test]
fn a_folder_gets_its_slash() {
    let folder = Folder::new();
    for settings in ways() {
        let files = folder.files(settings);
        for (path, place) in [
            ("/dir", "dir/"),
            ("/dir/sub", "sub/"),
            ("/dir?x=//y&z", "dir/?x=//y&z"),
            ("/od%20d:", "od%20d%3A/"),
            ("http://host/dir", "dir/"),
        ] {
            let answer = ask(&files, Method::GET, path, "");
            assert_eq!((answer.status.as_u16(), answer.field("location")), (301, place), "{path}");
        }
        for path in ["//dir", "//host/dir", "//host/%2e%2e", "/\\host/dir", "/%2fhost/dir"] {
            let answer = ask(&files, Method::GET, path, "");
            assert!(!answer.has("location") && answer.status.is_client_error(), "{path}");
        }
    }
}

#[test]
fn validators_and_conditions() {
    let folder = Folder::new();
    let files = folder.files(Settings::default());
    let plain = ask(&files, Method::GET, "/a.txt", "");
    let (etag, modified) =
        (plain.field("etag").to_owned(), plain.field("last-modified").to_owned());
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 10);
    assert_eq!(modified, httpdate::fmt_http_date(folder.modified("a.txt")));
    for (fields, status) in [
        (format!("if-none-match: {etag}"), 304),
        (format!("if-none-match: W/{etag}"), 304),
        (format!("if-none-match: \"x\", {etag}"), 304),
        ("if-none-match: *".to_owned(), 304),
        ("if-none-match: \"x\"".to_owned(), 200),
        (format!("if-modified-since: {modified}"), 304),
        (format!("if-match: {etag}"), 200),
        (format!("if-match: W/{etag}"), 412),
        ("if-match: \"x\"".to_owned(), 412),
        (format!("if-unmodified-since: {modified}"), 200),
        ("if-unmodified-since: Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), 412),
        (format!("range: bytes=1-2|if-range: {etag}"), 206),
        (format!("range: bytes=1-2|if-range: {modified}"), 206),
        ("range: bytes=1-2|if-range: \"x\"".to_owned(), 200),
        (format!("range: bytes=99-|if-none-match: {etag}"), 304),
    ] {
        let answer = ask(&files, Method::GET, "/a.txt", &fields);
        assert_eq!(answer.status.as_u16(), status, "{fields}");
        if status == 304 {
            assert_eq!((answer.field("etag"), answer.body.len()), (&*etag, 0));
            assert!(!answer.has("content-length") && !answer.has("content-type"));
        }
    }
    // Same size, another moment.
    fs::write(folder.path("a.txt"), "9876543210").expect("it is ours");
    folder.age("a.txt", Duration::from_secs(99));
    let changed = ask(&files, Method::GET, "/a.txt", &format!("if-none-match: {etag}"));
    assert_eq!((changed.status.as_u16(), &*changed.text()), (200, "9876543210"));
}

#[test]
fn a_time_to_come_or_before_all_time_is_not_said() {
    let folder = Folder::new();
    let files = folder.files(Settings::default());
    let file = fs::File::options().write(true).open(folder.path("a.txt")).expect("it is ours");
    for time in [
        SystemTime::now() + Duration::from_secs(86_400),
        SystemTime::UNIX_EPOCH - Duration::from_secs(86_400),
    ] {
        file.set_modified(time).expect("it is ours");
        let answer = ask(&files, Method::GET, "/a.txt", "");
        assert_eq!(answer.status, 200);
        assert!(!answer.has("last-modified") && answer.has("etag"));
    }
}

#[test]
fn ranges() {
    let folder = Folder::new();
    for sendfile_from in [0, 4, u64::MAX] {
        let files = folder.files(Settings { sendfile_from, ..Settings::default() });
        for (range, status, content_range, body) in [
            ("bytes=0-0", 206, "bytes 0-0/10", "0"),
            ("bytes=3-5", 206, "bytes 3-5/10", "345"),
            ("bytes=5-", 206, "bytes 5-9/10", "56789"),
            ("bytes=-4", 206, "bytes 6-9/10", "6789"),
            ("bytes=0-99", 206, "bytes 0-9/10", "0123456789"),
            ("bytes=0-1,8-9", 206, "bytes 0-9/10", "0123456789"),
            ("bytes=5-3", 200, "", "0123456789"),
            ("pages=1-2", 200, "", "0123456789"),
        ] {
            let answer = ask(&files, Method::GET, "/a.txt", &format!("range: {range}"));
            assert_eq!(answer.status.as_u16(), status, "{range}");
            assert_eq!(answer.field("content-range"), content_range, "{range}");
            assert_eq!(answer.field("content-type"), "text/plain; charset=utf-8");
            assert_eq!(answer.text(), body, "{range}");
            let head = ask(&files, Method::HEAD, "/a.txt", &format!("range: {range}"));
            assert_eq!((head.status.as_u16(), head.field("content-length")), (200, "10"));
        }
        let answer = ask(&files, Method::GET, "/a.txt", "range: bytes=10-");
        assert_eq!((answer.status.as_u16(), answer.field("content-range")), (416, "bytes */10"));
        let answer = ask(&files, Method::GET, "/empty.txt", "range: bytes=0-");
        assert_eq!((answer.status.as_u16(), answer.field("content-range")), (416, "bytes */0"));
    }
}

#[test]
fn several_ranges_make_a_multipart() {
    let folder = Folder::new();
    let big = fs::read(folder.path("big.bin")).expect("it was written");
    for sendfile_from in [0, 1000, u64::MAX] {
        let files = folder.files(Settings { sendfile_from, ..Settings::default() });
        let answer = ask(&files, Method::GET, "/big.bin", "range: bytes=70000-72999,5-9,-7");
        assert_eq!(answer.status, 206);
        assert!(!answer.has("content-range"));
        let media = answer.field("content-type");
        let boundary = media.strip_prefix("multipart/byteranges; boundary=").expect(media);
        let mut expected = Vec::new();
        for (first, end) in [(70_000, 73_000), (5, 10), (big.len() - 7, big.len())] {
            let head = format!(
                "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\
                 Content-Range: bytes {first}-{}/{}\r\n\r\n",
                end - 1,
                big.len()
            );
            expected.extend_from_slice(head.as_bytes());
            expected.extend_from_slice(&big[first..end]);
        }
        expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        assert_eq!(answer.len, Some(expected.len() as u64));
        assert_eq!(answer.body, expected);
    }
}

#[test]
fn too_many_ranges_get_the_whole() {
    let folder = Folder::new();
    let files = folder.files(Settings { ranges_most: 3, ..Settings::default() });
    let ranges: Vec<_> = (0..3).map(|n| format!("{}-{}", n * 1000, n * 1000)).collect();
    let ranges = ranges.join(",");
    let three = ask(&files, Method::GET, "/big.bin", &format!("range: bytes={ranges}"));
    assert_eq!(three.status, 206);
    let four = ask(&files, Method::GET, "/big.bin", &format!("range: bytes={ranges},9000-9000"));
    assert_eq!((four.status.as_u16(), four.len), (200, Some(200_000)));
}

#[test]
fn precompressed_siblings() {
    let folder = Folder::new();
    let settings = Settings { precompressed: true, ..Settings::default() };
    let mut etags = Vec::new();
    for settings in [settings.clone(), Settings { cache: Some(Cache::default()), ..settings }] {
        let files = folder.files(settings);
        for (path, accepted, coding, body) in [
            ("/page.html", "", "", "plain"),
            ("/page.html", "br", "br", "brotli"),
            ("/page.html", "gzip", "gzip", "gzip"),
            ("/page.html", "zstd", "zstd", "zstd"),
            ("/page.html", "gzip, deflate, br, zstd", "br", "brotli"),
            ("/page.html", "br;q=0.1, gzip;q=0.2", "gzip", "gzip"),
            ("/page.html", "br;q=0, gzip;q=0", "", "plain"),
            ("/page.html", "identity, br;q=0.5", "", "plain"),
            ("/page.html", "deflate", "", "plain"),
            ("/stale.txt", "gzip", "", "new"),
            ("/a.txt", "br, gzip", "", "0123456789"),
            ("/site/", "gzip", "gzip", "zipped site"),
        ] {
            let fields = format!("accept-encoding: {accepted}");
            let answer = ask(&files, Method::GET, path, &fields);
            assert_eq!(answer.text(), body, "{path} {accepted}");
            assert_eq!(answer.field("content-encoding"), coding, "{path} {accepted}");
            assert_eq!(answer.field("vary"), "accept-encoding");
            assert!(answer.field("content-type").starts_with("text/"));
            etags.push((body, answer.field("etag").to_owned()));
            let fields = format!("{fields}|if-none-match: {}", answer.field("etag"));
            let again = ask(&files, Method::GET, path, &fields);
            assert_eq!((again.status.as_u16(), again.field("vary")), (304, "accept-encoding"));
        }
    }
    etags.sort();
    etags.dedup();
    let bodies = etags.len();
    etags.dedup_by(|one, other| one.1 == other.1);
    assert_eq!(etags.len(), bodies, "two contents have one tag");
    assert_eq!(bodies, 7);
}

#[test]
fn a_listing_shows_what_can_be_asked_for() {
    let folder = Folder::new();
    for settings in ways() {
        let files = folder.files(Settings { dotfiles: false, index: Vec::new(), ..settings });
        let answer = ask(&files, Method::GET, "/", "");
        let page = answer.text();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("content-type"), "text/html; charset=utf-8");
        assert!(answer.field("content-security-policy").starts_with("default-src 'none'"));
        let (_, rows) = page.split_once("<tbody>").expect("a table");
        let links: Vec<_> = rows
            .split("href=\"./")
            .skip(1)
            .map(|link| link.split('"').next().expect("a link"))
            .collect();
        assert!(links.len() > 10);
        assert!(links.contains(&"new%0Aline") && links.contains(&"%FF") && links.contains(&"dir/"));
        for link in links {
            let answer = ask(&files, Method::GET, &format!("/{link}"), "");
            assert_eq!(answer.status, 200, "{link}");
        }
        for absent in ["fifo", "socket", "secret", "link-out", "back%5Cslash"] {
            assert!(!page.contains(absent), "{absent}");
        }
        let head = ask(&files, Method::HEAD, "/", "");
        assert_eq!(head.field("content-length"), page.len().to_string());
    }
}

#[test]
fn a_listing_is_bounded() {
    let folder = Folder::new();
    let files =
        folder.files(Settings { listing_most: 3, index: Vec::new(), ..Settings::default() });
    let page = ask(&files, Method::GET, "/", "").text();
    assert_eq!(page.matches("<tr><td>").count(), 3);
    assert!(page.contains("more entries than the 3 shown"));
}

#[test]
fn the_first_index_that_is_there() {
    let folder = Folder::new();
    let index = ["sub", "absent.html", "c.txt", "b.txt"].map(str::to_owned).to_vec();
    let files = folder.files(Settings { index, ..Settings::default() });
    assert_eq!(ask(&files, Method::GET, "/dir/", "").text(), "b");
    assert_eq!(ask(&files, Method::GET, "/dir/sub/", "").text(), "c");
}

#[test]
fn the_cache_is_never_older_than_the_disk() {
    let folder = Folder::new();
    for sendfile_from in [0, u64::MAX] {
        let cache = Some(Cache::default());
        let files = folder.files(Settings { cache, sendfile_from, ..Settings::default() });
        let start = SystemTime::now() + Duration::from_secs(10);
        let ask_at = |millis| {
            let now = start + Duration::from_millis(millis);
            folder::ask_at(&files, Method::GET, "/cached.txt", "", now)
        };
        fs::write(folder.path("cached.txt"), "one").expect("the folder is ours");
        folder.age("cached.txt", Duration::from_secs(100));
        let one = ask_at(0);
        assert_eq!(one.text(), "one");
        assert_eq!(ask_at(1).field("etag"), one.field("etag"));
        // Written in place, with the same size.
        fs::write(folder.path("cached.txt"), "two").expect("the folder is ours");
        folder.age("cached.txt", Duration::from_secs(50));
        let two = ask_at(2);
        assert_eq!(two.text(), "two");
        assert_ne!(two.field("etag"), one.field("etag"));
        // And with the same time of modification, which only the time of change betrays.
        let path = folder.path("cached.txt");
        let modified = fs::metadata(&path).and_then(|data| data.modified()).expect("it is there");
        fs::write(&path, "2wo").expect("the folder is ours");
        let file = fs::File::options().write(true).open(&path).expect("the folder is ours");
        file.set_modified(modified).expect("the folder is ours");
        assert_eq!(ask_at(3).text(), "2wo");
        // Replaced by another file, and by a link to one.
        fs::write(folder.path("next"), "three").expect("the folder is ours");
        fs::rename(folder.path("next"), folder.path("cached.txt")).expect("the folder is ours");
        assert_eq!(ask_at(4).text(), "three");
        fs::rename(folder.path("cached.txt"), folder.path("away")).expect("the folder is ours");
        std::os::unix::fs::symlink("away", folder.path("cached.txt")).expect("ours");
        assert_eq!(ask_at(5).status, 404, "links are not followed");
        fs::remove_file(folder.path("cached.txt")).expect("the folder is ours");
        assert_eq!(ask_at(6).status, 404);
    }
}

#[test]
fn a_root_that_is_none_is_named() {
    let folder = Folder::new();
    for name in ["absent", "a.txt"] {
        let path = folder.path(name);
        let error = Files::new(&path, Settings::default()).expect_err("no folder").to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

#[tokio::test]
async fn as_a_handler() {
    let folder = Folder::new();
    let files = folder.files(Settings::default());
    let request = http::Request::get("/a.txt").body(()).expect("a request");
    let response = files.clone().serve(request).await;
    assert_eq!(response.body().len(), Some(10));
    let body = http_body_util::BodyExt::collect(response.into_body()).await.expect("it is there");
    assert_eq!(body.to_bytes(), "0123456789");
}

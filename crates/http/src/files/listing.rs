//! The page that shows what a folder contains. Pure: entries in, HTML out.
//!
//! One file without scripts and without anything to fetch. Names are anybody's: they are escaped in
//! text, percent-encoded in links, isolated from the direction of what surrounds them, and what
//! cannot be seen in them is shown.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::path;

const STYLE: &str = include_str!("listing.css");
const ICONS: &str = include_str!("listing.svg");

/// One line of the page.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) folder: bool,
    /// In bytes; of no meaning for a folder.
    pub(crate) size: u64,
    /// When it was modified, in seconds since 1970.
    pub(crate) modified: i64,
}

/// What the lines are sorted by; folders always come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sort {
    by: Column,
    down: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Column {
    #[default]
    Name,
    Size,
    Date,
}

impl Column {
    const ALL: [(Self, &str, &str); 3] = [
        (Self::Name, "name", "Name"),
        (Self::Size, "size", "Size"),
        (Self::Date, "date", "Modified (UTC)"),
    ];
}

impl Sort {
    /// Reads `sort=name`, `size` or `date`, a `-` before it for descending, from the query of a
    /// request. Whatever it does not know is the default.
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let fields = query.unwrap_or("").split('&');
        let value = fields.filter_map(|field| field.strip_prefix("sort=")).next().unwrap_or("");
        let (name, down) = value.strip_prefix('-').map_or((value, false), |name| (name, true));
        Column::ALL
            .iter()
            .find(|(_, known, _)| *known == name)
            .map_or_else(Self::default, |&(by, ..)| Self { by, down })
    }

    fn compare(self, one: &Key<'_>, other: &Key<'_>) -> Ordering {
        let folders = other.entry.folder.cmp(&one.entry.folder);
        let by = match self.by {
            Column::Name => Ordering::Equal,
            Column::Size if one.entry.folder => Ordering::Equal,
            Column::Size => one.entry.size.cmp(&other.entry.size),
            Column::Date => one.entry.modified.cmp(&other.entry.modified),
        };
        let names = || natural(&one.shown, &other.shown);
        let names = by.then_with(names).then_with(|| one.entry.name.cmp(&other.entry.name));
        folders.then(if self.down { names.reverse() } else { names })
    }
}

/// An entry and its name as text.
struct Key<'a> {
    entry: &'a Entry,
    shown: std::borrow::Cow<'a, str>,
}

/// The page for the folder `path` (components joined by `/`, decoded; empty for the root).
/// `more`: the folder has entries that are not among these.
pub(crate) fn page(path: &[u8], entries: &[Entry], more: bool, sort: Sort) -> String {
    let mut keys: Vec<_> = entries
        .iter()
        .map(|entry| Key { entry, shown: String::from_utf8_lossy(&entry.name) })
        .collect();
    keys.sort_by(|one, other| sort.compare(one, other));
    let mut html = String::with_capacity(8 * 1024 + entries.len() * 320);
    head(&mut html, path);
    summary(&mut html, entries, more);
    html.push_str("<div class=\"card\">\n<table>\n");
    columns(&mut html, sort);
    html.push_str("<tbody>\n");
    if !path.is_empty() {
        html.push_str(
            "<tr><td><a href=\"../\"><svg aria-hidden=\"true\"><use href=\"#up\"/></svg>\
             <span>Parent folder</span></a></td><td></td><td></td></tr>\n",
        );
    }
    for key in &keys {
        row(&mut html, key);
    }
    html.push_str("</tbody>\n</table>\n");
    if entries.is_empty() {
        html.push_str("<p class=\"note\">This folder is empty.</p>\n");
    }
    if more {
        let _ = writeln!(
            html,
            "<p class=\"note more\">The folder has more entries than the {} shown here.</p>",
            entries.len()
        );
    }
    html.push_str("</div>\n</main>\n</body>\n</html>\n");
    html
}

fn head(html: &mut String, path: &[u8]) {
    html.push_str(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>/",
    );
    escape_into(&String::from_utf8_lossy(path), html);
    html.push_str("</title>\n<style>\n");
    html.push_str(STYLE);
    html.push_str("</style>\n</head>\n<body>\n");
    html.push_str(ICONS);
    html.push_str("<main>\n<nav aria-label=\"Path\"><h1>");
    breadcrumb(html, path);
    html.push_str("</h1></nav>\n");
}

/// Links are relative, so that the page is right behind any prefix.
fn breadcrumb(html: &mut String, path: &[u8]) {
    let names: Vec<_> = path.split(|&byte| byte == b'/').filter(|n| !n.is_empty()).collect();
    let up = |levels: usize| if levels == 0 { "./".to_owned() } else { "../".repeat(levels) };
    let _ = write!(
        html,
        "<a href=\"{}\" aria-label=\"Top folder\" title=\"Top folder\">\
         <svg aria-hidden=\"true\"><use href=\"#home\"/></svg></a><i>/</i>",
        up(names.len())
    );
    for (place, name) in names.iter().enumerate() {
        let last = place + 1 == names.len();
        if last {
            html.push_str("<bdi aria-current=\"page\">");
        } else {
            let _ = write!(html, "<a href=\"{}\"><bdi>", up(names.len() - 1 - place));
        }
        escape_into(&String::from_utf8_lossy(name), html);
        html.push_str(if last { "</bdi>" } else { "</bdi></a><i>/</i>" });
    }
}

fn summary(html: &mut String, entries: &[Entry], more: bool) {
    let folders = entries.iter().filter(|entry| entry.folder).count();
    let files = entries.len() - folders;
    let bytes = entries
        .iter()
        .filter(|entry| !entry.folder)
        .fold(0_u64, |sum, entry| sum.saturating_add(entry.size));
    html.push_str("<p class=\"sum\">");
    let mut parts = Vec::new();
    if folders > 0 {
        parts.push(format!("{folders} folder{}", if folders == 1 { "" } else { "s" }));
    }
    if files > 0 {
        let plural = if files == 1 { "" } else { "s" };
        parts.push(format!("{files} file{plural}, {}", human(bytes)));
    }
    if parts.is_empty() {
        parts.push("Empty".to_owned());
    }
    html.push_str(&parts.join(" and "));
    html.push_str(if more { " shown</p>\n" } else { "</p>\n" });
}

fn columns(html: &mut String, sort: Sort) {
    html.push_str("<thead><tr>");
    for (column, name, label) in Column::ALL {
        let current = column == sort.by;
        // A second click turns the order round; sizes and dates begin with the largest.
        let down = if current { !sort.down } else { column != Column::Name };
        let minus = if down { "-" } else { "" };
        let mark = match (current, sort.down) {
            (false, _) => "",
            (true, false) => " aria-current=\"true\"",
            (true, true) => " aria-current=\"true\" class=\"down\"",
        };
        let _ = write!(html, "<th><a href=\"?sort={minus}{name}\"{mark}>{label}</a></th>");
    }
    html.push_str("</tr></thead>\n");
}

fn row(html: &mut String, key: &Key<'_>) {
    let entry = key.entry;
    let icon = if entry.folder { "folder" } else { icon(&entry.name) };
    // `./` keeps a colon in the name from making a scheme of what is before it.
    html.push_str("<tr><td><a href=\"./");
    path::encode_into(&entry.name, html);
    let slash = if entry.folder { "/" } else { "" };
    let _ = write!(
        html,
        "{slash}\"><svg class=\"{icon}\" aria-hidden=\"true\"><use href=\"#{icon}\"/></svg><bdi>"
    );
    escape_into(&key.shown, html);
    html.push_str(if entry.folder { "</bdi></a></td><td>" } else { "</bdi></a></td><td title=\"" });
    if !entry.folder {
        let _ = write!(html, "{} bytes\">{}", entry.size, human(entry.size));
    }
    let _ = writeln!(html, "</td><td>{}</td></tr>", Date(entry.modified));
}

fn icon(name: &[u8]) -> &'static str {
    let Some(dot) = memchr::memrchr(b'.', name) else { return "text" };
    match name[dot + 1..].to_ascii_lowercase().as_slice() {
        b"png" | b"jpg" | b"jpeg" | b"gif" | b"webp" | b"avif" | b"svg" | b"ico" | b"bmp"
        | b"tif" | b"tiff" | b"heic" => "image",
        b"mp3" | b"flac" | b"ogg" | b"opus" | b"wav" | b"m4a" | b"mp4" | b"mkv" | b"webm"
        | b"mov" | b"avi" | b"ts" => "media",
        b"zip" | b"gz" | b"tgz" | b"xz" | b"bz2" | b"zst" | b"br" | b"tar" | b"7z" | b"rar"
        | b"deb" | b"rpm" | b"jar" | b"iso" => "pack",
        b"html" | b"htm" | b"css" | b"js" | b"mjs" | b"json" | b"xml" | b"rs" | b"py" | b"c"
        | b"h" | b"cpp" | b"go" | b"java" | b"rb" | b"sh" | b"toml" | b"yaml" | b"yml" | b"sql"
        | b"wasm" => "code",
        b"txt" | b"md" | b"rst" | b"log" | b"csv" | b"pdf" | b"odt" | b"doc" | b"docx" | b"tex"
        | b"epub" | b"conf" | b"ini" => "text",
        _ => "file",
    }
}

/// A size that can be read: three digits at most.
pub(crate) fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths of the unit, rounded down: 1023.9 KiB is never shown as 1024.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    while tenths >= 10_240 {
        tenths /= 1024;
        unit = units.next().unwrap_or(unit);
    }
    if tenths < 100 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", tenths / 10)
    }
}

/// Appends text so that it is only text, and all of it seen: controls as their pictures, marks that
/// would reorder or break the line as U+FFFD.
pub(crate) fn escape_into(text: &str, html: &mut String) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\0'..='\x1f' => {
                html.push(char::from_u32(0x2400 + character as u32).unwrap_or('\u{fffd}'));
            }
            '\x7f' => html.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => html.push('\u{fffd}'),
            other => html.push(other),
        }
    }
}

/// Natural order: numbers by their value, letters without their case.
pub(crate) fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let (Some(a), Some(b)) = (one.chars().next(), other.chars().next()) else {
            return one.len().cmp(&other.len());
        };
        let ordering = if a.is_ascii_digit() && b.is_ascii_digit() {
            let (a, b) = (number(&mut one), number(&mut other));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        } else {
            one = &one[a.len_utf8()..];
            other = &other[b.len_utf8()..];
            a.to_lowercase().cmp(b.to_lowercase())
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
}

/// Takes the digits at the front, without their leading zeros.
fn number<'a>(text: &mut &'a str) -> &'a str {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(len);
    *text = rest;
    digits.trim_start_matches('0')
}

/// A time, shown to the minute.
struct Date(i64);

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(86_400));
        let second = self.0.rem_euclid(86_400);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "<time datetime=\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z\">\
             {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}</time>"
        )
    }
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar: the year is taken
/// to begin in March, so that the leap day is its last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64, modified: i64) -> Entry {
        Entry { name: name.into(), folder: false, size, modified }
    }

    fn folder(name: &str) -> Entry {
        Entry { name: name.into(), folder: true, size: 4096, modified: 0 }
    }

    /// The names in the order in which the page links them.
    fn order(page: &str) -> Vec<&str> {
        let (_, rows) = page.split_once("<tbody>").expect("a table");
        let links = rows.split("<a href=\"./").skip(1);
        links.filter_map(|link| link.split_once('"')).map(|(link, _)| link).collect()
    }

    #[test]
    fn folders_come_first_and_numbers_count() {
        let entries = [
            file("b10.txt", 1, 3),
            file("B2.txt", 3, 1),
            file("a.txt", 2, 2),
            folder("z"),
            folder("Y1"),
        ];
        for (query, expected) in [
            (None, ["Y1/", "z/", "a.txt", "B2.txt", "b10.txt"]),
            (Some("sort=name"), ["Y1/", "z/", "a.txt", "B2.txt", "b10.txt"]),
            (Some("sort=-name"), ["z/", "Y1/", "b10.txt", "B2.txt", "a.txt"]),
            (Some("sort=size"), ["Y1/", "z/", "b10.txt", "a.txt", "B2.txt"]),
            (Some("x=y&sort=-size"), ["z/", "Y1/", "B2.txt", "a.txt", "b10.txt"]),
            (Some("sort=date"), ["Y1/", "z/", "B2.txt", "a.txt", "b10.txt"]),
            (Some("sort=-date"), ["z/", "Y1/", "b10.txt", "a.txt", "B2.txt"]),
            (Some("sort=%3Cscript"), ["Y1/", "z/", "a.txt", "B2.txt", "b10.txt"]),
        ] {
            let page = page(b"x", &entries, false, Sort::parse(query));
            assert_eq!(order(&page), expected, "{query:?}");
        }
    }

    #[test]
    fn natural_order() {
        let sorted = [
            "", "1", "01a", "2", "10", "a", "A1", "a2", "a02b", "a10", "B", "b c", "ba", "é", "É1",
        ];
        for pair in sorted.windows(2) {
            assert_eq!(natural(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(natural(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(natural("A007", "a7"), Ordering::Equal);
    }

    #[test]
    fn hostile_names_stay_text() {
        for (name, link, shown) in [
            (
                "<script>alert(1)</script>",
                "%3Cscript%3Ealert%281%29%3C%2Fscript%3E",
                "&lt;script&gt;",
            ),
            ("\"onload=x", "%22onload%3Dx", "&quot;onload=x"),
            ("'x'", "%27x%27", "&#39;x&#39;"),
            ("a&amp;b", "a%26amp%3Bb", "a&amp;amp;b"),
            ("javascript:alert(1)", "javascript%3Aalert%281%29", "javascript:alert(1)"),
            ("new\nline", "new%0Aline", "new\u{240a}line"),
            ("a\u{202e}gpj.exe", "a%E2%80%AEgpj.exe", "a\u{fffd}gpj.exe"),
            ("?sort=x#y", "%3Fsort%3Dx%23y", "?sort=x#y"),
            ("100%", "100%25", "100%"),
            ("ä b", "%C3%A4%20b", "ä b"),
        ] {
            let page = page(b"", &[file(name, 0, 0)], false, Sort::default());
            assert_eq!(order(&page), [link], "{name}");
            assert!(page.contains(&format!("<bdi>{shown}")), "{name}: {shown}");
            assert!(!page.contains("<script"));
        }
        let raw = Entry { name: vec![0xff, b'<'], folder: true, size: 0, modified: 0 };
        let page = page(b"\"><b>/\xff", &[raw], false, Sort::default());
        assert_eq!(order(&page), ["%FF%3C/"]);
        assert!(page.contains("<bdi>\u{fffd}&lt;</bdi>") && !page.contains("<b>"));
    }

    #[test]
    fn breadcrumbs_lead_up() {
        let page = page(b"a/b b/c", &[], false, Sort::default());
        assert!(page.contains("<a href=\"../../../\" aria-label=\"Top folder\""));
        assert!(page.contains("<a href=\"../../\"><bdi>a</bdi></a>"));
        assert!(page.contains("<a href=\"../\"><bdi>b b</bdi></a>"));
        assert!(page.contains("<bdi aria-current=\"page\">c</bdi>"));
        assert!(page.contains("<title>/a/b b/c</title>") && page.contains("This folder is empty"));
    }

    #[test]
    fn a_cut_listing_says_so() {
        let page = page(b"", &[file("a", 1, 0)], true, Sort::default());
        assert!(page.contains("more entries than the 1 shown") && !page.contains("Parent folder"));
    }

    #[test]
    fn sizes() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024 - 1, "9.9 KiB"),
            (10 * 1024, "10 KiB"),
            (1024 * 1024 - 1, "1023 KiB"),
            (1024 * 1024, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(human(bytes), expected);
        }
    }

    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (784_111_777, "1994-11-06T08:49:37Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert!(Date(seconds).to_string().contains(expected), "{seconds}");
        }
        assert!(!Date(i64::MAX / 86_400).to_string().is_empty());
    }
}

//! The secrets of the Internet's text protocols.

use super::Redact;
use super::named::{header, parameter};
use crate::Direction;

/// What the text protocols of the Internet have for secrets:
///
/// * the arguments of `PASS` (POP3, FTP, IRC), `ACCT`, `OPER`, of IMAP's `LOGIN`, and of what is said to
///   IRC's `NickServ`;
/// * those of `AUTH` (RFC 4954, RFC 5034) and `AUTHENTICATE` (RFC 9051 §6.2.2), save the mechanism, and
///   the answers to the server's challenges after them; likewise IMAP's literals after `LOGIN`;
/// * the values of the headers `Authorization`, `Proxy-Authorization`, `Cookie` and `Set-Cookie`, and of
///   those whose names end as `X-Api-Key`, `X-Auth-Token` and the like do;
/// * what follows `token=`, `access_token=`, `key=`, `password=`, `secret=`, `sig=` and the like in a
///   query, a fragment or a form, in whatever line it stands: to the line's end.
///
/// Case does not matter. It hides rather too much than too little, but it does not know what is secret
/// in a message's body save for forms, or in what is compressed or binary.
#[derive(Debug, Default)]
pub struct Usual {
    /// Who has begun to authenticate.
    client: Option<Client>,
}

#[derive(Debug)]
struct Client {
    /// The direction in which it speaks.
    direction: Direction,
    /// IMAP's: the server's reply that ends it begins with the same (RFC 9051 §2.2.1).
    tag: Option<Vec<u8>>,
    /// Its next lines are answers.
    answering: bool,
}

impl Redact for Usual {
    fn secret_from(&mut self, direction: Direction, line: &[u8]) -> Option<usize> {
        if let Some(client) = &mut self.client {
            if client.direction != direction {
                client.hear(line);
            } else if client.answering {
                return Some(0);
            }
        }
        let command = header(line).or_else(|| self.command(direction, line));
        let parameter = parameter(line);
        command.map_or(parameter, |from| Some(parameter.map_or(from, |other| other.min(from))))
    }
}

impl Usual {
    fn command(&mut self, direction: Direction, line: &[u8]) -> Option<usize> {
        let words = Words::of(line);
        if let Some(nick_serv) = (0..3).find(|&index| words.is(index, "NickServ")) {
            return words.end(nick_serv);
        }
        // IRC may have a prefix, IMAP has a tag: the verb is the first or the second word.
        let tag = words.word(0).filter(|tag| !tag.starts_with(b":"));
        for (verb, tag) in [(0, None), (1, tag)] {
            if words.is(verb, "PASS") || words.is(verb, "ACCT") || words.is(verb, "OPER") {
                return words.end(verb);
            }
            if words.is(verb, "AUTH") {
                self.begin(direction, tag);
                return words.end(verb + 1);
            }
            if words.is(verb, "AUTHENTICATE") {
                self.begin(direction, tag);
                // IRC's and ManageSieve's carries answers, too; IMAP's only the mechanism.
                return words.end(if tag.is_some() { verb + 1 } else { verb });
            }
            if tag.is_some() && words.is(verb, "LOGIN") {
                if line.ends_with(b"}") {
                    self.begin(direction, tag);
                }
                return words.end(verb);
            }
        }
        None
    }

    fn begin(&mut self, direction: Direction, tag: Option<&[u8]>) {
        let tag = tag.map(<[u8]>::to_vec);
        self.client = Some(Client { direction, tag, answering: true });
    }
}

impl Client {
    /// The server has said a line.
    fn hear(&mut self, line: &[u8]) {
        let challenges =
            line.starts_with(b"334") || (line.starts_with(b"+") && !line.starts_with(b"+OK"));
        if challenges {
            self.answering = true;
        } else if self.tag.as_deref().is_none_or(|tag| Words::of(line).word(0) == Some(tag)) {
            // Perhaps the reply to an earlier command; then a challenge will follow.
            self.answering = false;
        }
    }
}

/// The first words of a line, each with where it ends.
struct Words<'a>([Option<(&'a [u8], usize)>; 3]);

impl<'a> Words<'a> {
    fn of(line: &'a [u8]) -> Self {
        let mut end = 0;
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .map(|word| {
                end += word.len() + 1;
                (word, end - 1)
            })
            .filter(|(word, _)| !word.is_empty());
        Self([words.next(), words.next(), words.next()])
    }

    fn word(&self, index: usize) -> Option<&'a [u8]> {
        self.0.get(index).copied().flatten().map(|(word, _)| word)
    }

    fn is(&self, index: usize, name: &str) -> bool {
        self.word(index).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    }

    fn end(&self, index: usize) -> Option<usize> {
        self.0.get(index).copied().flatten().map(|(_, end)| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A conversation, of which what is in `«»` must be hidden and nothing else.
    fn check(conversation: &[&str]) {
        let mut usual = Usual::default();
        for marked in conversation {
            let (sign, marked) = marked.split_at(1);
            let direction = if sign == "<" { Direction::Received } else { Direction::Sent };
            let expected = marked.find('«');
            let line = marked.replace(['«', '»'], "");
            let found = usual.secret_from(direction, line.as_bytes());
            assert_eq!(found, expected, "{marked} in {conversation:?}");
        }
    }

    #[test]
    fn secrets_are_recognized() {
        for line in [
            "<PASS« hunter2»",
            "<pass«   hunter2»",
            "<  PASS« hunter2»",
            "<:me PASS« hunter2»",
            "<OPER« admin hunter2»",
            "<ACCT« hunter2»",
            "<PRIVMSG NickServ« :IDENTIFY hunter2»",
            "<NICKSERV« IDENTIFY hunter2»",
            "<:me PRIVMSG nickserv« :identify hunter2»",
            "<a1 LOGIN« joe hunter2»",
            "<a1 login« \"joe\" \"hunter2\"»",
            "<AUTH PLAIN« AGpvZQBodW50ZXIy»",
            "<a1 AUTHENTICATE PLAIN« AGpvZQ==»",
            "<AUTHENTICATE« AGpvZQ==»",
            "<authorization:« Basic am9lOmh1bnRlcjI=»",
            "<Proxy-Authorization:«x»",
            "<Cookie:« session=1»",
            ">Set-Cookie:« session=1»",
            "<X-Api-Key:« hunter2»",
            "<x-goog-api-key:«hunter2»",
            "<Api-Key:« hunter2»",
            "<X-Auth-Token:« hunter2»",
            "<X-CSRF-Token:« hunter2»",
            "<X-Client-Secret:« hunter2»",
            "<Token:« hunter2»",
            "<Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "<X-Keyboard: qwerty",
            "<Monkey: business",
            "<GET /?token=«hunter2 HTTP/1.1»",
            "<GET /a?b=c&Access_Token=«hunter2&d=e HTTP/1.1»",
            "<GET /?X-Amz-Date=1&X-Amz-Signature=«hunter2»",
            "<GET /?sv=1&sig=«hunter2»",
            "<GET /?a;password=«hunter2»",
            ">Location: https://a.test/#id_token=«hunter2»",
            "<Referer: https://a.test/reset?key=«hunter2»",
            "<password=«hunter2&user=joe»",
            "<user=joe&pwd=«hunter2»",
            "<GET /token=1?keys=2&monkey=3&notoken HTTP/1.1",
            "<GET /?key HTTP/1.1",
            "<PASS« ?token=hunter2»",
            "<tag LOGIN« a?token=b»",
            "<LOGIN joe",
            "<PASSIVE voice",
            "<X-Cookie: none",
            "<Cookies: none",
            "<AUTH",
            "<USER joe",
            "<",
        ] {
            check(&[line]);
        }
    }

    #[test]
    fn a_secret_may_take_several_lines() {
        // SMTP; and once more with a reply under way when it begins.
        let rest = ["<AUTH LOGIN«»", ">334 VXNlcm5hbWU6", "<«am9l»", ">334 UGFz", "<«aHVudGVy»"];
        check(&[&rest[..], &[">235 welcome", "<MAIL FROM:<joe@example.org>"]].concat());
        check(
            &[&["<NOOP"], &rest[..1], &[">250 done"], &rest[1..], &[">535 no", "<QUIT"]].concat(),
        );
        // POP3, the client's side.
        check(&[">AUTH PLAIN«»", "<+ ", ">«AGpvZQ==»", "<+OK in", ">STAT"]);
        // IMAP: only the reply with its tag is the end; literals.
        check(&[
            "<a2 AUTHENTICATE X«»",
            ">* CAPABILITY",
            "<«eA==»",
            ">a1 OK",
            "<«eA==»",
            ">a2 OK",
            "<a3 NOOP",
        ]);
        check(&[
            "<a1 LOGIN« {3}»",
            ">+ go on",
            "<«joe {7}»",
            ">+ go on",
            "<«hunter2»",
            ">a1 OK",
            "<a2 NOOP",
        ]);
        check(&["<a1 LOGIN« {3+}»", "<«joe {7+}»", "<«hunter2»", ">a1 NO", "<a2 NOOP"]);
        // IRC: the server says the same word.
        check(&[
            "<AUTHENTICATE« PLAIN»",
            ">AUTHENTICATE« +»",
            "<AUTHENTICATE« AGpvZQ==»",
            ">903 in",
        ]);
        // FTP: no challenge at all.
        check(&[
            "<AUTH TLS«»",
            ">234 go on",
            "<USER joe",
            ">331 and?",
            "<PASS« x»",
            ">230 in",
            "<LIST",
        ]);
    }
}

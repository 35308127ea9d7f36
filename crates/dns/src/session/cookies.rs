//! Server cookies (RFC 7873, RFC 9018): who shows one that we gave has received an answer of ours at its
//! address, and so has not forged it.

use std::hash::Hasher as _;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// How long a cookie is good, in seconds (RFC 9018 §4.3).
const LIFE: u32 = 3600;
/// After how long it is replaced.
const RENEWAL: u32 = 1800;
/// How far a clock of another server may be ahead.
const AHEAD: u32 = 300;

/// Makes and checks cookies.
#[derive(Clone)]
pub struct Cookies {
    /// The secret in use, and the one before it, whose cookies are still good.
    secrets: [[u8; 16]; 2],
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cookies").finish_non_exhaustive()
    }
}

impl Cookies {
    /// With a secret that nobody knows. Servers that share an address share it, too.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        Self { secrets: [secret; 2] }
    }

    /// Takes another secret; cookies of the one in use are good until the next change.
    #[must_use]
    pub fn rolled(&self, secret: [u8; 16]) -> Self {
        Self { secrets: [secret, self.secrets[0]] }
    }

    /// The cookie of a client at a time, in seconds since 1970: version 1, 3 reserved bytes, the time,
    /// the hash (RFC 9018 §4).
    #[must_use]
    pub fn make(&self, client: [u8; 8], address: IpAddr, now: u32) -> [u8; 16] {
        let mut cookie = [0; 16];
        cookie[0] = 1;
        cookie[4..8].copy_from_slice(&now.to_be_bytes());
        let hash = hash(&self.secrets[0], client, &cookie, address);
        cookie[8..].copy_from_slice(&hash);
        cookie
    }

    /// Whether a cookie is one that we gave to this client.
    #[must_use]
    pub fn is_good(&self, client: [u8; 8], server: &[u8], address: IpAddr, now: u32) -> bool {
        let Ok(cookie) = <&[u8; 16]>::try_from(server) else { return false };
        let made = made(cookie);
        // Compared modulo 2^32 (RFC 1982).
        let age = now.wrapping_sub(made).cast_signed();
        let in_time = age <= LIFE.cast_signed() && age >= -AHEAD.cast_signed();
        let known = |secret| {
            let hash = hash(secret, client, cookie, address);
            // All bytes are looked at, whatever the first ones are.
            hash.iter().zip(&cookie[8..]).fold(0, |sum, (left, right)| sum | left ^ right) == 0
        };
        in_time && cookie[0] == 1 && self.secrets.iter().any(known)
    }

    /// The cookie to answer with: the one that came if it is good and young, or a new one.
    pub(super) fn renew(
        &self,
        client: [u8; 8],
        server: &[u8],
        address: IpAddr,
        now: u32,
    ) -> [u8; 16] {
        match <[u8; 16]>::try_from(server) {
            Ok(cookie)
                if self.is_good(client, server, address, now)
                    && now.wrapping_sub(made(&cookie)) < RENEWAL =>
            {
                cookie
            }
            _ => self.make(client, address, now),
        }
    }
}

fn made(cookie: &[u8; 16]) -> u32 {
    u32::from_be_bytes([cookie[4], cookie[5], cookie[6], cookie[7]])
}

/// The hash of all that is before it, and of the client's address (RFC 9018 §4.4).
fn hash(secret: &[u8; 16], client: [u8; 8], cookie: &[u8; 16], address: IpAddr) -> [u8; 8] {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(&client);
    hasher.write(&cookie[..8]);
    match address.to_canonical() {
        IpAddr::V4(address) => hasher.write(&address.octets()),
        IpAddr::V6(address) => hasher.write(&address.octets()),
    }
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        bytes.try_into().unwrap()
    }

    #[test]
    fn the_examples_of_rfc_9018() {
        // Appendix A: secret, address, client's half, time, server's half.
        let secret = "e5e973e5a6b2a43f48e7dc849e37bfcf";
        let table = [
            (
                secret,
                "198.51.100.100",
                "2464c4abcf10c957",
                1_559_731_985,
                "010000005cf79f111f8130c3eee29480",
            ),
            (
                secret,
                "203.0.113.203",
                "fc93fc62807ddb86",
                1_559_727_985,
                "01abcdef5cf78f71a314227b6679ebf5",
            ),
            (
                "dd3bdf9344b678b185a6f5cb60fca715",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                "22681ab97d52c298",
                0x5cf7_c579,
                "010000005cf7c57926556bd0934c72f8",
            ),
            (
                "445536bcd2513298075a5d379663c962",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                "22681ab97d52c298",
                0x5cf7_c609,
                "010000005cf7c609a6bb79d16625507a",
            ),
        ];
        for (secret, address, client, now, server) in table {
            let cookies = Cookies::new(bytes(secret));
            let (address, client, server) =
                (address.parse().unwrap(), bytes(client), bytes::<16>(server));
            assert!(cookies.is_good(client, &server, address, now));
            // One of them has reserved bits, which we leave alone.
            assert_eq!(cookies.make(client, address, now) == server, server[1] == 0);
        }
    }

    #[test]
    fn how_long_cookies_are_good() {
        let cookies = Cookies::new([7; 16]);
        let (client, address) = ([1; 8], "192.0.2.1".parse().unwrap());
        let cookie = cookies.make(client, address, 10_000);
        let table =
            [(10_000, true), (9_700, true), (9_699, false), (13_600, true), (13_601, false)];
        for (now, good) in table {
            assert_eq!(cookies.is_good(client, &cookie, address, now), good, "{now}");
        }
        assert!(!cookies.is_good([2; 8], &cookie, address, 10_000));
        assert!(!cookies.is_good(client, &cookie, "192.0.2.2".parse().unwrap(), 10_000));
        assert!(!cookies.is_good(client, &cookie[..15], address, 10_000));
        assert_eq!(cookies.renew(client, &cookie, address, 11_000), cookie);
        assert_ne!(cookies.renew(client, &cookie, address, 12_000), cookie);
        let rolled = cookies.rolled([8; 16]);
        assert!(rolled.is_good(client, &cookie, address, 10_000));
        assert!(!rolled.rolled([9; 16]).is_good(client, &cookie, address, 10_000));
    }
}

//! Identifiers become keyed hashes at once: HMAC-SHA-256 under the shop's key, cut to 64 bits.
//!
//! A plain hash of an e-mail address can be guessed; a keyed one cannot without the key. 64 bits keep state small: among
//! 100 million entities of a kind, two share a hash with a probability of about 0.03 %.

use std::fmt::Write as _;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::own::spelling::{Made, Spelling};
use crate::own::{address, email, ip, phone};
use crate::schema::Role;

/// The keyed hash of an entity's identifier. Two columns of one role share hashes; columns of different roles do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityKey(pub u64);

/// The keyed hash of an order's identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(pub u64);

/// The key under which identifiers are hashed.
#[derive(Clone)]
pub struct IdentityKey {
    mac: Mac,
    check: u64,
}

/// HMAC-SHA-256 (RFC 2104) that has taken its key: the states of the inner and of the outer hash behind their first block. An
/// identifier mostly takes one block more of each.
#[derive(Clone)]
struct Mac {
    inner: [u32; 8],
    outer: [u32; 8],
}

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;
/// Its first state (FIPS 180-4, section 5.3.3).
const FIRST: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

impl Mac {
    fn new(secret: &[u8]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK]);
        if secret.len() > BLOCK {
            block[..32].copy_from_slice(&Sha256::digest(secret));
        } else {
            block[..secret.len()].copy_from_slice(secret);
        }
        let after = |pad: u8| {
            let padded = Zeroizing::new(block.map(|byte| byte ^ pad));
            let mut state = FIRST;
            compress256(&mut state, &[*padded]);
            state
        };
        Self { inner: after(0x36), outer: after(0x5c) }
    }

    /// The first eight bytes of the code of the parts one behind the other.
    fn truncated(&self, parts: &[&[u8]]) -> u64 {
        let (mut state, mut block, mut len, mut used) = (self.inner, [0; BLOCK], BLOCK, 0);
        for part in parts {
            let mut rest = *part;
            len += rest.len();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(BLOCK - used));
                block[used..used + now.len()].copy_from_slice(now);
                (used, rest) = (used + now.len(), later);
                if used == BLOCK {
                    compress256(&mut state, &[block]);
                    used = 0;
                }
            }
        }
        finish(&mut state, block, used, len);
        let mut digest = [0; BLOCK];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        let mut state = self.outer;
        finish(&mut state, digest, 32, BLOCK + 32);
        u64::from_le_bytes(((u64::from(state[0]) << 32) | u64::from(state[1])).to_be_bytes())
    }
}

/// Hashes the end of `len` bytes, of which the block holds `used`, with their padding.
fn finish(state: &mut [u32; 8], mut block: [u8; BLOCK], used: usize, len: usize) {
    block[used] = 0x80;
    block[used + 1..].fill(0);
    if used + 9 > BLOCK {
        compress256(state, &[block]);
        block = [0; BLOCK];
    }
    block[BLOCK - 8..].copy_from_slice(&(len as u64 * 8).to_be_bytes());
    compress256(state, &[block]);
}

impl std::fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IdentityKey(check {:016x})", self.check)
    }
}

/// The key that is used where the shop gives none. It is public: whoever has a state file and a list of candidate
/// identifiers can test them.
pub const PUBLIC_KEY: &[u8] = b"orderguard public identity key: give your own";

impl IdentityKey {
    /// A key from the shop's secret, of any length (32 random bytes are good).
    pub fn new(secret: &[u8]) -> Self {
        let mac = Mac::new(secret);
        let check = mac.truncated(&[b"key check", &[0]]);
        Self { mac, check }
    }

    /// A number that tells two keys apart without telling either; kept in models and states.
    pub fn check(&self) -> u64 {
        self.check
    }

    /// The hash of an order's identifier.
    pub fn order_id(&self, text: &str) -> OrderId {
        OrderId(self.mac.truncated(&[b"id", &[0], text.as_bytes()]))
    }

    /// The hash of an entity's identifier after [`canonical`]; `None` where nothing is left of it (a phone `unknown`).
    pub fn entity(&self, role: Role, text: &str) -> Option<EntityKey> {
        let spelling = canonical(role, text);
        (!spelling.is_empty()).then(|| self.derived(role.name(), &spelling))
    }

    /// The hash of what was derived from an identifier, such as its network, in a domain of its own.
    pub fn derived(&self, domain: &str, spelling: &str) -> EntityKey {
        EntityKey(self.mac.truncated(&[domain.as_bytes(), &[0], spelling.as_bytes()]))
    }
}

/// One spelling for all ways in which people and systems write the same identifier.
///
/// Card: digits without spaces and dashes. E-mail: that of the mailbox ([`email::spelling`]). Phone: digits without
/// international prefix and extension ([`phone::spelling`]). IP: its usual notation, also for one that was stored as a number
/// or inside version 6 ([`ip::parse`]). Addresses: words without case, diacritics and abbreviations, numbers first
/// ([`address::spelling`]). Others: as they are, trimmed.
pub fn canonical(role: Role, text: &str) -> Spelling<'_> {
    let text = text.trim();
    match role {
        Role::Card if text.contains([' ', '-']) => {
            let mut card = Made::new();
            text.split([' ', '-']).for_each(|part| card.push_str(part));
            Spelling::Made(card)
        }
        Role::Email => email::spelling(text),
        Role::Phone => Spelling::Made(phone::spelling(text)),
        Role::Ip => ip::parse(text).map_or(Spelling::Given(text), |ip| {
            let mut made = Made::new();
            write!(made, "{ip}").expect("takes all text");
            Spelling::Made(made)
        }),
        Role::BillingAddress | Role::ShippingAddress => Spelling::Made(address::spelling(text)),
        _ => Spelling::Given(text),
    }
}

/// Whether a text is a full card number: 13 to 19 digits, spaces and dashes allowed, that start with 3 to 6 and pass the
/// Luhn check (ISO/IEC 7812-1, annex B).
pub fn is_card_number(text: &[u8]) -> bool {
    if !(13..=40).contains(&text.len()) || !matches!(text[0], b'3'..=b'6') {
        return false;
    }
    let (mut n_digits, mut sum) = (0, 0);
    for &byte in text.iter().rev() {
        match byte {
            b'0'..=b'9' => {
                let digit = u32::from(byte - b'0');
                let doubled = if n_digits % 2 == 1 { digit * 2 } else { digit };
                sum += if doubled > 9 { doubled - 9 } else { doubled };
                n_digits += 1;
            }
            b' ' | b'-' => {}
            _ => return false,
        }
    }
    (13..=19).contains(&n_digits) && sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac as _};

    use super::*;

    #[test]
    fn codes_are_those_of_hmac_sha_256() {
        let bytes: Vec<u8> = (0..400_u32).map(|i| (i * 7 % 251) as u8).collect();
        for key in [0, 1, 31, 32, 63, 64, 65, 200] {
            let mac = Mac::new(&bytes[..key]);
            for n in 0..200 {
                let mut peer = Hmac::<Sha256>::new_from_slice(&bytes[..key]).unwrap();
                peer.update(&bytes[..n]);
                let code = peer.finalize().into_bytes();
                let expected = u64::from_le_bytes(code[..8].try_into().unwrap());
                assert_eq!(mac.truncated(&[&bytes[..n]]), expected, "{key} {n}");
                assert_eq!(mac.truncated(&[&bytes[..n / 3], &bytes[n / 3..n / 2], &[], &bytes[n / 2..n]]), expected);
            }
        }
    }

    #[test]
    fn card_numbers_pass_the_luhn_check() {
        for text in ["4111 1111-1111 1111", "5500005555555559", "378282246310005"] {
            assert!(is_card_number(text.as_bytes()), "{text}");
        }
        for text in ["4111111111111112", "411111******1111", "", "12345", "9111111111111111", "4111x11111111111"] {
            assert!(!is_card_number(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn spellings_of_one_identifier_meet() {
        let key = IdentityKey::new(b"secret");
        for (role, a, b) in [
            (Role::Card, "4111 1111-1111 1111", "4111111111111111"),
            (Role::Email, "Ann@Shop.example", "ann@shop.example"),
            (Role::Email, "ann+coupon2@shop.example", "ann@shop.example"),
            (Role::Phone, "(555)355 - 1785", "555-355-1785"),
            (Role::Phone, "+49 (0)30 901820", "0049 30 901820"),
            (Role::Ip, "732758304.8", "43.173.1.32"),
            (Role::Ip, "::ffff:192.0.2.1", "192.0.2.1"),
            (Role::ShippingAddress, "5, Main St.", "5 main st"),
            (Role::ShippingAddress, "Hauptstr. 5", "5 Hauptstraße"),
            (Role::Customer, " 17 ", "17"),
        ] {
            assert_eq!(key.entity(role, a), key.entity(role, b), "{role}");
        }
        assert_ne!(key.entity(Role::Customer, "17"), key.entity(Role::Device, "17"));
        assert_ne!(key.entity(Role::Customer, "17"), IdentityKey::new(b"other").entity(Role::Customer, "17"));
        assert_ne!(key.check(), IdentityKey::new(b"other").check());
        assert!(!format!("{key:?}").contains("secret"));
        assert_eq!(key.entity(Role::Phone, "n/a"), None, "all placeholders would share one history");
    }
}

//! Network addresses: which version, which network, and whether the public network can reach them at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::spelling::Made;
use crate::parse::ip_address;

/// Reads an address as [`ip_address`] does, also with a zone (`fe80::1%eth0`) or in brackets; a version 4 address inside a
/// version 6 one (`::ffff:192.0.2.1`) is the version 4 address.
pub fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = match ip_address(text) {
        Some(address) => address,
        None => IpAddr::V6(text.split_once('%')?.0.parse().ok()?),
    };
    Some(address.to_canonical())
}

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// An ordinary address of the public network.
    Public,
    /// For use inside one organisation (RFC 1918, RFC 4193).
    Private,
    /// This machine (RFC 1122, RFC 4291).
    Loopback,
    /// This cable or radio cell (RFC 3927, RFC 4291).
    LinkLocal,
    /// Shared by the customers of one carrier, behind its address translation (RFC 6598).
    Shared,
    /// For examples in documents (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// Several receivers (RFC 5771, RFC 4291).
    Multicast,
    /// Anything else that the IANA registries of special-purpose addresses call not globally reachable.
    Reserved,
}

/// Networks of version 4, the narrower one first where they overlap (IANA IPv4 Special-Purpose Address Registry).
const V4: [(Ipv4Addr, u32, Reach); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8, Reach::Reserved),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Reach::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Reach::Shared),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Reach::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Reach::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Reach::Private),
    (Ipv4Addr::new(192, 0, 0, 9), 32, Reach::Public),
    (Ipv4Addr::new(192, 0, 0, 10), 32, Reach::Public),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Reach::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Reach::Documentation),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Reach::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Reach::Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Reach::Documentation),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Reach::Documentation),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Reach::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Reach::Reserved),
];

/// The same for version 6 (IANA IPv6 Special-Purpose Address Registry; `ff00::/8` and the withdrawn `fec0::/10` by RFC 4291 and
/// RFC 3879).
const V6: [(Ipv6Addr, u32, Reach); 20] = [
    (Ipv6Addr::UNSPECIFIED, 128, Reach::Reserved),
    (Ipv6Addr::LOCALHOST, 128, Reach::Loopback),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, Reach::Private),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, Reach::Reserved),
    (Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64, Reach::Reserved),
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 1), 128, Reach::Public),
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 2), 128, Reach::Public),
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 3), 128, Reach::Public),
    (Ipv6Addr::new(0x2001, 3, 0, 0, 0, 0, 0, 0), 32, Reach::Public),
    (Ipv6Addr::new(0x2001, 4, 0x112, 0, 0, 0, 0, 0), 48, Reach::Public),
    (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 28, Reach::Public),
    (Ipv6Addr::new(0x2001, 0x30, 0, 0, 0, 0, 0, 0), 28, Reach::Public),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Reach::Reserved),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Reach::Documentation),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Reach::Documentation),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, Reach::Reserved),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Reach::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Reach::LinkLocal),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Reach::Private),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Reach::Multicast),
];

/// What an address is for, by the registries of IANA.
pub fn reach(address: IpAddr) -> Reach {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let bits = address.to_bits();
            let inside = |&(network, length, _): &(Ipv4Addr, u32, _)| (network.to_bits() ^ bits) >> (32 - length) == 0;
            V4.iter().find(|row| inside(row)).map_or(Reach::Public, |row| row.2)
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let inside = |&(network, length, _): &(Ipv6Addr, u32, _)| (network.to_bits() ^ bits) >> (128 - length) == 0;
            V6.iter().find(|row| inside(row)).map_or(Reach::Public, |row| row.2)
        }
    }
}

/// The network that an address lies in, /24 of version 4 and /48 of version 6 (what one site is usually given), as text:
/// `192.0.2.0/24`, `2001:db8:1::/48`. `None` where the text is no address.
pub fn ip_network(text: &str) -> Option<Made> {
    use std::fmt::Write as _;

    let mut network = Made::new();
    match parse(text)? {
        IpAddr::V4(address) => write!(network, "{}/24", Ipv4Addr::from_bits(address.to_bits() & !0xff)),
        IpAddr::V6(address) => write!(network, "{}/48", Ipv6Addr::from_bits(address.to_bits() & (!0 << 80))),
    }
    .expect("takes all text");
    Some(network)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_shops_send() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            (" 192.0.2.1 ", Some("192.0.2.1")),
            ("732758368.8", Some("43.173.1.96")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("2001:DB8:0::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("192.0.2.256", None),
            ("192.0.2.1%eth0", None),
            ("shop.example", None),
            ("", None),
        ] {
            assert_eq!(parse(text).map(|address| address.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn networks_in_one_spelling() {
        for (text, expected) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.1", "192.0.2.0/24"),
            ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
            ("2001:0DB8:0001::", "2001:db8:1::/48"),
            ("::1", "::/48"),
        ] {
            assert_eq!(ip_network(text).as_deref(), Some(expected));
        }
        assert_eq!(ip_network("unknown"), None);
    }

    #[test]
    fn reach_by_the_registries() {
        for (text, expected) in [
            ("10.255.0.1", Reach::Private),
            ("172.15.0.1", Reach::Public),
            ("172.16.0.1", Reach::Private),
            ("172.31.255.255", Reach::Private),
            ("172.32.0.0", Reach::Public),
            ("192.168.3.4", Reach::Private),
            ("100.63.255.255", Reach::Public),
            ("100.64.0.0", Reach::Shared),
            ("100.127.255.255", Reach::Shared),
            ("100.128.0.0", Reach::Public),
            ("127.3.2.1", Reach::Loopback),
            ("169.254.1.1", Reach::LinkLocal),
            ("0.1.2.3", Reach::Reserved),
            ("192.0.0.8", Reach::Reserved),
            ("192.0.0.9", Reach::Public),
            ("192.0.2.9", Reach::Documentation),
            ("198.19.255.255", Reach::Reserved),
            ("198.51.100.1", Reach::Documentation),
            ("203.0.113.1", Reach::Documentation),
            ("224.0.0.1", Reach::Multicast),
            ("255.255.255.255", Reach::Reserved),
            ("8.8.8.8", Reach::Public),
            ("::", Reach::Reserved),
            ("::1", Reach::Loopback),
            ("::ffff:10.0.0.1", Reach::Private),
            ("fd00::1", Reach::Private),
            ("fe80::1", Reach::LinkLocal),
            ("febf::1", Reach::LinkLocal),
            ("ff02::1", Reach::Multicast),
            ("2001:db8::1", Reach::Documentation),
            ("3fff:fff::1", Reach::Documentation),
            ("3fff:1000::1", Reach::Public),
            ("2001::1", Reach::Reserved),
            ("2001:200::1", Reach::Public),
            ("2001:20::1", Reach::Public),
            ("2606:4700::1", Reach::Public),
            ("100::7", Reach::Reserved),
            ("64:ff9b::1", Reach::Public),
        ] {
            assert_eq!(reach(text.parse().unwrap()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library_where_it_answers(bits in any::<u32>(), narrow in 0_usize..16, host in any::<u32>()) {
            // Half of the addresses come from the networks of the table, which chance would hardly meet.
            let (network, length, _) = V4[narrow];
            let inside = network.to_bits() | (host & !(!0_u32).checked_shl(32 - length).unwrap_or(0));
            for address in [Ipv4Addr::from_bits(bits), Ipv4Addr::from_bits(inside)] {
                let found = reach(address.into());
                prop_assert_eq!(found == Reach::Private, address.is_private());
                prop_assert_eq!(found == Reach::Loopback, address.is_loopback());
                prop_assert_eq!(found == Reach::LinkLocal, address.is_link_local());
                prop_assert_eq!(found == Reach::Documentation, address.is_documentation());
                prop_assert_eq!(found == Reach::Multicast, address.is_multicast());
                let shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
                prop_assert_eq!(found == Reach::Shared, shared);
            }
        }

        #[test]
        fn version_six_agrees_too(bits in any::<u128>(), narrow in 0_usize..20, host in any::<u128>()) {
            let (network, length, _) = V6[narrow];
            let inside = network.to_bits() | (host & !(!0_u128).checked_shl(128 - length).unwrap_or(0));
            for address in [Ipv6Addr::from_bits(bits), Ipv6Addr::from_bits(inside)] {
                let found = reach(address.into());
                prop_assert_eq!(found == Reach::Loopback, address.is_loopback());
                prop_assert_eq!(found == Reach::LinkLocal, address.is_unicast_link_local());
                prop_assert_eq!(found == Reach::Multicast, address.is_multicast());
                prop_assert!(!address.is_unique_local() || found == Reach::Private);
            }
        }

        #[test]
        fn two_addresses_share_a_network_when_they_share_its_bits(a in any::<[u8; 4]>(), b in any::<[u8; 4]>(), last in any::<u8>()) {
            let network = |octets: [u8; 4]| ip_network(&Ipv4Addr::from(octets).to_string());
            prop_assert_eq!(network(a) == network(b), a[..3] == b[..3]);
            prop_assert_eq!(network(a), network([a[0], a[1], a[2], last]));
        }
    }
}

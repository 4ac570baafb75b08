//! Which addresses are public. Everything is refused that is not known to be reachable by anybody, as the registries
//! of special-purpose addresses have it (RFC 6890 and what follows it).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not public; `None` where it is.
#[must_use]
pub fn why_not_public(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => v6(address),
    }
}

fn v4(address: Ipv4Addr) -> Option<&'static str> {
    let why = match address.octets() {
        [0, ..] => "it is unspecified",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "it is private",
        [127, ..] => "it is loopback",
        [169, 254, 169, 254] => "it is where clouds keep their metadata",
        [169, 254, ..] => "it is link-local",
        [100, 64..=127, ..] => "it is shared by customers of one carrier",
        [192, 0, 0, _] => "it is kept for protocols",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "it is for documentation",
        [192, 88, 99, _] => "it is a relay of 6to4",
        [198, 18 | 19, ..] => "it is for benchmarks",
        [224..=239, ..] => "it is multicast",
        [255, 255, 255, 255] => "it is broadcast",
        [240..=255, ..] => "it is reserved",
        _ => return None,
    };
    Some(why)
}

fn v6(address: Ipv6Addr) -> Option<&'static str> {
    let why = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "it is unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "it is loopback",
        [0, 0, 0, 0, 0, 0, ..] => "it is IPv4 in disguise",
        // Networks without IPv4 of their own reach it through this prefix, so what counts is what it stands for.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            return v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
        }
        [0xfe80..=0xfebf, ..] => "it is link-local",
        [0xfec0..=0xfeff, ..] => "it is site-local",
        [0xfc00..=0xfdff, ..] => "it is private",
        [0xff00..=0xffff, ..] => "it is multicast",
        [0x2001, 0..=0x1ff, ..] => "it is kept for protocols",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "it is for documentation",
        [0x2002, ..] => "it is IPv4 in disguise (6to4)",
        [0x2000..=0x3fff, ..] => return None,
        _ => "it is reserved",
    };
    Some(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public_in_any_form() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.1.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
            "::8.8.8.8",
        ] {
            assert!(
                why_not_public(text.parse().unwrap()).is_some(),
                "{text} passes as public"
            );
        }
    }

    #[test]
    fn ordinary_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert_eq!(why_not_public(text.parse().unwrap()), None, "{text}");
        }
    }
}

//! Proxies that are believed when they say for whom they ask.
//!
//! `X-Forwarded-For` and `Forwarded` (RFC 7239) are lists to which each proxy adds the address that it sees. Whoever sends
//! a request may begin such a list with anything, so only its right end can be believed, as far as believed proxies wrote
//! it. A proxy adds to one of the two headers and passes the other one on as it came; where both are there and lead to
//! different clients, one of them is a client's invention, and neither is believed.

use crate::client::Client;
use crate::settings::BasePath;
use axum::http::HeaderMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Networks of proxies; none by default.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<Network>);

/// An address or a network, such as `192.0.2.7`, `10.0.0.0/8` or `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// Bits that addresses of the network have in common.
    bits: u32,
}

/// Who asks, and in which folder of its host they see the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) client: Client,
    /// What a believed proxy took away from the path.
    pub(crate) base: Option<BasePath>,
}

impl Proxies {
    /// Those of these networks.
    pub fn new(networks: Vec<Network>) -> Self {
        Proxies(networks)
    }

    /// For whom a request comes on a connection of `peer`.
    pub(crate) fn asker(&self, peer: IpAddr, headers: &HeaderMap) -> Asker {
        if !self.trusts(peer) {
            return Asker { client: peer.into(), base: None };
        }
        let list = |name: &str| {
            let values: Vec<&str> =
                headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
            (!values.is_empty()).then(|| values.join(","))
        };
        let simple = list("x-forwarded-for").map(|list| self.client(peer, &split(&list, ','), address));
        let standard = list("forwarded").map(|list| self.client(peer, &split(&list, ','), forwarded_for));
        let client = match (simple, standard) {
            (Some(one), Some(other)) if one != other => peer,
            (one, other) => one.or(other).unwrap_or(peer),
        };
        let prefix = headers.get("x-forwarded-prefix").and_then(|value| value.to_str().ok()?.parse().ok());
        Asker { client: client.into(), base: prefix }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }

    /// The last address that a believed proxy wrote, from the right.
    fn client(&self, peer: IpAddr, hops: &[&str], read: fn(&str) -> Option<IpAddr>) -> IpAddr {
        let mut client = peer;
        for hop in hops.iter().rev() {
            match read(hop) {
                Some(address) if self.trusts(client) => client = address,
                _ => break,
            }
        }
        client
    }
}

/// The parts between separators that stand outside of quotes.
fn split(list: &str, separator: char) -> Vec<&str> {
    let mut is_quoted = false;
    list.split(|c| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    })
    .collect()
}

/// An address, perhaps with a port, as `192.0.2.7:80`, `2001:db8::7` or `[2001:db8::7]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    bare.parse().or_else(|_| with_port()).ok().map(|address: IpAddr| address.to_canonical())
}

/// The address in `for=…` of an element of `Forwarded`; none where a name hides it.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = split(element, ';').into_iter().filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, value) = named.next()?;
    address(value.trim().trim_matches('"'))
}

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is not an address or network such as 192.0.2.7 or 10.0.0.0/8");
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| refused())?;
        let network = Network { address: address.to_canonical(), bits };
        if bits > most || address != network.address {
            return Err(refused());
        }
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    fn asker(trusted: &str, peer: &str, headers: &[(&'static str, &str)]) -> Asker {
        let networks = trusted.split(' ').filter(|text| !text.is_empty());
        let proxies = Proxies::new(networks.map(|text| text.parse().expect(text)).collect());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), value.parse().expect("a header"));
        }
        proxies.asker(peer.parse().expect("an address"), &map)
    }

    fn check(trusted: &str, peer: &str, headers: &[(&'static str, &str)], expected: &str) {
        let expected = Client::from(expected.parse::<IpAddr>().expect("an address"));
        assert_eq!(asker(trusted, peer, headers).client, expected, "{trusted} {peer} {headers:?}");
    }

    const XFF: &str = "x-forwarded-for";
    const LOCAL: &str = "127.0.0.0/8 10.0.0.0/8 fd00::/8";

    #[test]
    fn nobody_else_is_believed() {
        check("", "127.0.0.1", &[(XFF, "192.0.2.1")], "127.0.0.1");
        check(LOCAL, "192.0.2.9", &[(XFF, "192.0.2.1"), ("forwarded", "for=192.0.2.1")], "192.0.2.9");
        assert_eq!(asker("", "127.0.0.1", &[("x-forwarded-prefix", "/xray")]).base, None);
        check(LOCAL, "127.0.0.1", &[], "127.0.0.1");
    }

    #[test]
    fn a_list_is_read_from_the_right_as_far_as_believed_proxies_wrote_it() {
        check(LOCAL, "127.0.0.1", &[(XFF, "192.0.2.1")], "192.0.2.1");
        // What a client began the list with counts for nothing.
        check(LOCAL, "127.0.0.1", &[(XFF, "203.0.113.5, 192.0.2.1")], "192.0.2.1");
        check(LOCAL, "127.0.0.1", &[(XFF, "203.0.113.5, 192.0.2.1, 10.1.2.3")], "192.0.2.1");
        check(LOCAL, "127.0.0.1", &[(XFF, "203.0.113.5"), (XFF, "192.0.2.1,10.1.2.3")], "192.0.2.1");
        check(LOCAL, "127.0.0.1", &[(XFF, "10.0.0.7, 10.1.2.3")], "10.0.0.7");
        check(LOCAL, "127.0.0.1", &[(XFF, "192.0.2.1, unknown, 10.1.2.3")], "10.1.2.3");
        check(LOCAL, "127.0.0.1", &[(XFF, "nonsense")], "127.0.0.1");
        check(LOCAL, "127.0.0.1", &[(XFF, "192.0.2.1:4711")], "192.0.2.1");
        check(LOCAL, "fd00::1", &[(XFF, "2001:db8::1, [fd00::2]:80")], "2001:db8::1");
        check(LOCAL, "::ffff:127.0.0.1", &[(XFF, "::ffff:192.0.2.1")], "192.0.2.1");
    }

    #[test]
    fn the_standard_header_is_read_alike() {
        let forwarded =
            |text: &'static str, expected| check(LOCAL, "127.0.0.1", &[("forwarded", text)], expected);
        forwarded("for=192.0.2.1", "192.0.2.1");
        forwarded("For=\"192.0.2.1:80\";proto=https;by=10.0.0.1", "192.0.2.1");
        forwarded("for=203.0.113.5, proto=https; for=\"[2001:db8::1]:80\"", "2001:db8::1");
        forwarded("for=192.0.2.1, for=_hidden", "127.0.0.1");
        forwarded("by=10.0.0.1", "127.0.0.1");
        forwarded("for=\"192.0.2.1, for=203.0.113.5", "127.0.0.1");
    }

    #[test]
    fn of_two_headers_that_disagree_neither_is_believed() {
        let both = |xff, forwarded, expected| {
            check(LOCAL, "127.0.0.1", &[(XFF, xff), ("forwarded", forwarded)], expected);
        };
        both("192.0.2.1", "for=192.0.2.1", "192.0.2.1");
        both("192.0.2.1", "for=203.0.113.5", "127.0.0.1");
    }

    #[test]
    fn a_believed_proxy_says_what_it_took_from_the_path() {
        let base = |text: &str| asker(LOCAL, "127.0.0.1", &[("x-forwarded-prefix", text)]).base;
        assert_eq!(base("/tools/xray").map(|base| base.as_str().to_owned()).as_deref(), Some("/tools/xray"));
        for bad in ["//evil.example", "/a\"b", "javascript:x", "/../x"] {
            assert_eq!(base(bad), None, "{bad}");
        }
    }

    #[test]
    fn networks_are_addresses_with_or_without_a_length() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "203.0.113.5", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "127.0.0.1"),
        ] {
            let network: Network = text.parse().expect(text);
            let holds = |address: &str| network.holds(address.parse().expect("an address"));
            assert!(holds(inside) && !holds(outside), "{text}");
        }
        for text in
            ["", "10.0.0.0/33", "10.0.0/8", "::/129", "localhost", "10.0.0.0/", "/8", "::ffff:10.0.0.0/104"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}

//! A request's head as it came from a socket: complete, of one reading, and followed by a body of known length.
//!
//! hyper reads heads too, and more generously: a line may end without CR, two lengths may agree, a length before a transfer
//! coding is forgotten. What two readers may understand in two ways is how one request becomes two behind a proxy (RFC
//! 9112, section 11.2), so such a head is refused here and the connection ends.

use crate::problem::Problem;
use axum::http::{StatusCode, Uri};

/// Bytes of a head, at most; with them hyper's buffer has room for what follows.
pub(crate) const MOST: usize = 15 << 10;

/// Headers of a head, at most, as many as hyper reads.
const HEADERS: usize = 100;

/// Bytes of a request's target, at most.
const TARGET: usize = 8 << 10;

/// Bytes of the body behind a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Following {
    /// So many.
    Bytes(u64),
    /// Chunks that say themselves where they end.
    Chunks,
}

/// Where the first head in `bytes` ends, looking from `seen` on; before that there was no end.
pub(crate) fn end(bytes: &[u8], seen: usize) -> Option<usize> {
    // Empty lines before a request are not a head (RFC 9112, section 2.2).
    let begin = begin(bytes);
    let from = seen.saturating_sub(3).max(begin);
    let feeds = bytes[from..].iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| from + at);
    let is_end = |at: &usize| matches!(bytes[begin..*at], [.., b'\n'] | [.., b'\n', b'\r']);
    feeds.map(|at| at + 1).find(|end| is_end(&(end - 1)))
}

fn begin(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len())
}

/// Whether no head begins so, such as a greeting of another protocol.
pub(crate) fn is_none(bytes: &[u8]) -> bool {
    bytes.get(begin(bytes)).is_some_and(|byte| !is_token(&[*byte]))
}

/// What follows a whole head.
///
/// # Errors
/// Why the head is refused.
pub(crate) fn check(head: &[u8]) -> Result<Following, Problem> {
    let head =
        head[begin(head)..].strip_suffix(b"\r\n\r\n").ok_or_else(|| bad("its lines do not end with CRLF"))?;
    let mut lines = head.split(|byte| *byte == b'\n').peekable();
    let mut next = || {
        let line = lines.next()?;
        // The last one's was taken away above.
        let is_last = lines.peek().is_none();
        let without = if is_last { Some(line) } else { line.strip_suffix(b"\r") };
        Some(without.ok_or_else(|| bad("a line ends without CR")))
    };
    let is_http_11 = request_line(next().unwrap_or(Ok(b""))?)?;
    let mut fields = Fields::default();
    while let Some(line) = next() {
        fields.add(line?)?;
    }
    fields.following(is_http_11)
}

/// Whether it is HTTP/1.1, and not 1.0.
fn request_line(line: &[u8]) -> Result<bool, Problem> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad("its first line is not `METHOD TARGET HTTP/1.1`"));
    };
    if !is_token(method) || target.is_empty() || target.iter().any(u8::is_ascii_control) {
        return Err(bad("its first line is not `METHOD TARGET HTTP/1.1`"));
    }
    if target.len() > TARGET {
        return Err(problem(StatusCode::URI_TOO_LONG, format!("the address is longer than {TARGET} bytes")));
    }
    // hyper would refuse it without a word.
    if Uri::try_from(target).is_err() {
        return Err(bad("its target is not an address"));
    }
    match version {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            let message = "only HTTP/1.1 and HTTP/1.0 are supported";
            Err(problem(StatusCode::HTTP_VERSION_NOT_SUPPORTED, message))
        }
        _ => Err(bad("its first line is not `METHOD TARGET HTTP/1.1`")),
    }
}

/// The fields that say where a request goes and where it ends.
#[derive(Default)]
struct Fields<'a> {
    count: usize,
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn add(&mut self, line: &'a [u8]) -> Result<(), Problem> {
        self.count += 1;
        if self.count > HEADERS {
            return Err(too_large(format!("more than {HEADERS} headers")));
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(bad("a header goes on in a second line"));
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default().trim_ascii());
        if !is_token(name) {
            return Err(bad("a line is not `Name: value`"));
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(bad("a header holds a control character"));
        }
        let known = match name.to_ascii_lowercase().as_slice() {
            b"host" => &mut self.host,
            b"content-length" => &mut self.length,
            b"transfer-encoding" => &mut self.coding,
            _ => return Ok(()),
        };
        if known.replace(value).is_some() {
            let name = String::from_utf8_lossy(name);
            return Err(bad(&format!("the header {name} comes more than once")));
        }
        Ok(())
    }

    fn following(&self, is_http_11: bool) -> Result<Following, Problem> {
        match self.host {
            None if is_http_11 => return Err(bad("it has no Host header")),
            Some(host) if !is_host(host) => return Err(bad("the Host header is not `NAME` or `NAME:PORT`")),
            _ => {}
        }
        match (self.length, self.coding) {
            (None, None) => Ok(Following::Bytes(0)),
            (Some(_), Some(_)) => Err(bad("it has Content-Length and Transfer-Encoding")),
            (Some(length), None) => {
                let digits = std::str::from_utf8(length)
                    .ok()
                    .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                // Two values are hyper's.
                let bytes =
                    digits.and_then(|digits| digits.parse().ok()).filter(|bytes| *bytes < u64::MAX - 1);
                bytes.map(Following::Bytes).ok_or_else(|| bad("Content-Length is not a number of bytes"))
            }
            (None, Some(_)) if !is_http_11 => Err(bad("HTTP/1.0 has no Transfer-Encoding")),
            (None, Some(coding)) => chunked(coding),
        }
    }
}

/// `chunked` is the one transfer coding that every server undoes.
fn chunked(coding: &[u8]) -> Result<Following, Problem> {
    let names = coding.split(|byte| *byte == b',').map(|name| name.trim_ascii().to_ascii_lowercase());
    let names: Vec<_> = names.collect();
    if names == [b"chunked"] {
        return Ok(Following::Chunks);
    }
    let plain =
        |name: &Vec<u8>| is_token(name.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii());
    if !names.iter().all(plain) || names.iter().all(|name| name == b"chunked") {
        return Err(bad("Transfer-Encoding cannot be read"));
    }
    let message = "the only transfer coding supported is `chunked`";
    Err(problem(StatusCode::NOT_IMPLEMENTED, message)
        .hint("send Content-Length or Transfer-Encoding: chunked"))
}

/// A name of letters, digits and some signs (RFC 9110, section 5.6.2).
fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port (RFC 3986, section 3.2).
fn is_host(value: &[u8]) -> bool {
    let (name, port) = match value.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let address = std::str::from_utf8(&rest[..end]).unwrap_or_default();
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            (&b"v6"[..], &rest[end + 1..])
        }
        None => value.split_at(value.iter().position(|byte| *byte == b':').unwrap_or(value.len())),
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let port = match port.strip_prefix(b":") {
        Some(port) => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        None => port.is_empty(),
    };
    !name.is_empty() && name.iter().all(is_name) && port
}

fn problem(status: StatusCode, message: impl Into<String>) -> Problem {
    Problem::new(status, "http", message)
}

/// Of a head that has no reading, or two.
pub(crate) fn bad(why: &str) -> Problem {
    problem(StatusCode::BAD_REQUEST, format!("the request's head cannot be read: {why}"))
}

/// Of a head that is longer than [`MOST`], or has too many lines.
pub(crate) fn too_large(what: String) -> Problem {
    problem(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, format!("the request's head is too large: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &str) -> Result<Following, u16> {
        let head = format!("POST /v1/predict HTTP/1.1\r\n{lines}\r\n");
        check(head.as_bytes()).map_err(|problem| problem.status)
    }

    #[test]
    fn a_head_of_one_reading_says_what_follows() {
        let check = |lines: &str, expected| assert_eq!(of(lines), Ok(expected), "{lines:?}");
        check("Host: x\r\n", Following::Bytes(0));
        check("host:example.org:8080\r\ncontent-length: 12 \r\n", Following::Bytes(12));
        check("HOST: [::1]:80\r\nTransfer-Encoding:  Chunked\r\n", Following::Chunks);
        check("Host: 127.0.0.1\r\nX: \tsome text, \"and\" caf\u{e9}\r\nY:\r\n", Following::Bytes(0));
        assert_eq!(super::check(b"\r\n\r\nGET / HTTP/1.0\r\n\r\n"), Ok(Following::Bytes(0)));
        assert_eq!(super::check(b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n"), Ok(Following::Bytes(0)));
    }

    #[test]
    fn hosts_are_names_and_addresses() {
        for host in ["x", "a.example:1", "192.0.2.1:80", "[2001:db8::1]", "x:", "x_y", "%41"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", "a b", "a/b", "x:80:80", "x:y", "x:123456", "[::1", "[x]", "[::1]x", "::1", "u@x",
            "a,\u{e9}", "x\\y", ":80",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_in_whatever_pieces_it_comes() {
        for (text, expected) in [
            ("GET / HTTP/1.1\r\n\r\nrest", Some(18)),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\nrest", Some(22)),
            ("GET / HTTP/1.1\n\nrest", Some(16)),
            ("GET / HTTP/1.1\n\r\nrest", Some(17)),
            ("GET / HTTP/1.1\r\nA: b\r\n", None),
            ("\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(end(text.as_bytes(), 0), expected, "{text:?}");
            let mut found = None;
            for length in 1..=text.len() {
                found = found.or_else(|| end(&text.as_bytes()[..length], length - 1));
            }
            assert_eq!(found, expected, "{text:?} byte by byte");
        }
    }
}

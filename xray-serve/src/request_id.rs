//! A word by which a request is found again: in its answer, in the log, in what a person reports.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where it is said, by clients and to them.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Letters of one that a client chose, at most.
const MOST: usize = 64;

/// The word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The client's own, if it is short and plain; else a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/+=@".contains(byte);
        let given = headers
            .get(HEADER)
            .filter(|value| (1..=MOST).contains(&value.len()) && value.as_bytes().iter().all(is_plain));
        given.cloned().map_or_else(RequestId::new, RequestId)
    }

    /// Sixteen hexadecimal digits that no other request of this process has, and hardly one of another.
    pub(crate) fn new() -> Self {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let id = KEYS.hash_one(NUMBER.fetch_add(1, Ordering::Relaxed));
        RequestId(HeaderValue::from_str(&format!("{id:016x}")).expect("digits"))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_word_is_taken_and_anything_else_replaced() {
        let of = |given: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(given).expect("a header"));
            RequestId::of(&headers).as_str().to_owned()
        };
        for good in ["a", "7f3c-22.x", "018f:ab/c+d=", &"x".repeat(64)] {
            assert_eq!(of(good.as_bytes()), good);
        }
        for bad in [&b""[..], b"a b", b"a\"b", b"{}", b"\xe9", &[b'x'; 65]] {
            let made = of(bad);
            assert!(made.len() == 16 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
        }
        assert_ne!(RequestId::of(&HeaderMap::new()), RequestId::of(&HeaderMap::new()));
    }
}

//! Pages of other hosts that may ask this server from a browser (CORS, as the Fetch standard has it).

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method};
use std::str::FromStr;

/// Origins that may ask; none by default.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<Origin>);

/// `*`, or what a browser sends as `Origin`: `https://viewer.example:8443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

const ANY: &[u8] = b"*";

impl Origins {
    /// These.
    pub fn new(origins: Vec<Origin>) -> Self {
        Origins(origins)
    }

    /// What an answer to a page of this origin names as allowed; none if the page may not read it.
    pub(crate) fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let asking = request.get(ORIGIN)?;
        let found = self.0.iter().find(|origin| origin.0.as_bytes() == ANY || origin.0 == asking)?;
        Some(found.0.clone())
    }

    /// Whether answers differ from origin to origin, which caches must know.
    pub(crate) fn differ(&self) -> bool {
        self.0.iter().any(|origin| origin.0.as_bytes() != ANY)
    }
}

/// Whether a browser asks if it may ask.
pub(crate) fn is_preflight(method: &Method, request: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && request.contains_key(ORIGIN)
        && request.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What the answer to such a question says beside the origin. Keys are sent as `Authorization`; cookies and the
/// passwords that a browser keeps are not allowed.
pub(crate) fn permit(answer: &mut HeaderMap) {
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST"));
    let headers = "authorization, content-type, content-encoding, x-request-id";
    answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(headers));
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}

/// Lets a page of the allowed origin read an answer.
pub(crate) fn allow(answer: &mut HeaderMap, allowed: HeaderValue) {
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after, x-request-id"));
}

/// Says that an answer depends on who asks.
pub(crate) fn vary(answer: &mut HeaderMap) {
    answer.append(VARY, HeaderValue::from_static("origin"));
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is not an origin such as https://viewer.example:8443, and not *");
        if text.as_bytes() != ANY {
            let (scheme, host) = text.split_once("://").ok_or_else(refused)?;
            // As browsers write it: in lower case, without the scheme's own port, a path or a `/` at the end.
            let own_port = matches!(
                (scheme, host.rsplit_once(':')),
                ("http", Some((_, "80"))) | ("https", Some((_, "443")))
            );
            let is_plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte);
            if !matches!(scheme, "http" | "https")
                || host.is_empty()
                || own_port
                || !host.bytes().all(is_plain)
            {
                return Err(refused());
            }
        }
        HeaderValue::from_str(text).map(Origin).map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for good in ["*", "https://viewer.example", "http://127.0.0.1:8080", "http://[::1]:3000"] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "null",
            "viewer.example",
            "https://viewer.example/",
            "https://Viewer.example",
            "ftp://x",
            "https://",
            "https://*.example",
            "https://x:443",
            "https://a b",
            "https://u@x",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}

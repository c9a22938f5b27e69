//! What happens to every request: who may ask and how often, what is counted and logged, what every answer says.

use super::Service;
use crate::log::event;
use crate::metrics::Answered;
use crate::problem::Problem;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// Who is at the other end, as the server knows it: an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client(pub String);

const ANYONE: &str = "anyone";

/// The key, and how often.
pub(super) async fn admit(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    // The form itself costs nothing.
    let path = request.uri().path();
    if request.method() == Method::GET && (path == "/" || path.ends_with(".jpg")) {
        return next.run(request).await;
    }
    if let Some(key) = &service.key
        && !has_key(&request, key)
    {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "key", "this server asks for a key")
            .hint("send the header `Authorization: Bearer KEY`, or in a browser the key as password");
        let mut response = problem.into_response();
        let ask = HeaderValue::from_static("Basic realm=\"xray-serve\", charset=\"UTF-8\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, ask);
        return response;
    }
    let client = request.extensions().get::<Client>().map_or(ANYONE, |client| client.0.as_str());
    if let Err(seconds) = service.rate.take(client, Instant::now()) {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate", "too many requests of this client");
        return Problem { retry_after: Some(seconds), ..problem }.into_response();
    }
    next.run(request).await
}

/// As programs send it, or as the password that a browser asks for. Compares all bytes whatever they are, so that the
/// time tells nothing of the key.
fn has_key(request: &Request, key: &str) -> bool {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, given)) = given.and_then(|given| given.split_once(' ')) else { return false };
    let given = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => given.as_bytes().to_vec(),
        "basic" => password(given).unwrap_or_default(),
        _ => return false,
    };
    let differs = given.iter().zip(key.as_bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    given.len() == key.len() && differs == 0
}

/// What stands behind the name in `Basic` credentials (RFC 7617).
fn password(credentials: &str) -> Option<Vec<u8>> {
    let plain = STANDARD.decode(credentials.trim()).ok()?;
    let colon = plain.iter().position(|&byte| byte == b':')?;
    Some(plain[colon + 1..].to_vec())
}

/// Counts and logs.
pub(super) async fn account(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let (status, seconds) = (response.status().as_u16(), start.elapsed().as_secs_f64());
    service.metrics.requests.get_or_create(&Answered { route: route.clone(), status }).inc();
    service.metrics.seconds.observe(seconds);
    if status == StatusCode::SERVICE_UNAVAILABLE.as_u16() {
        service.say_turned_away(1);
    } else if !matches!(route.as_str(), "/health" | "/ready" | "/metrics") {
        let milliseconds = (seconds * 1e4).round() / 10.0;
        event(
            "request",
            json!({ "method": method.as_str(), "route": route, "status": status, "milliseconds": milliseconds }),
        );
    }
    response
}

/// Nothing is kept by browsers or proxies, nothing of others is loaded into the page, nobody frames it.
const HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; \
         form-action 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
];

/// Adds what every answer says.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Response::new(body(&self))).into_response();
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert("retry-after", seconds.into());
        }
        response
    }
}

fn body(problem: &Problem) -> axum::body::Body {
    json!({ "format": crate::answer::FORMAT, "error": problem }).to_string().into()
}

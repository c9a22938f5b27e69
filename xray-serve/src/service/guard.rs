//! What happens to every request: who may ask and how often, what is counted and logged, what every answer says.
//!
//! `account` is outermost, so what it counts and logs includes what `headers` and `admit` refuse.

use super::Service;
use crate::client::Client;
use crate::encoding::ACCEPTED;
use crate::origins;
use crate::problem::Problem;
use crate::request_id::{self, RequestId};
use crate::request_line::RequestLine;
use crate::settings::{Closed, Part};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// What a request asks for, as far as the key and the rate are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// What nobody minds until so much is closed.
    Open(Closed),
    /// What costs nothing, and may say more than everybody shall know.
    Part(Part),
    /// What costs time, and whatever is not known here.
    Findings,
}

/// The name of the key that a request was sent with, on its answer.
#[derive(Clone)]
struct KeyName(Arc<str>);

/// Who may ask for what. HEAD is answered as GET is.
fn asks(method: &Method, route: &str, path: &str) -> Asks {
    let is_get = matches!(*method, Method::GET | Method::HEAD);
    match route {
        "/health" | "/ready" => Asks::Open(Closed::ProbesToo),
        "/style.css" | "/page.js" | "/openapi.json" => Asks::Open(Closed::All),
        "/info" => Asks::Part(Part::Info),
        "/metrics" => Asks::Part(Part::Metrics),
        "/" if is_get => Asks::Part(Part::Page),
        "/samples/{name}" if is_get && path.ends_with(".jpg") => Asks::Part(Part::Page),
        _ => Asks::Findings,
    }
}

/// The route of a request, wherever the service lies; `none` if there is none.
fn route<'a>(service: &Service, request: &'a Request) -> &'a str {
    let Some(matched) = request.extensions().get::<MatchedPath>() else { return "none" };
    let route = matched.as_str();
    match route.strip_prefix(service.settings.base.as_str()) {
        Some("") => "/",
        Some(route) => route,
        None => route,
    }
}

/// The key, and how often.
pub(super) async fn admit(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let asks = asks(request.method(), route(&service, &request), request.uri().path());
    let client = request.extensions().get::<Client>().copied().unwrap_or_default();
    let is_open = match asks {
        Asks::Open(closed) => service.settings.closed < closed,
        Asks::Part(part) => service.settings.open.contains(&part),
        Asks::Findings => false,
    };
    let key = if is_open { Ok(None) } else { check_key(&service, client, &request) };
    let admitted = key.and_then(|key| match asks {
        Asks::Findings => service
            .rate
            .take(client, Instant::now())
            .map(|()| key)
            .map_err(|seconds| too_many("rate", "too many requests of this client", seconds)),
        Asks::Open(_) | Asks::Part(_) => Ok(key),
    });
    match admitted {
        Ok(key) => {
            let mut response = next.run(request).await;
            if let Some(key) = key {
                response.extensions_mut().insert(KeyName(key));
            }
            response
        }
        Err(refused) => refused.into_response(),
    }
}

fn too_many(code: &str, message: &str, seconds: u64) -> Problem {
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, code, message);
    Problem { retry_after: Some(seconds), ..problem }
}

/// What makes a browser ask for a password.
const CHALLENGE: &str = "Basic realm=\"xray-serve\", charset=\"UTF-8\"";

/// Asks for a key, where there are some, and says whose it is. No key at all is not an attempt: browsers begin so.
fn check_key(service: &Service, client: Client, request: &Request) -> Result<Option<Arc<str>>, Problem> {
    let keys = service.keys();
    if keys.is_empty() {
        return Ok(None);
    }
    if let Some(given) = request.headers().get(AUTHORIZATION) {
        service
            .wrong_keys
            .take(client, Instant::now())
            .map_err(|seconds| too_many("keys", "too many wrong keys of this client", seconds))?;
        if let Some(name) = keys.opened_by(given.as_bytes()) {
            service.wrong_keys.give_back(client);
            return Ok(Some(name));
        }
    }
    Err(Problem::new(StatusCode::UNAUTHORIZED, "key", "this server asks for a key")
        .hint("send the header `Authorization: Bearer KEY`, or in a browser the key as password"))
}

/// Counts and logs, and gives every request a word by which it is found again.
pub(super) async fn account(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let route = route(&service, &request).to_owned();
    let method = request.method().clone();
    let client = request.extensions().get::<Client>().copied().unwrap_or_default();
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    name_request(&mut response, &id);
    let took = start.elapsed();
    service.metrics.seconds.observe(took.as_secs_f64());
    service.answered(&RequestLine {
        id: &id,
        client,
        key: response.extensions().get::<KeyName>().map(|KeyName(name)| &**name),
        method: method.as_str(),
        route: &route,
        status: response.status().as_u16(),
        took,
    });
    response
}

/// Says the word in the answer's head, and in its body where that says what is wrong.
fn name_request(response: &mut Response, id: &RequestId) {
    response.headers_mut().insert(request_id::HEADER, id.header());
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        // It was that of the body without the word.
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = body(&Problem { request_id: Some(id.as_str().to_owned()), ..problem });
    }
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

/// Adds what every answer says; also to requests whose head was refused. Browsers that ask whether a page of another host
/// may ask are answered here, before anybody asks for a key.
pub(super) async fn headers(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    let origins = &service.settings.origins;
    let allowed = origins.allowed(request.headers());
    let mut response = match request.extensions_mut().remove::<Problem>() {
        Some(refused) => refused.into_response(),
        None if allowed.is_some() && origins::is_preflight(request.method(), request.headers()) => {
            let mut permission = Response::default();
            origins::permit(permission.headers_mut());
            permission
        }
        None => next.run(request).await,
    };
    if let Some(allowed) = allowed {
        origins::allow(response.headers_mut(), allowed);
    }
    if origins.differ() {
        origins::vary(response.headers_mut());
    }
    for (name, value) in HEADERS {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Response::new(body(&self))).into_response();
        // Who asked is not known here; `account` says it.
        response.extensions_mut().insert(self.clone());
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert("retry-after", seconds.into());
        }
        // What these answers must say (RFC 9110, sections 11.6.1 and 12.5.3).
        match self.code.as_str() {
            "key" => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE)),
            "encoding" => headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED)),
            _ => None,
        };
        response
    }
}

fn body(problem: &Problem) -> axum::body::Body {
    json!({ "format": crate::answer::FORMAT, "error": problem }).to_string().into()
}

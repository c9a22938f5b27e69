//! A service without a socket, what it is asked, and what it answers.

use crate::bundle::bundle;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::Arc;
use tower::ServiceExt;
use xray_serve::keys::Keys;
use xray_serve::limits::Limits;
use xray_serve::model::Model;
use xray_serve::service::{Service, router};
use xray_serve::settings::Settings;

pub(crate) struct Server {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) router: Router,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), None)
    }

    pub(crate) fn with(limits: Limits, key: Option<&str>) -> Self {
        Self::of(Settings { limits, keys: Keys::one(key.unwrap_or_default()), ..Settings::default() })
    }

    pub(crate) fn of(settings: Settings) -> Self {
        Self::of_bundle(settings, bundle())
    }

    pub(crate) fn of_bundle(settings: Settings, folder: tempfile::TempDir) -> Self {
        let service = Arc::new(Service::new(settings));
        service.load(Model::open(folder.path()).expect("just written"), 2).expect("threads");
        Server { folder, router: router(service) }
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router.clone().oneshot(request).await.expect("a router cannot fail")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn predict(&self, kind: &str, body: impl Into<Body>) -> Answer {
        self.ask(post("/v1/predict", kind, body)).await
    }
}

pub(crate) fn post(path: &str, kind: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", kind).body(body.into()).expect("a request")
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: Response<Body>) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// That this status came with this code, a sentence and nothing else.
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        let json = self.json();
        assert_eq!((self.status, &json["error"]["code"]), (status, &code.into()), "{}", self.text);
        assert!(json["error"]["message"].as_str().is_some_and(|said| said.len() > 5), "{}", self.text);
    }
}

pub(crate) const BOUNDARY: &str = "multipart/form-data; boundary=XX";

pub(crate) fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let part = |(name, file): &(&str, &[u8])| {
        let head = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        [head.as_bytes(), file, b"\r\n"].concat()
    };
    let mut body: Vec<u8> = files.iter().flat_map(part).collect();
    body.extend(b"--XX--\r\n");
    body
}

/// A body of which nothing comes.
pub(crate) fn never() -> impl futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> {
    futures_util::stream::pending()
}

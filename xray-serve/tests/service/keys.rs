//! Who may ask, and how often.

use crate::asking::{Server, post};
use crate::bundle::jpeg;
use axum::body::Body;
use axum::http::Request;
use xray_serve::client::Client;
use xray_serve::keys::Keys;
use xray_serve::limits::Limits;
use xray_serve::settings::{Closed, Part, Settings};

#[tokio::test]
async fn a_key_is_asked_for_where_images_are_looked_at() {
    let server = Server::with(Limits::default(), Some("se:cret"));
    let refused = server.predict("image/jpeg", jpeg(1)).await;
    refused.assert_problem(401, "key");
    assert!(refused.headers["www-authenticate"].to_str().is_ok_and(|ask| ask.starts_with("Basic ")));
    assert_eq!(server.get("/samples/1").await.status, 401);
    for closed in ["/", "/samples/1.jpg", "/info", "/metrics", "/nothing"] {
        server.get(closed).await.assert_problem(401, "key");
    }
    for open in ["/health", "/ready", "/style.css", "/page.js", "/openapi.json"] {
        assert_eq!(server.get(open).await.status, 200, "{open}");
    }
    let with = |authorization: &str| {
        let mut request = post("/v1/predict", "image/jpeg", jpeg(1));
        request.headers_mut().insert("authorization", authorization.parse().expect("a header"));
        request
    };
    for wrong in ["Bearer se:cre", "Bearer se:crets", "Basic eDp4", "Digest se:cret", "Bearer"] {
        server.ask(with(wrong)).await.assert_problem(401, "key");
    }
    assert_eq!(server.ask(with("Bearer se:cret")).await.status, 200);
    // anyone:se:cret
    assert_eq!(server.ask(with("Basic YW55b25lOnNlOmNyZXQ=")).await.status, 200);
}

#[tokio::test]
async fn what_is_shown_without_the_key_is_a_setting_and_head_follows_get() {
    let (all, none) = (vec![Part::Page, Part::Info, Part::Metrics], Vec::new());
    for (open, expected) in [(all, 200), (none, 401)] {
        let server = Server::of(Settings { keys: Keys::one("secret"), open, ..Settings::default() });
        for path in ["/", "/samples/1.jpg", "/info", "/metrics"] {
            assert_eq!(server.get(path).await.status, expected, "{path}");
            let head = Request::head(path).body(Body::empty()).expect("a request");
            let head = server.ask(head).await;
            assert_eq!((head.status, head.text.as_str()), (expected, ""), "HEAD {path}");
        }
        for (method, path) in [("HEAD", "/samples/1"), ("HEAD", "/v1/predict"), ("PUT", "/"), ("POST", "/")] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
            assert_eq!(server.ask(request).await.status, 401, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn who_tries_keys_is_not_heard_for_a_while() {
    let server = Server::with(Limits::default(), Some("secret"));
    let with = |client: u32, key: &str| {
        let mut request = post("/v1/predict", "image/jpeg", jpeg(1));
        request.extensions_mut().insert(Client::V4(client));
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().expect("a header"));
        request
    };
    // No key is not a try, and neither is the right one.
    for _ in 0..12 {
        server.predict("image/jpeg", jpeg(1)).await.assert_problem(401, "key");
        assert_eq!(server.ask(with(1, "secret")).await.status, 200);
    }
    let mut tries = 0;
    while server.ask(with(1, &format!("wrong{tries}"))).await.status == 401 {
        tries += 1;
        assert!(tries < 30, "keys are tried without end");
    }
    assert!((9..15).contains(&tries), "{tries}");
    let refused = server.ask(with(1, "secret")).await;
    refused.assert_problem(429, "keys");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(server.ask(with(2, "secret")).await.status, 200, "others are heard");
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_again() {
    let server = Server::with(Limits { rate: 0.2, ..Limits::default() }, None);
    let from = |address: &str| {
        let mut request = post("/v1/predict", "image/jpeg", jpeg(1));
        let address: std::net::IpAddr = address.parse().expect("an address");
        request.extensions_mut().insert(Client::from(address));
        request
    };
    assert_eq!(server.ask(from("2001:db8::1")).await.status, 200);
    let refused = server.ask(from("2001:db8::2")).await;
    refused.assert_problem(429, "rate");
    let after: u64 = refused.headers["retry-after"].to_str().expect("text").parse().expect("a number");
    assert!((1..=5).contains(&after), "{after}");
    assert_eq!(server.ask(from("2001:db8:0:1::1")).await.status, 200);
}

#[tokio::test]
async fn everything_can_be_asked_to_need_a_key() {
    let (files, probes) = (["/style.css", "/page.js", "/openapi.json"], ["/health", "/ready"]);
    for (closed, files_are, probes_are) in
        [(Closed::Usual, 200, 200), (Closed::All, 401, 200), (Closed::ProbesToo, 401, 401)]
    {
        let server = Server::of(Settings { keys: Keys::one("secret"), closed, ..Settings::default() });
        for (paths, expected) in
            [(&files[..], files_are), (&probes, probes_are), (&["/", "/info", "/metrics"], 401)]
        {
            for path in paths {
                assert_eq!(server.get(path).await.status, expected, "{closed:?} {path}");
                let mut request = Request::get(*path).body(Body::empty()).expect("a request");
                request.headers_mut().insert("authorization", "Bearer secret".parse().expect("a header"));
                assert_eq!(server.ask(request).await.status, 200, "{closed:?} {path}");
            }
        }
        // Where there are no keys there is nothing to ask for.
        let server = Server::of(Settings { closed, ..Settings::default() });
        assert_eq!((server.get("/health").await.status, server.get("/info").await.status), (200, 200));
    }
}

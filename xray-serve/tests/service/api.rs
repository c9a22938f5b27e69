//! The API as it describes itself, and what every answer says.

use crate::asking::{Answer, BOUNDARY, Server, form, post};
use crate::bundle::jpeg;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use std::sync::Arc;
use tower::ServiceExt;
use xray_serve::keys::Keys;
use xray_serve::origins::Origins;
use xray_serve::service::{Service, router};
use xray_serve::settings::Settings;

#[tokio::test]
async fn before_its_model_is_loaded_a_server_lives_and_is_not_ready() {
    let router = router(Arc::new(Service::new(Settings::default())));
    let get = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        Answer::of(router.clone().oneshot(request).await.expect("a router cannot fail")).await
    };
    assert_eq!(get("/health").await.status, 200);
    get("/ready").await.assert_problem(503, "loading");
    get("/info").await.assert_problem(503, "loading");
    assert_eq!(get("/").await.status, 200);
}

#[tokio::test]
async fn every_route_is_described_and_counted() {
    let server = Server::new();
    let api = server.get("/openapi.json").await.json();
    for (path, methods) in api["paths"].as_object().expect("paths") {
        if methods.get("get").is_some() {
            assert_eq!(server.get(path).await.status, 200, "{path}");
        }
    }
    server.get("/nothing").await.assert_problem(404, "path");
    server.get("/v1/predict").await.assert_problem(405, "method");
    assert_eq!(server.predict("image/jpeg", jpeg(1)).await.status, 200);
    let metrics = server.get("/metrics").await.text;
    for line in [
        "xray_requests_total{route=\"/v1/predict\",status=\"200\"} 1",
        "xray_requests_total{route=\"none\",status=\"404\"} 1",
        "xray_images_total 1",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    let info = server.get("/info").await.json();
    assert_eq!(info["model"]["labels"].as_array().map(Vec::len), Some(14));
}

#[test]
fn statuses_of_problems_are_statuses() {
    let problem = xray_serve::problem::Problem::busy(3);
    assert_eq!((problem.status(), problem.retry_after), (StatusCode::SERVICE_UNAVAILABLE, Some(3)));
}

/// Every status that a source file names is described, and so is how to ask with a key.
#[tokio::test]
async fn the_api_is_described_with_its_security_and_every_status() {
    let api = Server::new().get("/openapi.json").await.json();
    assert_eq!(api["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert_eq!(api["components"]["securitySchemes"]["basic"]["scheme"], "basic");
    assert!(api["security"].as_array().is_some_and(|ways| ways.len() == 3));
    let answers = |path: &str| api["paths"][path]["post"]["responses"].as_object().expect("answers").clone();
    let described = [answers("/v1/predict"), answers("/admin/reload")];
    let mut named = std::collections::BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("sources") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let names = text.split("StatusCode::").skip(1).map(|rest| {
                    rest.split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
                        .next()
                        .unwrap_or_default()
                        .to_owned()
                });
                named.extend(names.filter(|name| name.len() > 2));
            }
        }
    }
    let known = (400..=599).filter_map(|code| StatusCode::from_u16(code).ok()).filter_map(|status| {
        let name = status.canonical_reason()?.to_ascii_uppercase().replace([' ', '-'], "_");
        Some((name, status.as_u16().to_string()))
    });
    let known: std::collections::BTreeMap<String, String> = known.collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let code = known.get(&name).unwrap_or_else(|| panic!("{name} is not a status of an error"));
        assert!(described.iter().any(|answers| answers.contains_key(code)), "{code} {name} is not described");
    }
}

#[tokio::test]
async fn every_answer_bears_the_word_by_which_it_is_found() {
    let server = Server::new();
    let ask = async |id: &str, body: Vec<u8>| {
        let mut request = post("/v1/predict", "image/jpeg", body);
        request.headers_mut().insert("x-request-id", id.parse().expect("a header"));
        server.ask(request).await
    };
    let id = |answer: &Answer| answer.headers["x-request-id"].to_str().expect("text").to_owned();
    let good = ask("abc-1", jpeg(1)).await;
    assert_eq!((good.status, id(&good).as_str()), (200, "abc-1"));
    assert!(good.json()["images"][0].get("error").is_none());
    let bad = ask("abc-2", b"GIF89a".to_vec()).await;
    bad.assert_problem(415, "format");
    assert_eq!((id(&bad).as_str(), &bad.json()["error"]["request_id"]), ("abc-2", &"abc-2".into()));
    assert_eq!(bad.headers["content-length"].to_str().ok(), Some(bad.text.len().to_string().as_str()));
    let made = ask("\"<script>", b"GIF89a".to_vec()).await;
    assert_eq!((id(&made).len(), &made.json()["error"]["request_id"]), (16, &id(&made).into()));
    assert_ne!(id(&server.get("/health").await), id(&server.get("/health").await));
    let page = server.ask(post("/", BOUNDARY, form(&[("a.gif", b"GIF89a")]))).await;
    assert!(page.text.contains(&format!("Request {}<", id(&page))), "{}", page.text);
}

#[tokio::test]
async fn pages_of_allowed_origins_may_ask_and_others_may_not() {
    let server = |origins: &[&str]| {
        let origins = origins.iter().map(|origin| origin.parse().expect("an origin")).collect();
        Server::of(Settings {
            origins: Origins::new(origins),
            keys: Keys::one("secret"),
            ..Settings::default()
        })
    };
    let ask = async |server: &Server, method: &str, headers: &[(&'static str, &str)]| {
        let mut request = Request::builder()
            .method(method)
            .uri("/v1/predict")
            .body(Body::from(jpeg(1)))
            .expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        server.ask(request).await
    };
    let header = |answer: &Answer, name: &str| {
        answer.headers.get(name).map(|value| value.to_str().expect("text").to_owned())
    };
    let (asks, origin) = (("access-control-request-method", "POST"), ("origin", "https://viewer.example"));
    let allowed = "access-control-allow-origin";

    let one = server(&["https://viewer.example", "http://localhost:3000"]);
    let before = ask(&one, "OPTIONS", &[origin, asks]).await;
    assert_eq!((before.status, before.text.as_str()), (200, ""), "no key is asked for");
    assert_eq!(header(&before, allowed).as_deref(), Some("https://viewer.example"));
    assert!(
        header(&before, "access-control-allow-headers").is_some_and(|names| names.contains("authorization"))
    );
    assert_eq!(header(&before, "access-control-allow-methods").as_deref(), Some("GET, HEAD, POST"));
    assert!(header(&before, "access-control-allow-credentials").is_none());
    let asked = ask(&one, "POST", &[origin, ("authorization", "Bearer secret")]).await;
    assert_eq!((asked.status, header(&asked, allowed).as_deref()), (200, Some("https://viewer.example")));
    assert_eq!(header(&asked, "vary").as_deref(), Some("origin"));
    let read = header(&asked, "access-control-expose-headers");
    assert_eq!(read.as_deref(), Some("retry-after, x-request-id"), "what a page's script may read");
    let refused = ask(&one, "POST", &[origin]).await;
    assert_eq!((refused.status, header(&refused, allowed).is_some()), (401, true), "a page may read why");

    for other in ["https://evil.example", "https://viewer.example.evil.example", "null"] {
        let before = ask(&one, "OPTIONS", &[("origin", other), asks]).await;
        assert_eq!((before.status, header(&before, allowed)), (401, None), "{other}");
    }
    let any = ask(&server(&["*"]), "OPTIONS", &[("origin", "null"), asks]).await;
    assert_eq!((any.status, header(&any, allowed).as_deref()), (200, Some("*")));
    let none = ask(&server(&[]), "OPTIONS", &[origin, asks]).await;
    assert_eq!((none.status, header(&none, allowed), header(&none, "vary")), (401, None, None));
}

//! The service without a socket: what is answered to good and to bad requests.

mod bundle;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use bundle::{bundle, jpeg, noise};
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tower::ServiceExt;
use xray_artifacts::{Imported, Member, read_json, write_json};
use xray_bundle::{Bundle, Card, prefix};
use xray_image::{Budget, GrayImage, encode_jpeg, encode_png};
use xray_metrics::Calibrator;
use xray_model::{Learner, LearnerConfig, StateDict};
use xray_serve::client::Client;
use xray_serve::key::Key;
use xray_serve::limits::Limits;
use xray_serve::service::{Service, router};
use xray_serve::settings::{Part, Settings};

struct Server {
    folder: tempfile::TempDir,
    router: Router,
}

impl Server {
    fn new() -> Self {
        Self::with(Limits::default(), None)
    }

    fn with(limits: Limits, key: Option<&str>) -> Self {
        Self::of(Settings { limits, key: key.and_then(Key::new), ..Settings::default() })
    }

    fn of(settings: Settings) -> Self {
        Self::of_bundle(settings, bundle())
    }

    fn of_bundle(settings: Settings, folder: tempfile::TempDir) -> Self {
        let service = Arc::new(Service::new(settings));
        service.load(Bundle::open(folder.path()).expect("just written"), 2).expect("threads");
        Server { folder, router: router(service) }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router.clone().oneshot(request).await.expect("a router cannot fail")).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    async fn predict(&self, kind: &str, body: impl Into<Body>) -> Answer {
        self.ask(post("/v1/predict", kind, body)).await
    }
}

fn post(path: &str, kind: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", kind).body(body.into()).expect("a request")
}

struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Answer {
    async fn of(response: Response<Body>) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// That this status came with this code, a sentence and nothing else.
    fn assert_problem(&self, status: u16, code: &str) {
        let json = self.json();
        assert_eq!((self.status, &json["error"]["code"]), (status, &code.into()), "{}", self.text);
        assert!(json["error"]["message"].as_str().is_some_and(|said| said.len() > 5), "{}", self.text);
    }
}

const BOUNDARY: &str = "multipart/form-data; boundary=XX";

fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
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

/// Two networks of one architecture, the second calibrated otherwise.
#[tokio::test]
async fn an_ensemble_answers_with_the_mean_of_its_members() {
    let folder = bundle();
    let path = |name: &str| folder.path().join(name);
    let card: Card = read_json(&path("model.json")).expect("written");
    let weights = |seed: u64| {
        let config = LearnerConfig { model: card.model.clone(), ..LearnerConfig::new(14) };
        Learner::new(&config, seed).expect("a CPU").weights().expect("a CPU")
    };
    let mut other = card.calibration.clone();
    other.iter_mut().for_each(|of| of.calibrator = Some(Calibrator::Platt { scale: 0.7, shift: -1.3 }));
    let calibrations = [card.calibration.clone(), other];
    let mut all = StateDict::default();
    (0..2).for_each(|at| all.extend_prefixed(&prefix(at), weights(at as u64 + 1)));
    let member = |at: usize| Member {
        model: card.model.clone(),
        calibration: calibrations[at].clone(),
        provenance: card.provenance.clone(),
        weights: String::new(),
        integers: None,
    };
    let checksum = all.save(&path("model.safetensors"), &[]).expect("writable");
    let ensemble = Card {
        weights: checksum,
        members: vec![member(0), member(1)],
        calibration: Vec::new(),
        ..card.clone()
    };
    write_json(&path("model.json"), &ensemble).expect("writable");
    let server = Server::of_bundle(Settings::default(), folder);
    let answer = server.predict("image/jpeg", jpeg(1)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let alone = |at: usize| {
        let card = Card { calibration: calibrations[at].clone(), ..card.clone() };
        let bundle = Bundle::of(card, &weights(at as u64 + 1)).expect("its own weights");
        let prepared = bundle.prepare(&jpeg(1), &Budget::default()).expect("an image");
        let mut found = bundle.findings(&bundle.predict(&prepared)).expect("finite");
        found.sort_by_key(|finding| finding.index);
        found
    };
    let (first, second) = (alone(0), alone(1));
    let json = answer.json();
    let findings = json["images"][0]["findings"].as_array().expect("a list");
    assert_eq!(findings.len(), 14);
    for found in findings {
        let at = card.labels.iter().position(|label| found["label"] == *label).expect("a label");
        let mean = (first[at].probability + second[at].probability) / 2.0;
        assert_eq!(found["probability"].as_f64(), Some(mean), "{found}");
        assert_ne!(first[at].probability, second[at].probability);
        let logit = found["logit"].as_f64().expect("a number");
        assert!((logit - (mean / (1.0 - mean)).ln()).abs() < 1e-6, "{found}");
        assert_eq!(
            (&found["calibration"], found["positive"].as_bool()),
            (&"calibrated".into(), Some(logit >= 0.02))
        );
    }
    let maps = server.ask(post("/v1/predict?maps=true", "image/jpeg", jpeg(1))).await;
    assert_eq!(maps.json()["images"][0]["maps"].as_array().map(Vec::len), Some(14), "{}", maps.text);
    let page = server.get("/").await;
    assert!(page.text.contains("the mean of 2 networks (small-cnn)"), "{}", page.text);
}

#[tokio::test]
async fn an_image_gets_the_findings_that_its_bundle_gives() {
    let server = Server::new();
    let answer = server.predict("image/jpeg", jpeg(1)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let json = answer.json();
    assert_eq!((&json["format"], &json["disclaimer"]), (&1.into(), &"research demo, not a diagnosis".into()));
    let image = &json["images"][0];
    assert_eq!(image["size"], serde_json::json!([96, 96]));
    assert!(image.get("maps").is_none() && image.get("error").is_none());

    let bundle = Bundle::open(server.folder.path()).expect("written");
    let prepared = bundle.prepare(&jpeg(1), &Budget::default()).expect("an image");
    let mut expected = bundle.findings(&bundle.predict(&prepared)).expect("finite");
    expected.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let found = image["findings"].as_array().expect("a list");
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found["label"], expected.label);
        assert_eq!(found["label"], bundle.card.labels[expected.index]);
        assert_eq!(found["logit"].as_f64(), Some(expected.logit));
        assert_eq!(found["probability"].as_f64(), Some(expected.probability));
        assert_eq!(found["positive"].as_bool(), expected.positive);
    }
    // With maps the same, and the mean of a map is what the logit is above the ordinary.
    let with_maps = server.ask(post("/v1/predict?maps=true", "image/jpeg", jpeg(1))).await.json();
    let map = &with_maps["images"][0]["maps"][0];
    assert_eq!(map["label"], found[0]["label"]);
    let evidence: Vec<f64> =
        map["evidence"].as_array().expect("numbers").iter().filter_map(Value::as_f64).collect();
    assert_eq!(
        evidence.len() as u64,
        map["rows"].as_u64().expect("rows") * map["columns"].as_u64().expect("columns")
    );
    let mean = evidence.iter().sum::<f64>() / evidence.len() as f64;
    assert!((mean + f64::from(bundle.ordinary(expected[0].index)) - expected[0].logit).abs() < 1e-5);
}

#[tokio::test]
async fn several_images_are_answered_in_order_and_a_bad_one_by_itself() {
    let server = Server::new();
    let body =
        form(&[("../../a.jpg", &jpeg(1)), ("b.gif", b"GIF89a"), ("c.png", &encode_png(&noise(50, 40)))]);
    let answer = server.predict(BOUNDARY, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let images = answer.json()["images"].clone();
    let names: Vec<_> =
        images.as_array().expect("a list").iter().map(|image| image["name"].clone()).collect();
    assert_eq!(names, ["a.jpg", "b.gif", "c.png"]);
    assert!(images[0]["findings"].is_array() && images[2]["findings"].is_array());
    assert_eq!(images[1]["error"]["code"], "format");
    assert_eq!(images[2]["size"], serde_json::json!([50, 40]));

    server.predict(BOUNDARY, form(&[("a", b"GIF89a"), ("b", b"")])).await.assert_problem(415, "format");
}

#[tokio::test]
async fn bad_bodies_get_a_sentence() {
    let server = Server::new();
    let octets = "application/octet-stream";
    server.predict(octets, "").await.assert_problem(400, "empty");
    server.predict(octets, "hello").await.assert_problem(415, "format");
    server.predict("text/html", "<p>").await.assert_problem(415, "type");
    server.predict("multipart/form-data", "x").await.assert_problem(400, "form");
    server.predict(BOUNDARY, "no form at all").await.assert_problem(400, "form");
    server.predict(BOUNDARY, form(&[])).await.assert_problem(400, "form");
    let field = "--XX\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\ntext\r\n--XX--\r\n";
    server.predict(BOUNDARY, field).await.assert_problem(400, "form");
    let whole = form(&[("a.jpg", &jpeg(1))]);
    server.predict(BOUNDARY, whole[..whole.len() / 2].to_vec()).await.assert_problem(400, "form");
    let many = vec![("a", &b"x"[..]); 17];
    server.predict(BOUNDARY, form(&many)).await.assert_problem(413, "images");
    let image = jpeg(1);
    server.predict("image/jpeg", image[..image.len() / 2].to_vec()).await.assert_problem(422, "image");
    let flat = GrayImage { width: 64, height: 64, pixels: vec![90; 64 * 64] };
    server.predict("image/png", encode_png(&flat)).await.assert_problem(422, "image");
    server.ask(post("/v1/predict?what=1", "image/jpeg", jpeg(1))).await.assert_problem(400, "query");
    // Whatever the type says, the bytes decide.
    assert_eq!(server.predict("image/png", jpeg(1)).await.status, 200);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_decoded() {
    let limits = Limits { body: 50_000, ..Limits::default() };
    let server = Server::with(limits, None);
    let announced = Request::post("/v1/predict").header("content-length", "100000000");
    let announced = announced.body(Body::from_stream(never())).expect("a request");
    server.ask(announced).await.assert_problem(413, "large");
    server.predict("image/jpeg", vec![0; 60_000]).await.assert_problem(413, "large");
    // 64 megapixels in some bytes: the header alone is read.
    let mut bomb = encode_png(&noise(8, 8));
    bomb[16..24].copy_from_slice(&[0, 0, 0x20, 0, 0, 0, 0x20, 0]);
    server.predict("image/png", bomb).await.assert_problem(413, "pixels");
}

/// A body of which nothing comes.
fn never() -> impl futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> {
    futures_util::stream::pending()
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits { upload: Duration::from_millis(50), ..Limits::default() };
    let server = Server::with(limits, None);
    server.predict("image/jpeg", Body::from_stream(never())).await.assert_problem(408, "slow");
}

#[tokio::test]
async fn bodies_share_the_room_that_there_is() {
    let limits =
        Limits { bodies: 100 << 10, body: 80 << 10, upload: Duration::from_secs(5), ..Limits::default() };
    let server = Server::with(limits, None);
    let begin = |kibibytes: usize| {
        let piece = futures_util::stream::iter([Ok(bytes::Bytes::from(vec![0; kibibytes << 10]))]);
        let body = Body::from_stream(futures_util::StreamExt::chain(piece, never()));
        tokio::spawn(server.router.clone().oneshot(post("/v1/predict", "image/jpeg", body)))
    };
    // They may become as long as any, but nothing has come of them.
    let idle = [begin(0), begin(0), begin(0)];
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.predict("image/jpeg", jpeg(1)).await.status, 200, "who only waits takes no room");
    let slow = begin(70);
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.predict("image/jpeg", vec![0; 40 << 10]).await.assert_problem(503, "busy");
    slow.abort();
    idle.iter().for_each(tokio::task::JoinHandle::abort);
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Of which nothing is said but that they are no image.
    server.predict("image/jpeg", vec![0; 40 << 10]).await.assert_problem(415, "format");
}

#[tokio::test]
async fn slow_clients_keep_no_places_from_quick_ones() {
    let server = Server::new();
    let slow = |_| {
        let slow = post("/v1/predict", "image/jpeg", Body::from_stream(never()));
        tokio::spawn(server.router.clone().oneshot(slow))
    };
    let slow: Vec<_> = (0..200).map(slow).collect();
    tokio::time::sleep(Duration::from_millis(15)).await;
    let waiting = slow.iter().filter(|slow| !slow.is_finished()).count();
    assert!((10..190).contains(&waiting), "places are kept for {waiting}, and others are turned away");
    server.predict("image/jpeg", jpeg(1)).await.assert_problem(503, "busy");
    let begin = Instant::now();
    while server.predict("image/jpeg", jpeg(1)).await.status == 503 {
        assert!(begin.elapsed() < Duration::from_secs(1), "their places are free when they stall");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(slow.iter().any(|slow| !slow.is_finished()), "they are still waited for");
}

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
    let key = Key::new("secret");
    let (all, none) = (vec![Part::Page, Part::Info, Part::Metrics], Vec::new());
    for (open, expected) in [(all, 200), (none, 401)] {
        let server = Server::of(Settings { key: key.clone(), open, ..Settings::default() });
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
    // No key is no try, and neither is the right one.
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
async fn more_than_can_be_answered_in_time_is_turned_away_at_once() {
    let server = Server::with(Limits { patience: Duration::from_millis(15), ..Limits::default() }, None);
    let large = encode_jpeg(&noise(1500, 1500), 95);
    let ask =
        |_| tokio::spawn(server.router.clone().oneshot(post("/v1/predict", "image/jpeg", large.clone())));
    let mut statuses = Vec::new();
    for answer in (0..60).map(ask).collect::<Vec<_>>() {
        let answer = Answer::of(answer.await.expect("no panic").expect("a router cannot fail")).await;
        if answer.status == 503 {
            answer.assert_problem(503, "busy");
            assert!(answer.headers.contains_key("retry-after"));
        }
        statuses.push(answer.status);
    }
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert!(count(200) >= 2 && count(503) >= 20 && count(200) + count(503) == 60, "{statuses:?}");
}

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

/// Of a card with all four kinds, and a threshold that calls everybody positive.
#[tokio::test]
async fn which_probabilities_are_calibrated_is_said() {
    let folder = bundle();
    let path = folder.path().join("model.json");
    let mut card: Card = read_json(&path).expect("written");
    card.calibration[0].calibrator = None;
    card.calibration[1].calibrator = Some(Calibrator::Shift { shift: 0.5 });
    card.calibration[2].support = None;
    card.thresholds[3].warning =
        Some("a specificity of 0.000 on test: nearly every image is called positive".into());
    write_json(&path, &card).expect("writable");
    let server = Server::of_bundle(Settings::default(), folder);

    let answer = server.predict("image/jpeg", jpeg(1)).await.json();
    let found = answer["images"][0]["findings"].as_array().expect("a list");
    for (at, label) in card.labels.iter().enumerate() {
        let expected = ["uncalibrated", "shifted", "unknown"].get(at).unwrap_or(&"calibrated");
        let found = found.iter().find(|found| found["label"] == *label).expect("every finding");
        assert_eq!(found["calibration"], *expected, "{found}");
    }
    let openapi = server.get("/openapi.json").await.json();
    let known = openapi["components"]["schemas"]["Finding"]["properties"]["calibration"]["enum"].to_string();
    assert!(found.iter().all(|found| known.contains(&found["calibration"].to_string())), "{known}");

    let page = server.ask(post("/", BOUNDARY, form(&[("a.jpg", &jpeg(1))]))).await.text;
    for part in [
        "Probabilities of Atelectasis are not calibrated",
        "Probabilities of Cardiomegaly are only right on average",
        "Probabilities of Effusion were fitted by an older version",
        "<small>not calibrated</small>",
        "<small>only shifted</small>",
        "<small>calibration unknown</small>",
        "Infiltration: a specificity of 0.000 on test",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert_eq!(page.matches("<small>").count(), 3);
    let page = Server::new().ask(post("/", BOUNDARY, form(&[("a.jpg", &jpeg(1))]))).await.text;
    assert!(
        page.contains("All probabilities are calibrated on validation images.") && !page.contains("<small>")
    );
    assert!(!page.contains("Calls that say little"), "{page}");
}

#[tokio::test]
async fn the_page_says_of_a_published_model_what_is_known() {
    let folder = bundle();
    let path = folder.path().join("model.json");
    let mut card: Card = read_json(&path).expect("written");
    card.provenance.imported = Some(Imported {
        file: "<nih>.pt".into(),
        checksum: "00".into(),
        part: String::new(),
        preprocessing: "torchxrayvision".into(),
        notes: Vec::new(),
    });
    for threshold in &mut card.thresholds {
        threshold.fitted_on = None;
    }
    write_json(&path, &card).expect("writable");
    let server = Server::of_bundle(Settings::default(), folder);
    let page = server.ask(post("/", BOUNDARY, form(&[("a.jpg", &jpeg(1))]))).await.text;
    for part in [
        "<dt>Published model</dt><dd>&lt;nih&gt;.pt, images prepared as for torchxrayvision",
        "that its authors published with the model (rule “youden”)",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert!(!page.contains("Trained on") && !page.contains("chosen on validation images"), "{page}");
    let answer = server.predict("image/jpeg", jpeg(1)).await.json();
    assert_eq!(answer["model"]["imported"]["file"], "<nih>.pt");
}

#[tokio::test]
async fn the_page_shows_the_findings_and_trusts_no_name() {
    let server = Server::new();
    let form_page = server.get("/").await;
    assert!(form_page.headers["content-type"].to_str().is_ok_and(|kind| kind.starts_with("text/html")));
    let policy = form_page.headers["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(form_page.text.contains("not a diagnosis") && form_page.text.contains("type=\"file\""));

    let body = form(&[("<script>alert(1)</script>.jpg", &jpeg(1))]);
    let answer = server.ask(post("/", BOUNDARY, body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let page = &answer.text;
    assert!(!page.contains("<script>alert") && !page.contains(" style="), "{page}");
    for part in [
        "Pleural Thickening",
        "data:image/png;base64,",
        "chosen on validation images",
        "81.0 %",
        "class=\"mark\"",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    assert_eq!(page.matches("class=\"glow\"").count(), 14);
    let without_pictures: usize =
        page.split('"').filter(|part| !part.starts_with("data:image/png")).map(str::len).sum();
    let files: usize = ["/style.css", "/page.js"].len();
    let mut bytes = without_pictures;
    for file in ["/style.css", "/page.js"] {
        bytes += server.get(file).await.text.len();
    }
    assert!(files == 2 && bytes < 50_000, "{bytes} bytes before images");

    let sample = server.get("/samples/1").await;
    assert!(sample.status == 200 && sample.text.contains("phantom 1"), "{}", sample.text);
    server.get("/samples/9").await.assert_problem(404, "path");

    let refused = server.ask(post("/", BOUNDARY, form(&[("a.gif", b"GIF89a")]))).await;
    assert_eq!(refused.status, 415);
    assert!(
        refused.text.contains("role=\"alert\"") && refused.text.contains("not JPEG or PNG"),
        "{}",
        refused.text
    );
}

#[test]
fn statuses_of_problems_are_statuses() {
    let problem = xray_serve::problem::Problem::busy(3);
    assert_eq!((problem.status(), problem.retry_after), (StatusCode::SERVICE_UNAVAILABLE, Some(3)));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn encoded(encoding: &str, kind: &str, body: Vec<u8>) -> Request<Body> {
    let mut request = post("/v1/predict", kind, body);
    request.headers_mut().insert("content-encoding", encoding.parse().expect("a header"));
    request
}

#[tokio::test]
async fn a_compressed_body_is_undone_within_the_limits() {
    use std::io::Write;
    let server = Server::new();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&jpeg(1)).expect("memory");
    let zlib = zlib.finish().expect("memory");
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    raw.write_all(&jpeg(1)).expect("memory");
    let raw = raw.finish().expect("memory");
    let (once, whole) = (gzip(&jpeg(1)), jpeg(1));
    let (begin, end) = whole.split_at(whole.len() / 2);
    let members = [gzip(begin), gzip(end)].concat();
    for (encoding, body) in [
        ("gzip", once.clone()),
        ("GZIP", once.clone()),
        ("x-gzip", once.clone()),
        ("gzip", members),
        ("deflate", zlib),
        ("deflate", raw),
        ("identity", jpeg(1)),
    ] {
        let answer = server.ask(encoded(encoding, "image/jpeg", body)).await;
        assert_eq!(answer.status, 200, "{encoding}: {}", answer.text);
    }
    let answer =
        server.ask(encoded("gzip", BOUNDARY, gzip(&form(&[("a", &jpeg(1)), ("b", &jpeg(2))])))).await;
    assert_eq!(answer.json()["images"].as_array().map(Vec::len), Some(2), "{}", answer.text);
    for encoding in ["br", "zstd", "gzip, gzip", "compress", "gzip, identity, br"] {
        let refused = server.ask(encoded(encoding, "image/jpeg", once.clone())).await;
        refused.assert_problem(415, "encoding");
        assert_eq!(refused.headers["accept-encoding"], "gzip, deflate");
    }
    server.ask(encoded("gzip", "image/jpeg", jpeg(1))).await.assert_problem(400, "encoding");
    server
        .ask(encoded("gzip", "image/jpeg", once[..once.len() / 2].to_vec()))
        .await
        .assert_problem(400, "encoding");
    // 17 kB that would be 17 MB, and 17 MB in two layers.
    let bomb = gzip(&vec![0; 17 << 20]);
    assert!(bomb.len() < 20_000);
    server.ask(encoded("gzip", "image/jpeg", bomb)).await.assert_problem(413, "large");
}

#[tokio::test]
async fn several_images_are_admitted_together_however_long_they_take() {
    let server = Server::with(Limits { patience: Duration::from_millis(1), ..Limits::default() }, None);
    // Each is estimated at more than a client's patience once the first was seen.
    let large = encode_jpeg(&noise(600, 600), 90);
    for _ in 0..3 {
        let files: Vec<(&str, &[u8])> = (0..8).map(|_| ("a.jpg", large.as_slice())).collect();
        let answer = server.predict(BOUNDARY, form(&files)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["images"].as_array().map(Vec::len), Some(8));
    }
}

#[tokio::test]
async fn who_waits_is_turned_away_in_time_whatever_the_workers_do() {
    let server = Server::with(Limits { patience: Duration::from_millis(100), ..Limits::default() }, None);
    let large = encode_jpeg(&noise(1100, 1100), 90);
    let files: Vec<(&str, &[u8])> = (0..16).map(|_| ("a.jpg", large.as_slice())).collect();
    // Some 100 images, which take both workers longer than a second.
    let batch = || tokio::spawn(server.router.clone().oneshot(post("/v1/predict", BOUNDARY, form(&files))));
    let batches = [batch(), batch(), batch(), batch(), batch(), batch()];
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut waits = Vec::new();
    for _ in 0..5 {
        let begin = Instant::now();
        let status = server.predict("image/jpeg", jpeg(1)).await.status;
        assert!(matches!(status, 200 | 503), "{status}");
        waits.push(begin.elapsed());
    }
    batches.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(waits.iter().all(|wait| *wait < Duration::from_secs(1)), "{waits:?}");
}

#[tokio::test]
async fn an_image_that_costs_too_much_is_refused() {
    let image = encode_jpeg(&noise(1500, 1500), 90);
    let server = Server::with(Limits { memory: 1 << 20, ..Limits::default() }, None);
    server.predict("image/jpeg", image.clone()).await.assert_problem(413, "memory");
    assert_eq!(server.predict("image/jpeg", jpeg(1)).await.status, 200);
    let server = Server::with(Limits { decode: Duration::from_micros(100), ..Limits::default() }, None);
    server.predict("image/jpeg", image).await.assert_problem(422, "effort");
}

/// The page and everything it names, behind a proxy that takes a folder of the path away and behind one that does not.
#[tokio::test]
async fn the_page_works_below_a_folder() {
    let links = |page: &str| -> Vec<String> {
        let parts = ["href=\"", "src=\"", "action=\""].map(|begin| page.split(begin).skip(1));
        let value = |rest: &str| rest.split('"').next().unwrap_or_default().to_owned();
        parts.into_iter().flatten().map(value).filter(|link| !link.starts_with("data:")).collect()
    };
    let server = Server::new();
    for (page, root) in [("/", "./"), ("/samples/1", "./../")] {
        let links = links(&server.get(page).await.text);
        assert!(links.len() > 6 && links.iter().all(|link| link.starts_with(root)), "{page}: {links:?}");
    }
    let base = "/tools/xray".parse().expect("a base path");
    let server = Server::of(Settings { base, ..Settings::default() });
    for page in ["/", "/tools/xray", "/tools/xray/", "/samples/1", "/tools/xray/samples/1"] {
        let answer = server.get(page).await;
        assert_eq!(answer.status, 200, "{page}");
        for link in links(&answer.text) {
            assert!(link.starts_with("/tools/xray/"), "{page}: {link}");
            assert_eq!(server.get(&link).await.status, 200, "{page}: {link}");
            let taken_away = link.strip_prefix("/tools/xray").expect("as above");
            assert_eq!(server.get(taken_away).await.status, 200, "{page}: {taken_away}");
        }
    }
    for path in ["/v1/predict", "/tools/xray/v1/predict"] {
        assert_eq!(server.ask(post(path, "image/jpeg", jpeg(1))).await.status, 200, "{path}");
    }
    for path in ["/", "/tools/xray/", "/tools/xray"] {
        let answer = server.ask(post(path, BOUNDARY, form(&[("a.jpg", &jpeg(1))]))).await;
        assert!(answer.status == 200 && answer.text.contains("a.jpg"), "{path}: {}", answer.text);
    }
    assert_eq!(server.get("/tools/v1/predict").await.status, 404);
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("route=\"/v1/predict\",status=\"200\"} 2"), "{metrics}");
    let closed = Server::of(Settings {
        base: "/tools/xray".parse().expect("a base path"),
        key: Key::new("secret"),
        ..Settings::default()
    });
    for path in ["/tools/xray", "/tools/xray/", "/tools/xray/info", "/tools/xray/samples/1.jpg"] {
        closed.get(path).await.assert_problem(401, "key");
    }
    assert_eq!(closed.get("/tools/xray/health").await.status, 200);
}

#[tokio::test]
async fn the_page_looks_at_one_image() {
    let server = Server::new();
    let answer = server.ask(post("/", BOUNDARY, form(&[("a.jpg", &jpeg(1)), ("b.jpg", &jpeg(2))]))).await;
    assert!(answer.status == 400 && answer.text.contains("the form holds 2"), "{}", answer.text);
}

/// Every status that a source file names is described, and so is how to ask with a key.
#[tokio::test]
async fn the_api_is_described_with_its_security_and_every_status() {
    let api = Server::new().get("/openapi.json").await.json();
    assert_eq!(api["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert_eq!(api["components"]["securitySchemes"]["basic"]["scheme"], "basic");
    assert!(api["security"].as_array().is_some_and(|ways| ways.len() == 3));
    let described = api["paths"]["/v1/predict"]["post"]["responses"].as_object().expect("answers");
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
        let code = known.get(&name).unwrap_or_else(|| panic!("{name} is no status of an error"));
        assert!(described.contains_key(code), "{code} {name} is not described");
    }
}

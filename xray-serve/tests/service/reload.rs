//! A new model and new keys in a running service.

use crate::asking::{Answer, Server, post};
use crate::bundle::{bundle, bundle_of, jpeg};
use axum::body::Body;
use axum::http::Request;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use xray_serve::keys::{KeyFile, Keys};
use xray_serve::settings::{Files, Settings};

fn copy(from: &Path, to: &Path) {
    for name in ["model.safetensors", "model.json"] {
        fs::copy(from.join(name), to.join(name)).expect("writable");
    }
}

fn reload(key: &str) -> Request<Body> {
    let request = Request::post("/admin/reload").header("authorization", format!("Bearer {key}"));
    request.body(Body::empty()).expect("a request")
}

/// A server that reads its folder and its keys again.
fn server() -> (Server, tempfile::TempDir) {
    let (folder, keys) = (bundle(), tempfile::tempdir().expect("a temporary folder"));
    let file = keys.path().join("keys");
    fs::write(&file, "alice = secret\n").expect("writable");
    let file = KeyFile::Named(file);
    let (read, _) = file.read().expect("a key");
    let files = Files { model: Some(folder.path().to_owned()), keys: Some(file) };
    (Server::of_bundle(Settings { files, keys: read, ..Settings::default() }, folder), keys)
}

async fn ask(server: &Server) -> Answer {
    let mut request = post("/v1/predict", "image/jpeg", jpeg(1));
    request.headers_mut().insert("authorization", "Bearer secret".parse().expect("a header"));
    server.ask(request).await
}

async fn metrics(server: &Server) -> String {
    let request = Request::get("/metrics").header("authorization", "Bearer secret");
    server.ask(request.body(Body::empty()).expect("a request")).await.text
}

/// Findings by the hash of the model that is named beside them.
async fn findings(server: &Server) -> (String, String) {
    let answer = ask(server).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let json = answer.json();
    (json["model"]["hash"].as_str().expect("named").to_owned(), json["images"][0]["findings"].to_string())
}

#[tokio::test]
async fn a_new_model_answers_from_its_reload_on() {
    let (server, _keys) = server();
    let other = bundle_of(2);
    let (old, said) = findings(&server).await;
    let answer = server.ask(reload("secret")).await;
    assert_eq!(
        (answer.status, &answer.json()["model"]["hash"]),
        (200, &old.clone().into()),
        "{}",
        answer.text
    );
    copy(other.path(), server.folder.path());
    assert_eq!(findings(&server).await, (old.clone(), said.clone()), "until it is told");
    let answer = server.ask(reload("secret")).await;
    let (new, other_said) = findings(&server).await;
    assert_eq!(answer.json()["model"]["hash"], new);
    assert!(new != old && other_said != said);
    let name = server.folder.path().file_name().expect("a folder").to_string_lossy().into_owned();
    let metrics = metrics(&server).await;
    let line = format!("xray_model_info{{name=\"{name}\",hash=\"{new}\"}} 1");
    assert!(metrics.contains(&line) && !metrics.contains(&old), "no {line} in {metrics}");
    let mut info = Request::get("/info").body(Body::empty()).expect("a request");
    info.headers_mut().insert("authorization", "Bearer secret".parse().expect("a header"));
    let (info, asked) = (server.ask(info).await.json(), ask(&server).await.json());
    for named in [&answer.json()["model"], &info, &asked["model"]] {
        assert_eq!((named["name"].as_str(), named["hash"].as_str()), (Some(&*name), Some(&*new)), "{named}");
    }
    assert!(metrics.contains("xray_reloads_total{outcome=\"ok\"} 2"), "{metrics}");
}

#[tokio::test]
async fn a_bad_model_changes_nothing_and_says_why() {
    let (server, _keys) = server();
    let before = findings(&server).await;
    let other = bundle_of(2);
    let path = |name: &str| server.folder.path().join(name);
    let weights = fs::read(path("model.safetensors")).expect("written");
    let refused = async |expected: &str| {
        let answer = server.ask(reload("secret")).await;
        answer.assert_problem(500, "bundle");
        assert!(answer.text.contains(expected), "{}", answer.text);
        assert_eq!(findings(&server).await, before);
    };
    fs::copy(other.path().join("model.safetensors"), path("model.safetensors")).expect("writable");
    refused("does not hold the weights of its card").await;
    fs::write(path("model.safetensors"), &weights[..weights.len() / 2]).expect("writable");
    refused("model.safetensors").await;
    fs::write(path("model.json"), "{").expect("writable");
    refused("model.json").await;
    fs::remove_file(path("model.json")).expect("there");
    refused("model.json").await;
    let metrics = metrics(&server).await;
    assert!(metrics.contains("xray_reloads_total{outcome=\"failed\"} 4"), "{metrics}");
    assert!(metrics.contains(&format!("hash=\"{}\"}} 1", before.0)), "{metrics}");
}

#[tokio::test]
async fn new_keys_open_from_their_reload_on_and_broken_ones_never() {
    let (server, keys) = server();
    let file = keys.path().join("keys");
    fs::write(&file, "alice = secret\nalice = again\n").expect("writable");
    let answer = server.ask(reload("secret")).await;
    answer.assert_problem(500, "keys");
    assert!(answer.text.contains("line 2: the name alice appears twice"), "{}", answer.text);
    assert_eq!(ask(&server).await.status, 200, "the old keys open");
    fs::write(&file, "bob = other\n").expect("writable");
    assert_eq!(server.ask(reload("other")).await.status, 401);
    assert_eq!(server.ask(reload("secret")).await.status, 200);
    assert_eq!(ask(&server).await.status, 401, "a key that was taken away");
    assert_eq!(server.ask(reload("other")).await.status, 200);
}

/// A key that was taken away does not open because a model is broken.
#[tokio::test]
async fn new_keys_open_though_the_new_model_is_broken() {
    let (server, keys) = server();
    fs::write(keys.path().join("keys"), "bob = other\n").expect("writable");
    fs::write(server.folder.path().join("model.json"), "{").expect("writable");
    server.ask(reload("secret")).await.assert_problem(500, "bundle");
    assert_eq!(ask(&server).await.status, 401);
    server.ask(reload("other")).await.assert_problem(500, "bundle");
}

#[tokio::test]
async fn without_keys_nobody_reloads_by_a_request() {
    let folder = bundle();
    let files = Files { model: Some(folder.path().to_owned()), keys: None };
    let server = Server::of_bundle(Settings { files, ..Settings::default() }, folder);
    server.ask(reload("secret")).await.assert_problem(403, "keyless");
    let server = Server::of(Settings { keys: Keys::one("secret"), ..Settings::default() });
    server.ask(reload("secret")).await.assert_problem(409, "bundle");
    server.ask(reload("wrong")).await.assert_problem(401, "key");
}

/// Twenty reloads between two models while four clients ask without a pause, and reloads that come at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_or_mixed_up_by_reloads() {
    let (server, _keys) = server();
    let (one, two) = (bundle(), bundle_of(2));
    let first = findings(&server).await;
    copy(two.path(), server.folder.path());
    assert_eq!(server.ask(reload("secret")).await.status, 200);
    let known = [first, findings(&server).await];
    let over = AtomicBool::new(false);
    let client = async || {
        let mut seen = [0; 2];
        while !over.load(Ordering::Relaxed) {
            let found = findings(&server).await;
            let which = known
                .iter()
                .position(|known| *known == found)
                .expect("findings are those of the named model");
            seen[which] += 1;
        }
        seen
    };
    let reloads = async || {
        for turn in 0..20 {
            let next = if turn % 2 == 0 { &one } else { &two };
            copy(next.path(), server.folder.path());
            let both = tokio::join!(server.ask(reload("secret")), server.ask(reload("secret")));
            for answer in [both.0, both.1] {
                assert_eq!(
                    (answer.status, &answer.json()["model"]["hash"]),
                    (200, &known[turn % 2].0.clone().into())
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let (a, b, c, d, ()) = tokio::join!(client(), client(), client(), client(), reloads());
    let seen = [a, b, c, d].into_iter().fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
    assert!(seen.iter().all(|seen| *seen > 10), "both models were asked: {seen:?}");
}

//! More than can be done in time.

use crate::asking::{Answer, BOUNDARY, Server, form, never, post};
use crate::bundle::{jpeg, noise};
use axum::body::Body;
use std::time::{Duration, Instant};
use tower::ServiceExt;
use xray_image::encode_jpeg;
use xray_serve::limits::Limits;

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
    // Of which nothing is said but that they are not an image.
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
async fn more_than_can_be_answered_in_time_is_turned_away_at_once() {
    // Long enough for a worker to wake on a loaded machine, and far less than 60 images take.
    let server = Server::with(Limits { patience: Duration::from_millis(100), ..Limits::default() }, None);
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
async fn several_images_are_admitted_together_however_long_they_take() {
    let server = Server::with(Limits { patience: Duration::from_millis(100), ..Limits::default() }, None);
    // Together they are estimated at more than a client's patience, by the first guess and by what was measured. It is
    // long enough for a worker to wake on a loaded machine.
    let large = encode_jpeg(&noise(900, 900), 90);
    for _ in 0..2 {
        let files: Vec<(&str, &[u8])> = (0..16).map(|_| ("a.jpg", large.as_slice())).collect();
        let answer = server.predict(BOUNDARY, form(&files)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["images"].as_array().map(Vec::len), Some(16));
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

//! Bodies: of every kind, too large, compressed, cut off, or never there.

use crate::asking::{BOUNDARY, Server, form, never, post};
use crate::bundle::{jpeg, noise};
use axum::body::Body;
use axum::http::Request;
use std::time::Duration;
use xray_image::{GrayImage, encode_jpeg, encode_png};
use xray_serve::limits::Limits;

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

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits { upload: Duration::from_millis(50), ..Limits::default() };
    let server = Server::with(limits, None);
    server.predict("image/jpeg", Body::from_stream(never())).await.assert_problem(408, "slow");
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
async fn an_image_that_costs_too_much_is_refused() {
    let image = encode_jpeg(&noise(1500, 1500), 90);
    let server = Server::with(Limits { memory: 1 << 20, ..Limits::default() }, None);
    server.predict("image/jpeg", image.clone()).await.assert_problem(413, "memory");
    assert_eq!(server.predict("image/jpeg", jpeg(1)).await.status, 200);
    let server = Server::with(Limits { decode: Duration::from_micros(100), ..Limits::default() }, None);
    server.predict("image/jpeg", image).await.assert_problem(422, "effort");
}

/// Names that programs have for images; the bytes say which it is.
#[tokio::test]
async fn an_image_is_known_by_its_bytes_whatever_its_type_is_called() {
    let server = Server::new();
    for kind in
        ["image/pjpeg", "image/jpg", "image/x-png", "image/dicom", "application/dicom", "binary/octet-stream"]
    {
        assert_eq!(server.predict(kind, jpeg(1)).await.status, 200, "{kind}");
    }
    server.predict("image/gif", "GIF89a").await.assert_problem(415, "format");
    for kind in ["application/pdf", "application/x-www-form-urlencoded", "text/plain; charset=utf-8"] {
        let refused = server.predict(kind, jpeg(1)).await;
        refused.assert_problem(415, "type");
        assert!(refused.text.contains("Content-Type: image/jpeg"), "{}", refused.text);
    }
}

#[tokio::test]
async fn an_image_as_text_in_json_is_the_same_image() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let server = Server::new();
    let json = |image: &[u8]| serde_json::json!({ "image": STANDARD.encode(image) }).to_string();
    let findings = |said: &crate::asking::Answer| said.json()["images"][0]["findings"].clone();
    let (plain, text) = (
        server.predict("image/jpeg", jpeg(1)).await,
        server.predict("application/json", json(&jpeg(1))).await,
    );
    assert_eq!(text.status, 200, "{}", text.text);
    assert_eq!(findings(&text), findings(&plain));
    let zipped =
        server.ask(encoded("gzip", "application/json; charset=utf-8", gzip(json(&jpeg(1)).as_bytes()))).await;
    assert_eq!(findings(&zipped), findings(&plain), "{}", zipped.text);
    server.predict("application/json", json(b"")).await.assert_problem(400, "empty");
    server.predict("application/json", json(b"GIF89a")).await.assert_problem(415, "format");
    server.predict("application/json", "{}").await.assert_problem(400, "json");
    // The body of 3 kB holds an image of more than the room for 4 kB has left.
    let small = Server::with(Limits { bodies: 4 << 10, body: 4 << 10, ..Limits::default() }, None);
    small.predict("application/json", json(&[7; 2300])).await.assert_problem(503, "busy");
}

//! Files and forms that were damaged at random: each gets findings or a sentence, and no thread dies of one. More cases:
//! `PROPTEST_CASES=100000 cargo nextest run --release --workspace -E 'binary(fuzz)'`.

mod bundle;

use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bundle::{bundle, jpeg, noise};
use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;
use tower::ServiceExt;
use xray_image::{encode_png, encode_png_rgb, encode_png_rgba};
use xray_serve::model::Model;
use xray_serve::service::{Service, router};
use xray_serve::settings::Settings;

/// One damage.
#[derive(Clone, Debug)]
enum Damage {
    Cut(prop::sample::Index),
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Repeat(prop::sample::Index, prop::sample::Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Damage> {
        let index = any::<prop::sample::Index>;
        prop_oneof![
            index().prop_map(Damage::Cut),
            (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
            (index(), prop::collection::vec(any::<u8>(), 1..40))
                .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
            (index(), index()).prop_map(|(from, to)| Damage::Repeat(from, to)),
        ]
    }

    fn to(&self, file: &mut Vec<u8>) {
        if file.is_empty() {
            return;
        }
        match self {
            Damage::Cut(at) => file.truncate(at.index(file.len())),
            Damage::Set(at, byte) => {
                let at = at.index(file.len());
                file[at] = *byte;
            }
            Damage::Insert(at, bytes) => {
                let at = at.index(file.len());
                file.splice(at..at, bytes.iter().copied());
            }
            Damage::Repeat(from, to) => {
                let (from, to) = (from.index(file.len()), to.index(file.len()));
                let piece = file[from.min(to)..from.max(to).min(from.min(to) + 400)].to_vec();
                file.splice(to..to, piece);
            }
        }
    }
}

fn files() -> [Vec<u8>; 6] {
    let pixels = noise(60, 40).pixels;
    [
        jpeg(1),
        include_bytes!("../../xray-image/tests/golden/jpeg/colour-420.jpg").to_vec(),
        encode_png(&noise(60, 40)),
        encode_png_rgb(20, 40, &pixels),
        encode_png_rgba(15, 40, &pixels),
        include_bytes!("../../xray-image/tests/golden/dicom/gray-12-bit.dcm").to_vec(),
    ]
}

fn form(file: &[u8]) -> Vec<u8> {
    let head = "--XX\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b.jpg\"\r\n\r\n";
    [head.as_bytes(), file, b"\r\n--XX--\r\n"].concat()
}

fn json(file: &[u8]) -> Vec<u8> {
    serde_json::json!({ "image": STANDARD.encode(file) }).to_string().into_bytes()
}

/// How a file is sent.
type Way = (&'static str, fn(&[u8]) -> Vec<u8>);

const WAYS: [Way; 3] = [
    ("application/octet-stream", |file| file.to_vec()),
    ("multipart/form-data; boundary=XX", form),
    ("application/json", json),
];

#[test]
fn whatever_is_sent_is_answered_with_findings_or_a_sentence() {
    let folder = bundle();
    let service = Arc::new(Service::new(Settings::default()));
    service.load(Model::open(folder.path()).expect("written"), 2).expect("threads");
    let router = router(service);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let files = files();
    let asked_for = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { asked_for.cases } else { 600 };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..asked_for });
    let damages = prop::collection::vec(Damage::any(), 0..4);
    let which = (0..files.len(), 0..WAYS.len(), any::<bool>(), damages);
    let asked = runner.run(&which, |(number, way, as_page, damages)| {
        let (kind, write) = WAYS[way];
        let mut body = write(&files[number]);
        damages.iter().for_each(|damage| damage.to(&mut body));
        let path = if as_page { "/" } else { "/v1/predict" };
        let request =
            Request::post(path).header("content-type", kind).body(Body::from(body)).expect("a request");
        let (status, text) = runtime.block_on(async {
            let answer = router.clone().oneshot(request).await.expect("a router cannot fail");
            let status = answer.status().as_u16();
            (status, answer.into_body().collect().await.expect("a body").to_bytes())
        });
        prop_assert!(
            matches!(status, 200 | 400 | 413 | 415 | 422),
            "{status}: {}",
            String::from_utf8_lossy(&text)
        );
        let text = String::from_utf8_lossy(&text);
        let said = if status == 200 { "indings" } else { "message" };
        prop_assert!(as_page || text.contains(said), "{text}");
        Ok(())
    });
    asked.expect("every answer is one of those");
}

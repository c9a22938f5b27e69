//! What is said of images is what their bundle says.

use crate::asking::{BOUNDARY, Server, form, post};
use crate::bundle::{bundle, jpeg, noise};
use serde_json::Value;
use xray_artifacts::{Member, read_json, write_json};
use xray_bundle::{Bundle, Card, prefix};
use xray_image::{Budget, encode_png};
use xray_metrics::Calibrator;
use xray_model::{Learner, LearnerConfig, StateDict};
use xray_serve::settings::Settings;

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

/// Three networks of one architecture, each calibrated in its own way.
#[tokio::test]
async fn an_ensemble_answers_with_the_mean_of_its_members() {
    let folder = bundle();
    let path = |name: &str| folder.path().join(name);
    let card: Card = read_json(&path("model.json")).expect("written");
    let weights = |seed: u64| {
        let config = LearnerConfig { model: card.model.clone(), ..LearnerConfig::new(14) };
        Learner::new(&config, seed).expect("a CPU").weights().expect("a CPU")
    };
    let platt = |scale: f64, shift: f64| {
        let mut calibration = card.calibration.clone();
        calibration.iter_mut().for_each(|of| of.calibrator = Some(Calibrator::Platt { scale, shift }));
        calibration
    };
    let calibrations = [card.calibration.clone(), platt(0.7, -1.3), platt(1.4, 0.9)];
    let mut all = StateDict::default();
    (0..3).for_each(|at| all.extend_prefixed(&prefix(at), weights(at as u64 + 1)));
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
        members: (0..3).map(member).collect(),
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
    let alone: Vec<_> = (0..3).map(alone).collect();
    let json = answer.json();
    let findings = json["images"][0]["findings"].as_array().expect("a list");
    assert_eq!(findings.len(), 14);
    for found in findings {
        let at = card.labels.iter().position(|label| found["label"] == *label).expect("a label");
        let [first, second, third] = [0, 1, 2].map(|member: usize| alone[member][at].probability);
        let mean = (first + second + third) / 3.0;
        assert_eq!(found["probability"].as_f64(), Some(mean), "{found}");
        assert!(first != second && second != third && third != first, "{found}");
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
    assert!(page.text.contains("the mean of 3 networks (small-cnn)"), "{}", page.text);
}

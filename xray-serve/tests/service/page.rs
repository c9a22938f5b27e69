//! The page.

use crate::asking::{BOUNDARY, Server, form, post};
use crate::bundle::{bundle, jpeg};
use axum::body::Body;
use axum::http::Request;
use xray_artifacts::{Imported, Split, read_json, write_json};
use xray_bundle::Card;
use xray_metrics::{Calibrator, Scores, evaluate};
use xray_serve::keys::Keys;
use xray_serve::settings::{BasePath, Settings};

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
    for none in ["/samples/9", "/samples/%ff.jpg", "/samples/%00", "/samples/..%2f..%2finfo"] {
        server.get(none).await.assert_problem(404, "path");
    }

    let refused = server.ask(post("/", BOUNDARY, form(&[("a.gif", b"GIF89a")]))).await;
    assert_eq!(refused.status, 415);
    assert!(
        refused.text.contains("role=\"alert\"") && refused.text.contains("not JPEG or PNG"),
        "{}",
        refused.text
    );
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

/// Cards of older versions have no interval.
#[tokio::test]
async fn the_page_says_how_sure_the_macro_auc_is() {
    let page_with = async |with_interval: bool| {
        let folder = bundle();
        let path = folder.path().join("model.json");
        let mut card: Card = read_json(&path).expect("written");
        let labels = card.labels.len();
        let truth: Vec<f32> = (0..40 * labels).map(|at| (at / labels % 2) as f32).collect();
        let logits: Vec<f64> =
            (0..truth.len()).map(|at| f64::from(truth[at]) + (at * 7919 % 97) as f64 / 40.0).collect();
        let scores = Scores::new(&logits, &truth, labels).expect("scores");
        let mut scores = evaluate(&card.labels, scores, &vec![0.5; labels], None).expect("figures");
        let [low, high] = scores.macro_auc_interval.expect("40 records");
        let macro_auc = scores.macro_auc.expect("a number");
        let [of_low, of_high] = scores.labels[0].auc_interval.expect("40 records");
        let expected = [
            format!("<dd>{macro_auc:.3} (95 % interval {low:.3}–{high:.3}) on 40 images;"),
            format!("<td class=\"number\">{of_low:.3}–{of_high:.3}</td>"),
        ];
        if !with_interval {
            scores.macro_auc_interval = None;
            scores.intervals = None;
            scores.labels.iter_mut().for_each(|label| label.auc_interval = None);
        }
        card.scores.insert(Split::Test, scores);
        write_json(&path, &card).expect("writable");
        (Server::of_bundle(Settings::default(), folder).get("/").await.text, expected)
    };
    let (page, expected) = page_with(true).await;
    for part in expected {
        assert!(page.contains(&part), "no {part} in {page}");
    }
    assert_eq!(page.matches("95 % interval").count(), 2, "also of each finding: {page}");
    let (page, _) = page_with(false).await;
    assert!(page.contains(" on 40 images;") && !page.contains("interval"), "{page}");
}

#[tokio::test]
async fn the_page_looks_at_one_image() {
    let server = Server::new();
    let answer = server.ask(post("/", BOUNDARY, form(&[("a.jpg", &jpeg(1)), ("b.jpg", &jpeg(2))]))).await;
    assert!(answer.status == 400 && answer.text.contains("the form holds 2"), "{}", answer.text);
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
        keys: Keys::one("secret"),
        ..Settings::default()
    });
    for path in ["/tools/xray", "/tools/xray/", "/tools/xray/info", "/tools/xray/samples/1.jpg"] {
        closed.get(path).await.assert_problem(401, "key");
    }
    assert_eq!(closed.get("/tools/xray/health").await.status, 200);
}

/// A front door that knows the folder, such as a stage of API Gateway, says so beside the request.
#[tokio::test]
async fn a_request_may_say_below_which_folder_its_page_lies() {
    let server = Server::new();
    for (path, is_named) in [("/", false), ("/", true), ("/samples/1", true)] {
        let mut request = Request::get(path).body(Body::empty()).expect("a request");
        if is_named {
            request.extensions_mut().insert("/prod".parse::<BasePath>().expect("a folder"));
        }
        let page = server.ask(request).await.text;
        assert_eq!(page.contains("action=\"/prod/\"") && page.contains("href=\"/prod/style.css\""), is_named);
    }
}

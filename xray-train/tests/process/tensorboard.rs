//! Event files as others read them: by messages that prost derives, and by TensorBoard itself, where a Python that has it
//! is named by `XRAY_PYTHON`.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use crate::workplace::{Workplace, assert_exit, stderr};
use prost::Message;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use xray_artifacts::Exit;
use xray_data::RecordFile;

/// `tensorflow.Event` of TensorBoard's `event.proto`.
#[derive(Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

fn events(run: &Path) -> Vec<Event> {
    let path = run.join("events.out.tfevents.run");
    let file = RecordFile::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.iter().map(|record| Event::decode(record.expect("whole").payload).expect("an event")).collect()
}

const SPEED: &str = "train/images_per_second";

/// Tags, steps and values in the order of the file, without speeds, which differ between runs. No tag has a step twice, every
/// line of `metrics.jsonl` has its record, and times never run back.
pub(crate) fn scalars(run: &Path) -> Vec<(String, i64, f32)> {
    let (found, speeds) = scalars_and_speeds(run);
    assert_eq!(speeds, lines(run).iter().filter(|line| line["event"] == "step").count(), "{}", run.display());
    found
}

/// The same, and how many speeds there are.
fn scalars_and_speeds(run: &Path) -> (Vec<(String, i64, f32)>, usize) {
    let events = events(run);
    let versions: Vec<_> = events.iter().filter_map(|event| event.file_version.as_deref()).collect();
    assert_eq!(versions, ["brain.Event:2"]);
    assert!(events.is_sorted_by_key(|event| event.wall_time) && events[0].wall_time > 1e9);
    let (mut found, mut speeds, mut seen, mut settings) = (Vec::new(), 0, BTreeSet::new(), Vec::new());
    for event in &events {
        for SummaryValue { tag, simple_value } in event.summary.iter().flat_map(|summary| &summary.value) {
            let is_new = seen.insert((tag.clone(), event.step));
            assert!(is_new, "{}: {tag} has step {} twice", run.display(), event.step);
            match simple_value {
                None => settings.push(tag.clone()),
                Some(speed) if tag == SPEED => {
                    assert!(*speed > 0.0 && speed.is_finite(), "{speed}");
                    speeds += 1;
                }
                Some(value) => found.push((tag.clone(), event.step, *value)),
            }
        }
    }
    let expected = ["_hparams_/session_start_info", "_hparams_/session_end_info"];
    assert_eq!(settings, expected, "{}", run.display());
    let of = |tag: &str| found.iter().filter(|(known, ..)| known == tag).count();
    let of_lines = |event: &str| lines(run).iter().filter(|line| line["event"] == event).count();
    assert_eq!((of("train/loss"), of("validation/loss")), (of_lines("step"), of_lines("evaluation")));
    (found, speeds)
}

fn lines(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).expect("written");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn the_events_of_a_run_are_its_metrics() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("run", &[]), Exit::Ok);
    let run = workplace.path("run");
    let mut expected = Vec::new();
    for line in lines(&run) {
        let step = line["step"].as_i64().expect("a step");
        let mut add = |tag: &str, value: &Value| {
            expected.extend(value.as_f64().map(|value| (tag.to_owned(), step, value as f32)));
        };
        if line["event"] == "evaluation" {
            add("validation/loss", &line["macro_log_loss"]);
            add("validation/auc", &line["macro_auc"]);
            for (label, auc) in line["auc"].as_object().expect("labels") {
                add(&format!("validation/auc/{label}"), auc);
            }
        } else {
            for name in ["loss", "learning_rate", "gradient_norm"] {
                add(&format!("train/{name}"), &line[name]);
            }
        }
    }
    assert!(expected.len() > 12 * 3 + 3 * 5, "{expected:?}");
    assert_eq!(scalars(&run), expected);
}

#[test]
fn a_run_without_events_gets_them_when_it_goes_on_with_them() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("whole", &[]), Exit::Ok);
    let part = ["--set", "training.tensorboard=false", "--checkpoint-exit-every", "1ms"];
    assert_exit(&workplace.run("run", &part), Exit::Checkpointed);
    assert!(!workplace.path("run/events.out.tfevents.run").exists());
    let output = workplace.run("run", &[]);
    assert_exit(&output, Exit::Ok);
    assert!(stderr(&output).contains("lines of metrics.jsonl had no whole record"), "{}", stderr(&output));
    let (found, speeds) = scalars_and_speeds(&workplace.path("run"));
    assert_eq!(found, scalars(&workplace.path("whole")));
    assert_eq!(speeds, 11, "nobody knows how fast the first step was");
}

#[test]
fn a_run_that_diverges_says_so_once_however_often_it_is_tried() {
    let workplace = Workplace::new();
    for _ in 0..2 {
        assert_exit(&workplace.run("run", &["--learning-rate", "1e30"]), Exit::Diverged);
        let ends = events(&workplace.path("run"))
            .iter()
            .filter(|event| {
                event
                    .summary
                    .iter()
                    .flat_map(|summary| &summary.value)
                    .any(|value| value.tag.ends_with("session_end_info"))
            })
            .count();
        assert_eq!(ends, 1);
    }
}

/// What TensorBoard makes of a folder of runs, or why it is not asked.
fn tensorboard(folder: &Path) -> Option<Value> {
    let Some(python) = std::env::var_os("XRAY_PYTHON") else {
        eprintln!("skipped: XRAY_PYTHON names no Python with TensorBoard");
        return None;
    };
    if !Command::new(&python)
        .args(["-c", "import tensorboard"])
        .output()
        .expect("XRAY_PYTHON runs")
        .status
        .success()
    {
        eprintln!("skipped: the Python that XRAY_PYTHON names has no tensorboard");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/read_events.py");
    let output = Command::new(python).arg(script).arg(folder).output().expect("XRAY_PYTHON runs");
    assert!(output.status.success(), "{}", stderr(&output));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn tensorboard_shows_the_curves_and_settings_of_runs_and_of_one_that_was_stopped() {
    let workplace = Workplace::new();
    let folder = workplace.path("runs");
    assert_exit(&workplace.run("runs/whole", &["--fraction", "0.5"]), Exit::Ok);
    let stop = ["--fraction", "0.5", "--checkpoint-exit-every", "1ms"];
    for _ in 0..2 {
        assert_exit(&workplace.run("runs/parts", &stop), Exit::Checkpointed);
    }
    let Some(found) = tensorboard(&folder) else { return };
    assert_eq!(found["parts"]["status"], Value::Null, "it goes on");
    assert_exit(&workplace.run("runs/parts", &["--fraction", "0.5"]), Exit::Ok);
    let found = tensorboard(&folder).expect("it was there before");
    for run in ["whole", "parts"] {
        let found = &found[run];
        let expected = scalars(&folder.join(run));
        let tags: BTreeSet<&str> = expected.iter().map(|(tag, ..)| tag.as_str()).chain([SPEED]).collect();
        assert_eq!(
            found["scalars"].as_object().expect("tags").keys().map(String::as_str).collect::<BTreeSet<_>>(),
            tags
        );
        for tag in tags.iter().filter(|tag| **tag != SPEED) {
            let of_tag = expected.iter().filter(|(known, ..)| known == tag);
            let points: Vec<_> =
                of_tag.map(|(_, step, value)| serde_json::json!([step, f64::from(*value)])).collect();
            assert_eq!(found["scalars"][tag], Value::Array(points), "{run}: {tag}");
        }
        let settings = &found["settings"];
        assert_eq!(
            (&settings["data.fraction"], &settings["model.architecture"]),
            (&0.5.into(), &"small-cnn".into())
        );
        assert_eq!(
            (&settings["data.augment"], &settings["training.batch_size"]),
            (&true.into(), &16.0.into())
        );
        assert_eq!(settings["optimizer.beta2"], 0.999, "as the settings file has it");
        assert_eq!(
            (&settings["threads"], &settings["data.dir"]),
            (&Value::Null, &Value::Null),
            "they decide nothing"
        );
        assert_eq!(found["status"], "STATUS_SUCCESS");
    }
}

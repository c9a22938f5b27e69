use super::*;
use serde_json::json;
use std::fs;
use xray_artifacts::Seconds;

fn step(step: u64) -> String {
    json!({"event": "step", "step": step, "loss": 0.7 / step as f64, "learning_rate": 1e-3, "gradient_norm": null}).to_string()
}

fn evaluation(step: u64) -> String {
    json!({"event": "evaluation", "step": step, "split": "val", "macro_auc": 0.5, "auc": {"Hernia": null, "Mass": 0.25}}).to_string()
}

struct Place {
    _folder: tempfile::TempDir,
    dir: RunDir,
}

impl Place {
    fn new(lines: &[String]) -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = RunDir::open(&folder.path().join("run")).expect("a writable folder");
        let place = Place { _folder: folder, dir };
        place.measured(lines);
        place
    }

    /// That this is in `metrics.jsonl`.
    fn measured(&self, lines: &[String]) {
        fs::write(self.dir.metrics(), lines.iter().map(|line| format!("{line}\n")).collect::<String>())
            .expect("writable");
    }

    fn open(&self) -> EventFile {
        EventFile::open(&self.dir, &RunConfig::default(), &Progress::default()).expect("writable")
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.dir.events()).expect("written")
    }

    /// Every record without its time; the settings' by their tag.
    fn records(&self) -> Vec<Vec<u8>> {
        let file = RecordFile::open(&self.dir.events()).expect("a file");
        let records = file.iter().map(|record| event::timeless(record.expect("whole").payload).to_vec());
        records.enumerate().map(|(at, record)| if at == 1 { b"settings".to_vec() } else { record }).collect()
    }
}

fn report(step: u64) -> StepReport {
    let seconds = Seconds { forward: step as f64, ..Seconds::default() };
    StepReport { step, epoch: 0.5, loss: 0.25, learning_rate: 1e-3, gradient_norm: 2.0, images: 8, seconds }
}

#[test]
fn a_file_says_what_the_lines_say() {
    let place = Place::new(&[step(1), evaluation(1), step(2)]);
    assert!(place.open().note().expect("they are new").contains("3 lines of metrics.jsonl"));
    let value = |tag: &str, value: f32| (tag.to_owned(), value);
    let train = |loss| [value("train/loss", loss), value("train/learning_rate", 1e-3)];
    let expected = [
        event::version(0.0),
        b"123456789settings".to_vec(),
        event::scalars(0.0, 1, &train(0.7)),
        event::scalars(0.0, 1, &[value("validation/auc", 0.5), value("validation/auc/Mass", 0.25)]),
        event::scalars(0.0, 2, &train(0.35)),
    ];
    assert_eq!(place.records(), expected.each_ref().map(|event| event::timeless(event).to_vec()));
    assert_eq!(place.open().note(), None);
}

/// Whoever had read further than the cut finds the rest where it was.
#[test]
fn what_comes_again_comes_to_the_same_place() {
    let place = Place::new(&[]);
    let mut events = place.open();
    let observe = |events: &mut EventFile, steps: std::ops::RangeInclusive<u64>| {
        for step in steps {
            events.observe(&Event::Step(report(step * 10))).expect("writable");
        }
    };
    observe(&mut events, 1..=4);
    let (before, records) = (place.bytes(), place.records());
    assert_eq!(records.len(), 2 + 4 * 2, "a step and a speed for each line");
    let line = |step| serde_json::to_string(&Line::of(&Event::Step(report(step)), 10)).expect("a line");
    place.measured(&[line(10), line(20)]);
    let mut events = place.open();
    assert!(before.starts_with(&place.bytes()) && events.note().is_none());
    assert_eq!(place.records(), records[..6]);
    events.since.1 = 20.0;
    observe(&mut events, 3..=4);
    assert_eq!((place.bytes().len(), place.records()), (before.len(), records));
}

#[test]
fn wherever_a_file_was_cut_or_changed_it_is_whole_again() {
    let place = Place::new(&[step(1), step(2), evaluation(2)]);
    drop(place.open());
    let (whole, records) = (place.bytes(), place.records());
    for end in 0..whole.len() {
        fs::write(place.dir.events(), &whole[..end]).expect("writable");
        drop(place.open());
        assert_eq!(place.records(), records, "cut to {end}");
        let mut changed = whole.clone();
        changed[end] ^= 1;
        fs::write(place.dir.events(), &changed).expect("writable");
        drop(place.open());
        assert_eq!(place.records(), records, "byte {end} changed");
    }
}

#[test]
fn only_an_end_for_good_is_an_end_and_going_on_takes_it_back() {
    let place = Place::new(&[step(1)]);
    drop(place.open());
    let open = place.bytes();
    for state in [State::Interrupted, State::Failed] {
        conclude(&place.dir, state).expect("writable");
        assert_eq!(place.bytes(), open, "{state:?}");
    }
    for state in [State::Finished, State::Diverged] {
        conclude(&place.dir, state).expect("writable");
        assert_eq!(place.records().len(), 4, "{state:?}");
        drop(place.open());
        assert_eq!(place.bytes(), open, "{state:?}");
    }
}

//! One bit of one file is turned over, and a program that reads the file is run: it must name the file, or do exactly what
//! it would have done.

use crate::kinds::fits;
use crate::lab::{Lab, PLAN, PREDICT, TRAIN};
use crate::outcome::{Outcome, files, outcome, printed};
use crate::starve::cell;
use crate::step::Step;
use crate::verdict::{Fault, Good, Verdict, What};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;
use xray_random::Random;
use xray_workspace::in_parallel;
use xray_workspace::watch::{Ending, last_words};

/// A program that reads files of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reader {
    Train,
    TrainCached,
    TrainOnFolder,
    TrainFromWeights,
    Check,
    Stats,
    BuildFrom,
    Evaluate,
    Calibrate,
    Export,
    Explain,
    OutOfFold,
    Predict,
    Serve,
    ServeExport,
    PlanMore,
    RunSweep,
    Status,
    Collect,
    Report,
}

impl Reader {
    fn step(self) -> Step {
        let image = "LAB/images/0.png --format json";
        Step::new(&match self {
            Reader::Train => TRAIN.to_owned(),
            Reader::TrainCached => format!("{TRAIN} --cache disk"),
            Reader::TrainOnFolder => format!("{TRAIN} --data FOLDER/shards"),
            Reader::TrainFromWeights => {
                format!("{TRAIN} --init FOLDER/run/model/model.safetensors --run FOLDER/new")
            }
            Reader::Check => "xray-data check FOLDER/shards --threads 1".to_owned(),
            Reader::Stats => "xray-data stats FOLDER/shards --threads 1 --format json".to_owned(),
            Reader::BuildFrom => {
                "xray-data build --tfrecord FOLDER/shards --threads 1 --out FOLDER/again".to_owned()
            }
            Reader::Evaluate => "xray-eval run FOLDER/run --format json".to_owned(),
            Reader::Calibrate => "xray-eval calibrate FOLDER/run".to_owned(),
            Reader::Export => {
                "xray-eval export FOLDER/run --dtype f16 --max-auc-drop 1 --out FOLDER/new".to_owned()
            }
            Reader::Explain => {
                "xray-eval explain FOLDER/run --test-records 1 --label Effusion --out FOLDER/new --format json".to_owned()
            }
            Reader::OutOfFold => {
                "xray-eval out-of-fold FOLDER/fold-0 FOLDER/fold-1 --out FOLDER/out-of-fold.safetensors --format json"
                    .to_owned()
            }
            Reader::Predict => PREDICT.to_owned(),
            Reader::Serve => format!("xray-serve check FOLDER/run/model {image}"),
            Reader::ServeExport => format!("xray-serve check FOLDER/run/export/safetensors-f16 {image}"),
            Reader::PlanMore => format!("{PLAN} --axis loss.name=bce,focal"),
            Reader::RunSweep => "xray-sweep run FOLDER/sweep --launcher local -j 1".to_owned(),
            Reader::Status => "xray-sweep status FOLDER/sweep".to_owned(),
            Reader::Collect => "xray-sweep collect FOLDER/sweep".to_owned(),
            Reader::Report => "xray-sweep report FOLDER/sweep".to_owned(),
        })
    }

    fn name(self) -> String {
        let step = self.step();
        let place = Path::new("");
        let words = step.arguments(place, place);
        let verb = words.first().filter(|word| !word.starts_with('-')).cloned().unwrap_or_default();
        format!("{} {verb}", step.program()).trim_end().to_owned()
    }

    /// Whether what is printed counts; of a training it is times.
    fn prints(self) -> bool {
        use Reader::{Check, Evaluate, Explain, OutOfFold, Serve, ServeExport, Stats, Status};
        [Check, Stats, Evaluate, Explain, OutOfFold, Serve, ServeExport, Status].contains(&self)
    }

    /// A sweep goes on without a run that cannot be read, and says so.
    fn leaves_out(self) -> bool {
        [Reader::Status, Reader::Collect, Reader::Report, Reader::RunSweep].contains(&self)
    }
}

/// Who reads a kind of file in a folder; nobody where only people or other programs do.
const READ: &[(&str, &str, &[Reader])] = {
    use Reader::*;
    &[
        // What was not yet whole when a program was killed is written anew.
        ("*", "*.tmp", &[]),
        ("data", "dataset.json", &[TrainOnFolder, Check, Stats, BuildFrom]),
        ("data", "*.tfrecord", &[TrainOnFolder, Check, Stats, BuildFrom]),
        ("data", "*.tfrecord.idx", &[TrainOnFolder, Check, Stats]),
        ("built", "dataset.json", &[Check]),
        ("built", "*", &[]),
        // A training that goes on.
        ("half", "run/checkpoints/*/*.safetensors", &[Train]),
        ("half", "run/config.toml", &[Train]),
        ("half", "run/result.json", &[Train]),
        ("half", "run/metrics.jsonl", &[Train]),
        ("half", "run/events.out.tfevents.*", &[Train]),
        ("cached", "run/cache/*", &[TrainCached]),
        ("cached", "run/*", &[]),
        ("cached", "run/checkpoints/*/*", &[]),
        // One that is finished.
        ("run", "run/checkpoints/*/*.safetensors", &[Train]),
        ("run", "run/config.toml", &[Train, Evaluate, Explain, Export]),
        ("run", "run/result.json", &[Train, Evaluate, Export]),
        (
            "run",
            "run/model/model.json",
            &[TrainFromWeights, Evaluate, Calibrate, Export, Explain, Predict, Serve],
        ),
        ("run", "run/model/model.safetensors", &[TrainFromWeights, Export, Explain, Predict, Serve]),
        ("run", "run/predictions-val.safetensors", &[Evaluate, Calibrate, Export]),
        ("run", "run/predictions-test.safetensors", &[Evaluate, Explain]),
        ("folds", "fold-*/config.toml", &[OutOfFold]),
        ("folds", "fold-*/result.json", &[OutOfFold]),
        ("folds", "fold-*/predictions-*.safetensors", &[OutOfFold]),
        ("folds", "*", &[]),
        ("calibrated", "run/model/model.json", &[Serve, Calibrate]),
        ("calibrated", "run/export/safetensors-f16/model.*", &[ServeExport]),
        // ONNX is read by other programs; its card is for people.
        ("calibrated", "run/export/*/*", &[]),
        ("calibrated", "*", &[]),
        ("calibrated", "run/checkpoints/*/*", &[]),
        ("predicting", "predictions.csv.part", &[Predict]),
        ("predicting", "*", &[]),
        ("predicting", "run/checkpoints/*/*", &[]),
        ("other", "*", &[]),
        ("other", "run/checkpoints/*/*", &[]),
        ("explained", "*", &[]),
        ("explained", "run/checkpoints/*/*", &[]),
        // A sweep.
        ("planned", "sweep.toml", &[PlanMore, RunSweep]),
        ("planned", "plan.json", &[PlanMore, RunSweep]),
        ("planned", "cells.jsonl", &[PlanMore, RunSweep]),
        ("planned", "cells.csv", &[PlanMore, RunSweep]),
        ("planned", "cells/*/config.toml", &[RunSweep]),
        ("planned", "bin/*", &[RunSweep]),
        ("planned", "*", &[]),
        ("swept", "sweep.toml", &[Status, Collect]),
        ("swept", "plan.json", &[Status, Collect]),
        ("swept", "cells.jsonl", &[Status, Collect]),
        ("swept", "cells.csv", &[Status]),
        ("swept", "run/result.json", &[Status, Collect, RunSweep]),
        ("swept", "run/metrics.jsonl", &[Collect]),
        ("swept", "run/env.json", &[Collect]),
        ("swept", "run/status.json", &[Status]),
        ("swept", "attempts.jsonl", &[Status, Collect]),
        ("swept", "run/config.toml", &[Collect]),
        ("swept", "*", &[]),
        ("swept", "run/checkpoints/*/*", &[]),
        ("reported", "collected/*.parquet", &[Report]),
        ("reported", "collected/tables.json", &[Report]),
        ("reported", "run/predictions-*.safetensors", &[Report]),
        ("reported", "run/result.json", &[Report]),
        ("reported", "plan.json", &[Report]),
        ("reported", "sweep.toml", &[Report]),
        ("reported", "cells.jsonl", &[Report]),
        ("reported", "*", &[]),
        ("reported", "run/checkpoints/*/*", &[]),
        ("halved", "rungs/*.json", &[Status, RunSweep, Collect]),
        ("halved", "*", &[]),
        ("halved", "run/checkpoints/*/*", &[]),
        // What a run says while it works, for people and for a sweep's status.
        ("*", "metrics.jsonl", &[]),
        ("*", "events.out.tfevents.*", &[]),
        ("*", "status.json", &[]),
        ("*", "env.json", &[]),
        ("*", "train.log", &[]),
        ("*", "curve.svg", &[]),
        // What a sweep puts back over a result that is less.
        ("*", "run/finished/*", &[]),
        ("*", ".lock", &[]),
    ]
};

/// Files of one kind in one folder, and who reads them.
#[derive(Clone, Debug)]
struct Target {
    template: String,
    pattern: &'static str,
    files: Vec<String>,
    reader: Reader,
}

/// So many trials of one target have numbers.
const OF_TARGET: u64 = 10_000;

/// Tries so many bits of every kind of file by everyone who reads it.
pub(crate) fn torture(
    lab: &Lab,
    kind: &'static str,
    only: &[u64],
    bits: u64,
) -> Result<(Vec<Verdict>, Vec<String>)> {
    let targets = targets(lab)?;
    let names = targets.iter().map(|target| {
        let Target { template, pattern, reader, .. } = target;
        format!("{template}/{pattern}, {}", reader.name())
    });
    let mut numbers = only.to_vec();
    if numbers.is_empty() {
        let all = 0..targets.len() as u64;
        numbers = all.flat_map(|place| (0..bits).map(move |bit| place * OF_TARGET + bit)).collect();
    }
    let needed: BTreeMap<(String, Reader), ()> = numbers
        .iter()
        .map(|number| target(&targets, *number).map(|target| ((target.template.clone(), target.reader), ())))
        .collect::<Result<_>>()?;
    let needed: Vec<_> = needed.into_keys().collect();
    let known = in_parallel(lab.threads, &needed, |(template, reader)| Some(know(lab, template, *reader)));
    let known: Vec<Seen> = known.into_iter().flatten().collect::<Result<_>>()?;
    let verdicts = in_parallel(lab.threads, &numbers, |&number| {
        let target = target(&targets, number).expect("looked at above");
        let at = needed
            .iter()
            .position(|(template, reader)| *template == target.template && *reader == target.reader);
        let known = &known[at.expect("it is needed")];
        Some(trial(lab, kind, target, known, number).with_context(|| format!("{kind} {number}")))
    });
    Ok((verdicts.into_iter().flatten().collect::<Result<_>>()?, names.collect()))
}

/// A trial's place among the names of the targets.
pub(crate) fn place(number: u64) -> usize {
    (number / OF_TARGET) as usize
}

fn target(targets: &[Target], number: u64) -> Result<&Target> {
    targets.get(place(number)).with_context(|| format!("there are only {} kinds to damage", targets.len()))
}

/// Losses and scores of the steps, the same for TensorBoard, the copies of both, and their picture.
const COURSE: [&str; 5] = [
    "run/metrics.jsonl",
    "run/events.out.tfevents.run",
    "run/finished/metrics.jsonl",
    "run/finished/events",
    "run/curve.svg",
];

/// All files of all folders, by who reads them. One that no row names is an error.
fn targets(lab: &Lab) -> Result<Vec<Target>> {
    let mut by_row: BTreeMap<usize, Vec<(String, String)>> = BTreeMap::new();
    for template in lab.templates()? {
        for file in files(&lab.template(&template))? {
            let fits = |row: &(&str, &str, _)| {
                (row.0 == "*" || row.0 == template) && (row.1 == "*" || fits(row.1, &file))
            };
            let Some(row) = READ.iter().position(fits) else {
                bail!("{template}/{file} is of an unknown kind: flip.rs must say who reads it");
            };
            by_row.entry(row).or_default().push((template.clone(), file));
        }
    }
    let mut targets = Vec::new();
    for (row, found) in by_row {
        let (_, pattern, readers) = READ[row];
        for &reader in readers {
            let files = found.iter().map(|(_, file)| file.clone()).collect();
            targets.push(Target { template: found[0].0.clone(), pattern, files, reader });
        }
    }
    Ok(targets)
}

/// What a program does to a folder.
#[derive(Debug)]
struct Seen {
    code: Option<i32>,
    files: Outcome,
    printed: Value,
}

fn see(reader: Reader, folder: &Path, ended: &Ending) -> Result<Seen> {
    let printed = if reader.prints() { printed(&ended.stdout, folder) } else { Value::Null };
    Ok(Seen { code: ended.status.code(), files: outcome(folder)?, printed })
}

fn know(lab: &Lab, template: &str, reader: Reader) -> Result<Seen> {
    let folder = lab.begin(&format!("known-{template}-{reader:?}"), Some(template))?;
    let ended = lab.must(&reader.step(), &folder)?;
    see(reader, &folder, &ended)
}

fn trial(lab: &Lab, kind: &'static str, target: &Target, known: &Seen, number: u64) -> Result<Verdict> {
    let begin = Instant::now();
    let folder = lab.begin(&format!("{kind}-{number}"), Some(&target.template))?;
    let mut random = Random::keyed(&[lab.seed, 0xB17, number]);
    let file = &target.files[random.below(target.files.len())];
    let mut bytes = fs::read(folder.join(file))?;
    let (at, bit) = (random.below(bytes.len().max(1)), random.below(8));
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << bit;
    }
    // Put in its place, because the file may be linked.
    let mode = fs::metadata(folder.join(file))?.permissions();
    fs::remove_file(folder.join(file))?;
    fs::write(folder.join(file), bytes)?;
    fs::set_permissions(folder.join(file), mode)?;
    let step = target.reader.step();
    let ended = lab.run(&step, &folder, None)?;
    let came = judge(lab, target, file, known, &folder, &ended)?;
    let came = came.map_err(|fault| Fault {
        said: format!("{} [bit {bit} of byte {at} of {file}]", fault.said),
        ..fault
    });
    let did = format!(
        "bit {bit} of byte {at} of {file}\n{}\n{}: {}",
        step.line(lab.path(), &folder),
        ended.status,
        ended.stderr.trim_end()
    );
    let verdict = Verdict { number, did, kills: 0, time: begin.elapsed(), came };
    lab.end(kind, &folder, &verdict)?;
    Ok(verdict)
}

fn judge(
    lab: &Lab,
    target: &Target,
    file: &str,
    known: &Seen,
    folder: &Path,
    ended: &Ending,
) -> Result<Result<Good, Fault>> {
    if let Some(fault) = lab.unseemly(&target.reader.step(), ended) {
        return Ok(Err(fault));
    }
    let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let said = ended.stderr.clone() + &ended.stdout;
    // Of a sweep's run it is enough to name the cell.
    let cell = cell(Path::new(file)).filter(|_| target.reader.leaves_out());
    let is_named = said.contains(&name) || cell.is_some_and(|cell| said.contains(cell));
    let last = last_words(&ended.stderr);
    if !ended.status.success() && known.code == Some(0) {
        let fault = Fault::new(What::Message, format!("{} without the file's name; {last}", ended.status));
        return Ok(if is_named { Ok(Good::Refused) } else { Err(fault) });
    }
    let now = match see(target.reader, folder, ended) {
        Ok(now) => now,
        Err(error) => return Ok(Err(Fault::new(What::Unknown, format!("{error:#}")))),
    };
    let mut differs = known.files.clone().without(file).differences(&now.files.without(file));
    if known.printed != now.printed {
        differs.push("what is printed".to_owned());
    }
    if differs.is_empty() {
        return Ok(Ok(Good::Whole));
    }
    // The lines of a run's course are written once. What is made of them goes without a damaged one, and only that.
    let of_its_course = |fault: &String| COURSE.iter().any(|file| fault.starts_with(&format!("{file}: ")));
    let goes_without = COURSE.contains(&file) && differs.iter().all(of_its_course);
    // People edit it: what it says now is done, and that it was changed is said.
    let is_edited = target.reader == Reader::PlanMore && file.ends_with("sweep.toml");
    if is_named && (target.reader.leaves_out() || goes_without || is_edited) {
        return Ok(Ok(Good::Refused));
    }
    let said = if is_named { "it is named, and yet" } else { "nothing is said, and" };
    Ok(Err(Fault::new(What::Believed, format!("{said} {}", differs.join("; ")))))
}

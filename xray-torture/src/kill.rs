//! Trainings that are interrupted and started again by the same command until they end: they must come to the same bits as
//! one that was never interrupted.

use crate::lab::{Lab, TRAIN};
use crate::matrix::{Point, points};
use crate::meddle::{How, Meddling, Operations};
use crate::outcome::{Outcome, outcome};
use crate::step::Step;
use crate::verdict::{Fault, Good, Verdict, What};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xray_random::Random;
use xray_workspace::in_parallel;
use xray_workspace::watch::last_words;

/// One run of the matrix that was never interrupted.
struct Known {
    step: Step,
    point: Point,
    done: Outcome,
    warnings: Value,
    operations: u64,
    time: Duration,
}

/// Every so many trials the last start is out of time: its result must fit itself.
const OUT_OF_TIME: u64 = 10;

/// More starts are not needed, however often a run is told to save and exit.
const MOST_STARTS: u32 = 300;

const KIND: &str = "kills";

/// Trials of these numbers, over all runs of the matrix in turn.
pub(crate) fn torture(lab: &Lab, trainer: &Path, numbers: &[u64]) -> Result<Vec<Verdict>> {
    let mut points = points(trainer, &lab.path().join("shards"), lab.seed)?;
    if lab.gpu {
        points.iter_mut().for_each(|point| point.retain(|(key, _)| key != "backend"));
        points.retain(|point| !point.is_empty());
    }
    // A short form spreads over the matrix.
    let mut needed: Vec<usize> =
        numbers.iter().map(|&number| place(lab.seed, number, points.len())).collect();
    needed.sort_unstable();
    needed.dedup();
    let known = in_parallel(lab.threads, &needed, |&at| {
        Some(know(lab, at, &points[at]).with_context(|| format!("run {at} of the matrix")))
    });
    let known: Vec<Known> = known.into_iter().flatten().collect::<Result<_>>()?;
    let verdicts = in_parallel(lab.threads, numbers, |&number| {
        let at = needed.binary_search(&place(lab.seed, number, points.len())).expect("it is needed");
        Some(trial(lab, &known[at], number).with_context(|| format!("{KIND} {number}")))
    });
    verdicts.into_iter().flatten().collect()
}

/// The run of a trial: all in turn, in an order that the seed draws for each round.
fn place(seed: u64, number: u64, points: usize) -> usize {
    let (round, at) = (number / points as u64, number as usize % points);
    let mut order: Vec<usize> = (0..points).collect();
    let mut random = Random::keyed(&[seed, 0x0D3, round]);
    for last in (1..points).rev() {
        order.swap(last, random.below(last + 1));
    }
    order[at]
}

/// Settings may contradict each other, which the trainer says with exit code 2: then the last one is left out.
fn know(lab: &Lab, at: usize, point: &Point) -> Result<Known> {
    let mut point = point.clone();
    loop {
        let folder = lab.begin(&format!("known-run-{at}"), None)?;
        let step = step(lab, &point, at)?;
        let begin = Instant::now();
        let ended = lab.run(&step, &folder, None)?;
        if ended.status.code() == Some(2) && point.len() > 1 {
            point.pop();
            continue;
        }
        if !ended.status.success() {
            bail!("{}: {}\n{}", step.line(lab.path(), &folder), ended.status, ended.stderr);
        }
        let (time, done, warnings) = (begin.elapsed(), outcome(&folder)?, warnings(&folder)?);
        let counted = lab.begin(&format!("known-run-{at}"), None)?;
        let operations = lab.count(&step, &counted, Meddling::NONE)?.len() as u64;
        return Ok(Known { step, point, done, warnings, operations, time });
    }
}

fn step(lab: &Lab, point: &Point, at: usize) -> Result<Step> {
    let value = |key: &str| point.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let mut step = Step::new(TRAIN);
    if lab.gpu {
        step = step.and("--backend wgpu");
    }
    if value("data.skip_bad").is_some() {
        step = step.and("--data LAB/damaged");
    }
    let mut settings = point.clone();
    if let Some((_, weights)) = settings.iter_mut().find(|(_, value)| value == "WEIGHTS") {
        *weights = first_weights(lab, point, at)?.to_string_lossy().into_owned();
    }
    Ok(step.with_settings(&settings))
}

/// Weights of the same network after two steps with another seed.
fn first_weights(lab: &Lab, point: &Point, at: usize) -> Result<PathBuf> {
    let network: Point = point.iter().filter(|(key, _)| key.starts_with("model.")).cloned().collect();
    let folder = lab.begin(&format!("known-weights-{at}"), None)?;
    lab.must(
        &Step::new(TRAIN).with_settings(&network).and("--set seed=99 --set 'training.duration=2 steps'"),
        &folder,
    )?;
    Ok(folder.join("run/model/model.safetensors"))
}

fn trial(lab: &Lab, known: &Known, number: u64) -> Result<Verdict> {
    let begin = Instant::now();
    let folder = lab.begin(&format!("{KIND}-{number}"), None)?;
    let mut random = Random::keyed(&[lab.seed, 0x417, number]);
    let mut did = known.step.line(lab.path(), &folder);
    let mut kills = 0;
    let came = interrupt(lab, known, number, &folder, &mut random, &mut did, &mut kills)?;
    let shown: Vec<_> = known.point.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let came = came.map_err(|fault| Fault { said: format!("[{}] {}", shown.join(" "), fault.said), ..fault });
    let verdict = Verdict { number, did, kills, time: begin.elapsed(), came };
    lab.end(KIND, &folder, &verdict)?;
    Ok(verdict)
}

fn interrupt(
    lab: &Lab,
    known: &Known,
    number: u64,
    folder: &Path,
    random: &mut Random,
    did: &mut String,
    kills: &mut u64,
) -> Result<Result<Good, Fault>> {
    let wanted = [1, 1, 1, 2, 2, 3, 5][random.below(7)];
    for start in 0..MOST_STARTS {
        let mut step = known.step.and(["--threads 1", "--threads 2"][random.below(2)]);
        let moment = known.time.mul_f64(random.between(0.02, 1.05));
        // The first interruption is always within the run.
        let at = 1 + random.below(known.operations.max(2) as usize - 1) as u64;
        let kill = |how| Some(Meddling { operations: Operations::Changes, how, at });
        let is_last = start >= wanted;
        let (ended, how) = match random.below(10) {
            _ if is_last && number % OUT_OF_TIME == OUT_OF_TIME - 1 => {
                step = step.and("--max-time 1ms");
                (lab.run(&step, folder, None)?, "out of time".to_owned())
            }
            _ if is_last => (lab.run(&step, folder, None)?, "not interrupted".to_owned()),
            0..5 => (lab.run(&step, folder, kill(How::Kill))?, format!("killed at operation {at}")),
            5 | 6 => (lab.run(&step, folder, kill(How::Half))?, format!("killed in operation {at}")),
            7 => (lab.run_for(&step, folder, moment)?, format!("killed after {moment:.0?}")),
            8 => {
                let signal = ["TERM", "INT"][random.below(2)];
                let script =
                    format!("exec timeout --preserve-status -s {signal} {} \"$@\"", moment.as_secs_f64());
                (lab.run_in_shell(&script, &step, folder)?, format!("SIG{signal} after {moment:.0?}"))
            }
            _ => {
                let time = moment.as_millis() / 2 + 1;
                step = step.and(&format!("--checkpoint-exit-every {time}ms"));
                (lab.run(&step, folder, None)?, format!("told to save after {time} ms"))
            }
        };
        *did += &format!("\n{how}: {}: {}", ended.status, last_words(&ended.stderr));
        if ended.status.signal() == Some(9) {
            *kills += 1;
            continue;
        }
        if let Some(fault) = lab.unseemly(&known.step, &ended) {
            return Ok(Err(fault));
        }
        match ended.status.code() {
            Some(85 | 130 | 143) => {}
            Some(0) => {
                let now = match outcome(folder) {
                    Ok(now) => now,
                    Err(error) => return Ok(Err(Fault::new(What::Unknown, format!("{error:#}")))),
                };
                let differs = match how.as_str() {
                    "out of time" => contradictions(folder)?,
                    _ => known.done.differences(&now),
                };
                if !differs.is_empty() {
                    return Ok(Err(Fault::new(What::Different, differs.join("; "))));
                }
                if !now.litter.is_empty() {
                    return Ok(Err(Fault::new(What::Litter, now.litter.join(", "))));
                }
                if how != "out of time" && warnings(folder)? != known.warnings {
                    let said = format!("{} in place of {}", warnings(folder)?, known.warnings);
                    return Ok(Err(Fault::new(What::Unwarned, said.chars().take(200).collect::<String>())));
                }
                return Ok(Ok(if *kills > 0 { Good::Refused } else { Good::Whole }));
            }
            _ => {
                return Ok(Err(Fault::new(
                    What::Stuck,
                    format!("{}; {}", ended.status, last_words(&ended.stderr)),
                )));
            }
        }
    }
    Ok(Err(Fault::new(What::Hang, format!("does not end in {MOST_STARTS} starts"))))
}

/// What the result warns of.
fn warnings(folder: &Path) -> Result<Value> {
    let result: Value = serde_json::from_slice(&fs::read(folder.join("run/result.json"))?)?;
    Ok(result["warnings"].clone())
}

/// Where a result does not fit itself: the scores must be those of the weights of the best step.
fn contradictions(folder: &Path) -> Result<Vec<String>> {
    let run = folder.join("run");
    let read = |name: &str| -> Result<Value> {
        let text = fs::read_to_string(run.join(name)).with_context(|| name.to_owned())?;
        Ok(serde_json::from_str(&text)?)
    };
    let (result, card) = (read("result.json")?, read("model/model.json")?);
    let mut found = Vec::new();
    let mut must = |what: &str, is: &Value, of: &Value| {
        if is != of {
            found.push(format!("{what}: {is} is {of}"));
        }
    };
    let training = &result["training"];
    must("the step of the weights in model.json", &training["best_step"], &card["provenance"]["steps"]);
    must(
        "the score of the kept weights",
        &training["best_val_macro_auc"],
        &result["scores"]["val"]["macro_auc"],
    );
    // The run said at that step what it scored.
    let lines = fs::read_to_string(run.join("metrics.jsonl"))?;
    let at_step = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .rfind(|line| line["event"] == "evaluation" && line["step"] == training["best_step"]);
    match at_step {
        Some(line) => must("the score at that step", &training["best_val_macro_auc"], &line["macro_auc"]),
        None => found.push(format!("no evaluation at step {}", training["best_step"])),
    }
    Ok(found)
}

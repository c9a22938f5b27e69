//! The settings that runs are interrupted under: every key of a run's configuration, as the trainer itself lists them. A
//! key that no row names is an error, so that a new setting that holds state is not forgotten.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use xray_random::Random;

/// What is tried of a setting.
#[derive(Clone, Copy, Debug)]
enum Tried {
    /// Every name that the trainer knows, but these.
    NamesBut(&'static [&'static str]),
    /// These values.
    Values(&'static [&'static str]),
    /// Nothing: it is given, or says how the others are read.
    Given,
}

/// Settings in the order of a configuration. In values, `WEIGHTS` is a file of first weights of the same network.
const SETTINGS: &[(&str, Tried)] = {
    use Tried::{Given, NamesBut, Values};
    &[
        ("seed", Values(&["7"])),
        // Drawn for each start: they change no number.
        ("threads", Given),
        // Others need a GPU, or are not a backend of this build.
        ("backend", NamesBut(&["cpu", "auto", "wgpu", "wgpu-burn", "cuda", "ndarray"])),
        // Others need a GPU, where runs are interrupted by the trainer's own tests.
        ("precision", NamesBut(&["f32", "tf32", "bf16", "f16"])),
        ("data.dir", Given),
        ("data.fraction", Values(&["0.5"])),
        ("data.fraction_offset", Values(&["0.4"])),
        ("data.features", Given),
        ("data.patients", Given),
        // Given with data.fold.
        ("data.folds", Given),
        ("data.fold", Values(&["0", "2"])),
        ("data.cache", NamesBut(&[])),
        // Bad records are given with it.
        ("data.skip_bad", Values(&["10"])),
        ("data.augment", Values(&["false"])),
        ("data.uncertain", NamesBut(&[])),
        ("preprocessing.size", Values(&["40"])),
        ("preprocessing.crop", NamesBut(&[])),
        ("preprocessing.filter", NamesBut(&[])),
        ("preprocessing.mean", Values(&["0.5"])),
        ("preprocessing.std", Values(&["0.25"])),
        ("augmentation.rotation_degrees", Values(&["0", "20"])),
        ("augmentation.shift_fraction", Values(&["0.2"])),
        ("augmentation.scale_fraction", Values(&["0.2"])),
        ("augmentation.brightness", Values(&["0.2"])),
        ("augmentation.contrast", Values(&["0.2"])),
        ("augmentation.flip", Values(&["true"])),
        ("model.architecture", NamesBut(&[])),
        ("model.width", Values(&["4", "12"])),
        ("model.channels", Values(&["3"])),
        ("model.flip", Values(&["true"])),
        ("loss.name", NamesBut(&[])),
        ("loss.max_weight", Values(&["5"])),
        ("loss.gamma", Values(&["1"])),
        ("loss.alpha", Values(&["0.5"])),
        ("loss.gamma_positive", Values(&["1"])),
        ("loss.gamma_negative", Values(&["2"])),
        ("loss.margin", Values(&["0.1"])),
        ("optimizer.algorithm", NamesBut(&[])),
        ("optimizer.momentum", Values(&["0", "0.5"])),
        ("optimizer.beta2", Values(&["0.9"])),
        ("optimizer.epsilon", Values(&["1e-4"])),
        ("optimizer.weight_decay", Values(&["0.01"])),
        ("optimizer.clip_norm", Values(&["0.1"])),
        ("schedule.shape", NamesBut(&[])),
        ("schedule.learning_rate", Values(&["0.02"])),
        ("schedule.warmup_steps", Values(&["10"])),
        ("schedule.final_fraction", Values(&["0.1"])),
        ("schedule.plateau_factor", Values(&["0.5"])),
        ("schedule.plateau_patience", Values(&["0", "2"])),
        ("training.duration", Values(&["3 epochs", "25 steps", "700 examples"])),
        ("training.batch_size", Values(&["16", "24"])),
        ("training.micro_batch", Values(&["8", "5"])),
        ("training.max_time", Values(&["1h"])),
        ("training.evaluate_every", Values(&["5 steps", "1 epochs", "100 examples"])),
        ("training.checkpoint_every", Values(&["2 steps", "7 steps", "1 epochs"])),
        ("training.checkpoint_time", Values(&["20ms"])),
        ("training.early_stopping", Values(&["1", "2"])),
        ("training.average_decay", Values(&["0.5", "0.9"])),
        ("training.label_smoothing", Values(&["0.1"])),
        ("training.log_every", Values(&["3"])),
        ("training.tensorboard", Values(&["false"])),
        ("training.keep", NamesBut(&[])),
        ("training.first_epoch", Values(&["3"])),
        ("training.bootstrap_resamples", Values(&["0", "30"])),
        ("fine_tuning.weights", Values(&["WEIGHTS"])),
        ("fine_tuning.head", NamesBut(&[])),
        ("fine_tuning.partial", Values(&["true"])),
        ("fine_tuning.part", Given),
        // Its file is a checkpoint of the same settings, which the trainer's own tests give it.
        ("fine_tuning.optimizer", Given),
        ("fine_tuning.frozen", Values(&["1 epochs", "5 steps", "always"])),
        ("fine_tuning.backbone_rate", Values(&["0.1", "0"])),
    ]
};

/// Settings that mean something only beside others.
const BESIDE: &[(&str, &str, &str)] = &[
    ("data.fold", "data.folds", "3"),
    ("loss.max_weight", "loss.name", "weighted-bce"),
    ("loss.gamma", "loss.name", "focal"),
    ("loss.alpha", "loss.name", "focal"),
    ("loss.gamma_positive", "loss.name", "asymmetric"),
    ("loss.gamma_negative", "loss.name", "asymmetric"),
    ("loss.margin", "loss.name", "asymmetric"),
    ("schedule.plateau_factor", "schedule.shape", "plateau"),
    ("schedule.plateau_patience", "schedule.shape", "plateau"),
    ("schedule.final_fraction", "schedule.shape", "cosine"),
    ("fine_tuning.head", "fine_tuning.weights", "WEIGHTS"),
    ("fine_tuning.partial", "fine_tuning.weights", "WEIGHTS"),
    ("fine_tuning.frozen", "fine_tuning.weights", "WEIGHTS"),
    ("fine_tuning.backbone_rate", "fine_tuning.weights", "WEIGHTS"),
];

/// Settings of one run that are not as by default, each once.
pub(crate) type Point = Vec<(String, String)>;

/// Runs that together try every value; each draws some others besides.
pub(crate) fn points(trainer: &Path, data: &Path, seed: u64) -> Result<Vec<Point>> {
    let values = values(trainer, data)?;
    let mut points = Vec::new();
    for (place, (key, tried)) in values.iter().enumerate() {
        for (which, value) in tried.iter().enumerate() {
            let mut random = Random::keyed(&[seed, 0x3A7, place as u64, which as u64]);
            points.push(point(&values, (key, value), &mut random));
        }
    }
    Ok(points)
}

/// A run with this value, and each other setting with a chance of one in six.
fn point(values: &[(String, Vec<String>)], must: (&str, &str), random: &mut Random) -> Point {
    let mut point: Point = Vec::new();
    set(&mut point, must.0, must.1);
    for (key, tried) in values {
        if random.below(6) == 0 && !tried.is_empty() {
            set(&mut point, key, &tried[random.below(tried.len())]);
        }
    }
    point
}

/// Sets a key, and first what it stands beside; what is set already stays, and what contradicts it is left out.
fn set(point: &mut Point, key: &str, value: &str) {
    if point.iter().any(|(other, _)| other == key) {
        return;
    }
    if let Some((_, beside, needed)) = BESIDE.iter().find(|row| row.0 == key) {
        match point.iter().find(|(other, _)| other == beside) {
            Some((_, there)) if there != needed => return,
            Some(_) => {}
            None => set(point, beside, needed),
        }
    }
    point.push((key.to_owned(), value.to_owned()));
}

/// The values to try of every key.
fn values(trainer: &Path, data: &Path) -> Result<Vec<(String, Vec<String>)>> {
    let mut known = BTreeSet::new();
    for loss in names(trainer, data, "loss.name")? {
        known.extend(keys(trainer, data, &loss)?);
    }
    let mut values = Vec::new();
    for key in &known {
        let Some((_, tried)) = SETTINGS.iter().find(|(name, _)| name == key) else {
            bail!("the setting {key} is new: matrix.rs must say what is tried of it");
        };
        let tried = match tried {
            Tried::Given => Vec::new(),
            Tried::Values(values) => values.iter().map(|&value| value.to_owned()).collect(),
            Tried::NamesBut(not) => {
                let names = names(trainer, data, key)?;
                names.into_iter().filter(|name| !not.contains(&name.as_str())).collect()
            }
        };
        values.push((key.clone(), tried));
    }
    if let Some((gone, _)) = SETTINGS.iter().find(|(name, _)| !known.contains(*name)) {
        bail!("there is no setting {gone} any more: matrix.rs names it");
    }
    Ok(values)
}

/// Every key of a configuration with this loss, joined by dots.
fn keys(trainer: &Path, data: &Path, loss: &str) -> Result<BTreeSet<String>> {
    let mut command = Command::new(trainer);
    command.arg("--resolve").arg("--data").arg(data).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start xray-train")?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    writeln!(stdin, "{}", serde_json::json!({ "loss.name": loss }))?;
    drop(stdin);
    let printed = child.wait_with_output()?;
    let text = String::from_utf8(printed.stdout)?;
    let line = text.lines().last().context("xray-train --resolve prints nothing")?;
    let answer: Value = serde_json::from_str(line)?;
    let mut found = BTreeSet::new();
    collect(answer.get("config").with_context(|| format!("no config in {line}"))?, "", &mut found);
    Ok(found)
}

fn collect(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                collect(value, &if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, found);
            }
        }
        _ => {
            found.insert(at.to_owned());
        }
    }
}

/// The names that a key may have, from what the trainer says when it is given another.
fn names(trainer: &Path, data: &Path, key: &str) -> Result<Vec<String>> {
    let mut command = Command::new(trainer);
    command.args(["--dry-run", "--set", &format!("{key}=no-such-name")]).arg("--data").arg(data);
    let said =
        String::from_utf8_lossy(&command.output().context("cannot start xray-train")?.stderr).into_owned();
    let names = listed(&said);
    ensure!(names.len() > 1, "xray-train lists no names of {key}: {said}");
    Ok(names)
}

/// `expected one of `a`, `b`` or `one of a, b`.
fn listed(said: &str) -> Vec<String> {
    let at = ["expected one of ", "expected ", "one of "]
        .iter()
        .find_map(|words| Some(said.find(words)? + words.len()));
    let list = at.map_or("", |at| said[at..].lines().next().unwrap_or_default());
    let list = list.replace(" or ", ", ").replace('`', "");
    list.split(", ").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_an_error() {
        assert_eq!(listed("error: unknown variant `x`, expected one of `a`, `b-1`\n"), ["a", "b-1"]);
        assert_eq!(listed("error: unknown variant `x`, expected `keep` or `replace`"), ["keep", "replace"]);
        assert_eq!(listed("error: there is no loss `x`\n hint: one of bce, focal\n"), ["bce", "focal"]);
        assert!(listed("error: no").is_empty());
    }

    #[test]
    fn a_value_comes_with_what_it_needs() {
        let mut point = Point::new();
        set(&mut point, "fine_tuning.frozen", "always");
        set(&mut point, "loss.name", "bce");
        set(&mut point, "loss.gamma", "1");
        set(&mut point, "loss.name", "focal");
        let expected =
            [("fine_tuning.weights", "WEIGHTS"), ("fine_tuning.frozen", "always"), ("loss.name", "bce")];
        assert_eq!(point, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn every_row_names_a_setting_once_and_what_it_needs_is_tried() {
        let names: Vec<_> = SETTINGS.iter().map(|row| row.0).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for (key, beside, _) in BESIDE {
            assert!(names.contains(key) && names.contains(beside), "{key}");
        }
    }
}

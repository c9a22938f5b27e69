//! `sweep.toml`: what a sweep is asked to be. Flags of `plan` are laid on it, and what came of both is
//! written back, so that a sweep directory says how it was made.

use crate::axis::{Axis, parse_value};
use crate::budget::Budget;
use crate::fractions::Fractions;
use crate::order::Order;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use xray_artifacts::{Exit, Failure, Length, read_text, write_bytes};

/// A sweep as it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// The format of this file.
    pub format: u32,
    /// The folder of shards.
    pub data: PathBuf,
    /// Shares of the training records.
    pub fractions: Fractions,
    /// Runs per point of the grid, each with a seed of its own.
    pub trials: u32,
    /// What is kept equal across fractions.
    pub budget: Budget,
    /// Whether trials also begin at different places of the training records.
    pub rotate_data: bool,
    /// Number of points drawn from the axes, in place of their grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<u64>,
    /// Order in which cells are listed, and so started.
    pub order: Order,
    /// Lengths of training at which points are compared and the better ones go on; the last is the whole. Empty where all
    /// train to their end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<Length>,
    /// The share of points that goes on from a rung.
    pub keep: f64,
    /// A configuration file of the trainer, below `set`.
    pub config: Option<PathBuf>,
    /// A sweep that has run: what its cells used decides what those of this one ask for, where nothing is said below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizes_from: Option<PathBuf>,
    /// Folder of templates for the submit files, instead of the built-in ones.
    pub templates: Option<PathBuf>,
    /// Settings of every run, by configuration key.
    pub set: Table,
    /// Further axes of the grid: values, or the distribution of values, by configuration key.
    pub axes: BTreeMap<String, Axis>,
    /// What jobs ask of a pool, of either kind, and how they live on HTCondor's.
    pub condor: Condor,
    /// How they live on a cluster with Slurm.
    pub slurm: Slurm,
}

/// What jobs ask of a pool, and how they live there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condor {
    /// Cores, and as many threads; estimated if absent.
    pub cpus: Option<u32>,
    /// Memory such as `2GB`; estimated if absent.
    pub memory: Option<String>,
    /// Disk such as `10GB`; estimated if absent.
    pub disk: Option<String>,
    /// GPUs: 1 runs every cell on one, by the backend `wgpu` unless `set` or an axis names another; by the backend if
    /// absent.
    pub gpus: Option<u32>,
    /// A requirement on that GPU, a ClassAd expression over its properties, such as `GlobalMemoryMb >= 8000`.
    pub require_gpus: Option<String>,
    /// A further requirement, a ClassAd expression over the machine's attributes.
    pub require: Option<String>,
    /// Which of the matching machines are preferred, a ClassAd expression.
    pub rank: Option<String>,
    /// At most so many jobs that do not run are in the queue at a time; those that are held count.
    pub max_idle: u32,
    /// A job saves, exits and is started again after this time, so that its checkpoint reaches the submit node.
    pub checkpoint_every: String,
    /// How often a job is started again after a failure that may pass.
    pub retries: u32,
    /// Whether machines that advertise no `Microarch` are taken too.
    pub allow_unknown_microarch: bool,
    /// Whether shards are sent with each job; otherwise workers read `data` from a shared file system.
    pub transfer_data: bool,
    /// Where `xray-data publish` put the shards, as jobs see it: they are fetched from there, not sent.
    pub data_url: Option<String>,
    /// Attributes of the job, such as `ProjectName = "\"radiology\""`: ClassAd expressions.
    pub attributes: BTreeMap<String, String>,
    /// Environment variables of the job.
    pub environment: BTreeMap<String, String>,
}

/// How jobs live on a cluster with Slurm. Cores, memory and GPUs are asked for as of HTCondor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slurm {
    /// Options of `sbatch`, such as `--partition=short` or `--time=4:00:00`.
    pub options: Vec<String>,
    /// At most so many jobs of an array run at a time.
    pub max_running: Option<u32>,
}

impl Default for Spec {
    fn default() -> Self {
        Spec {
            format: FORMAT,
            data: PathBuf::new(),
            fractions: "0.1..1.0:0.1".parse().expect("a good range"),
            trials: 3,
            budget: Budget::Epochs,
            rotate_data: false,
            sample: None,
            order: Order::Axes,
            rungs: Vec::new(),
            keep: 0.33,
            config: None,
            sizes_from: None,
            templates: None,
            set: Table::new(),
            axes: BTreeMap::new(),
            condor: Condor::default(),
            slurm: Slurm::default(),
        }
    }
}

impl Default for Condor {
    fn default() -> Self {
        Condor {
            cpus: None,
            memory: None,
            disk: None,
            gpus: None,
            require_gpus: None,
            require: None,
            rank: None,
            max_idle: 1000,
            checkpoint_every: "1h".to_owned(),
            retries: 2,
            allow_unknown_microarch: false,
            transfer_data: true,
            data_url: None,
            attributes: BTreeMap::new(),
            environment: BTreeMap::new(),
        }
    }
}

const FORMAT: u32 = 1;

impl Spec {
    /// Reads `sweep.toml`.
    pub fn read(path: &Path) -> Result<Spec, Failure> {
        let text = read_text(path)?;
        let spec: Spec = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            let message = error.message().trim().replace('\n', " ");
            Failure::new(Exit::Usage, format!("{}: line {line}: {message}", path.display()))
        })?;
        if spec.format != FORMAT {
            let found = spec.format;
            let message = format!("{} has sweep format {found}, this build knows {FORMAT}", path.display());
            return Err(Failure::new(Exit::Usage, message));
        }
        Ok(spec)
    }

    /// Writes `sweep.toml`.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        Ok(write_bytes(path, self.text().as_bytes())?)
    }

    /// What is written.
    pub(crate) fn text(&self) -> String {
        toml::to_string(self).expect("a sweep is plain values")
    }

    /// The settings of `set`, nested tables as dotted keys.
    pub fn settings(&self) -> Vec<(String, Value)> {
        let mut flat = Vec::new();
        flatten(&self.set, "", &mut flat);
        flat
    }
}

fn flatten(table: &Table, place: &str, out: &mut Vec<(String, Value)>) {
    for (key, value) in table {
        let path = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
        match value {
            Value::Table(inner) => flatten(inner, &path, out),
            value => out.push((path, value.clone())),
        }
    }
}

/// `key=value` with a TOML value or a bare word.
pub fn parse_setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form key=value"))?;
    Ok((key.trim().to_owned(), parse_value(value.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::parse_axis;

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("sweep.toml");
        let mut spec = Spec { trials: 5, ..Spec::default() };
        spec.axes.extend([
            parse_axis("model.width=16,32").expect("good"),
            parse_axis("loss.name=bce,focal").expect("good"),
        ]);
        spec.set.extend([parse_setting("seed=7").expect("good")]);
        spec.condor.memory = Some("2GB".into());
        spec.axes.extend([parse_axis("schedule.learning_rate=log(1e-4,1e-2)").expect("good")]);
        (spec.sample, spec.rungs) = (Some(3), vec!["1 epochs".parse().expect("good")]);
        spec.write(&path).expect("writable");
        assert_eq!(Spec::read(&path).expect("just written"), spec);
        let values = |values: &[Value]| Axis::Values(values.to_vec());
        assert_eq!(spec.axes["model.width"], values(&[Value::Integer(16), Value::Integer(32)]));
        assert_eq!(spec.axes["loss.name"], values(&["bce".into(), "focal".into()]));
    }

    #[test]
    fn a_broken_file_names_its_line() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("sweep.toml");
        let check = |text: &str, expected: &str| {
            std::fs::write(&path, text).expect("writable");
            let failure = Spec::read(&path).expect_err("refused");
            assert!(failure.message.contains(expected), "{failure}");
            assert_eq!(failure.exit, Exit::Usage);
        };
        check("trials = 3\ntrails = 4\n", "sweep.toml: line 2: unknown field `trails`");
        check("fractions = \"0.5..0.1:0.1\"\n", "sweep.toml: line 1: the range `0.5..0.1:0.1` is empty");
        check("format = 9\n", "has sweep format 9, this build knows 1");
    }

    #[test]
    fn nested_and_dotted_settings_are_the_same() {
        let spec: Spec =
            toml::from_str("[set]\nseed = 1\n\"model.width\" = 8\n[set.training]\nbatch_size = 4\n")
                .expect("TOML");
        let keys: Vec<_> = spec.settings().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["model.width", "seed", "training.batch_size"]);
    }
}

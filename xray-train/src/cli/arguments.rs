//! Flags and what they mean. Each flag that decides numbers is shorthand for a configuration key.

use super::range_test::RangeTest;
use super::resolve::resolve_lines;
use crate::config::{RunConfig, duration};
use crate::continuation::{Continuation, Origin};
use crate::fine_tuning::ALWAYS;
use crate::range_test::{Course, Rates};
use crate::run::RunOptions;
use crate::settings::{Settings, nearest_file, parse_setting};
use clap::{Parser, ValueEnum};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use toml::Value;
use xray_artifacts::{Exit, Failure, Length};

const EXAMPLES: &str = "\
Examples:
  # train on a synthetic set that is made once
  xray-train

  # train on the first 30 % of the training records
  xray-train --data DIR --fraction 0.3

  # any setting
  xray-train --data DIR --epochs 20 --set schedule.shape=cosine --set optimizer.clip_norm=1

  # continue a finished run in a new one, for ten more epochs
  xray-train --from RUN --epochs 10

  # try learning rates from small to large in one short training, and suggest one
  xray-train --data DIR --find-learning-rate

  # start from weights of torchvision or torchxrayvision
  xray-train --data DIR --model densenet-121 --size 224 --init densenet121.pth \\
      --init-head replace --freeze backbone --epochs-frozen 1

The same command started again continues an interrupted run and prints the result of a finished one.
`--help settings` lists every setting with its values, default and meaning.

Exit codes: 0 ok · 1 unexpected · 2 usage · 3 nothing matches · 5 bad data · 6 diverged · 7 model or \
checkpoint mismatch · 8 a planned file changed or is damaged · 9 a fetched shard is not the planned one · \
78 this machine cannot run it · 85 checkpointed, start me again · 130/143 stopped by a signal, saved";

/// Steps of `--find-learning-rate` without a number.
const DEFAULT_STEPS: &str = "200";

/// What is of no use to a test that is not a run: how long one takes, where it lies, how it is taken up again.
const OF_A_RUN: [&str; 12] = [
    "epochs",
    "steps",
    "examples",
    "max_time",
    "run",
    "resume",
    "checkpoint_exit_every",
    "stop_at",
    "cell",
    "verify_shards",
    "dry_run",
    "resolve",
];

/// Train a chest X-ray classifier and score it beside baselines that ignore the image.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct Arguments {
    /// Folder of shards; without it a synthetic set is made once and used (data.dir)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Share of the training records, above 0 and at most 1 (data.fraction)
    #[arg(long, value_name = "F")]
    fraction: Option<f64>,
    /// Where that share begins, 0 up to 1, so that trials differ in data too (data.fraction_offset)
    #[arg(long, value_name = "F")]
    fraction_offset: Option<f64>,
    /// Bad records to leave out and count instead of failing (data.skip_bad)
    #[arg(long, value_name = "N")]
    skip_bad: Option<u64>,
    /// Where prepared images are kept between epochs: ram, disk or none (data.cache)
    #[arg(long, value_name = "WHERE")]
    cache: Option<String>,
    /// Network: small-cnn, resnet-18, resnet-50, densenet-121, mobilenet-v2 or efficientnet-b0, also as torchvision spells
    /// them (model.architecture)
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Width and height of the network's input in pixels (preprocessing.size)
    #[arg(long, value_name = "PX")]
    size: Option<u32>,
    /// First weights: a safetensors or PyTorch file of this network, as torchvision or torchxrayvision name its tensors;
    /// or none (fine_tuning.weights)
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// The last layer of --init: keep it, or replace it by a new one (fine_tuning.head)
    #[arg(long, value_name = "WHAT", requires = "init")]
    init_head: Option<String>,
    /// Which of several networks in --init, such as encoder_k; by default the one that the others are copies of
    /// (fine_tuning.part)
    #[arg(long, value_name = "NAME", requires = "init")]
    init_part: Option<String>,
    /// Leave out tensors of --init that do not fit, and list them (fine_tuning.partial)
    #[arg(long, requires = "init")]
    init_partial: bool,
    /// Continue a finished run in a new run: its settings, weights and, where it kept a checkpoint, optimizer's state; flags and
    /// --set change the rest
    #[arg(long, value_name = "RUN", conflicts_with_all = ["init", "config", "files", "resolve"])]
    from: Option<PathBuf>,
    /// Train only the last layer: always, or for --epochs-frozen (fine_tuning.frozen)
    #[arg(long, value_enum, value_name = "WHAT")]
    freeze: Option<Freeze>,
    /// How long --freeze holds (fine_tuning.frozen)
    #[arg(long, value_name = "N", requires = "freeze")]
    epochs_frozen: Option<f64>,
    /// Loss: bce, weighted-bce, focal or asymmetric (loss.name)
    #[arg(long, value_name = "NAME")]
    loss: Option<String>,
    /// Passes over the training records (training.duration)
    #[arg(long, value_name = "N", conflicts_with_all = ["steps", "examples"])]
    epochs: Option<f64>,
    /// Optimizer steps instead of epochs (training.duration)
    #[arg(long, value_name = "N", conflicts_with = "examples")]
    steps: Option<u64>,
    /// Training images instead of epochs (training.duration)
    #[arg(long, value_name = "N")]
    examples: Option<u64>,
    /// Images per step (training.batch_size)
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Learning rate after the warm-up (schedule.learning_rate)
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Finish after this much time, such as 2h, with the best weights so far (training.max_time)
    #[arg(long, value_name = "TIME")]
    max_time: Option<String>,
    /// Seed of weights, order and augmentation (seed)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Device: cpu, flex, wgpu, or auto for a real GPU where there is one; a GPU needs xray-train-gpu beside xray-train (backend)
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// What a GPU with matrix instructions rounds the factors of convolutions to in training: f32, not at all; tf32, 10 bits
    /// of fraction; bf16, 7 bits; f16, 10 bits of fraction with a small range, so the loss is scaled and a step that overflows
    /// is skipped. Weights, statistics and sums are float32 in all, and so is what is scored (precision)
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,
    /// Threads that compute; 0 for one per processor (threads)
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Any setting; --help settings lists them
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, Value)>,
    /// Configuration file; by default the nearest xray.toml from here upwards
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the files that settings name by a relative path, such as SWEEP/bin for a cell of a sweep [default: the
    /// current folder]
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Compare every shard that is there with its hash in dataset.json before training, for shards that were fetched from a
    /// server or a cache; exit code 9 names the first that differs
    #[arg(long)]
    verify_shards: bool,
    /// Run directory; by default runs/NAME, named after the settings
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Fail when there is no checkpoint to continue from
    #[arg(long)]
    resume: bool,
    /// Remove what an earlier run left in the run directory; with --find-learning-rate, replace the chart
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Save and exit with code 85 after this much time, such as 30m, to be started again
    #[arg(long, value_name = "TIME")]
    checkpoint_exit_every: Option<String>,
    /// Save, score validation and end after this length of training, such as "3 epochs", before the run is finished; the same
    /// command with a later length, or without, continues it to the same bits
    #[arg(long, value_name = "LENGTH")]
    stop_at: Option<Length>,
    /// Id of the sweep's cell that this run is; the result names it
    #[arg(long, value_name = "ID")]
    cell: Option<String>,
    /// Read settings as JSON objects from stdin, one a line, and print the configuration that each resolves to
    #[arg(long, conflicts_with = "dry_run")]
    pub resolve: bool,
    /// Compute logits for another program, over stdin and stdout, with the model of a bundle
    #[arg(long, value_name = "DIR", hide = true, conflicts_with_all = ["resolve", "dry_run"])]
    pub logits: Option<PathBuf>,
    /// Print the resolved configuration and what it costs, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Instead of a run, take this many steps (200) with a learning rate that grows from step to step, show the loss by rate
    /// and suggest a rate; nothing is kept
    #[arg(long, value_name = "STEPS", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_STEPS)]
    #[arg(conflicts_with_all = OF_A_RUN)]
    find_learning_rate: Option<u64>,
    /// Rates that --find-learning-rate goes through; 1e-6..1 for Adam, 1e-4..100 for SGD
    #[arg(long, value_name = "LOW..HIGH", requires = "find_learning_rate")]
    rates: Option<Rates>,
    /// Chart of --find-learning-rate
    #[arg(long, value_name = "FILE.svg")]
    out: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutputFormat,
    /// Warnings and the result only
    #[arg(long, short)]
    quiet: bool,
}

/// What does not learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Freeze {
    /// All layers but the last.
    Backbone,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// A table.
    Text,
    /// One JSON object, that of `result.json`.
    Json,
}

impl Arguments {
    /// Defaults, file, `--set` and flags as one configuration.
    pub fn resolve(&self) -> Result<RunConfig, Failure> {
        // Not left to the parser, which would name only the flag that is missing.
        if let (Some(out), None) = (&self.out, self.find_learning_rate) {
            let message = "--out is where --find-learning-rate draws its chart";
            return Err(Failure::new(Exit::Usage, message)
                .hint(format!("the folder of a run is --run {}", out.display())));
        }
        let Some(run) = &self.from else {
            return Settings::read(self.file().as_deref())?.resolve(&self.all_settings());
        };
        let continued = Continuation::open(run)?.resolve(&self.all_settings())?;
        if !self.quiet {
            xray_cli::say(continued.note);
        }
        Ok(continued.config)
    }

    /// The run that this one continues.
    fn origin(&self, dir: &Path) -> Result<Option<Origin>, Failure> {
        let Some(run) = &self.from else { return Ok(None) };
        let same = |a: &Path, b: &Path| Some(a.canonicalize().ok()? == b.canonicalize().ok()?);
        if same(run, dir) == Some(true) {
            let message = format!("--from and --run both name {}", run.display());
            return Err(Failure::new(Exit::Usage, message)
                .hint("the finished run stays as it is: choose another folder with --run"));
        }
        Ok(Some(Continuation::open(run)?.origin()))
    }

    /// Each line of `input`, a JSON object of settings, as a configuration above this command line's.
    pub fn resolve_lines(&self, input: impl BufRead, output: impl Write) -> Result<(), Failure> {
        resolve_lines(&Settings::read(self.file().as_deref())?, &self.all_settings(), input, output)
    }

    fn file(&self) -> Option<PathBuf> {
        let here = std::env::current_dir().unwrap_or_default();
        self.config.clone().or_else(|| nearest_file(&here))
    }

    fn all_settings(&self) -> Vec<(String, Value)> {
        let mut settings = self.settings.clone();
        settings.extend(self.flags());
        settings
    }

    fn flags(&self) -> Vec<(String, Value)> {
        let text = |value: &Option<String>| value.clone().map(Value::String);
        let count =
            |value: Option<u64>| value.map(|value| Value::Integer(i64::try_from(value).unwrap_or(i64::MAX)));
        let number = |value: Option<f64>| value.map(Value::Float);
        let length = self.epochs.map(|n| format!("{n} epochs"));
        let length = length.or(self.steps.map(|n| format!("{n} steps")));
        let length = length.or(self.examples.map(|n| format!("{n} examples")));
        let frozen = self.freeze.map(|_| match self.epochs_frozen {
            Some(epochs) => format!("{epochs} epochs"),
            None => ALWAYS.to_owned(),
        });
        let init = self.init.as_ref().map(|file| Value::String(file.to_string_lossy().into_owned()));
        let data = self.data.as_ref().map(|dir| Value::String(dir.to_string_lossy().into_owned()));
        let flags = [
            ("data.dir", data),
            ("data.fraction", number(self.fraction)),
            ("data.fraction_offset", number(self.fraction_offset)),
            ("data.skip_bad", count(self.skip_bad)),
            ("data.cache", text(&self.cache)),
            ("model.architecture", text(&self.model)),
            ("preprocessing.size", count(self.size.map(u64::from))),
            ("fine_tuning.weights", init),
            ("fine_tuning.head", text(&self.init_head)),
            ("fine_tuning.part", text(&self.init_part)),
            ("fine_tuning.partial", self.init_partial.then_some(Value::Boolean(true))),
            ("fine_tuning.frozen", frozen.map(Value::String)),
            ("loss.name", text(&self.loss)),
            ("training.duration", length.map(Value::String)),
            ("training.batch_size", count(self.batch_size.map(|n| n as u64))),
            ("schedule.learning_rate", number(self.learning_rate)),
            ("training.max_time", text(&self.max_time)),
            ("seed", count(self.seed)),
            ("backend", text(&self.backend)),
            ("precision", text(&self.precision)),
            ("threads", count(self.threads.map(|n| n as u64))),
        ];
        flags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    /// The range test that is asked for in place of a run.
    pub fn range_test(&self, config: &RunConfig) -> Result<Option<RangeTest>, Failure> {
        let Some(steps) = self.find_learning_rate else { return Ok(None) };
        let rates = self.rates.unwrap_or_else(|| Rates::of(config.optimizer.algorithm));
        let course = Course::new(steps, rates)?;
        RangeTest::new(course, self.out.clone(), self.overwrite, self.quiet).map(Some)
    }

    /// How to run it.
    pub fn options(&self, config: &RunConfig) -> Result<RunOptions, Failure> {
        let exit = self.checkpoint_exit_every.as_deref();
        let dir = self.run.clone().unwrap_or_else(|| default_dir(config));
        Ok(RunOptions {
            origin: self.origin(&dir)?,
            dir,
            resume: self.resume,
            overwrite: self.overwrite,
            checkpoint_exit: exit.map(|text| duration("--checkpoint-exit-every", text)).transpose()?,
            stop_at: self.stop_at,
            quiet: self.quiet,
            cell: self.cell.clone(),
            files: self.files().to_owned(),
            verify_shards: self.verify_shards,
        })
    }

    /// Where files are that settings name by a relative path.
    pub fn files(&self) -> &Path {
        self.files.as_deref().unwrap_or(Path::new(""))
    }
}

/// `runs/small-cnn-f0.3-s0-1a2b3c4d`: the same settings find the same folder again.
fn default_dir(config: &RunConfig) -> PathBuf {
    let numbers = RunConfig { threads: 0, ..config.clone() };
    let text = toml::to_string(&numbers).expect("a configuration is plain values");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let (model, fraction, seed) = (config.model.architecture.name(), config.data.fraction, config.seed);
    PathBuf::from(format!("runs/{model}-f{fraction}-s{seed}-{:08x}", hash as u32))
}

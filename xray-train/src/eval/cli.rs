//! The command line of `xray-eval`.

use super::{
    ExplainOptions, Explanation, ScoreKind, Settings, Subject, appraise, calibrate_bundle, compare_subjects,
    explain,
};
use crate::cli::OutputFormat;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use serde::Serialize;
use std::path::PathBuf;
use xray_artifacts::{Exit, Failure};
use xray_metrics::{Method, Rule};

const EXAMPLES: &str = "\
Examples:
  xray-eval run runs/small-cnn-f1-s0-1a2b3c4d
  xray-eval run RUN --rule 'sensitivity>=0.9' --calibration isotonic
  xray-eval score scores.csv
  xray-eval compare RUN-A RUN-B
  xray-eval calibrate RUN --rule 'sensitivity>=0.9'
  xray-eval explain RUN chest.png --label Effusion --out maps

Exit codes: 0 ok · 1 unexpected · 2 usage · 3 nothing matches · 5 bad data · 7 other model or version";

/// Say what a chest X-ray classifier is worth, beside what a predictor gets that looks at no image.
#[derive(Debug, Parser)]
#[command(name = "xray-eval", version = crate::environment::VERSION, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print completions for a shell
    #[arg(long, value_name = "SHELL")]
    pub completions: Option<Shell>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Evaluate a finished run: discrimination, operating points, calibration, subgroups
    Run {
        /// The run directory
        run: PathBuf,
        #[command(flatten)]
        look: Look,
    },
    /// Evaluate a CSV file of truths and scores from any framework
    ///
    /// One row per image. The label `Mass` has its truths (0, 1, or empty for unknown) in the column `Mass`,
    /// `true_Mass` or `Mass_true` and its scores in `score_Mass` or `Mass_score` (or with pred, prob, logit). Optional
    /// columns: id, patient (makes intervals honest), split (val rows choose thresholds, test rows are reported),
    /// sex, age, view.
    Score {
        /// The CSV file
        file: PathBuf,
        /// What the scores are [default: probabilities if all are between 0 and 1 or a column is called `prob`]
        #[arg(long, value_enum)]
        scores: Option<ScoreKind>,
        #[command(flatten)]
        look: Look,
    },
    /// Fit calibrations and thresholds on a run's validation records, and write them into its bundle
    Calibrate {
        /// The run directory
        run: PathBuf,
        #[command(flatten)]
        look: Look,
    },
    /// Draw where in an image a finding's score comes from: a class activation map over the image, as PNG
    Explain {
        /// The run directory
        run: PathBuf,
        /// JPEG or PNG files
        #[arg(required = true)]
        images: Vec<PathBuf>,
        /// Which finding; otherwise the one that stands out most
        #[arg(long, value_name = "NAME")]
        label: Option<String>,
        /// Folder for the pictures
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
        /// How the result is printed
        #[arg(long, value_enum, default_value = "text")]
        format: OutputFormat,
    },
    /// Compare two models on the same test records
    Compare {
        /// A run directory or a CSV file
        a: PathBuf,
        /// Another
        b: PathBuf,
        #[command(flatten)]
        draws: Draws,
        /// How the result is printed
        #[arg(long, value_enum, default_value = "text")]
        format: OutputFormat,
    },
}

#[derive(Debug, Args)]
struct Look {
    /// How thresholds are chosen on validation: youden, max-f1, sensitivity>=S, specificity>=S, ppv>=P or
    /// lowest-positive
    #[arg(long, value_name = "RULE", default_value = "youden")]
    rule: Rule,
    /// How probabilities are mended on validation: temperature, platt or isotonic
    #[arg(long, value_name = "METHOD", default_value = "platt")]
    calibration: Method,
    #[command(flatten)]
    draws: Draws,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

#[derive(Debug, Args)]
struct Draws {
    /// Bootstrap resamples behind the intervals, at least 100; with 0, intervals per label are DeLong's
    #[arg(long, value_name = "N", default_value = "1000")]
    resamples: u32,
    /// Seed of the resamples
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
}

impl Arguments {
    /// What to print.
    pub fn answer(&self) -> Result<String, Failure> {
        match &self.command {
            Some(Command::Run { run, look }) => look.at(&Subject::of_run(run)?),
            Some(Command::Score { file, scores, look }) => look.at(&Subject::of_scores(file, *scores)?),
            Some(Command::Compare { a, b, draws, format }) => {
                let (a, b) = (Subject::open(a, None)?, Subject::open(b, None)?);
                let found = compare_subjects(&a, &b, draws.resamples, draws.seed)?;
                Ok(printed(*format, &found, || found.text()))
            }
            Some(Command::Calibrate { run, look }) => {
                let found = calibrate_bundle(run, &look.settings())?;
                Ok(printed(look.format, &found, || found.text()))
            }
            Some(Command::Explain { run, images, label, out, format }) => {
                let found = explain(run, images, &ExplainOptions { label: label.clone(), out: out.clone() })?;
                let text = || found.iter().map(Explanation::text).collect::<Vec<_>>().join("\n");
                Ok(printed(*format, &found, text))
            }
            None => Err(Failure::new(Exit::Usage, "no command is given").hint("see `xray-eval --help`")),
        }
    }
}

impl Look {
    fn at(&self, subject: &Subject) -> Result<String, Failure> {
        let found = appraise(subject, &self.settings())?;
        Ok(printed(self.format, &found, || found.text()))
    }

    fn settings(&self) -> Settings {
        let Draws { resamples, seed } = self.draws;
        Settings { rule: self.rule, calibration: self.calibration, resamples, seed }
    }
}

fn printed(format: OutputFormat, found: &impl Serialize, text: impl FnOnce() -> String) -> String {
    match format {
        OutputFormat::Text => text(),
        OutputFormat::Json => serde_json::to_string_pretty(found).expect("plain values") + "\n",
    }
}

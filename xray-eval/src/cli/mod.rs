//! The command line of `xray-eval`.

mod elsewhere;
mod importing;
mod prediction;

use crate::{
    AppraiseOptions, EnsembleOptions, ErrorsOptions, ExplainOptions, ExplainedImages, Explanation,
    ExportFormat, ExportOptions, OutOfFoldOptions, ScoreKind, Subject, appraise, calibrate_bundle,
    compare_subjects, ensemble, errors, explain, export, out_of_fold, point,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use elsewhere::{DataArguments, ElsewhereArguments};
use importing::ImportArguments;
use prediction::{EmbeddingArguments, PredictionArguments};
use serde::Serialize;
use std::path::PathBuf;
use xray_artifacts::{Exit, Failure};
use xray_cli::print;
use xray_display::wide_tables;
use xray_metrics::{Method, Rule};
use xray_model::{OPSETS, WeightType};

const EXAMPLES: &str = "\
Examples:
  xray-eval run runs/small-cnn-f1-s0-1a2b3c4d
  xray-eval run RUN --rule 'sensitivity>=0.9' --calibration isotonic
  xray-eval run RUN --data hospital/images --truth hospital/findings.csv \\
      --map 'Effusion=Pleural Effusion'
  xray-eval score scores.csv
  xray-eval predict RUN hospital/images --out predictions.csv
  xray-eval predict RUN/model studies.csv --images dicom/ --out predictions.parquet
  xray-eval embed RUN shards/ --split train --out embeddings.parquet
  xray-eval import model.pth --architecture densenet-121 --labels 'Mass,,Edema' \\
      --preprocessing torchxrayvision --out BUNDLE
  xray-eval compare RUN-A RUN-B
  xray-eval ensemble RUN-A RUN-B RUN-C --out ensemble.csv --bundle ENSEMBLE
  xray-eval out-of-fold FOLD-0 FOLD-1 FOLD-2 --out out-of-fold.safetensors
  xray-eval calibrate RUN --rule 'sensitivity>=0.9'
  xray-eval explain RUN chest.png --label Effusion --out maps
  xray-eval explain RUN --test-records 6 --label Mass --out maps
  xray-eval errors RUN --out errors.html
  xray-eval point RUN --boxes BBox_List_2017.csv --images nih/
  xray-eval export RUN --to onnx --dtype int8

Exit codes: 0 ok · 1 unexpected · 2 usage · 3 nothing matches · 5 bad data · 7 other model or version · \
130/143 stopped by a signal; the same command continues `predict`";

/// Evaluate chest X-ray classifiers beside baselines that ignore the image; predict, calibrate, explain and export them.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Print each table in one piece, instead of continuing it below itself beyond 100 characters
    #[arg(long, global = true)]
    wide: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Evaluate a finished run: discrimination, operating points, calibration, subgroups
    ///
    /// With --data it evaluates on another data set, and shows the model's own figures beside the new ones. Thresholds and
    /// calibrations are carried over: from the model's card if it is calibrated (`xray-eval calibrate`) and neither --rule
    /// nor --calibration is given, else from the run's own validation records. They are never fitted on the new records. A
    /// patient in both sets is an error.
    Run {
        /// The run directory; with --data also the folder of a bundle
        run: PathBuf,
        #[command(flatten)]
        elsewhere: ElsewhereArguments,
        #[command(flatten)]
        appraisal: AppraisalArguments,
    },
    /// Evaluate a CSV file of truths and scores from any framework
    ///
    /// One row per image. The label `Mass` has its truths (0, 1, or empty for unknown) in the column `Mass`,
    /// `true_Mass` or `Mass_true` and its scores in `score_Mass` or `Mass_score` (or with pred, prob, logit). Optional
    /// columns: id, patient (makes intervals honest), split (val rows choose thresholds, test rows are reported),
    /// sex, age, view, source (a hospital or data set: AUCs within each are reported too). Other columns are listed and
    /// not used. Two columns with the same meaning and repeated ids are refused. Scores are ranked by all their digits.
    Score {
        /// The CSV file
        file: PathBuf,
        /// What the scores are [default: probabilities if all are between 0 and 1, logits if every label has some below 0]
        #[arg(long, value_enum)]
        scores: Option<ScoreKind>,
        #[command(flatten)]
        appraisal: AppraisalArguments,
    },
    /// Fit calibrations and thresholds on a run's validation records, and write them into its bundle
    ///
    /// For a bundle without a run, such as a published model's, they are fitted on the validation records of --data and
    /// reported on its test records.
    Calibrate {
        /// The run directory; with --data the folder of a bundle
        run: PathBuf,
        #[command(flatten)]
        elsewhere: DataArguments,
        #[command(flatten)]
        appraisal: AppraisalArguments,
    },
    /// Draw where in an image a finding's score comes from: a class activation map over the image, as PNG
    Explain {
        /// The run directory, or the folder of a bundle
        run: PathBuf,
        /// JPEG, PNG or DICOM files
        #[arg(required_unless_present = "test_records", conflicts_with = "test_records")]
        images: Vec<PathBuf>,
        /// Instead of files, the N test records of the run on which --label scores highest
        #[arg(long, value_name = "N", requires = "label", value_parser = clap::value_parser!(u16).range(1..))]
        test_records: Option<u16>,
        /// Where the run's data lie now, if elsewhere than in training
        #[arg(long, value_name = "DIR", requires = "test_records")]
        data: Option<PathBuf>,
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
    /// Write a page with the worst mistakes of each finding, their maps, and labels that may be wrong
    ///
    /// Uses the validation records of one run. With the runs of all folds of a cross-validation, it uses all records of train
    /// and validation, each scored and explained by the run that did not train on it. Test records are never used. Labels
    /// that are likely wrong are ranked by confident learning (Northcutt et al., 2021). The page is one file without scripts
    /// or network, about 20 kB per picture. It contains images of patients.
    Errors {
        /// The run directory, or those of all folds of a cross-validation
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// The page to write: NAME.html
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Replace a page that is there
        #[arg(long)]
        overwrite: bool,
        /// False positives of each finding that are shown, and as many false negatives; up to 50
        #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=50))]
        images: u16,
        /// Labels shown that are likely wrong; up to 500
        #[arg(long, value_name = "N", default_value = "30", value_parser = clap::value_parser!(u16).range(0..=500))]
        suspects: u16,
        /// How thresholds are chosen on validation, as for `run`
        #[arg(long, value_name = "RULE", default_value = "youden")]
        rule: Rule,
        /// Where the run's data lie now, if elsewhere than in training
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// How the result is printed
        #[arg(long, value_enum, default_value = "text")]
        format: OutputFormat,
    },
    /// Score a run's maps by the pointing game: does the maximum lie in a box that a radiologist drew?
    Point {
        /// The run directory, or the folder of a bundle
        run: PathBuf,
        /// Boxes as NIH hands them out: BBox_List_2017.csv, also .gz
        #[arg(long, value_name = "CSV")]
        boxes: PathBuf,
        /// Folder of the images, searched at any depth; boxes on others are left out
        #[arg(long, value_name = "DIR")]
        images: PathBuf,
        /// How the result is printed
        #[arg(long, value_enum, default_value = "text")]
        format: OutputFormat,
    },
    /// Write a model for other programs: safetensors for PyTorch and serving, or ONNX
    ///
    /// Reduced-precision weights are scored on the run's validation records first, or on those of --data, and
    /// refused where a finding's AUC falls too far. With int8 the CPU computes in integers; the range of activations is taken
    /// from the first 512 of those records. The folder gets the model, its card model.json, and export.json with
    /// these figures.
    Export {
        /// The run directory, or the folder of a bundle
        run: PathBuf,
        /// What kind of file
        #[arg(long, value_enum, default_value = "safetensors")]
        to: ExportFormat,
        /// How kernels and matrices are stored: f32, f16, or int8 with a scale for each output channel and integer arithmetic
        #[arg(long, value_parser = dtype, default_value = "f32")]
        dtype: WeightType,
        /// Folder for the files [default: export/ in RUN]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// ONNX's operator set, 13 to 21: newer runtimes read older ones
        #[arg(long, value_name = "N", default_value = "17", value_parser = opset)]
        opset: u32,
        /// How far --dtype may lower a finding's validation AUC
        #[arg(long, value_name = "AUC", default_value = "0.005")]
        max_auc_drop: f64,
        /// Where the run's data lie now, if elsewhere than in training; of a bundle, labelled data with a validation split
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// How the result is printed
        #[arg(long, value_enum, default_value = "text")]
        format: OutputFormat,
    },
    /// Make a bundle from a published model, without training: torchxrayvision's, torchvision's, reproductions of CheXNet
    ///
    /// The file is a safetensors file or what `torch.save` wrote; pickles are parsed, never executed. Tensors are
    /// matched by name, all of the network must be there, and each output gets a finding. An output without a name, or one
    /// that torchxrayvision's `op_threshs` marks as untrained, is left out. The bundle works like a trained one: predict,
    /// run --data, calibrate --data, explain, export, xray-serve.
    Import {
        /// The file of weights
        file: PathBuf,
        #[command(flatten)]
        import: ImportArguments,
    },
    /// Predict any images: a row for each in a table, CSV or Parquet
    ///
    /// Images can be files, folders searched at any depth, zip, tar and tar.gz files, tables with a column of paths,
    /// TFRecords, and data sets of `xray-data build`. PNG, JPEG and DICOM are read, and prepared as in training. A row has
    /// metadata, warnings if the image looks like no chest X-ray, and for each finding the logit, the probability, the
    /// calibrated probability and the call at the threshold (the last two after `xray-eval calibrate`). A file that cannot
    /// be read is a row with the reason in the column `error`. The same command continues an interrupted prediction, to the
    /// same bytes.
    Predict {
        /// The run directory, or the folder of a bundle
        model: PathBuf,
        /// Image files, folders, archives, tables, TFRecords, data sets
        #[arg(required = true)]
        inputs: Vec<PathBuf>,
        #[command(flatten)]
        prediction: PredictionArguments,
    },
    /// Write the embedding of any images, the last layer's input: one Parquet row for each
    ///
    /// Images are given and prepared as for `predict`. The column `embedding` is a list of float32, the means of the last
    /// maps, from which the last layer computes the logits. Other columns are id, file, split and patient. A file that
    /// cannot be read is a row with the reason in the column `error`.
    Embed {
        /// The run directory, or the folder of a bundle
        model: PathBuf,
        /// Image files, folders, tables, TFRecords, data sets
        #[arg(required = true)]
        inputs: Vec<PathBuf>,
        #[command(flatten)]
        embedding: EmbeddingArguments,
    },
    /// Average the calibrated probabilities of several models on the same records
    ///
    /// Each member is calibrated on its own validation records. The means on validation and test are written as a table that
    /// `score` and `compare` read. The gain over the mean member and over the member that is best on validation is reported,
    /// with intervals by patient. With --bundle the runs' networks become one bundle that works like any other (`predict`,
    /// `run --data`, `explain`, xray-serve) and gives the same probabilities, bit for bit.
    Ensemble {
        /// Two or more run directories, or CSV files with rows of the validation split
        #[arg(required = true)]
        members: Vec<PathBuf>,
        /// The table to write: NAME.csv
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Folder for a bundle of all members, which must be run directories with the same preprocessing
        #[arg(long, value_name = "DIR")]
        bundle: Option<PathBuf>,
        /// How the bundle's thresholds are chosen on validation, as for `run` [default: youden]
        #[arg(long, value_name = "RULE", requires = "bundle")]
        rule: Option<Rule>,
        /// Replace a table and a bundle that are there
        #[arg(long)]
        overwrite: bool,
        /// How members are calibrated on validation: temperature, platt or isotonic, as for `run`
        #[arg(long, value_name = "METHOD", default_value = "platt")]
        calibration: Method,
        /// How the result is printed
        #[arg(long, value_enum, default_value = "text")]
        format: OutputFormat,
    },
    /// Combine the runs of a cross-validation: each record scored by the run that did not train on it
    ///
    /// The runs must differ in `data.fold` (and seed) only and cover every fold once; no patient may be in two folds. It
    /// reports AUCs within folds over all records, with intervals by patient, and those of each fold. The predictions are
    /// written in the format of a run's own.
    OutOfFold {
        /// The run directories of all folds, in any order
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// The file of predictions to write: NAME.safetensors
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Replace a file that is there
        #[arg(long)]
        overwrite: bool,
        /// How the result is printed
        #[arg(long, value_enum, default_value = "text")]
        format: OutputFormat,
    },
    /// Compare two models on the same test records
    Compare {
        /// A run directory or a CSV file
        a: PathBuf,
        /// A run directory or a CSV file to compare it with
        b: PathBuf,
        #[command(flatten)]
        draws: Draws,
        /// How the result is printed
        #[arg(long, value_enum, default_value = "text")]
        format: OutputFormat,
    },
}

#[derive(Debug, Args)]
struct AppraisalArguments {
    /// How thresholds are chosen on validation: youden, max-f1, sensitivity>=S, specificity>=S, ppv>=P or
    /// lowest-positive; a warning names thresholds that call nearly every image the same [default: youden]
    #[arg(long, value_name = "RULE")]
    rule: Option<Rule>,
    /// How probabilities are calibrated on validation: temperature or platt, which need 20 patients with the finding
    /// and 20 without, or isotonic, which takes 50; with fewer patients a simpler one is used, from 5 on a shift alone
    /// [default: platt]
    #[arg(long, value_name = "METHOD")]
    calibration: Option<Method>,
    #[command(flatten)]
    draws: Draws,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

#[derive(Debug, Args)]
struct Draws {
    /// Has no effect, which a note says: intervals were resampled once, and come from formulas now
    #[arg(long, value_name = "N", hide = true)]
    resamples: Option<u32>,
    /// Has no effect, like --resamples
    #[arg(long, value_name = "N", hide = true)]
    seed: Option<u64>,
}

impl Draws {
    /// What is set and not used.
    fn notes(&self) -> impl Iterator<Item = String> {
        let set = [("--resamples", self.resamples.is_some()), ("--seed", self.seed.is_some())];
        set.into_iter().filter(|(_, set)| *set).map(|(flag, _)| {
            format!("{flag} has no effect: intervals and p-values come from formulas, nothing is resampled")
        })
    }
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// A table.
    Text,
    /// One JSON object.
    Json,
}

impl Arguments {
    /// Does what is asked and prints it.
    pub fn run(&self) -> Result<Exit, Failure> {
        if self.wide {
            wide_tables();
        }
        match &self.command {
            Some(Command::Predict { model, inputs, prediction }) => return prediction.run(model, inputs),
            Some(Command::Embed { model, inputs, embedding }) => return embedding.run(model, inputs),
            Some(Command::Import { file, import }) => return import.run(file),
            Some(Command::Run { run, elsewhere, appraisal }) if elsewhere.of.data.is_some() => {
                return elsewhere.run(run, appraisal);
            }
            Some(Command::Calibrate { run, elsewhere, appraisal }) if elsewhere.data.is_some() => {
                return elsewhere.calibrate(run, appraisal);
            }
            _ => {}
        }
        print(&self.answer()?)?;
        Ok(Exit::Ok)
    }

    /// What to print.
    fn answer(&self) -> Result<String, Failure> {
        match &self.command {
            Some(Command::Run { run, appraisal, .. }) => appraisal.at(&Subject::of_run(run)?),
            Some(Command::Score { file, scores, appraisal }) => {
                appraisal.at(&Subject::of_scores(file, *scores)?)
            }
            Some(Command::Compare { a, b, draws, format }) => {
                let (a, b) = (Subject::ranked(a)?, Subject::ranked(b)?);
                let mut found = compare_subjects(&a, &b)?;
                found.notes.extend(draws.notes());
                Ok(printed(*format, &found, || found.text()))
            }
            Some(Command::Calibrate { run, appraisal, .. }) => {
                let mut found = calibrate_bundle(run, &appraisal.options())?;
                found.appraisal.notes.extend(appraisal.draws.notes());
                Ok(printed(appraisal.format, &found, || found.text()))
            }
            Some(Command::Explain { run, images, test_records, data, label, out, format }) => {
                let images = match *test_records {
                    Some(count) => ExplainedImages::TestRecords { count: count.into(), data: data.clone() },
                    None => ExplainedImages::Files(images.clone()),
                };
                let found =
                    explain(run, &images, &ExplainOptions { label: label.clone(), out: out.clone() })?;
                let text = || found.iter().map(Explanation::text).collect::<Vec<_>>().join("\n");
                Ok(printed(*format, &found, text))
            }
            Some(Command::Point { run, boxes, images, format }) => {
                let found = point(run, boxes, images)?;
                Ok(printed(*format, &found, || found.text()))
            }
            Some(Command::Export { run, to, dtype, out, opset, max_auc_drop, data, format }) => {
                let options = ExportOptions {
                    to: *to,
                    dtype: *dtype,
                    out: out.clone(),
                    opset: *opset,
                    max_auc_drop: *max_auc_drop,
                    data: data.clone(),
                };
                let found = export(run, &options)?;
                Ok(printed(*format, &found, || found.text()))
            }
            Some(Command::Ensemble { members, out, bundle, rule, overwrite, calibration, format }) => {
                let options = EnsembleOptions {
                    calibration: *calibration,
                    out: out.clone(),
                    bundle: bundle.clone(),
                    rule: rule.unwrap_or(Rule::Youden),
                    overwrite: *overwrite,
                };
                let found = ensemble(members, &options)?;
                Ok(printed(*format, &found, || found.text()))
            }
            Some(Command::Errors { runs, out, overwrite, images, suspects, rule, data, format }) => {
                let options = ErrorsOptions {
                    out: out.clone(),
                    overwrite: *overwrite,
                    images: (*images).into(),
                    suspects: (*suspects).into(),
                    rule: *rule,
                    data: data.clone(),
                };
                let found = errors(runs, &options)?;
                Ok(printed(*format, &found, || found.text()))
            }
            Some(Command::OutOfFold { runs, out, overwrite, format }) => {
                let found = out_of_fold(runs, &OutOfFoldOptions { out: out.clone(), overwrite: *overwrite })?;
                Ok(printed(*format, &found, || found.text()))
            }
            Some(Command::Predict { .. } | Command::Embed { .. } | Command::Import { .. }) | None => {
                Err(Failure::new(Exit::Usage, "no command is given").hint("see `xray-eval --help`"))
            }
        }
    }
}

fn dtype(name: &str) -> Result<WeightType, String> {
    let known = [WeightType::F32, WeightType::F16, WeightType::Int8];
    let names = || known.map(WeightType::name).join(", ");
    known.into_iter().find(|dtype| dtype.name() == name).ok_or_else(|| format!("one of {}", names()))
}

fn opset(text: &str) -> Result<u32, String> {
    let opset = text.parse().ok().filter(|opset| OPSETS.contains(opset));
    opset.ok_or_else(|| format!("{} to {} can be written", OPSETS.start(), OPSETS.end()))
}

impl AppraisalArguments {
    fn at(&self, subject: &Subject) -> Result<String, Failure> {
        let mut found = appraise(subject, &self.options())?;
        found.notes.extend(self.draws.notes());
        Ok(printed(self.format, &found, || found.text()))
    }

    fn options(&self) -> AppraiseOptions {
        AppraiseOptions {
            rule: self.rule.unwrap_or(Rule::Youden),
            calibration: self.calibration.unwrap_or(Method::Platt),
        }
    }
}

fn printed(format: OutputFormat, found: &impl Serialize, text: impl FnOnce() -> String) -> String {
    match format {
        OutputFormat::Text => text(),
        OutputFormat::Json => serde_json::to_string_pretty(found).expect("plain values") + "\n",
    }
}

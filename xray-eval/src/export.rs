//! A model in a file for other programs, in fewer bytes where wanted, and what those bytes cost.

use crate::external::LabelMap;
use crate::figures::number;
use crate::labelled::{LabelledImages, nothing_of};
use crate::predict::{Device, Pace};
use crate::run_data;
use crate::run_model::card;
use crate::subject::scores;
use clap::ValueEnum;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{
    Exit, Failure, FileError, Integers, Predictions, Split, checksum, write_bytes, write_json,
};
use xray_bundle::{Bundle, Card, WEIGHTS, read_weights, refuse_several};
use xray_data::sources::LabelledOptions;
use xray_display::{TextTable, counted};
use xray_metrics::auc;
use xray_model::{ActivationRanges, Backend, Onnx, Predictor, RangeRule, StoredDict, WeightType, onnx};

/// What kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// Tensors under torchvision's names: with the card beside it a bundle, which can be served
    Safetensors,
    /// The whole network, for ONNX Runtime and others: normalised images to logits
    Onnx,
}

/// How a model is exported.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// What kind of file.
    pub to: ExportFormat,
    /// What weights are kept in.
    pub dtype: WeightType,
    /// The folder; below `export/` in the run directory if absent.
    pub out: Option<PathBuf>,
    /// ONNX's operator set.
    pub opset: u32,
    /// How far a finding's AUC on validation may fall by another dtype.
    pub max_auc_drop: f64,
    /// Where the data lie now, if elsewhere than in training; of a bundle without a run, labelled data with validation
    /// records.
    pub data: Option<PathBuf>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exported {
    /// The format of this object.
    pub format: u32,
    /// The model's file.
    pub model: PathBuf,
    /// Its kind.
    pub to: ExportFormat,
    /// What its weights are kept in.
    pub dtype: WeightType,
    /// Its size in bytes.
    pub bytes: u64,
    /// The size of the weights as trained.
    pub trained_bytes: u64,
    /// What another dtype does; null with that of training.
    pub change: Option<Change>,
    /// How activations become integers; null where arithmetic is in float32.
    pub integers: Option<Integers>,
}

/// Validation records whose activations are watched at most: of chest X-rays, more move the ranges by little.
const CALIBRATION_IMAGES: usize = 512;

/// What fewer digits do to the scores of the validation records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// How many records.
    pub records: usize,
    /// The root of the mean squared difference of logits.
    pub logit_error: f64,
    /// The largest difference of a logit.
    pub largest_logit_change: f64,
    /// One per label.
    pub labels: Vec<LabelChange>,
}

/// What they do to one label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelChange {
    /// Its name.
    pub label: String,
    /// Validation AUC as trained; null where it is not defined.
    pub auc_before: Option<f64>,
    /// And as exported.
    pub auc_after: Option<f64>,
}

impl LabelChange {
    /// How far the AUC fell; below zero where it rose.
    fn drop(&self) -> Option<f64> {
        Some(self.auc_before? - self.auc_after?)
    }
}

/// Writes the model of a run or of a bundle, its card and `export.json` into a folder. Weights of another dtype than trained
/// are scored on validation first, in the arithmetic that they are used with: float32, or integers for int8, whose
/// activations reach from the lowest to the highest value of each map in the first 512 validation records.
///
/// # Errors
/// If there is no bundle, the validation records cannot be scored, some label's AUC falls by more than allowed, or a
/// file cannot be written. Nothing is written then.
pub fn export(run: &Path, options: &ExportOptions) -> Result<Exported, Failure> {
    let (path, mut card) = card(run)?;
    let instead = "export the members one by one; a file of one network has no place for the calibrations between its logits \
                   and their mean";
    refuse_several(&card, &format!("{} cannot be exported", run.display()), instead)?;
    let folder = path.parent().expect("a card lies in a folder");
    let weights_path = folder.join(WEIGHTS);
    let trained = read_weights(folder, &card)?;
    let stored = trained.stored(options.dtype);
    let mut reduced = Reduced { stored, dtype: options.dtype, ranges: Vec::new(), integers: None };
    let change = match options.dtype {
        WeightType::F32 => {
            // What opens it looks at its scores.
            Bundle::of(card.clone(), &trained)?;
            None
        }
        _ if run.join("result.json").is_file() => {
            Some(Change::measure(run, &card, &mut reduced, options.data.as_deref())?)
        }
        _ => Some(Change::on_other_data(folder, &card, &mut reduced, options.data.as_deref())?),
    };
    if let Some(change) = &change {
        change.check(options)?;
    }
    let Reduced { stored, integers, .. } = reduced;
    if options.dtype != WeightType::F32 {
        card.integers.clone_from(&integers);
    }
    let name = format!("{}-{}", name_of(options.to), options.dtype.name());
    let folder = options.out.clone().unwrap_or_else(|| run.join("export").join(name));
    fs::create_dir_all(&folder).map_err(io(&folder, "create"))?;
    let model = match options.to {
        ExportFormat::Safetensors => {
            let file = folder.join(WEIGHTS);
            card.weights = stored.save(&file, &[("format", "pt".to_owned())])?;
            file
        }
        ExportFormat::Onnx => {
            let file = folder.join("model.onnx");
            let bytes = onnx_file(&card, &stored, options.opset)?;
            write_bytes(&file, &bytes)?;
            card.weights = checksum(&bytes);
            file
        }
    };
    write_json(&folder.join("model.json"), &card)?;
    let length = |path: &Path| fs::metadata(path).map(|file| file.len()).map_err(io(path, "read"));
    let exported = Exported {
        format: 1,
        bytes: length(&model)?,
        trained_bytes: length(&weights_path)?,
        model,
        to: options.to,
        dtype: options.dtype,
        change,
        integers,
    };
    let json = serde_json::to_string_pretty(&exported).expect("plain values") + "\n";
    write_bytes(&folder.join("export.json"), json.as_bytes())?;
    Ok(exported)
}

fn stopped(exit: Exit) -> Failure {
    Failure::new(exit, "stopped; nothing was exported")
}

fn name_of(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Safetensors => "safetensors",
        ExportFormat::Onnx => "onnx",
    }
}

fn io<'a>(path: &'a Path, action: &'static str) -> impl Fn(std::io::Error) -> Failure + 'a {
    move |source| FileError::Io { path: path.to_owned(), action, source }.into()
}

fn onnx_file(card: &Card, stored: &StoredDict, opset: u32) -> Result<Vec<u8>, Failure> {
    // All that a reader of logits needs; the scores are in the card.
    let serde_json::Value::Object(words) = serde_json::to_value(card).expect("plain values") else {
        unreachable!("a card is an object")
    };
    let wanted = ["labels", "preprocessing", "calibration", "thresholds", "provenance"];
    let words = words.into_iter().filter(|(key, _)| wanted.contains(&key.as_str()));
    let metadata = words.map(|(key, value)| (key, value.to_string())).collect();
    let how = Onnx { size: card.preprocessing.size, opset, metadata };
    Ok(onnx(&card.model, card.labels.len(), stored, &how)?)
}

/// Reduced-precision weights.
struct Reduced {
    stored: StoredDict,
    dtype: WeightType,
    /// Ranges of activations to choose from; none where it stays with floats.
    ranges: Vec<ActivationRanges>,
    /// How its activations become integers, once that is known.
    integers: Option<Integers>,
}

/// Ranges by every rule, from activations that were recorded.
fn ranges(of: impl Fn(RangeRule) -> Option<ActivationRanges>) -> Vec<ActivationRanges> {
    RangeRule::ALL.map(|rule| of(rule).expect("made to watch activations")).into()
}

impl Reduced {
    /// Takes up the ranges that change logits least on validation, and what they change; without any, what fewer digits do.
    fn chosen(
        &mut self,
        mut measure: impl FnMut(&StoredDict) -> Result<Change, Failure>,
    ) -> Result<Change, Failure> {
        let mut best: Option<(Change, StoredDict)> = None;
        for ranges in &self.ranges {
            let stored = self.stored.clone().with_ranges(ranges);
            let change = measure(&stored)?;
            self.integers = Some(Integers { calibrated_on: Split::Val, images: ranges.images as u64 });
            if best.as_ref().is_none_or(|(least, _)| change.logit_error < least.logit_error) {
                best = Some((change, stored));
            }
        }
        let Some((change, stored)) = best else { return measure(&self.stored) };
        self.stored = stored;
        Ok(change)
    }

    fn is_of_integers(&self) -> bool {
        self.dtype == WeightType::Int8
    }
}

impl Change {
    fn measure(
        run: &Path,
        card: &Card,
        reduced: &mut Reduced,
        data_dir: Option<&Path>,
    ) -> Result<Change, Failure> {
        let config = run_data::config(run, data_dir)?;
        let before = Predictions::load(&run.join("predictions-val.safetensors"), Split::Val)?;
        let mut rescoring = run_data::open(&config, card).map_err(|failure| {
            let message =
                format!("reduced-precision weights are scored on validation first: {}", failure.message);
            Failure { message, ..failure }
        })?;
        let mut predictions = |model: &Predictor| {
            let found = rescoring.predict(Split::Val, &card.preprocessing, model)?;
            found.map_err(stopped)
        };
        let classes = card.labels.len();
        if reduced.is_of_integers() {
            let weights = reduced.stored.restored();
            let watching = Predictor::calibrating(&card.model, classes, &weights, CALIBRATION_IMAGES)?;
            predictions(&watching)?;
            reduced.ranges = ranges(|rule| watching.activation_ranges(rule));
        }
        reduced.chosen(|stored| {
            let model = Predictor::new(&card.model, classes, &stored.restored(), Backend::Cpu)?;
            let after = predictions(&model)?;
            Change::between(&before, &after.in_order_of(&before)?)
        })
    }

    /// Scores a bundle that has no data of its own.
    fn on_other_data(
        folder: &Path,
        card: &Card,
        reduced: &mut Reduced,
        data: Option<&Path>,
    ) -> Result<Change, Failure> {
        let Some(data) = data else {
            let message = "reduced-precision weights are scored on validation first, and a bundle has no data of its own";
            return Err(Failure::new(Exit::Usage, message).hint(
                "name labelled data with a validation split: --data DATA; or keep all digits: --dtype f32",
            ));
        };
        let images =
            LabelledImages::read(data, &LabelledOptions::default(), &LabelMap::default(), &card.labels)?
                .only(|image| image.split == Some(Split::Val));
        if images.images().is_empty() {
            return Err(nothing_of(Split::Val, data));
        }
        let pace = Pace { batch_size: 32, threads: 0 };
        let said = |bundle: &Arc<Bundle>| {
            let mut device = Device::open(Backend::Cpu, folder)?;
            let found = images.scored(bundle, &mut device, pace)?.map_err(stopped)?;
            Ok::<_, Failure>(found.predictions(Split::Val, |_| true))
        };
        let before = said(&Arc::new(Bundle::open(folder)?))?;
        if before.ids.is_empty() {
            let message = format!("no validation record of {} can be read", data.display());
            return Err(Failure::new(Exit::BadData, message));
        }
        if reduced.is_of_integers() {
            let weights = reduced.stored.restored();
            let watching = Arc::new(Bundle::calibrating(card.clone(), &weights, CALIBRATION_IMAGES)?);
            said(&watching)?;
            reduced.ranges = ranges(|rule| watching.activation_ranges(rule));
        }
        reduced.chosen(|stored| {
            let model = Bundle::of(card.clone(), &stored.restored())?;
            Change::between(&before, &said(&Arc::new(model))?)
        })
    }

    fn between(before: &Predictions, after: &Predictions) -> Result<Change, Failure> {
        let (exact, found) = (scores(before)?, scores(after)?);
        let labels = before.labels.iter().enumerate().map(|(at, label)| LabelChange {
            label: label.clone(),
            auc_before: auc(&exact.column(at)),
            auc_after: auc(&found.column(at)),
        });
        let changes = || before.logits.iter().zip(&after.logits).map(|(a, b)| (a - b).abs());
        let squares: f64 = changes().map(|change| change * change).sum();
        Ok(Change {
            records: before.ids.len(),
            logit_error: (squares / before.logits.len() as f64).sqrt(),
            largest_logit_change: changes().fold(0.0, f64::max),
            labels: labels.collect(),
        })
    }

    /// That no label's AUC fell by more than allowed.
    fn check(&self, options: &ExportOptions) -> Result<(), Failure> {
        let drops = self.labels.iter().filter_map(|label| Some((label, label.drop()?)));
        let worst = drops.max_by(|(_, a), (_, b)| a.total_cmp(b));
        let Some((label, drop)) = worst.filter(|(_, drop)| *drop > options.max_auc_drop) else {
            return Ok(());
        };
        let message = format!(
            "{} the validation AUC of {} falls by {drop:.4}, from {} to {}: more than {}",
            if options.dtype == WeightType::Int8 { "in int8" } else { "with f16 weights" },
            label.label,
            number(label.auc_before),
            number(label.auc_after),
            options.max_auc_drop,
        );
        Err(Failure::new(Exit::ModelMismatch, message)
            .hint("keep more digits with --dtype f16, or allow more with --max-auc-drop"))
    }
}

impl Exported {
    /// For a terminal.
    pub fn text(&self) -> String {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let mut text = String::new();
        if let Some(Change { records, logit_error, largest_logit_change, labels }) = &self.change {
            let mut table = TextTable::new(&["finding", "AUC as trained", "as exported", "change"]);
            for label in labels {
                let drop = label.drop().map_or("–".to_owned(), |drop| format!("{:+.4}", 0.0 - drop));
                table.row(vec![label.label.clone(), number(label.auc_before), number(label.auc_after), drop]);
            }
            text += &format!(
                "{}on {}; logits move by {logit_error:.2e} (root mean square), none by more than \
                 {largest_logit_change:.2e}\n\n",
                table.text(),
                counted(*records, "validation record")
            );
        }
        if let Some(Integers { images, .. }) = &self.integers {
            let images = counted(*images as usize, "validation image");
            text += &format!("computed in integers on the CPU, with the ranges of activations in {images}\n");
        }
        text += &format!("{}: {:.2} MB", self.model.display(), megabytes(self.bytes));
        if self.dtype != WeightType::F32 {
            text += &format!(", {:.2} MB as trained", megabytes(self.trained_bytes));
        }
        text + "\n"
    }
}

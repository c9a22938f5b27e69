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
use xray_artifacts::{Exit, Failure, FileError, Predictions, Split, checksum, write_bytes, write_json};
use xray_bundle::{Bundle, Card, WEIGHTS, read_weights};
use xray_data::sources::LabelledOptions;
use xray_display::{TextTable, counted};
use xray_metrics::auc;
use xray_model::{Backend, Onnx, Predictor, StoredDict, WeightType, onnx};

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
}

/// What weights of fewer digits do to the scores of the validation records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// How many records.
    pub records: usize,
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
/// are scored on validation first, in the float32 arithmetic that they are used with.
///
/// # Errors
/// If there is no bundle, the validation records cannot be scored, some label's AUC falls by more than allowed, or a
/// file cannot be written. Nothing is written then.
pub fn export(run: &Path, options: &ExportOptions) -> Result<Exported, Failure> {
    let (path, mut card) = card(run)?;
    let folder = path.parent().expect("a card lies in a folder");
    let weights_path = folder.join(WEIGHTS);
    let trained = read_weights(folder, &card)?;
    let stored = trained.stored(options.dtype);
    let change = match options.dtype {
        WeightType::F32 => None,
        _ if run.join("result.json").is_file() => {
            Some(Change::measure(run, &card, &stored, options.data.as_deref())?)
        }
        _ => Some(Change::on_other_data(folder, &card, &stored, options.data.as_deref())?),
    };
    if let Some(change) = &change {
        change.check(options)?;
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
    };
    let json = serde_json::to_string_pretty(&exported).expect("plain values") + "\n";
    write_bytes(&folder.join("export.json"), json.as_bytes())?;
    Ok(exported)
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

impl Change {
    fn measure(
        run: &Path,
        card: &Card,
        stored: &StoredDict,
        data_dir: Option<&Path>,
    ) -> Result<Change, Failure> {
        let config = run_data::config(run, data_dir)?;
        let before = Predictions::load(&run.join("predictions-val.safetensors"), Split::Val)?;
        let mut rescoring = run_data::open(&config, card).map_err(|failure| {
            let message =
                format!("weights of fewer digits are scored on validation first: {}", failure.message);
            Failure { message, ..failure }
        })?;
        let model = Predictor::new(&card.model, card.labels.len(), &stored.restored(), Backend::Cpu)?;
        let after = rescoring.predict(Split::Val, &card.preprocessing, &model)?;
        let after = after.map_err(|exit| Failure::new(exit, "stopped; nothing was exported"))?;
        Change::between(&before, &after.in_order_of(&before)?)
    }

    /// Of a bundle that has no data of its own.
    fn on_other_data(
        folder: &Path,
        card: &Card,
        stored: &StoredDict,
        data: Option<&Path>,
    ) -> Result<Change, Failure> {
        let Some(data) = data else {
            let message =
                "weights of fewer digits are scored on validation first, and a bundle has no data of its own";
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
        let said = |bundle: Bundle| {
            let mut device = Device::open(Backend::Cpu, folder)?;
            let found = images.scored(&Arc::new(bundle), &mut device, pace)?;
            let found = found.map_err(|exit| Failure::new(exit, "stopped; nothing was exported"))?;
            Ok::<_, Failure>(found.predictions(Split::Val, |_| true))
        };
        let before = said(Bundle::open(folder)?)?;
        if before.ids.is_empty() {
            let message = format!("no validation record of {} can be read", data.display());
            return Err(Failure::new(Exit::BadData, message));
        }
        Change::between(&before, &said(Bundle::of(card.clone(), &stored.restored())?)?)
    }

    fn between(before: &Predictions, after: &Predictions) -> Result<Change, Failure> {
        let (exact, found) = (scores(before)?, scores(after)?);
        let labels = before.labels.iter().enumerate().map(|(at, label)| LabelChange {
            label: label.clone(),
            auc_before: auc(&exact.column(at)),
            auc_after: auc(&found.column(at)),
        });
        let changes = before.logits.iter().zip(&after.logits).map(|(a, b)| (a - b).abs());
        Ok(Change {
            records: before.ids.len(),
            largest_logit_change: changes.fold(0.0, f64::max),
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
            "with {} weights the validation AUC of {} falls by {drop:.4}, from {} to {}: more than {}",
            options.dtype.name(),
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
        if let Some(Change { records, largest_logit_change, labels }) = &self.change {
            let mut table = TextTable::new(&["finding", "AUC as trained", "as exported", "change"]);
            for label in labels {
                let drop = label.drop().map_or("–".to_owned(), |drop| format!("{:+.4}", 0.0 - drop));
                table.row(vec![label.label.clone(), number(label.auc_before), number(label.auc_after), drop]);
            }
            text += &format!(
                "{}on {}; no logit moves by more than {largest_logit_change:.2e}\n\n",
                table.text(),
                counted(*records, "validation record")
            );
        }
        text += &format!("{}: {:.2} MB", self.model.display(), megabytes(self.bytes));
        if self.dtype != WeightType::F32 {
            text += &format!(", {:.2} MB as trained", megabytes(self.trained_bytes));
        }
        text + "\n"
    }
}

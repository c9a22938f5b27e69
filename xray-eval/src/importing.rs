//! A published model as a bundle, without training: its weights under this project's names, its findings, and a card that
//! says how images are prepared for it.

use clap::ValueEnum;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use xray_artifacts::{
    ChannelRange, Crop, Exit, Failure, FileError, Imported, Preprocessing, Provenance, ResizeFilter,
    Threshold, checksum, write_json,
};
use xray_bundle::{Bundle, CARD, Card, WEIGHTS};
use xray_data::labels::check_names;
use xray_display::counted;
use xray_image::MAX_SIDE;
use xray_metrics::Rule;
use xray_model::{Architecture, Error, ModelConfig, Note, Published, published, read_weights};
use xray_train::environment::VERSION;

/// Whose way it is to prepare an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pipeline {
    /// torchxrayvision's: centred square, its resize to --size [default: 224], -1024 to 1024, one channel
    #[value(name = "torchxrayvision")]
    TorchXRayVision,
    /// torchvision's for ImageNet: the shorter side to 256, the centred 224 x 224 cut out (for another --size in
    /// proportion), each of three channels by its mean and deviation in ImageNet
    #[value(name = "imagenet")]
    ImageNet,
    /// The same means and deviations of an image that is squashed to --size x --size
    #[value(name = "imagenet-squashed")]
    ImageNetSquashed,
    /// Squashed to --size x --size, black 0 and white 1, one channel
    #[value(name = "zero-to-one")]
    ZeroToOne,
}

/// What a published model is.
#[derive(Clone, Debug)]
pub struct ImportModelOptions {
    /// The network.
    pub architecture: Architecture,
    /// Its width; 0 for the paper's.
    pub width: usize,
    /// The finding of each output, in their order; empty for one that was never trained or is not wanted.
    pub labels: Vec<String>,
    /// How images are prepared.
    pub pipeline: Pipeline,
    /// Width and height of the network's input in pixels; by default the pipeline's.
    pub size: Option<u32>,
    /// Channels of its images; by default the pipeline's.
    pub channels: Option<usize>,
    /// Which network of a file that holds several.
    pub part: String,
    /// The bundle's folder.
    pub out: PathBuf,
    /// Replace a bundle that is there.
    pub overwrite: bool,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImportedModel {
    /// The format of this object.
    pub format: u32,
    /// The bundle's folder.
    pub out: PathBuf,
    /// The network.
    pub architecture: String,
    /// The findings, in the order of the bundle's outputs.
    pub labels: Vec<String>,
    /// Outputs of the file that the bundle has not.
    pub left_out: usize,
    /// How many findings have a threshold that was published with the model.
    pub thresholds: usize,
    /// How images are prepared.
    pub preprocessing: Preprocessing,
    /// What was not simply taken over.
    pub notes: Vec<String>,
}

/// Makes a bundle of the weights in `file`.
///
/// # Errors
/// A file that holds no such network, with what does not fit; labels that are twice the same or not as many as outputs; a
/// bundle that is there already.
pub fn import_model(file: &Path, options: &ImportModelOptions) -> Result<ImportedModel, Failure> {
    let (card_file, weights_file) = (options.out.join(CARD), options.out.join(WEIGHTS));
    if card_file.exists() && !options.overwrite {
        return Err(Failure::new(Exit::Usage, format!("{} is there already", card_file.display()))
            .hint("choose another --out, or replace the bundle with --overwrite"));
    }
    if options.labels.iter().all(String::is_empty) {
        return Err(Failure::new(Exit::Usage, "--labels names no finding")
            .hint("name the finding of each output, in their order, such as --labels Mass,Edema"));
    }
    let model = options.model();
    let preprocessing = options.preprocessing(&model)?;
    let found = read_weights(file)?;
    let whole = published(&model, options.labels.len(), found, &options.part)
        .map_err(|error| refused(file, error, options.labels.len()))?;
    let kept = Kept::of(&options.labels, &whole)?;
    let notes = [notes_of(&whole.notes), kept.notes, options.pipeline.notes()].concat();
    let thresholds = thresholds(&kept.outputs, &whole);
    let whole = whole.with_outputs(&kept.outputs);
    let bytes = fs::read(file).map_err(io(file, "read"))?;
    let card = Card {
        model,
        preprocessing,
        labels: kept.labels,
        calibration: Vec::new(),
        thresholds,
        provenance: Provenance {
            trainer: format!("not trained here; imported by {VERSION}"),
            dataset: String::new(),
            fraction: 0.0,
            train_images: 0,
            seed: 0,
            steps: 0,
            first_weights: None,
            imported: Some(Imported {
                file: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                checksum: checksum(&bytes),
                part: whole.part.clone(),
                preprocessing: options.pipeline.name(),
                notes: notes.clone(),
            }),
        },
        weights: String::new(),
        integers: None,
        members: Vec::new(),
        scores: [].into(),
    };
    // What cannot predict is not written.
    let card = Bundle::of(card, &whole.weights)?.card;
    fs::create_dir_all(&options.out).map_err(io(&options.out, "create"))?;
    let weights = whole.weights.save(&weights_file, &[("format", "pt".to_owned())])?;
    let card = Card { weights, ..card };
    // Last: a folder without a card is not a bundle.
    write_json(&card_file, &card)?;
    Ok(ImportedModel {
        format: 1,
        out: options.out.clone(),
        architecture: card.model.architecture.name().to_owned(),
        left_out: options.labels.len() - card.labels.len(),
        thresholds: card.thresholds.iter().filter(|threshold| threshold.logit.is_some()).count(),
        labels: card.labels,
        preprocessing: card.preprocessing,
        notes,
    })
}

impl ImportModelOptions {
    fn model(&self) -> ModelConfig {
        let channels = self.channels.unwrap_or(self.pipeline.channels());
        ModelConfig { architecture: self.architecture, width: self.width, channels, flip: false }.resolved()
    }

    fn preprocessing(&self, model: &ModelConfig) -> Result<Preprocessing, Failure> {
        let (size, smallest) = (self.size.unwrap_or(224), model.smallest_size());
        if !(smallest..=MAX_SIDE).contains(&size) {
            return Err(Failure::new(
                Exit::Usage,
                format!("--size is {size}, it must be {smallest} to {MAX_SIDE}"),
            ));
        }
        Ok(self.pipeline.preprocessing(size, model.channels))
    }
}

/// Mean and deviation of ImageNet's red, green and blue, of 1.
const IMAGENET: [ChannelRange; 3] = [
    ChannelRange { mean: 0.485, std: 0.229 },
    ChannelRange { mean: 0.456, std: 0.224 },
    ChannelRange { mean: 0.406, std: 0.225 },
];

impl Pipeline {
    fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    fn channels(self) -> usize {
        match self {
            Pipeline::ImageNet | Pipeline::ImageNetSquashed => 3,
            Pipeline::TorchXRayVision | Pipeline::ZeroToOne => 1,
        }
    }

    fn preprocessing(self, size: u32, channels: usize) -> Preprocessing {
        let unit = Preprocessing { size, mean: 0.0, std: 1.0, ..Preprocessing::default() };
        let imagenet = match channels {
            3 => Preprocessing { channels: Some(IMAGENET), ..unit.clone() },
            // The mean of the three, which is the default here.
            _ => Preprocessing { size, ..Preprocessing::default() },
        };
        match self {
            Pipeline::TorchXRayVision => Preprocessing {
                crop: Crop::Center,
                filter: ResizeFilter::Gaussian,
                // (2 x - 1) 1024.
                mean: 0.5,
                std: 1.0 / 2048.0,
                ..unit
            },
            Pipeline::ImageNet => {
                let shorter_side = Some((u64::from(size) * 256 / 224) as u32);
                Preprocessing { crop: Crop::Center, shorter_side, ..imagenet }
            }
            Pipeline::ImageNetSquashed => imagenet,
            Pipeline::ZeroToOne => unit,
        }
    }

    /// How it differs from the pipeline that it is named for.
    fn notes(self) -> Vec<String> {
        match self {
            Pipeline::TorchXRayVision => vec![
                "after the resize, pixels are rounded to 256 levels of gray, which torchxrayvision does not; colour \
                 becomes gray by its brightness, where torchxrayvision takes the red channel"
                    .to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}

/// The outputs that a bundle keeps.
struct Kept {
    outputs: Vec<usize>,
    labels: Vec<String>,
    notes: Vec<String>,
}

impl Kept {
    fn of(labels: &[String], whole: &Published) -> Result<Kept, Failure> {
        let is_untrained = |at: usize| whole.operating_points.get(at).is_some_and(|point| point.is_nan());
        let named = |at: &usize| !labels[*at].is_empty();
        let untrained: Vec<&str> =
            (0..labels.len()).filter(named).filter(|&at| is_untrained(at)).map(|at| &*labels[at]).collect();
        let outputs: Vec<usize> = (0..labels.len()).filter(named).filter(|&at| !is_untrained(at)).collect();
        let names: Vec<String> = outputs.iter().map(|&at| labels[at].clone()).collect();
        check_names(&names).map_err(|problem| {
            Failure::new(Exit::Usage, format!("--labels: {problem}"))
                .hint("each output has a finding of its own, and none between commas where it is not wanted")
        })?;
        if names.is_empty() {
            return Err(Failure::new(
                Exit::BadData,
                "no finding was ever trained: op_threshs of the file is NaN for all that --labels names",
            ));
        }
        let nameless = labels.iter().filter(|label| label.is_empty()).count();
        let mut notes = Vec::new();
        if nameless > 0 {
            notes.push(format!(
                "{} without a name {} left out",
                counted(nameless, "output"),
                is_or_are(nameless)
            ));
        }
        if !untrained.is_empty() {
            let names = untrained.join(", ");
            let are = is_or_are(untrained.len());
            notes
                .push(format!("{names} {are} left out: never trained, as op_threshs of the file says (NaN)"));
        }
        Ok(Kept { outputs, labels: names, notes })
    }
}

fn is_or_are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// Those that were published with the model. torchxrayvision's are Youden's, on the test records of its authors.
fn thresholds(outputs: &[usize], whole: &Published) -> Vec<Threshold> {
    let of = |&at: &usize| {
        let probability = f64::from(*whole.operating_points.get(at)?);
        Some(Threshold {
            logit: Some((probability / (1.0 - probability)).ln() as f32),
            probability: Some(probability),
            undefined: None,
            rule: Rule::Youden.to_string(),
            fitted_on: None,
            test_sensitivity: None,
            test_specificity: None,
            warning: None,
        })
    };
    outputs.iter().filter_map(of).collect()
}

fn notes_of(notes: &[Note]) -> Vec<String> {
    let said = |note: &Note| match note {
        Note::Part { taken, others } => format!(
            "the file holds several networks: `{taken}` is taken, not its copy in `{}`; --part chooses",
            others.join("` and `")
        ),
        note => note.to_string(),
    };
    notes.iter().map(said).collect()
}

/// An error of the weights in the words of this command.
fn refused(file: &Path, error: Error, labels: usize) -> Failure {
    let hint = match &error {
        Error::Head { .. } => Some(
            "name every output, in their order; an empty name between commas is one that was never trained or is not \
             wanted"
                .to_owned(),
        ),
        Error::NoHead { .. } | Error::HeadLayers { .. } => {
            Some("a model is imported with its own last layer; to train a new one, use `xray-train --init`".to_owned())
        }
        Error::Parts { parts } | Error::NoPart { parts, .. } => {
            let first = parts.first().map_or("NAME", String::as_str);
            Some(format!("choose one, such as --part {first}"))
        }
        Error::OtherNetwork { architecture, .. } => {
            Some(format!("name the network: --architecture {}", architecture.name()))
        }
        Error::MissingTensor { .. } | Error::UnknownTensor { .. } | Error::Shape { .. } | Error::NothingFits => {
            Some("the file is of another --architecture or --width, or not all of the model is in it".to_owned())
        }
        _ => None,
    };
    let message = match &error {
        Error::Head { found, .. } => {
            let outputs = counted(found.first().copied().unwrap_or(0), "output");
            format!("{}: the model has {outputs}, and --labels names {labels}", file.display())
        }
        _ => format!("{}: {error}", file.display()),
    };
    let failure = Failure { message, ..Failure::from(error) };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn io<'a>(path: &'a Path, action: &'static str) -> impl Fn(std::io::Error) -> Failure + 'a {
    move |source| FileError::Io { path: path.to_owned(), action, source }.into()
}

impl ImportedModel {
    /// For a terminal.
    pub fn text(&self) -> String {
        let notes: String = self.notes.iter().map(|note| format!("note: {note}\n")).collect();
        let Preprocessing { size, .. } = self.preprocessing;
        let thresholds = match self.thresholds {
            0 => "no thresholds".to_owned(),
            _ => "thresholds as they were published".to_owned(),
        };
        format!(
            "{notes}{}: {}, {size} x {size} pixels, {}: {}\nnot calibrated, {thresholds}: `xray-eval calibrate {} \
             --data DATA` fits both\n",
            self.out.display(),
            self.architecture,
            counted(self.labels.len(), "finding"),
            self.labels.join(", "),
            self.out.display(),
        )
    }
}

//! The model of a run: its bundle, its card, and image files as it sees them.

use crate::subject::unfinished;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, FileError, RunResult, read_json};
use xray_bundle::{Bundle, CARD, Card, PreparedImage, read_card};
use xray_data::sources::Origin;
use xray_metrics::Evaluation;

/// The folder of a bundle that is named itself, or by its run.
pub(crate) fn bundle_folder(model: &Path) -> Result<PathBuf, Failure> {
    if model.join(CARD).is_file() { Ok(model.to_owned()) } else { folder(model) }
}

/// The folder of a run's bundle.
fn folder(run: &Path) -> Result<PathBuf, Failure> {
    let folder = run.join("model");
    let card = folder.join(CARD);
    let is_there =
        card.try_exists().map_err(|source| FileError::Io { path: card, action: "look for", source })?;
    if is_there {
        return Ok(folder);
    }
    Err(match read_json::<RunResult<Evaluation>>(&run.join("result.json")) {
        Ok(outcome) if outcome.scores.is_empty() => unfinished(run, &outcome),
        _ => Failure::new(Exit::NothingMatches, format!("there is no bundle in {}", run.display()))
            .hint("name the folder of a finished run, which holds model/, or that of a bundle"),
    })
}

/// The card of a bundle that is named itself, or by its run.
pub(crate) fn card(model: &Path) -> Result<(PathBuf, Card), Failure> {
    let folder = bundle_folder(model)?;
    let card = read_card(&folder)?;
    Ok((folder.join(CARD), card))
}

/// The model of a run or of a bundle.
pub(crate) fn bundle(model: &Path) -> Result<Bundle, Failure> {
    Bundle::open(&bundle_folder(model)?)
}

/// The bytes of an image file.
pub(crate) fn read(image: &Path) -> Result<Vec<u8>, Failure> {
    Ok(Origin::File(image.to_owned()).bytes()?)
}

/// An image file as the model sees it; `image` is its name.
pub(crate) fn prepare(bundle: &Bundle, image: &Path, file: &[u8]) -> Result<PreparedImage, Failure> {
    bundle.prepare(file, &xray_image::Budget::default()).map_err(|problem| {
        Failure::new(Exit::BadData, format!("{}: {problem}", image.display()))
            .hint("JPEG, PNG and DICOM files are read")
    })
}

//! The data of a run, opened again as the run opened them.

use std::collections::HashSet;
use std::path::Path;
use xray_artifacts::{Exit, Failure, Split, read_sealed_text};
use xray_bundle::Card;
use xray_data::{Dataset, Draw};
use xray_train::config::RunConfig;
use xray_train::rescoring::Rescoring;
use xray_train::settings::Settings;

const HINT: &str = "say where the data of this run lie now with --data DIR";

/// What the run was asked for, with its data in `moved_to` if they lie elsewhere by now.
pub(crate) fn config(run: &Path, moved_to: Option<&Path>) -> Result<RunConfig, Failure> {
    let path = run.join("config.toml");
    read_sealed_text(&path, "configuration")?;
    let mut config = Settings::read(Some(&path))?.resolve(&[])?;
    if let Some(dir) = moved_to {
        config.data.dir = dir.to_owned();
    }
    Ok(config)
}

/// Opens the data that `config` names.
///
/// # Errors
/// If they cannot be opened, or are others than those that the card's run was trained on.
pub(crate) fn open<'a>(config: &'a RunConfig, card: &Card) -> Result<Rescoring<'a>, Failure> {
    let rescoring = Rescoring::open(config).map_err(|failure| {
        // Of data that are where they were, the failure itself knows more.
        let knows_more = config.data.dir.exists() && failure.hint.is_some();
        if knows_more { failure } else { failure.hint(HINT) }
    })?;
    let dataset = rescoring.dataset();
    if dataset.id() != card.provenance.dataset {
        let message = format!("{} holds other data than this run's", dataset.path().display());
        return Err(Failure::new(Exit::ModelMismatch, message).hint(HINT));
    }
    Ok(rescoring)
}

/// Gives `take` the name and the image file of each record of a split that is wanted.
///
/// # Errors
/// If the split cannot be read, and what `take` says.
pub(crate) fn each_file(
    dataset: &Dataset,
    split: Split,
    wanted: &HashSet<&str>,
    mut take: impl FnMut(&str, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for record in dataset.select(split, &Draw::default())? {
        // Records that the run skipped as bad are not among its predictions.
        if dataset.peek(record).is_ok_and(|sample| wanted.contains(sample.image_id.as_str())) {
            // Checksums are compared here only.
            let sample = dataset.sample(record)?;
            take(&sample.image_id, sample.image)?;
        }
        dataset.release(record);
    }
    Ok(())
}

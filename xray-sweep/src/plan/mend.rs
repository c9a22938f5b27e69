//! Folders of cells that somebody removed, made again.

use super::{Plan, files, given_files};
use crate::cell::{Cell, folds};
use crate::data::Data;
use crate::grid::Point;
use crate::spec::Spec;
use crate::sweep_dir::SweepDir;
use crate::trainer::{self, Trainer};
use serde_json::Value as Json;
use std::fs;
use std::path::Path;
use xray_artifacts::{Failure, FileError, cell_id};

/// Writes the folders of those `cells` that lack one, from `sweep.toml` and the sweep's own trainer. Returns a sentence
/// on each that cannot be made again; it is not a reason to leave the others alone.
///
/// # Errors
/// When `sweep.toml` or the data cannot be read, or a folder cannot be written.
pub fn mend<'a>(
    dir: &SweepDir,
    plan: &Plan,
    cells: impl IntoIterator<Item = &'a Cell>,
) -> Result<Vec<String>, Failure> {
    let cells: Vec<&Cell> = cells.into_iter().filter(|cell| !dir.cell(&cell.id).is_whole()).collect();
    if cells.is_empty() {
        return Ok(Vec::new());
    }
    let spec = Spec::read(&dir.spec())?;
    let data = Data::open(&plan.data)?;
    let program = super::runnable_here(dir, plan, |_| true).map_err(|failure| failure.message);
    let mut notes = Vec::new();
    for cell in cells {
        let config = program.as_ref().map_err(String::clone);
        match config.and_then(|program| config_of(cell, program, &spec, &data)) {
            Ok(config) => files::write_cell(&dir.cell(&cell.id), &config)?,
            Err(why) => {
                // Without a configuration its own job fails, and no other.
                let path = dir.cell(&cell.id).run();
                fs::create_dir_all(&path).map_err(|source| FileError::Io {
                    path,
                    action: "create",
                    source,
                })?;
                notes.push(format!("{} lost its configuration: {why}", cell.name()));
            }
        }
    }
    Ok(notes)
}

/// The text of the configuration that has the cell's id.
fn config_of(cell: &Cell, program: &Path, spec: &Spec, data: &Data) -> Result<String, String> {
    let point = Point {
        axes: cell.axes.clone(),
        fraction: cell.fraction,
        offset: cell.fraction_offset,
        trial: cell.trial,
        seed: cell.seed,
    };
    let settings = super::settings(spec, &point);
    let said = |failure: Failure| failure.message;
    let mended = |trainer: &Trainer, _, mut config: Json| {
        given_files::put(&mut config, &cell.files);
        let train_images = data.train_images(folds(&config));
        spec.budget.apply(&mut config, train_images);
        let is_same = cell_id(&config, &data.id, &trainer.version) == cell.id;
        Ok((is_same, files::config_text(&config)?))
    };
    let resolved = trainer::resolve(program, spec.config.as_deref(), &[settings], |_| cell.name(), mended)
        .map_err(said)?;
    let (is_same, text) = resolved.1.into_iter().next().expect("an answer for each set of settings");
    if is_same {
        Ok(text)
    } else {
        Err("sweep.toml has other settings now; plan with the earlier ones".to_owned())
    }
}

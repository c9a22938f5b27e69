//! What the last layer sees of images: a Parquet row for each with an embedding, for whoever clusters them, searches among
//! them or fits another last layer.

use super::engine::ahead;
use super::row::{Row, Seen};
use super::table::{Cell, ParquetFile};
use super::{Pace, cannot_write};
use crate::run_model::bundle;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{Exit, Failure};
use xray_bundle::Bundle;
use xray_cli::{Progress, say};
use xray_data::sources::{Given, GivenImage, GivenOptions, given};
use xray_display::{counted, thousands};
use xray_train::signals::StopFlag;

/// How images are embedded.
#[derive(Clone, Debug)]
pub struct EmbedOptions {
    /// How what is named is read.
    pub given: GivenOptions,
    /// The table: NAME.parquet.
    pub out: PathBuf,
    /// Replace it.
    pub overwrite: bool,
    /// How fast.
    pub pace: Pace,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Embedded {
    /// The format of this object.
    pub format: u32,
    /// The table.
    pub out: PathBuf,
    /// Rows in it.
    pub images: usize,
    /// Rows with an error in place of an embedding.
    pub unread: usize,
    /// Numbers in an embedding; null where no image could be read.
    pub features: Option<usize>,
}

const COLUMNS: [&str; 6] = ["id", "file", "split", "patient", "error", "embedding"];

/// Looks at all images of `inputs` with the model of a run or of a bundle, and writes a table of embeddings. The exit code
/// of the signal that arrived meanwhile, where one did: no table is there then.
///
/// # Errors
/// What is not a fault of a single image: the model, the inputs, the table. If no image could be read, after the table is
/// written.
pub fn embed(
    model: &Path,
    inputs: &[PathBuf],
    options: &EmbedOptions,
) -> Result<Result<Embedded, Exit>, Failure> {
    check_place(&options.out, options.overwrite)?;
    xray_model::set_threads(options.pace.threads);
    let bundle = Arc::new(bundle(model)?);
    // Refuses what cannot be embedded at all, before anything is read.
    bundle.embeddings(&[])?;
    let Given { images, notes } = given::read(inputs, &options.given)?;
    notes.iter().for_each(|note| say(format_args!("note: {note}")));
    let images = Arc::new(images);
    let stop = StopFlag::install()?;
    let progress = Progress::new("images", Some(images.len() as u64));
    let mut found = Embedded { format: 1, out: options.out.clone(), images: 0, unread: 0, features: None };
    let mut file = ParquetFile::create(&options.out, COLUMNS.map(str::to_owned).to_vec())?;
    let mut first = None;
    for seen in ahead(&bundle, &images, 0, options.pace)? {
        if stop.requested().is_some() {
            progress.finish();
            say("stopped: no table was written; the same command begins again");
            return Ok(Err(stop.requested().unwrap_or(Exit::Interrupted)));
        }
        let seen = seen?;
        progress.advance_by(seen.rows.len() as u64);
        for (row, embedding) in embedded(&bundle, seen)? {
            let image = &images[row.row];
            found.images += 1;
            match (&row.error, &embedding) {
                (Some(why), _) => {
                    found.unread += 1;
                    first.get_or_insert_with(|| format!("{}: {why}", image.place));
                }
                (None, embedding) => found.features = embedding.as_ref().map(Vec::len),
            }
            file.add(cells(image, row, embedding))?;
        }
    }
    progress.finish();
    file.finish()?;
    if let (Some(first), true) = (first, found.unread == found.images) {
        let message = format!("none of {} can be read: {first}", counted(found.unread, "image"));
        return Err(Failure::new(Exit::BadData, message)
            .hint(format!("the reasons are in the column `error` of {}", options.out.display())));
    }
    Ok(Ok(found))
}

fn check_place(out: &Path, overwrite: bool) -> Result<(), Failure> {
    if out.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("parquet")) {
        return Err(Failure::new(Exit::Usage, format!("{} is not named .parquet", out.display()))
            .hint("embeddings are lists, which Parquet has: --out embeddings.parquet"));
    }
    match std::fs::metadata(out) {
        Ok(there) if !there.is_file() => {
            Err(Failure::new(Exit::Usage, format!("{} is not a file", out.display())).hint("name a file"))
        }
        Ok(_) if !overwrite => Err(Failure::new(Exit::Usage, format!("{} is there already", out.display()))
            .hint("choose another --out, or replace it with --overwrite")),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot_write(out)(error)),
        _ => Ok(()),
    }
}

/// A row, and the embedding of an image that could be read.
type EmbeddedRow = (Row, Option<Vec<f32>>);

/// Rows with their embeddings; none where there is an error.
fn embedded(bundle: &Bundle, seen: Seen) -> Result<Vec<EmbeddedRow>, Failure> {
    let Seen { rows, pixels } = seen;
    let good = rows.iter().filter(|row| row.error.is_none()).count();
    let values = if good == 0 { Vec::new() } else { bundle.embeddings(&pixels)? };
    let mut embeddings = values.chunks_exact((values.len() / good.max(1)).max(1));
    let with = |row: Row| match row.error {
        Some(_) => (row, None),
        None => {
            let embedding = embeddings.next().expect("one for each good image");
            match embedding.iter().all(|value| value.is_finite()) {
                true => (row, Some(embedding.to_vec())),
                false => {
                    let error = Some("its embedding is not finite".to_owned());
                    (Row { error, ..row }, None)
                }
            }
        }
    };
    Ok(rows.into_iter().map(with).collect())
}

fn cells(image: &GivenImage, row: Row, embedding: Option<Vec<f32>>) -> Vec<Cell> {
    vec![
        Cell::Text(Some(image.id.clone())),
        Cell::Text(Some(image.place.clone())),
        Cell::Text(image.split.map(|split| split.name().to_owned())),
        Cell::Text(row.patient),
        Cell::Text(row.error),
        Cell::Floats(embedding),
    ]
}

impl Embedded {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}", self.out.display(), counted(self.images, "row"));
        if let Some(features) = self.features {
            text += &format!(", embeddings of {features} numbers");
        }
        text += "\n";
        if self.unread > 0 {
            text += &format!("  {} without one, as the column `error` says\n", thousands(self.unread as u64));
        }
        text
    }
}

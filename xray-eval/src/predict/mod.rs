//! A model on whatever images somebody has: a row for each, in their order, whatever the number of threads. What cannot
//! be read is a row that says why. An interrupted prediction goes on where it was and ends with the same bytes.

mod device;
mod embed;
mod engine;
mod journal;
mod row;
mod table;

pub(crate) use device::Device;
pub use embed::{EmbedOptions, Embedded, embed};
pub use engine::Pace;
pub(crate) use engine::each;
pub(crate) use row::Row;

use crate::run_model::bundle_folder;
use journal::{Identity, Journal};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use table::{Kind, Table};
use xray_artifacts::{Exit, Failure, FileError, checksum, to_json};
use xray_bundle::Bundle;
use xray_cli::say;
use xray_data::sources::{Given, GivenImage, GivenOptions, given};
use xray_display::{counted, thousands};
use xray_model::Backend;
use xray_train::signals::StopFlag;

/// How images are predicted.
#[derive(Clone, Debug)]
pub struct PredictOptions {
    /// How what is named is read.
    pub given: GivenOptions,
    /// The table: CSV or Parquet, by its name.
    pub out: PathBuf,
    /// Replace it, and rows of something else beside it.
    pub overwrite: bool,
    /// What computes: this processor, or a GPU of `xray-train-gpu` beside this program.
    pub backend: Backend,
    /// How fast.
    pub pace: Pace,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Predicted {
    /// The format of this object.
    pub format: u32,
    /// The table.
    pub out: PathBuf,
    /// Rows in it.
    pub images: usize,
    /// Rows that were there already when this process began.
    pub resumed: usize,
    /// Rows with an error in place of figures.
    pub unread: usize,
    /// Rows with warnings.
    pub warned: usize,
    /// Images of this process per second, reading, network and all.
    pub images_per_second: Option<f64>,
}

/// Looks at all images of `inputs` with the model of a run or of a bundle, and writes a table. The exit code of the
/// signal that arrived meanwhile, where one did: the same call goes on.
///
/// # Errors
/// What is not a fault of a single image: the model, the inputs, the table. If no image could be read, after the table is
/// written.
pub fn predict(
    model: &Path,
    inputs: &[PathBuf],
    options: &PredictOptions,
) -> Result<Result<Predicted, Exit>, Failure> {
    let kind = Kind::of(&options.out)?;
    xray_model::set_threads(options.pace.threads);
    let folder = bundle_folder(model)?;
    let bundle = Arc::new(Bundle::open(&folder)?);
    // Before what takes long: a tar.gz is read from front to back.
    refuse_to_replace(options)?;
    let Given { images, notes } = given::read(inputs, &options.given)?;
    notes.iter().for_each(|note| say(format_args!("note: {note}")));
    let mut device = Device::open(options.backend, &folder)?;
    let identity = Identity {
        format: journal::FORMAT,
        model: checksum(to_json(&bundle.card).expect("plain values").as_bytes()),
        backend: device.name(),
        images: images.len(),
        inputs: hash(&images),
    };
    let mut journal = Journal::open(&options.out, &identity, options.overwrite)?;
    let resumed = journal.len();
    if resumed > 0 {
        say(format_args!(
            "going on after {} of {}",
            thousands(resumed as u64),
            counted(images.len(), "image")
        ));
    }
    let stop = StopFlag::install()?;
    let start = Instant::now();
    let images = Arc::new(images);
    let mut keep = |rows: Vec<Row>| journal.add(&rows);
    if !each(&bundle, &mut device, &images, resumed, options.pace, &stop, &mut keep)? {
        let (done, all) = (thousands(journal.len() as u64), counted(images.len(), "image"));
        say(format_args!("stopped after {done} of {all}; the same command goes on"));
        return Ok(Err(stop.requested().unwrap_or(Exit::Interrupted)));
    }
    let found = images.len() - resumed;
    let seconds = start.elapsed().as_secs_f64();
    let Written { unread, warned, first } = write(&bundle, &images, &journal, kind, &options.out)?;
    journal.remove()?;
    if let (Some(first), true) = (first, unread == images.len()) {
        let message = format!("none of {} can be read: {first}", counted(unread, "image"));
        return Err(Failure::new(Exit::BadData, message)
            .hint(format!("the reasons are in the column `error` of {}", options.out.display())));
    }
    Ok(Ok(Predicted {
        format: 1,
        out: options.out.clone(),
        images: images.len(),
        resumed,
        unread,
        warned,
        images_per_second: (found > 0).then(|| found as f64 / seconds),
    }))
}

/// A table that is there is replaced when that is asked for, or where this prediction was about to.
fn refuse_to_replace(options: &PredictOptions) -> Result<(), Failure> {
    let out = &options.out;
    let refuse = |what: &str, hint: &str| {
        Err(Failure::new(Exit::Usage, format!("{} {what}", out.display())).hint(hint))
    };
    match std::fs::metadata(out) {
        Ok(found) if !found.is_file() => refuse("is not a file", "name a file, .csv or .parquet"),
        Ok(_) if !options.overwrite && !journal::beside(out).exists() => {
            refuse("is there already", "choose another --out, or replace it with --overwrite")
        }
        _ => Ok(()),
    }
}

fn hash(images: &[GivenImage]) -> String {
    let describe = |image: &GivenImage| {
        let GivenImage { id, place, .. } = image;
        format!("{id}\0{place}\0{}\n", image.length().map_or(String::new(), |length| length.to_string()))
    };
    checksum(images.par_iter().map(describe).collect::<String>().as_bytes())
}

struct Written {
    unread: usize,
    warned: usize,
    /// Place and reason of the first row without figures.
    first: Option<String>,
}

/// At most so many are named one by one.
const NAMED: usize = 10;

fn write(
    bundle: &Bundle,
    images: &[GivenImage],
    journal: &Journal,
    kind: Kind,
    out: &Path,
) -> Result<Written, Failure> {
    let mut table = Table::create(kind, out, &bundle.card)?;
    let mut written = Written { unread: 0, warned: 0, first: None };
    journal.read(|row| {
        let image = &images[row.row];
        if let Some(why) = &row.error {
            written.unread += 1;
            let said = format!("{}: {why}", image.place);
            if written.unread <= NAMED {
                say(format_args!("not read: {said}"));
            }
            written.first.get_or_insert(said);
        }
        written.warned += usize::from(!row.warnings.is_empty());
        table.add(image, &row)
    })?;
    table.finish()?;
    if written.unread > NAMED {
        let more = written.unread - NAMED;
        say(format_args!("not read: {} more; the column `error` says why", thousands(more as u64)));
    }
    Ok(written)
}

/// What the system refuses of the table.
fn cannot_write(out: &Path) -> impl Fn(std::io::Error) -> Failure {
    let path = out.to_owned();
    move |source| FileError::Io { path: path.clone(), action: "write", source }.into()
}

impl Predicted {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.out.display(), counted(self.images, "row"));
        let mut line = |count: usize, what: &str| {
            if count > 0 {
                text += &format!("  {} {what}\n", thousands(count as u64));
            }
        };
        line(self.resumed, "of them from before");
        line(self.unread, "without figures, as the column `error` says");
        line(self.warned, "with warnings");
        if let Some(speed) = self.images_per_second {
            text += &format!("  {speed:.0} images/s\n");
        }
        text
    }
}

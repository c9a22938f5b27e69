//! `xray-data split`

use super::source::{SourceArguments, SplitOptions};
use super::{Format, print, warn};
use clap::Args;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, Split, SplitRule};
use xray_data::sources::ImageRow;
use xray_data::split::Assigned;
use xray_data::split_file;
use xray_display::thousands;

const EXAMPLES: &str = "\
Examples:
  # which patients each split gets, without reading an image
  xray-data split --nih /data/nih --seed 1 --out split.csv

  # another split of a data set that is built, then the data set with it
  xray-data split --tfrecord shards --redraw-splits --seed 2 --out split.csv
  xray-data build --tfrecord shards --split-file split.csv --out shards-2";

/// Draw a split by patient and write it as a table image_id,patient_id,split
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SplitArguments {
    #[command(flatten)]
    source: SourceArguments,

    #[command(flatten)]
    split: SplitOptions,

    /// The table to write
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    out: PathBuf,
}

/// What `--format json` prints.
#[derive(Serialize)]
struct SplitResult<'a> {
    file: &'a Path,
    rule: SplitRule,
    splits: Vec<SplitCount>,
}

#[derive(Serialize)]
struct SplitCount {
    split: Split,
    images: u64,
    /// None where an image names no patient.
    patients: Option<u64>,
}

pub(super) fn run(arguments: &SplitArguments, format: Format) -> Result<Exit, Failure> {
    let (mut rows, notes) = arguments.source.rows(&arguments.split)?;
    warn(&notes);
    let Assigned { splits, rule, warnings } = arguments.split.assign(&mut rows)?;
    warn(&warnings);
    let rows: Vec<&ImageRow> = rows.iter().collect();
    split_file::write(&arguments.out, &rows, &splits)?;
    let counts = Split::ALL.map(|split| count(split, &rows, &splits));
    let result = SplitResult { file: &arguments.out, rule, splits: counts.into() };
    print(format, &result, text(&result))?;
    Ok(Exit::Ok)
}

fn count(split: Split, rows: &[&ImageRow], splits: &[Split]) -> SplitCount {
    let members = || rows.iter().zip(splits).filter(|(_, of)| **of == split).map(|(row, _)| row);
    let patients: Option<HashSet<&String>> = members().map(|row| row.patient_id.as_ref()).collect();
    let patients = patients.map(|patients| patients.len() as u64);
    SplitCount { split, images: members().count() as u64, patients }
}

fn text(result: &SplitResult<'_>) -> String {
    let mut text = format!("{}:\n", result.file.display());
    for SplitCount { split, images, patients } in &result.splits {
        let patients = patients.map_or("unknown".to_owned(), thousands);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {split:<5} {:>9} images {patients:>9} patients", thousands(*images));
    }
    text
}

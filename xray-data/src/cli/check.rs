//! `xray-data check`

use super::source::FeaturePreset;
use super::{Format, print, warn};
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;
use xray_artifacts::{Exit, Failure};
use xray_cli::Progress;
use xray_data::check::{CheckReport, check, expected_records};
use xray_display::counted;

/// Read every byte of a data set and decode every image: checksums, labels, duplicates, patients in two splits
///
/// Prints what is wrong, one line per record, then a summary. Exits with 5 when anything is wrong.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  xray-data check shards")]
pub(super) struct CheckArguments {
    /// Folder of shards, or of TFRecords that someone else wrote
    folder: PathBuf,

    /// Names of the features in TFRecords of others [default: they are recognised]
    #[arg(long, value_enum, value_name = "PRESET")]
    features: Option<FeaturePreset>,
}

pub(super) fn run(arguments: &CheckArguments, format: Format) -> Result<Exit, Failure> {
    let progress = Progress::new("records", expected_records(&arguments.folder));
    let names = arguments.features.map(FeaturePreset::names);
    let report = check(&arguments.folder, names, &|| progress.advance());
    progress.finish();
    let report = report?;
    warn(&report.warnings);
    print(format, &report, text(&report))?;
    Ok(if report.is_good() { Exit::Ok } else { Exit::BadData })
}

fn text(report: &CheckReport) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}: {}", problem.place, problem.problem);
    }
    let read = format!(
        "{} of {} in {}",
        counted(report.records, "record"),
        counted(report.patients, "patient"),
        counted(report.files, "file")
    );
    let _ = match report.problems.len() {
        0 => writeln!(text, "good: {read}"),
        problems => writeln!(text, "bad: {} in {read}", counted(problems, "problem")),
    };
    text
}

//! `xray-serve check`: what the server would answer, without a server.

use crate::answer::{DISCLAIMER, ImageAnswer};
use crate::examine::{Task, Wanted, examine};
use crate::limits::Limits;
use crate::memory::Memory;
use crate::problem::Problem;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};
use xray_artifacts::{Exit, Failure, FileError};
use xray_bundle::Bundle;

/// Examines an image file as the server would.
///
/// # Errors
/// If the bundle or the file cannot be read, or the server would refuse the file.
pub fn check(bundle: &Path, image: &Path) -> Result<ImageAnswer, Failure> {
    let task = Task { bundle: Arc::new(Bundle::open(bundle)?), wanted: Wanted::default() };
    let refused_by_the_system = |source| FileError::Io { path: image.to_owned(), action: "read", source };
    // A pipe would be waited for, and a device never ends.
    let file = fs::metadata(image).and_then(|found| match found.is_file() {
        true => fs::read(image),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    });
    let file = file.map_err(refused_by_the_system)?;
    let limits = Limits::default();
    examine(&task, &limits, &Memory::new(limits.memory), &file).map_err(|problem| refused(image, problem))
}

fn refused(image: &Path, Problem { status, message, hint, .. }: Problem) -> Failure {
    let failure = Failure::new(Exit::BadData, format!("{}: {message} (HTTP {status})", image.display()));
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// For a terminal.
pub fn text(answer: &ImageAnswer) -> String {
    let mut text = String::new();
    let width = answer.findings.iter().map(|finding| finding.label.chars().count()).max().unwrap_or(0).max(7);
    for warning in &answer.warnings {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "warning: {warning}");
    }
    let _ = writeln!(text, "{:width$}  probability  {:19}  threshold  call", "finding", "calibration");
    for finding in &answer.findings {
        let threshold = finding.threshold.map_or("–".to_owned(), |threshold| format!("{threshold:.3}"));
        let call = match finding.positive {
            Some(true) => "positive",
            Some(false) => "negative",
            None => "–",
        };
        let (label, probability) = (&finding.label, finding.probability);
        let calibration = finding.calibration.words();
        let _ =
            writeln!(text, "{label:width$}  {probability:>11.3}  {calibration:19}  {threshold:>9}  {call}");
    }
    let milliseconds = &answer.milliseconds;
    let _ = writeln!(
        text,
        "decoded in {:.1} ms, scored in {:.1} ms · {DISCLAIMER}",
        milliseconds.decode, milliseconds.network
    );
    text
}

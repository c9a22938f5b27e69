//! The report of a sweep: one page without scripts or network, the same as markdown and as JSON, made of the
//! collected tables and, where its folder is there, of the predictions of the run that validation chose.
//!
//! `sweep` holds what was read: `runs`, `labels`, `predictions`; each file of `sections/` says one thing about
//! it as a section of the `document`; `html`, `markdown` and `json` write the document down.

mod document;
mod groups;
mod html;
mod json;
mod labels;
mod markdown;
mod predictions;
mod runs;
mod sections;
mod sweep;

use crate::sweep_dir::SweepDir;
use document::Document;
use std::fs;
use std::path::PathBuf;
use sweep::Sweep;
use xray_artifacts::{Failure, FileError, write_bytes};
use xray_metrics::Rule;

/// What the report shows.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// One finding instead of the mean of all.
    pub label: Option<String>,
    /// Another sweep to stand beside this one.
    pub compare: Option<SweepDir>,
    /// How operating points are chosen on validation.
    pub rule: Rule,
}

impl Default for ReportOptions {
    fn default() -> Self {
        ReportOptions { label: None, compare: None, rule: Rule::Youden }
    }
}

/// Writes `report/report.html`, `report.md` with its charts, and `report.json`, of one finding in a folder of its name
/// below; returns the three.
///
/// # Errors
/// If a sweep was not collected, or by another version, there is no such label, or the report can not be written.
pub fn report(dir: &SweepDir, options: &ReportOptions) -> Result<[PathBuf; 3], Failure> {
    let label = options.label.as_deref();
    let sweep = Sweep::read(dir, label)?;
    let other = options.compare.as_ref().map(|other| Sweep::read(other, label)).transpose()?;
    let title = match label {
        Some(label) => format!("Sweep {}: {label}", sweep.name),
        None => format!("Sweep {}", sweep.name),
    };
    let document = Document { title, sections: sections::all(&sweep, other.as_ref(), options.rule) };

    // A report on one finding does not replace the one on all.
    let folder = match label {
        Some(label) => dir.path().join("report").join(label.replace(['/', '\\'], "_")),
        None => dir.path().join("report"),
    };
    let refused = |source| FileError::Io { path: folder.clone(), action: "write", source };
    fs::create_dir_all(&folder).map_err(refused)?;
    for (file, svg) in markdown::charts(&document) {
        write_bytes(&folder.join(file), svg.as_bytes())?;
    }
    let files = ["report.html", "report.md", "report.json"].map(|name| folder.join(name));
    let texts = [html::page(&document), markdown::text(&document), json::text(&document)];
    for (file, text) in files.iter().zip(texts) {
        write_bytes(file, text.as_bytes())?;
    }
    Ok(files)
}

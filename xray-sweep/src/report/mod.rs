//! The report of a sweep: one page without scripts or network, the same as markdown and as JSON, made of the
//! collected tables and, where its folder is there, of the predictions of the run that validation chose.
//!
//! `sweep` holds what was read: `runs`, `labels`, `predictions`; each file of `sections/` says one thing about
//! it as a section of the `document`; `html`, `markdown` and `json` write the document down.

mod document;
mod groups;
mod html;
mod intervals;
mod json;
mod labels;
mod markdown;
mod predictions;
mod runs;
mod sections;
mod sweep;

use crate::staged::Staged;
use crate::sweep_dir::SweepDir;
use document::Document;
use std::path::PathBuf;
use sweep::Sweep;
use xray_artifacts::{Failure, write_bytes};
use xray_metrics::Rule;

/// What the report shows.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// One finding instead of the mean of all.
    pub label: Option<String>,
    /// The collected tables; those in the sweep's own folder if absent.
    pub tables: Option<PathBuf>,
    /// Another sweep to stand beside this one.
    pub compare: Option<SweepDir>,
    /// Its tables.
    pub compare_tables: Option<PathBuf>,
    /// The folder for the report; `report/` in the sweep's own if absent.
    pub out: Option<PathBuf>,
    /// How operating points are chosen on validation.
    pub rule: Rule,
}

impl Default for ReportOptions {
    fn default() -> Self {
        ReportOptions {
            label: None,
            tables: None,
            compare: None,
            compare_tables: None,
            out: None,
            rule: Rule::Youden,
        }
    }
}

/// Writes `report/report.html`, `report.md` with its charts, and `report.json`, of one finding in a folder of its name
/// below; returns the three.
///
/// # Errors
/// If a sweep was not collected, or by another version, its tables are damaged, there is no such label, or the report
/// can not be written; what was there before stays as it is.
pub fn report(dir: &SweepDir, options: &ReportOptions) -> Result<[PathBuf; 3], Failure> {
    let label = options.label.as_deref();
    let sweep = Sweep::read(dir, options.tables.as_deref(), label)?;
    let other =
        options.compare.as_ref().map(|other| Sweep::read(other, options.compare_tables.as_deref(), label));
    let other = other.transpose()?;
    let title = match label {
        Some(label) => format!("Sweep {}: {label}", sweep.name),
        None => format!("Sweep {}", sweep.name),
    };
    let document = Document { title, sections: sections::all(&sweep, other.as_ref(), options.rule) };

    let mut folder = options.out.clone().unwrap_or_else(|| dir.path().join("report"));
    if let Some(label) = label {
        // A report on one finding does not replace the one on all.
        folder.push(label.replace(['/', '\\'], "_"));
    }
    let mut files = markdown::charts(&document);
    let names = ["report.html", "report.md", "report.json"];
    let texts = [html::page(&document), markdown::text(&document), json::text(&document)];
    files.extend(names.map(str::to_owned).into_iter().zip(texts));
    let staged = Staged::new(&folder)?;
    for (name, text) in &files {
        write_bytes(&staged.path(name), text.as_bytes())?;
    }
    staged.publish(files.iter().map(|(name, _)| name.as_str()))?;
    Ok(names.map(|name| folder.join(name)))
}

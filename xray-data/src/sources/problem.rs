//! What can be wrong with a table of labels or a folder of images. [`crate::Error::Source`] adds the file
//! and the line.

use std::path::PathBuf;
use xray_artifacts::Split;

/// What is wrong at one line of a source's table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceProblem {
    /// Not CSV.
    #[error("not a CSV table")]
    Syntax(#[source] csv::Error),
    /// Not UTF-8.
    #[error("not UTF-8 text")]
    NotText,
    /// A row that the header line does not describe.
    #[error("{found} field{} where the header line has {expected}", s(*found as u64))]
    Fields {
        /// In this row.
        found: usize,
        /// In the header line.
        expected: usize,
    },
    /// Nothing below the header line.
    #[error("a header line and no rows")]
    NoRows,
    /// A column that is needed is absent.
    #[error("no column `{wanted}`{}", did_you_mean(nearest.as_deref()))]
    NoColumn {
        /// The column.
        wanted: String,
        /// The column that was perhaps meant.
        nearest: Option<String>,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// No column is named like a finding, and none was named on the command line.
    #[error("no column holds labels")]
    NoLabels {
        /// The columns there are.
        columns: Vec<String>,
    },
    /// A cell that must not be empty.
    #[error("`{column}` is empty")]
    Empty {
        /// Its column.
        column: String,
    },
    /// A finding that is none of the label set.
    #[error("unknown finding `{finding}` for image `{image_id}`{}", did_you_mean(nearest.as_deref()))]
    UnknownFinding {
        /// As the cell says.
        finding: String,
        /// The row's image.
        image_id: String,
        /// The finding that was perhaps meant.
        nearest: Option<String>,
    },
    /// `No Finding` beside a finding.
    #[error("image `{image_id}` has `No Finding` and `{finding}` at once")]
    Contradiction {
        /// The row's image.
        image_id: String,
        /// The finding beside it.
        finding: String,
    },
    /// A label cell of no known meaning.
    #[error("`{value}` in column `{column}` is no label")]
    Label {
        /// The finding.
        column: String,
        /// As the cell says.
        value: String,
    },
    /// A cell that is to hold a number.
    #[error("`{value}` in column `{column}` is no number")]
    Number {
        /// The column.
        column: String,
        /// As the cell says.
        value: String,
    },
    /// A split cell of no known meaning.
    #[error("`{value}` in column `{column}` is no split")]
    SplitName {
        /// The column.
        column: String,
        /// As the cell says.
        value: String,
    },
    /// Two rows for one image.
    #[error("image `{image_id}` is listed a second time, first on line {first}")]
    Duplicate {
        /// The image.
        image_id: String,
        /// Line of the first row.
        first: u64,
    },
    /// A row whose image file is not there.
    #[error("no image file for `{name}` below {}{}", folder.display(), and_more(*more))]
    MissingImage {
        /// The file as the table names it.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// How many other rows miss theirs.
        more: u64,
    },
    /// A table that names none of the images it is joined with.
    #[error("no row for image `{image_id}`, nor for any other")]
    NoMatch {
        /// The first image.
        image_id: String,
    },
    /// Two patients for one image.
    #[error("image `{image_id}` is of patient `{first}` and of patient `{second}`")]
    TwoPatients {
        /// The image.
        image_id: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A file name that fits two files.
    #[error("`{name}` fits both {} and {}", first.display(), second.display())]
    AmbiguousImage {
        /// The file as the table names it.
        name: String,
        /// One of them.
        first: PathBuf,
        /// Another one.
        second: PathBuf,
    },
}

impl SourceProblem {
    /// What to do about it, where something can be said.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            SourceProblem::Syntax(_) | SourceProblem::NotText => {
                "save the table as comma-separated UTF-8 text".into()
            }
            SourceProblem::Fields { .. } => "put quotes around a cell that holds commas".into(),
            SourceProblem::NoColumn { columns, .. } | SourceProblem::NoLabels { columns } => {
                format!(
                    "the columns are {}; name the ones to use with the --*-column options or --labels",
                    quoted(columns)
                )
            }
            SourceProblem::UnknownFinding { .. } => {
                "correct the cell, or list all findings with --labels".into()
            }
            SourceProblem::Label { .. } => {
                "labels are 1 or true, 0 or false, -1 for uncertain, and an empty cell for not said".into()
            }
            SourceProblem::SplitName { .. } => {
                let names = Split::ALL.map(Split::name).join(", ");
                format!("splits are {names} (valid and validation mean val)")
            }
            SourceProblem::Number { .. } | SourceProblem::Contradiction { .. } => "correct the cell".into(),
            SourceProblem::Duplicate { .. } => "remove one of the rows".into(),
            SourceProblem::MissingImage { .. } => {
                "check the folder of images, or leave such rows out with --skip-missing".into()
            }
            SourceProblem::AmbiguousImage { .. } => {
                "write the path from the folder of images into the table, or move one file away".into()
            }
            SourceProblem::NoMatch { .. } => {
                "the table belongs to other images: rows are joined by file name, without extension".into()
            }
            SourceProblem::TwoPatients { .. } => {
                "correct the table: an image is found by its path, else by its file name; a patient is also \
                 what the records say"
                    .into()
            }
            SourceProblem::Empty { .. } => "fill the cell or remove the row".into(),
            SourceProblem::NoRows => return None,
        })
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map(|n| format!("; nearest is `{n}`")).unwrap_or_default()
}

fn and_more(more: u64) -> String {
    if more == 0 { String::new() } else { format!(", nor for {more} other row{}", s(more)) }
}

fn s(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

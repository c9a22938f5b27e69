//! What can be wrong with a table of labels or a folder of images. [`crate::Error::Source`] adds the file
//! and the line.

use crate::labels::LabelNameProblem;
use crate::sources::separator;
use std::path::PathBuf;
use xray_artifacts::Split;
use xray_display::counted;

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
    /// Bytes of another kind, which is known.
    #[error("it is {what}, not a table")]
    OtherFile {
        /// What it is.
        what: &'static str,
    },
    /// A row that the header line does not describe.
    #[error("{} where the header line has {expected}", counted(*found, "field"))]
    Fields {
        /// In this row.
        found: usize,
        /// In the header line.
        expected: usize,
        /// What is taken to stand between columns.
        separator: char,
    },
    /// A quote that opens a cell and is closed nowhere below.
    #[error("a quote that is not closed")]
    Quote,
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
    /// Two columns of one name that differ.
    #[error("column {}, `{}`, says `{}` and column {}, `{}`, says `{}`", first.1, short(&first.0), short(&first.2),
            second.1, short(&second.0), short(&second.2))]
    TwoColumns {
        /// A name, its place from 1, and a cell.
        first: (String, usize, String),
        /// Column, number and value of the second.
        second: (String, usize, String),
    },
    /// Two columns that may name the patient.
    #[error("`{}` and `{}` tell different patients apart", short(first), short(second))]
    PatientColumns {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A table of a published data set that lacks a column.
    #[error("no column `{wanted}`, which the tables of {release} have{}", did_you_mean(nearest.as_deref()))]
    ReleaseColumn {
        /// The data set.
        release: &'static str,
        /// The column.
        wanted: String,
        /// The column that was perhaps meant.
        nearest: Option<String>,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// Columns that a published data set does not have.
    #[error("columns that {release} does not have: {}", few(columns))]
    UnknownColumns {
        /// The data set.
        release: &'static str,
        /// These columns.
        columns: Vec<String>,
    },
    /// Two tables of one data set that hold different labels.
    #[error("its labels are not those of the other table of {release}")]
    OtherLabels {
        /// The data set.
        release: &'static str,
    },
    /// A patient or study whose number was written as something else.
    #[error("`{}` in column `{}` is not digits only", short(value), short(column))]
    PatientNumber {
        /// The column.
        column: String,
        /// The cell's text.
        value: String,
    },
    /// A path that does not tell the patient.
    #[error("`{}` is not a path of {release}, which ends as {wanted}", short(path))]
    ImagePath {
        /// The cell's text.
        path: String,
        /// The data set.
        release: &'static str,
        /// What its paths look like.
        wanted: &'static str,
    },
    /// A reader who read an image twice.
    #[error(
        "image `{}`: reader `{}` reads it a second time, first on line {first}",
        short(image_id),
        short(reader)
    )]
    ReaderTwice {
        /// The image.
        image_id: String,
        /// The reader.
        reader: String,
        /// Line of the first reading.
        first: u64,
    },
    /// An image that another table of the data set does not list.
    #[error("image `{}` is not in {table}", short(image_id))]
    NoRowIn {
        /// The image.
        image_id: String,
        /// The other table.
        table: &'static str,
    },
    /// What is not a mask.
    #[error("`{}` in column `{}` is not a mask", short(value), short(column))]
    Mask {
        /// The column.
        column: String,
        /// The cell's text.
        value: String,
    },
    /// Columns that look like labels, are none of the fourteen, and nobody named.
    #[error("no --labels, and columns that look like labels beside those of ChestX-ray14: {}", few(own))]
    OwnLabels {
        /// These columns.
        own: Vec<String>,
        /// The option that takes all that look like labels, unless they are too many.
        offer: Option<String>,
        /// Columns without a positive, which the option leaves out.
        without_positive: Vec<String>,
    },
    /// Names that cannot be labels.
    #[error(transparent)]
    LabelName(#[from] LabelNameProblem),
    /// Labels that no image shows.
    #[error("no row is positive for {}", few(labels))]
    EmptyLabels {
        /// The labels.
        labels: Vec<String>,
    },
    /// A list of findings and a column of one finding say different things.
    #[error("`{}` {} `{finding}` and the column `{finding}` says {}", short(list),
            if *is_listed { "lists" } else { "does not list" }, if *is_listed { 0 } else { 1 })]
    TwoTruths {
        /// The finding.
        finding: String,
        /// The column of lists.
        list: String,
        /// Whether the list has it.
        is_listed: bool,
    },
    /// Two splits for one image.
    #[error("image `{}` is in {first} and in {second}", short(image_id))]
    TwoSplits {
        /// The image.
        image_id: String,
        /// One of them.
        first: Split,
        /// The other.
        second: Split,
    },
    /// Rows of lists, which do not vote.
    #[error("rows that list findings can only be joined with --rows any")]
    JoinLists,
    /// Rows of one image that differ in more than labels.
    #[error(
        "image `{image_id}`: its {what} is `{}` here and `{}` on line {first_line}",
        short(second),
        short(first)
    )]
    RowsDiffer {
        /// The image.
        image_id: String,
        /// What differs.
        what: &'static str,
        /// Line of the other row.
        first_line: u64,
        /// What it says there.
        first: String,
        /// What it says here.
        second: String,
    },
    /// Two rows for one file.
    #[error("`{}` leads to {}, as line {first} does", short(name), path.display())]
    OneFile {
        /// The file as the table names it.
        name: String,
        /// The file.
        path: PathBuf,
        /// Line of the other row.
        first: u64,
    },
    /// A path that leads to no file.
    #[error("`{}` is a folder, pipe or device, not an image file", short(name))]
    NotAFile {
        /// The path as the table has it.
        name: String,
    },
    /// A cell that must not be empty.
    #[error("`{column}` is empty")]
    Empty {
        /// Its column.
        column: String,
    },
    /// A finding that is none of the label set.
    #[error("unknown finding `{}` for image `{image_id}`{}", short(finding), did_you_mean(nearest.as_deref()))]
    UnknownFinding {
        /// The cell's text.
        finding: String,
        /// The row's image.
        image_id: String,
        /// The finding that was perhaps meant.
        nearest: Option<String>,
        /// The column of lists.
        column: String,
        /// What is taken to stand between findings.
        separator: char,
        /// The option that takes all findings of the column.
        offer: Option<String>,
        /// What stands between known findings in it, and is not read as a separator.
        joined_by: Option<&'static str>,
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
    #[error("`{}` in column `{}` is not a valid label value", short(value), short(column))]
    Label {
        /// The finding.
        column: String,
        /// The cell's text.
        value: String,
    },
    /// A cell that is to hold a number.
    #[error("`{}` in column `{}` is not a number", short(value), short(column))]
    Number {
        /// The column.
        column: String,
        /// The cell's text.
        value: String,
    },
    /// A split cell of no known meaning.
    #[error("`{}` in column `{}` is not a split", short(value), short(column))]
    SplitName {
        /// The column.
        column: String,
        /// The cell's text.
        value: String,
    },
    /// Two rows for one image.
    #[error("image `{}` is listed a second time, first on line {first}", short(image_id))]
    Duplicate {
        /// The image.
        image_id: String,
        /// Line of the first row.
        first: u64,
    },
    /// A row whose image file is not there.
    #[error("no image file for `{}` below {}{}", short(name), folder.display(), and_more(*more))]
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
    #[error("`{}` fits both {} and {}", short(name), first.display(), second.display())]
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
            SourceProblem::Syntax(_) | SourceProblem::NotText | SourceProblem::OtherFile { .. } => {
                "save the table as comma-separated UTF-8 text".into()
            }
            SourceProblem::Fields { separator, .. } => format!(
                "columns are taken to be separated by {} (--separator says otherwise); put quotes around a cell \
                 that holds one",
                separator::name(*separator)
            ),
            SourceProblem::Quote => "close it, or double a quote that belongs to the cell".into(),
            SourceProblem::NoColumn { columns, .. } | SourceProblem::NoLabels { columns } if columns.len() < 2 => format!(
                "the header line is one cell, {}: say what stands between columns with --separator",
                few(columns)
            ),
            SourceProblem::NoColumn { columns, .. } | SourceProblem::NoLabels { columns } => {
                format!(
                    "the columns are {}; name the ones to use with the --*-column options or --labels",
                    few(columns)
                )
            }
            SourceProblem::ReleaseColumn { columns, .. } => format!(
                "the columns are {}: the table is of another release, or was edited; --csv FILE --images DIR reads \
                 tables of any layout",
                few(columns)
            ),
            SourceProblem::UnknownColumns { .. } => {
                "remove them, or read the table as one of any layout, with --csv FILE --images DIR".into()
            }
            SourceProblem::OtherLabels { .. } => "put the tables of four and of all findings into separate \
            folders".into(),
            SourceProblem::PatientNumber { .. } => {
                "a program that reads it as a number may lose digits, so two patients become one: use the table as \
                 downloaded, or keep the column as text"
                    .into()
            }
            SourceProblem::ImagePath { .. } => {
                "patient and study are taken from the path; --csv FILE --patient-column NAME reads tables of any \
                 layout".into()
            }
            SourceProblem::ReaderTwice { .. } => "remove one of the rows".into(),
            SourceProblem::NoRowIn { .. } => {
                "the tables are of different releases, or one was cut: take them from one download".into()
            }
            SourceProblem::Mask { .. } => "a mask is pairs of start and length, or -1 where there is none".into(),
            SourceProblem::TwoColumns { .. } => "remove or rename one of the columns".into(),
            SourceProblem::PatientColumns { .. } => "name it with --patient-column".into(),
            SourceProblem::OwnLabels { offer, without_positive, .. } => {
                let mut hint = match offer {
                    Some(offer) => format!("take them with {offer}, or name those to keep"),
                    None => "name those to keep with --labels".to_owned(),
                };
                if !without_positive.is_empty() {
                    hint += &format!(
                        " (columns without a positive, for which --allow-empty-labels is needed as well: {})",
                        few(without_positive)
                    );
                }
                hint
            }
            SourceProblem::LabelName(_) => "name each column once, by its name in the table".into(),
            SourceProblem::EmptyLabels { .. } => {
                "check the names, or keep labels that nothing can be learned from with --allow-empty-labels".into()
            }
            SourceProblem::TwoTruths { .. } => {
                "correct the table, or name the column of lists with --findings-column".into()
            }
            SourceProblem::JoinLists => {
                "a row may be one finding of a reader: majorities need one column per finding".into()
            }
            SourceProblem::RowsDiffer { .. } => "only labels are joined: correct one of the rows".into(),
            SourceProblem::TwoSplits { .. } => "remove one of the rows".into(),
            SourceProblem::OneFile { .. } => "give each row a file of its own".into(),
            SourceProblem::NotAFile { .. } => "write the path of an image file into the table".into(),
            SourceProblem::UnknownFinding { column, separator, joined_by: Some(joined_by), .. } => format!(
                "findings in column `{}` are taken to be {}; these seem to be joined by `{joined_by}`, which may be \
                 part of a name: write `|` in its place",
                short(column),
                separator::style(*separator)
            ),
            SourceProblem::UnknownFinding { column, separator, offer, .. } => format!(
                "findings in column `{}` are taken to be {}; correct the cell, or name all findings: {}",
                short(column),
                separator::style(*separator),
                offer.as_deref().filter(|offer| offer.len() < 8000).unwrap_or("--labels A,B,...")
            ),
            SourceProblem::Label { .. } => {
                "labels are 1, true or yes, 0, false or no, -1 for uncertain, and blank for unknown".into()
            }
            SourceProblem::SplitName { .. } => {
                let names = Split::ALL.map(Split::name).join(", ");
                format!(
                    "splits are {names} (valid, validation and dev mean val); --redraw-splits draws them by patient \
                     whatever the column says"
                )
            }
            SourceProblem::Number { .. } | SourceProblem::Contradiction { .. } => "correct the cell".into(),
            SourceProblem::Duplicate { .. } => {
                "remove one of the rows, or join the rows of an image (one per reader or box) with --rows any, \
                 majority or all, where the source is --csv or --dicom"
                    .into()
            }
            SourceProblem::MissingImage { .. } => {
                "check the folder of images (--images DIR), or leave such rows out with --skip-missing".into()
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

fn few(names: &[String]) -> String {
    super::csv_table::quoted_few(names.iter().map(String::as_str))
}

/// A cell as messages show it: on one line, and not all of a megabyte.
pub(crate) fn short(cell: &str) -> String {
    let shown: String = cell.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.len() < cell.len() { format!("{shown}...") } else { shown }
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map(|n| format!("; nearest is `{n}`")).unwrap_or_default()
}

fn and_more(more: u64) -> String {
    if more == 0 { String::new() } else { format!(", nor for {}", counted(more, "other row")) }
}

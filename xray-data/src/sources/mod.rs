//! Where images and labels come from. Every source ends as a [`SourceSet`]: what is known of each image, and
//! where its bytes are. Nothing is decoded here.
//!
//! * [`boxes`]: where radiologists saw findings in ChestX-ray14;
//! * [`nih`]: a folder of ChestX-ray14 with its `Data_Entry` table; [`released`]: this and others as they are downloaded;
//! * [`csv`](csv_table): any table with a path, a patient and labels, over image files of any kind read here;
//! * [`tfrecord`]: TFRecords that someone else wrote;
//! * [`synthetic`]: phantoms that are drawn when they are needed;
//! * `dicom`: DICOM files with a table of labels;
//! * [`combine`]: several of these as one;
//! * `archive`: zip, tar and tar.gz files as folders, for the tables and images of published data sets;
//! * [`given`]: whatever a person names, without labels; [`labelled`]: a data set or a table over images, with them.

mod age;
mod archive;
pub mod boxes;
mod combined;
pub mod csv_table;
pub mod dicom;
mod findings;
mod folder;
pub mod given;
mod join;
mod kept;
mod label_columns;
pub mod labelled;
mod listing;
pub mod nih;
mod origin;
mod packed;
mod paths;
mod problem;
pub mod released;
mod separator;
pub mod synthetic;
mod table;
mod tails;
pub mod tfrecord;
mod view;
mod wanted;

pub(crate) use age::parse_age;
pub(crate) use archive::is_archive;
pub use archive::{Archive, ArchiveProblem, beside};
pub use boxes::FindingBox;
pub use combined::combine;
pub(crate) use folder::without_extension;
pub use folder::{Found, ImageFolder};
pub use given::{Given, GivenImage, GivenOptions};
pub use join::Join;
pub use kept::{Content, Keep, Kept, Piece, Spill};
pub use labelled::{Labelled, LabelledOptions};
pub use listing::{Listed, Listing, Lookup, Missing};
pub use origin::{Loaded, Origin};
pub use problem::SourceProblem;
pub(crate) use problem::short;
pub use released::{LabelSet, Release, ReleaseOptions};
pub use synthetic::Phantom;
pub(crate) use table::{Table, read_text};
pub use view::ViewFilter;

use crate::error::{Error, Result};
use crate::labels::{nearest, position};
use crate::schema::Label;
use xray_artifacts::{ImageFormat, Split};

/// What a source says of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRow {
    /// Unique in its source; a file name as a rule.
    pub image_id: String,
    /// The patient's id, if the source has it.
    pub patient_id: Option<String>,
    /// One per label of the set, in its order.
    pub labels: Vec<Label>,
    /// Whether the source says that there is no finding, of those too that are not labels here; none where that
    /// follows from the labels.
    pub no_finding: Option<Label>,
    /// The part the source puts it in, where it has a column for that.
    pub split: Option<Split>,
    /// `PA` or `AP`, as a rule.
    pub view: Option<String>,
    /// `M` or `F`.
    pub sex: Option<String>,
    /// In years.
    pub age: Option<u16>,
    /// Which of several sources it is from.
    pub source: Option<String>,
}

/// One image of a source.
#[derive(Clone, Debug)]
pub struct SourceImage {
    /// What is known of it.
    pub row: ImageRow,
    /// Where its pixels are.
    pub origin: Origin,
}

/// A whole source, ready to be split and built.
#[derive(Clone, Debug)]
pub struct SourceSet {
    /// `csv`, `tfrecord`, `dicom`, `synthetic` or the name of a published data set, as the manifest records it.
    pub kind: &'static str,
    /// The findings, in the order of every row's labels.
    pub labels: Vec<String>,
    /// In the order of the source.
    pub images: Vec<SourceImage>,
    /// Rows that were left out because their image file is missing.
    pub missing: u64,
    /// Why images were left out whose files cannot be used, where that shows before they are wanted.
    pub unusable: Vec<String>,
    /// How the source was read, for the manifest: columns, labels, rules.
    pub notes: Vec<String>,
    /// What a person should know before trusting the set.
    pub warnings: Vec<String>,
    /// What an earlier build did to the images, where the source is one.
    pub built: Option<ImageFormat>,
}

impl SourceSet {
    /// Keeps these labels, in this order.
    ///
    /// # Errors
    /// A label that the set does not have, or, unless `allow_empty`, that no image shows.
    pub fn select(&mut self, names: &[String], allow_empty: bool) -> Result<()> {
        let rows = self.images.iter_mut().map(|image| &mut image.row.labels);
        self.notes.extend(select_labels(&mut self.labels, rows, names)?);
        let shows = |place: usize| self.images.iter().any(|image| image.row.labels[place] == Label::Positive);
        let empty =
            (0..self.labels.len()).filter(|place| !shows(*place)).map(|place| self.labels[place].clone());
        match empty.collect::<Vec<_>>() {
            labels if labels.is_empty() || allow_empty => Ok(()),
            labels => Err(Error::NoPositive { folder: "the sources".into(), labels }),
        }
    }

    /// Keeps images that are said to be of this view, and notes how many others there were.
    ///
    /// # Errors
    /// [`NoView`](crate::Error::NoView) where nothing is left.
    pub fn keep_view(&mut self, view: ViewFilter) -> Result<()> {
        let said = view.keep(&mut self.images, false, |image| image.row.view.as_deref())?;
        self.notes.extend(said);
        Ok(())
    }
}

/// Keeps these labels of every row, in this order. Returns which were left out, in a sentence.
fn select_labels<'a>(
    labels: &mut Vec<String>,
    rows: impl Iterator<Item = &'a mut Vec<Label>>,
    names: &[String],
) -> Result<Option<String>> {
    let places = names.iter().map(|name| {
        position(labels, name).ok_or_else(|| Error::NoLabel {
            label: name.clone(),
            nearest: nearest(name, labels.iter().map(String::as_str)).map(str::to_owned),
            labels: labels.clone(),
        })
    });
    let places = places.collect::<Result<Vec<_>>>()?;
    let left_out = labels.iter().enumerate().filter(|(place, _)| !places.contains(place));
    let left_out: Vec<&str> = left_out.map(|(_, label)| label.as_str()).collect();
    let said = (!left_out.is_empty()).then(|| {
        let names = csv_table::quoted_few(left_out.into_iter());
        format!("labels that were not asked for and are left out: {names}")
    });
    for row in rows {
        *row = places.iter().map(|&place| row[place]).collect();
    }
    *labels = places.into_iter().map(|place| labels[place].clone()).collect();
    Ok(said)
}

/// Hash over rows, independent of their order: tells whether two builds saw the same labels and patients.
pub fn labels_hash<'a>(labels: &[String], rows: impl IntoIterator<Item = &'a ImageRow>) -> String {
    let mut lines: Vec<String> = rows.into_iter().map(line_of_row).collect();
    lines.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    hasher.update(labels.join("|").as_bytes());
    for line in &lines {
        hasher.update(b"\n").update(line.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn line_of_row(row: &ImageRow) -> String {
    let cell = |label: &Label| match label {
        Label::Negative => '0',
        Label::Positive => '1',
        Label::Uncertain => '-',
        Label::Unknown => '?',
    };
    let labels: String = row.labels.iter().map(cell).collect();
    format!("{}\t{}\t{labels}", row.image_id, row.patient_id.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, label: Label) -> ImageRow {
        ImageRow {
            image_id: id.into(),
            patient_id: Some("7".into()),
            labels: vec![label],
            no_finding: None,
            split: None,
            view: None,
            sex: None,
            age: None,
            source: None,
        }
    }

    #[test]
    fn the_hash_sees_labels_and_not_order() {
        let names = vec!["Mass".to_owned()];
        let (a, b) = (row("a", Label::Positive), row("b", Label::Unknown));
        let hash = labels_hash(&names, [&a, &b]);
        assert_eq!(hash, labels_hash(&names, [&b, &a]));
        assert_ne!(hash, labels_hash(&names, [&row("a", Label::Negative), &b]));
    }
}

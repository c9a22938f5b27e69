//! Images with their labels, of a data set that a model was not trained on: as its owner has it, or with a table that
//! says what is true.

use super::archive::is_archive;
use super::folder::pictures;
use super::given::{self, records};
use super::tfrecord::list;
use super::{
    GivenImage, GivenOptions, ImageFolder, LabelSet, Listing, Missing, Release, ReleaseOptions,
    SourceProblem, SourceSet, ViewFilter, csv_table, dicom, nih, without_extension,
};
use crate::dataset::{Dataset, OpenOptions};
use crate::error::{Error, Result};
use crate::labels::nih_14;
use crate::schema::{FeatureNames, Label};
use csv_table::CsvColumns;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::DatasetManifest;
use xray_display::counted;

/// How labelled images are read.
#[derive(Clone, Debug, Default)]
pub struct LabelledOptions {
    /// A table that says what is true, of images that it names.
    pub truth: Option<PathBuf>,
    /// Which columns of a table mean what, and which labels are wanted.
    pub columns: CsvColumns,
    /// What the features of TFRecords are called; by default they are recognised.
    pub features: Option<FeatureNames>,
    /// Whose labels a published data set gets.
    pub label_set: LabelSet,
    /// Only images that are said to be of this view.
    pub view: Option<ViewFilter>,
    /// The folder for what comes by in archives that can only be read from front to back (tar.gz); without one they are
    /// refused.
    pub keep_in: Option<PathBuf>,
}

/// Images and what is true of them.
#[derive(Debug)]
pub struct Labelled {
    /// The findings, in the order of every image's labels.
    pub labels: Vec<String>,
    /// Each image with one label for each finding.
    pub images: Vec<(GivenImage, Vec<Label>)>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Reads a data set of ours, a folder of TFRecords, a published data set as it was downloaded, a table, or a folder of
/// images with a table of truths. Nothing is decoded.
///
/// # Errors
/// What is not there or says nothing of labels; a table that cannot be read or contradicts the records; images of which
/// none is in the table, or of the view that is wanted.
pub fn read(data: &Path, options: &LabelledOptions) -> Result<Labelled> {
    let mut labelled = read_all(data, options)?;
    if let Some(view) = options.view {
        let said = view.keep(&mut labelled.images, false, |(image, _)| image.about.view.as_deref())?;
        labelled.notes.extend(said);
    }
    Ok(labelled)
}

fn read_all(data: &Path, options: &LabelledOptions) -> Result<Labelled> {
    let is_ours = data.join(DatasetManifest::FILE_NAME).exists();
    let is_folder = data.is_dir() || is_archive(data);
    let has_records = is_ours || data.is_dir() && !matches!(list(data), Err(Error::NoRecords { .. }));
    match &options.truth {
        None if has_records => of_dataset(data, options),
        None if is_folder => match Release::recognise(data) {
            Some(release) if release != Release::Nih => of_release(release, data, options),
            _ => {
                let labels = &options.columns.labels;
                let labels = if labels.is_empty() { nih_14() } else { labels.clone() };
                in_folder(nih::read(&nih::find_table(data)?, &labels)?, data, options)
            }
        },
        None => {
            let beside = data.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = ImageFolder::scan(beside.unwrap_or(Path::new(".")))?;
            let keep = given::keep(options.keep_in.as_deref())?;
            of_set(listing(data, options, &folder)?.locate(&folder, Missing::Keep, keep.as_deref())?)
        }
        Some(truth) if has_records || !is_folder => joined(data, truth, options),
        Some(truth) => in_folder_by(truth, data, options),
    }
}

fn of_release(release: Release, data: &Path, options: &LabelledOptions) -> Result<Labelled> {
    let LabelledOptions { columns, label_set, .. } = options;
    let read = ReleaseOptions {
        label_set: *label_set,
        labels: columns.labels.clone(),
        allow_empty: columns.allow_empty,
        blank: columns.blank,
        join: columns.join,
        other_splits: false,
    };
    let mut listing = release.read(data, &read)?;
    if let Some(view) = options.view {
        listing.keep_view(view)?;
    }
    in_folder(listing, data, options)
}

fn of_dataset(data: &Path, options: &LabelledOptions) -> Result<Labelled> {
    let LabelledOptions { columns, features, .. } = options;
    let open =
        OpenOptions { names: features.clone(), labels: columns.labels.clone(), ..OpenOptions::default() };
    let dataset = Arc::new(Dataset::open(data, &open)?);
    let notes = dataset.warnings().to_vec();
    Ok(Labelled { labels: dataset.labels().to_vec(), images: records(&dataset)?, notes })
}

fn listing(table: &Path, options: &LabelledOptions, folder: &ImageFolder) -> Result<Listing> {
    let mut listing = csv_table::read(table, &options.columns)?;
    dicom::name_by_instance_if_needed(&mut listing, folder);
    let notes = std::mem::take(&mut listing.notes);
    listing.warnings.extend(notes);
    Ok(listing)
}

fn in_folder_by(truth: &Path, folder: &Path, options: &LabelledOptions) -> Result<Labelled> {
    let images = ImageFolder::scan(folder)?;
    let listing = listing(truth, options, &images)?;
    in_folder(listing, folder, options)
}

fn in_folder(listing: Listing, folder: &Path, options: &LabelledOptions) -> Result<Labelled> {
    let all = if is_archive(folder) { 0 } else { pictures(folder)?.files.len() as u64 };
    let keep = given::keep(options.keep_in.as_deref())?;
    let mut set = listing.locate(&ImageFolder::scan(folder)?, Missing::Skip, keep.as_deref())?;
    set.warnings.append(&mut set.notes);
    let (missing, untold) = (set.missing, all.saturating_sub(set.images.len() as u64));
    let mut labelled = of_set(set)?;
    let mut note = |count: u64, what: &str, without: &str| {
        if count > 0 {
            labelled.notes.push(format!("{} without {without}, left out", counted(count, what)));
        }
    };
    note(missing, "row", "an image file");
    note(untold, "image", "a row in the table");
    Ok(labelled)
}

fn of_set(set: SourceSet) -> Result<Labelled> {
    let images = set.images.into_iter().map(|mut image| {
        let labels = std::mem::take(&mut image.row.labels);
        (GivenImage::of_row(image), labels)
    });
    Ok(Labelled { labels: set.labels, images: images.collect(), notes: set.warnings })
}

/// Records or rows whose truths stand in another table, by the images' names.
fn joined(data: &Path, truth: &Path, options: &LabelledOptions) -> Result<Labelled> {
    let LabelledOptions { columns, features, keep_in, .. } = options;
    let given_options =
        GivenOptions { features: features.clone(), keep_in: keep_in.clone(), ..GivenOptions::default() };
    let given = given::read(&[data.to_owned()], &given_options)?;
    let mut listing = csv_table::read(truth, columns)?;
    let rows: HashMap<&str, _> =
        listing.rows.iter().map(|listed| (without_extension(&listed.row.image_id), listed)).collect();
    let (mut images, mut untold) = (Vec::with_capacity(given.images.len()), 0);
    for mut image in given.images {
        let Some(listed) = rows.get(without_extension(&image.id)) else {
            untold += 1;
            continue;
        };
        let row = &listed.row;
        if let (Some(first), Some(second)) = (&image.about.patient_id, &row.patient_id)
            && first != second
        {
            let (image_id, first, second) = (image.id.clone(), first.clone(), second.clone());
            let problem = SourceProblem::TwoPatients { image_id, first, second };
            return Err(Error::Source { path: truth.to_owned(), line: listed.line, problem: problem.into() });
        }
        let about = &mut image.about;
        about.patient_id = about.patient_id.take().or_else(|| row.patient_id.clone());
        about.view = about.view.take().or_else(|| row.view.clone());
        about.sex = about.sex.take().or_else(|| row.sex.clone());
        about.age = about.age.or(row.age);
        image.split = image.split.or(row.split);
        images.push((image, row.labels.clone()));
    }
    if images.is_empty() {
        let image_id = listing.rows.first().map(|listed| listed.row.image_id.clone()).unwrap_or_default();
        let problem = SourceProblem::NoMatch { image_id };
        return Err(Error::Source { path: truth.to_owned(), line: 1, problem: problem.into() });
    }
    let mut notes = [given.notes, std::mem::take(&mut listing.warnings)].concat();
    notes.extend(listing.notes);
    if untold > 0 {
        notes.push(format!("{} without a row in the table, left out", counted(untold, "image")));
    }
    Ok(Labelled { labels: listing.labels, images, notes })
}

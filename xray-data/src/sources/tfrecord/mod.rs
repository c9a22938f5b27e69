//! TFRecords that someone else wrote, or this project's own shards, joined by image name with a table that
//! says whose images they are.

mod files;
mod patients;

pub use files::record_files;
pub(crate) use files::{Listed, incomplete, list, listed_file};

use crate::build::{refuse_duplicates, refuse_unfinished};
use crate::dataset::{ShardProblem, compare_content};
use crate::error::{Error, Place, Result};
use crate::example::Example;
use crate::schema::{Basis, FeatureNames, Inventory, Label, Resolved, Sample, resolve};
use crate::sources::{ImageRow, Origin, SourceImage, SourceSet};
use crate::split::SplitProblem;
use crate::tfrecord::{IndexEntry, RecordFile};
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{DatasetManifest, Split};

/// How records are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordOptions {
    /// The features' names; by default they are recognised.
    pub names: Option<FeatureNames>,
    /// The labels to keep, in this order; where empty, all that are known.
    pub labels: Vec<String>,
    /// Keep labels that were asked for and that no record shows.
    pub allow_empty: bool,
    /// A table with a column of image names and one of patients, such as `Data_Entry_2017.csv`.
    pub patients: Option<PathBuf>,
}

/// Reads the labels of every record of the files in `folder` ([`record_files`]), both checksums compared. A
/// folder with `dataset.json` holds the files, with their content, and the labels that it lists. What the files'
/// names, the manifest or a feature `split` say of the split is kept in each row.
///
/// # Errors
/// A folder without records, with only some of numbered files, or with a build that is not finished; a damaged
/// record; a feature that is named and absent, or looks like a label that nobody named; an image name that
/// occurs twice; a table that names none of the images.
pub fn read(folder: &Path, options: &RecordOptions) -> Result<SourceSet> {
    let Found { listed, manifest, mut warnings } = find(folder)?;
    let open = |listed: &Listed| RecordFile::open(&listed.path).map(Arc::new);
    let files = listed.par_iter().map(open).collect::<Result<Vec<_>>>()?;
    if let Some(manifest) = &manifest {
        compare(manifest, &files)?;
    }
    let built = manifest.as_ref().map(|manifest| manifest.image.clone());
    let labels = manifest.as_ref().map(|manifest| manifest.labels.clone());
    let resolved = features(&files, options, labels)?;
    let resolved = Arc::new(resolved);
    warnings.extend(resolved.notes.iter().cloned());
    let names = Arc::new(resolved.names.clone());
    let read_one = |(file, listed): (&Arc<RecordFile>, &Listed)| {
        let folder = listed.path.parent().filter(|parent| *parent != folder);
        read_file(file, listed.split, folder, &resolved, &names)
    };
    let read: Vec<Vec<(SourceImage, String)>> =
        files.par_iter().zip(&listed).map(read_one).collect::<Result<_>>()?;
    if let Some(manifest) = &manifest {
        // After the records: what is wrong with one of them says more.
        let listed = manifest.shards().collect::<Vec<_>>();
        listed.par_iter().try_for_each(|entry| compare_content(folder, entry))?;
    }
    let (images, paths): (Vec<SourceImage>, Vec<String>) = read.into_iter().flatten().unzip();
    if images.is_empty() {
        return Err(Error::NoRecords { folder: folder.to_owned() });
    }
    let mut set = SourceSet {
        kind: "tfrecord",
        labels: names.label_names(),
        images,
        missing: 0,
        unusable: Vec::new(),
        notes: Vec::new(),
        warnings,
        built,
    };
    if !options.labels.is_empty() && !options.allow_empty {
        refuse_empty_labels(&set, folder)?;
    }
    name_by_path_if_needed(&mut set, &paths);
    refuse_duplicates(&set)?;
    if let Some(table) = &options.patients {
        patients::join(&mut set, &paths, table)?;
    }
    Ok(set)
}

/// A label that somebody asked for is there for something to be found.
fn refuse_empty_labels(set: &SourceSet, folder: &Path) -> Result<()> {
    let shown = |place: usize| set.images.iter().any(|image| image.row.labels[place] == Label::Positive);
    let labels = set.labels.iter().enumerate().filter(|(place, _)| !shown(*place));
    let labels: Vec<String> = labels.map(|(_, label)| label.clone()).collect();
    match labels.is_empty() {
        true => Ok(()),
        false => Err(Error::NoPositive { folder: folder.to_owned(), labels }),
    }
}

/// The files of a folder and who says so.
struct Found {
    listed: Vec<Listed>,
    manifest: Option<DatasetManifest>,
    warnings: Vec<String>,
}

fn find(folder: &Path) -> Result<Found> {
    refuse_unfinished(folder)?;
    if folder.join(DatasetManifest::FILE_NAME).exists() {
        let manifest = DatasetManifest::read(folder)?;
        let listed = manifest.splits.iter().flat_map(|(&split, summary)| {
            let file = move |file: &String| Listed { path: folder.join(file), split: Some(split) };
            summary.shards.iter().map(move |shard| file(&shard.file))
        });
        let listed: Vec<Listed> = listed.collect();
        if let Some(Listed { path, .. }) = listed.iter().find(|file| !file.path.exists()) {
            return Err(Error::Shard { path: path.clone(), problem: ShardProblem::Absent });
        }
        let warnings = strays(folder, &listed);
        return Ok(Found { listed, manifest: Some(manifest), warnings });
    }
    let files::RecordFiles { files, mut warnings } = list(folder)?;
    if let Some((path, what)) = incomplete(&files) {
        return Err(Error::MissingParts { path, what });
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    if files::splits_of(&name).contains(&Split::Test) && files.iter().all(|file| file.split.is_none()) {
        warnings.push(format!(
            "the folder is named `{name}`, and its images are drawn into train, val and test: name the folder \
             above it to keep them apart"
        ));
    }
    Ok(Found { listed: files, manifest: None, warnings })
}

/// Files of records beside those that the manifest lists.
pub(crate) fn strays(folder: &Path, listed: &[Listed]) -> Vec<String> {
    let listed: HashSet<&Path> = listed.iter().map(|file| file.path.as_path()).collect();
    let found = record_files(folder).unwrap_or_default();
    let strays = found.iter().filter(|path| !listed.contains(path.as_path()));
    strays.map(|path| format!("{} is not listed in dataset.json", path.display())).collect()
}

/// Whether the shards have the records that the manifest lists.
fn compare(manifest: &DatasetManifest, files: &[Arc<RecordFile>]) -> Result<()> {
    let listed = manifest.shards();
    for (shard, file) in listed.zip(files) {
        let found = file.peek_all().count() as u64;
        if found != shard.records {
            let problem = ShardProblem::Records { expected: shard.records, found };
            return Err(Error::Shard { path: file.path().to_owned(), problem });
        }
    }
    Ok(())
}

/// How the features of these files are read.
fn features(
    files: &[Arc<RecordFile>],
    options: &RecordOptions,
    manifest: Option<Vec<String>>,
) -> Result<Resolved> {
    let inventory =
        files.par_iter().map(|file| Inventory::of(file)).reduce(Inventory::default, Inventory::plus);
    if let Some((place, problem)) = inventory.contradiction() {
        return Err(Error::Feature { place, problem });
    }
    let basis = match (options.names.clone(), manifest) {
        (Some(names), _) => Basis::Given(Box::new(names)),
        (None, Some(labels)) => Basis::Manifest(labels),
        (None, None) => Basis::Recognised,
    };
    match resolve(&inventory, basis, &options.labels) {
        Ok(resolved) => Ok(resolved),
        Err(problem) => {
            // A damaged first record is the reason, where there is one.
            let place = first(files)?;
            Err(place.map_or_else(
                || Error::NoRecords { folder: folder_of(files) },
                |place| Error::Feature { place, problem },
            ))
        }
    }
}

fn folder_of(files: &[Arc<RecordFile>]) -> PathBuf {
    files.first().and_then(|file| file.path().parent()).unwrap_or(Path::new(".")).to_owned()
}

/// How the features of these files are called, for a check that goes on after what is wrong.
pub(crate) fn detect(
    files: &[Arc<RecordFile>],
    names: Option<FeatureNames>,
    labels: Vec<String>,
) -> Result<Resolved> {
    features(files, &RecordOptions { names, labels, ..RecordOptions::default() }, None)
}

/// Where the first record of all files is.
fn first(files: &[Arc<RecordFile>]) -> Result<Option<Place>> {
    for file in files {
        let Some(record) = file.iter().next().transpose()? else { continue };
        let place = file.place(record.number, record.offset);
        return match Example::parse(record.payload) {
            Ok(_) => Ok(Some(place)),
            Err(problem) => Err(Error::Example { place, problem }),
        };
    }
    Ok(None)
}

/// The records of a file, each with the image's name as the record has it. `folder` is the file's where it
/// is not the source's own.
fn read_file(
    file: &Arc<RecordFile>,
    split: Option<Split>,
    folder: Option<&Path>,
    resolved: &Resolved,
    names: &Arc<FeatureNames>,
) -> Result<Vec<(SourceImage, String)>> {
    let records = file.iter().map(|record| {
        let record = record?;
        let place = || file.place(record.number, record.offset);
        let example =
            Example::parse(record.payload).map_err(|problem| Error::Example { place: place(), problem })?;
        let bad = |problem| Error::Feature { place: place(), problem };
        let sample = names.read(&example).map_err(bad)?;
        resolved.contradictions(&example, &sample).map_err(bad)?;
        let path = names.path(&example).map_err(bad)?;
        let entry = IndexEntry { offset: record.offset, length: record.payload.len() as u64 };
        let (file, names, number) = (file.clone(), names.clone(), record.number);
        let row = row_of(sample, split, folder, file.path(), number)?;
        let path = path.unwrap_or_else(|| row.image_id.clone());
        Ok((SourceImage { row, origin: Origin::Record { file, names, number, entry } }, path))
    });
    records.collect()
}

fn row_of(
    sample: Sample<'_>,
    of_file: Option<Split>,
    folder: Option<&Path>,
    file: &Path,
    number: u64,
) -> Result<ImageRow> {
    let unnamed = || {
        let folder = folder.and_then(Path::file_name).map(|name| format!("{}-", name.to_string_lossy()));
        format!("{}{}-{number:06}", folder.unwrap_or_default(), files::stem(file))
    };
    let image_id = Some(sample.image_id).filter(|id| !id.is_empty()).unwrap_or_else(unnamed);
    let split = match (of_file, sample.split) {
        (Some(of_file), Some(of_record)) if of_file != of_record => {
            let file = file.to_owned();
            return Err(SplitProblem::Disagree { image_id, of_record, file, of_file }.into());
        }
        (of_file, of_record) => of_record.or(of_file),
    };
    Ok(ImageRow {
        image_id,
        patient_id: sample.patient_id,
        labels: sample.labels,
        no_finding: sample.no_finding,
        split,
        view: sample.view,
        sex: sample.sex,
        age: sample.age,
        source: sample.source,
    })
}

/// An image is named by its file name; where folders hold files of one name, as `view1.jpg` per patient, all
/// are named by their paths, `_` between the folders.
fn name_by_path_if_needed(set: &mut SourceSet, paths: &[String]) {
    let names: HashSet<&str> = set.images.iter().map(|image| image.row.image_id.as_str()).collect();
    let distinct: HashSet<&str> = paths.iter().map(String::as_str).collect();
    if names.len() < distinct.len() {
        for (SourceImage { row, .. }, path) in set.images.iter_mut().zip(paths) {
            row.image_id = path.trim_start_matches("./").replace(['/', '\\'], "_");
        }
    }
}

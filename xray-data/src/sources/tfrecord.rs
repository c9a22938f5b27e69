//! TFRecords that someone else wrote, joined by image name with a table that says whose images they are.

use crate::build::{BuildProblem, WORKPLACE};
use crate::error::{Error, Place, Result};
use crate::example::Example;
use crate::schema::{FeatureNames, Preset, Sample};
use crate::sources::{
    ImageRow, Origin, SourceImage, SourceProblem, SourceSet, Table, csv_table, findings, parse_age,
    without_extension,
};
use crate::tfrecord::{IndexEntry, RecordFile};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{DatasetManifest, read_json};

const EXTENSIONS: [&str; 3] = ["tfrec", "tfrecord", "tfrecords"];

/// Reads the labels of every record of the files in `folder` (`*.tfrec`, `*.tfrecord`, also `.gz`), both
/// checksums compared. Without `names`, `dataset.json` names the labels, or the first record tells which
/// preset fits. `patients` is a table with a column of image names and one of patients, such as
/// `Data_Entry_2017.csv`.
///
/// # Errors
/// A folder without records, or with a build that is not finished; a damaged record; a feature that is named
/// and absent; a table that names none of the images.
pub fn read(folder: &Path, names: Option<FeatureNames>, patients: Option<&Path>) -> Result<SourceSet> {
    let files = record_files(folder)?;
    let files = files.iter().map(|path| RecordFile::open(path).map(Arc::new)).collect::<Result<Vec<_>>>()?;
    let names = match (names, manifest_labels(folder)?) {
        (Some(names), _) => checked(names, &files)?,
        (None, Some(labels)) => FeatureNames::xray(&labels),
        (None, None) => detect(folder, &files)?,
    };
    let names = Arc::new(names);
    let images: Vec<Vec<SourceImage>> =
        files.par_iter().map(|file| read_file(file, &names)).collect::<Result<_>>()?;
    let mut set = SourceSet {
        kind: "tfrecord",
        labels: names.label_names(),
        images: images.into_iter().flatten().collect(),
        missing: 0,
        warnings: Vec::new(),
    };
    if let Some(table) = patients {
        join_patients(&mut set, table)?;
    }
    Ok(set)
}

/// The labels of a data set that this program wrote.
fn manifest_labels(folder: &Path) -> Result<Option<Vec<String>>> {
    let path = folder.join(DatasetManifest::FILE_NAME);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(read_json::<DatasetManifest>(&path)?.labels))
}

/// The TFRecord files directly in a folder, by name: `*.tfrec`, `*.tfrecord`, `*.tfrecords`, also `.gz`. A folder
/// that a build has not finished has none: some of its shards would pass for all.
///
/// # Errors
/// A folder that cannot be listed, or that holds none.
pub fn record_files(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.join(WORKPLACE).exists() && !folder.join(DatasetManifest::FILE_NAME).exists() {
        return Err(BuildProblem::Unfinished { folder: folder.to_owned() }.into());
    }
    let entries = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
    let paths = entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = paths.map_err(Error::io(folder, "list"))?;
    paths.retain(|path| is_record_file(&path.to_string_lossy()));
    paths.sort_unstable();
    if paths.is_empty() {
        return Err(Error::NoRecords { folder: folder.to_owned() });
    }
    Ok(paths)
}

fn is_record_file(name: &str) -> bool {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension))
}

/// The first record of all files, and where it is.
fn first(files: &[Arc<RecordFile>]) -> Result<Option<(Place, Example<'_>)>> {
    for file in files {
        let Some(record) = file.iter().next().transpose()? else { continue };
        let place = file.place(record.number, record.offset);
        return match Example::parse(record.payload) {
            Ok(example) => Ok(Some((place, example))),
            Err(problem) => Err(Error::Example { place, problem }),
        };
    }
    Ok(None)
}

/// Names that someone gave: a misspelt label would be unknown in every record, so the first one has to have it.
fn checked(names: FeatureNames, files: &[Arc<RecordFile>]) -> Result<FeatureNames> {
    let Some((place, example)) = first(files)? else { return Ok(names) };
    match names.check(&example) {
        Ok(()) => Ok(names),
        Err(problem) => Err(Error::Feature { place, problem }),
    }
}

/// The preset that fits the first record.
pub(crate) fn detect(folder: &Path, files: &[Arc<RecordFile>]) -> Result<FeatureNames> {
    let Some((place, example)) = first(files)? else {
        return Err(Error::NoRecords { folder: folder.to_owned() });
    };
    match Preset::detect(&example) {
        Some(Preset::Xray) => Ok(FeatureNames::xray(&Preset::Xray.feature_names().label_names())),
        Some(preset) => Ok(preset.feature_names()),
        None => {
            let kaggle = Preset::KaggleNih.feature_names();
            let problem = kaggle.check(&example).expect_err("no preset fits, so this one does not");
            Err(Error::Feature { place, problem })
        }
    }
}

fn read_file(file: &Arc<RecordFile>, names: &Arc<FeatureNames>) -> Result<Vec<SourceImage>> {
    let records = file.iter().map(|record| {
        let record = record?;
        let place = || file.place(record.number, record.offset);
        let example =
            Example::parse(record.payload).map_err(|problem| Error::Example { place: place(), problem })?;
        let sample = names.read(&example).map_err(|problem| Error::Feature { place: place(), problem })?;
        let entry = IndexEntry { offset: record.offset, length: record.payload.len() as u64 };
        let (file, names, number) = (file.clone(), names.clone(), record.number);
        let row = row_of(sample, file.path(), number);
        Ok(SourceImage { row, origin: Origin::Record { file, names, number, entry } })
    });
    records.collect()
}

fn row_of(sample: Sample<'_>, file: &Path, number: u64) -> ImageRow {
    let unnamed = || {
        let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        format!("{}-{number:06}", file.split('.').next().unwrap_or_default())
    };
    ImageRow {
        image_id: Some(sample.image_id).filter(|id| !id.is_empty()).unwrap_or_else(unnamed),
        patient_id: sample.patient_id,
        labels: sample.labels,
        split: sample.split,
        view: sample.view,
        sex: sample.sex,
        age: sample.age,
    }
}

/// Fills in whose images they are, and what else the table knows. A table that names none of the images is
/// an error; images that it does not name keep what they had.
fn join_patients(set: &mut SourceSet, table: &Path) -> Result<()> {
    let table = Table::read(table)?;
    let (image, patient) = (table.require(csv_table::PATH)?, table.require(csv_table::PATIENT)?);
    let [view, sex, age] = [csv_table::VIEW, csv_table::SEX, csv_table::AGE].map(|c| table.column(c));
    let rows: HashMap<String, _> = table.rows().map(|row| (join_key(row.field(image)), row)).collect();
    let mut unknown = 0u64;
    for SourceImage { row, .. } in &mut set.images {
        let Some(found) = rows.get(&join_key(&row.image_id)) else {
            unknown += 1;
            continue;
        };
        row.patient_id = Some(found.filled(patient)?.to_owned());
        row.view = row.view.take().or_else(|| found.optional(view).map(str::to_owned));
        row.sex = row.sex.take().or_else(|| found.optional(sex).and_then(findings::sex));
        row.age = row.age.or_else(|| found.optional(age).and_then(parse_age));
    }
    match set.images.first() {
        Some(first) if unknown == set.images.len() as u64 => {
            let image_id = first.row.image_id.clone();
            Err(table.problem(1, SourceProblem::NoMatch { image_id }))
        }
        _ => {
            let note = || format!("{unknown} images have no row in {}", table.path.display());
            set.warnings.extend((unknown > 0).then(note));
            Ok(())
        }
    }
}

fn join_key(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    without_extension(file).to_owned()
}

//! Whatever a person names as images to be looked at: files, folders, archives, tables, TFRecords, data sets. Labels are
//! not wanted. What cannot be read is an image all the same, that says why when it is read.

mod packed;

use super::archive::is_archive;
use super::folder::{Pictures, pictures};
use super::tfrecord::{Listed, list, listed_file};
use super::{ImageFolder, ImageRow, Join, Keep, Missing, Origin, SourceImage, beside, csv_table, dicom};
use crate::dataset::{Dataset, Draw, OpenOptions, RecordId};
use crate::error::{Error, Result};
use crate::example::Example;
use crate::loader::About;
use crate::schema::{FeatureNames, Inventory, Label, Sample, unlabelled};
use crate::tfrecord::{IndexEntry, RecordFile};
use csv_table::CsvColumns;
use rayon::prelude::*;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{DatasetManifest, Exit, Split, one_line};
use xray_display::counted;

/// How what is named is read.
#[derive(Clone, Debug, Default)]
pub struct GivenOptions {
    /// Which columns of a table mean what; of labels nothing is asked.
    pub columns: CsvColumns,
    /// The folder that the paths of a table start from; by default the table's own.
    pub images: Option<PathBuf>,
    /// What the features of TFRecords are called; by default they are recognised.
    pub features: Option<FeatureNames>,
    /// Only images that are said to be of this split.
    pub split: Option<Split>,
    /// The folder for what comes by in archives that can only be read from front to back (tar.gz); without one they are
    /// refused.
    pub keep_in: Option<PathBuf>,
}

/// Images that somebody named.
#[derive(Debug, Default)]
pub struct Given {
    /// In the order of what was named, each in its own order: a folder by path, a table and records as they stand.
    pub images: Vec<GivenImage>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct GivenImage {
    /// Its name; a file name as a rule, and the path below the folder where two files are named alike.
    pub id: String,
    /// The file, or the file and record.
    pub place: String,
    /// The split that its source says.
    pub split: Option<Split>,
    /// What is said of the patient and of the source.
    pub about: About,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Origin(Origin),
    Record(Arc<Dataset>, RecordId),
    /// What is wrong with it, without its place.
    Bad(String),
}

impl GivenImage {
    /// The bytes of the image file; or in one line, without the place, what is wrong with the file or record.
    ///
    /// # Errors
    /// What is not a fault of the image, such as a process that has too many files open.
    pub fn bytes(&self) -> Result<std::result::Result<Vec<u8>, String>> {
        let bytes = match &self.source {
            Source::Origin(origin) => origin.bytes(),
            Source::Record(dataset, id) => {
                let bytes = dataset.sample(*id).map(|sample| sample.image.to_vec());
                dataset.release(*id);
                bytes
            }
            Source::Bad(why) => return Ok(Err(why.clone())),
        };
        match bytes {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(error) if is_exhausted(&error) || self.is_of_the_disk(&error) => Err(error),
            Err(error) => Ok(Err(self.without_place(&error))),
        }
    }

    /// Whether what was kept of an image is not to be had again, which is not a fault of the image.
    fn is_of_the_disk(&self, error: &Error) -> bool {
        matches!((&self.source, error), (Source::Origin(Origin::Kept(_)), Error::Io { .. }))
    }

    /// How many bytes the file has, where the system or an archive knows it; changes tell that it is another one.
    pub fn length(&self) -> Option<u64> {
        match &self.source {
            Source::Origin(Origin::File(path)) => fs::metadata(path).ok().map(|metadata| metadata.len()),
            Source::Origin(Origin::Record { entry, .. }) => Some(entry.length),
            Source::Origin(Origin::Member { archive, number }) => Some(archive.length(*number)),
            Source::Origin(Origin::Kept(kept)) => kept.length(),
            _ => None,
        }
    }

    fn without_place(&self, error: &Error) -> String {
        let line = one_line(error);
        line.strip_prefix(&format!("{}: ", self.place)).map_or_else(|| line.clone(), str::to_owned)
    }

    fn of_origin(origin: Origin, id: String) -> Self {
        let (place, source) = (origin.place(), Source::Origin(origin));
        GivenImage { id, place, split: None, about: About::default(), source }
    }

    pub(super) fn of_row(SourceImage { row, origin }: SourceImage) -> Self {
        let ImageRow { image_id, patient_id, split, view, sex, age, source, .. } = row;
        let about = About { patient_id, view, sex, age, source };
        GivenImage { id: image_id, place: origin.place(), split, about, source: Source::Origin(origin) }
    }

    fn bad(id: String, place: String, split: Option<Split>, why: String) -> Self {
        GivenImage { id, place, split, about: About::default(), source: Source::Bad(why) }
    }
}

/// Lists what is named. Nothing is decoded.
///
/// # Errors
/// What is not there, a table that cannot be read, a data set without its shards, and nothing at all. A single file,
/// record or folder below that cannot be read is not among them.
pub fn read(inputs: &[PathBuf], options: &GivenOptions) -> Result<Given> {
    let mut given = Given::default();
    for input in inputs {
        read_one(input, options, &mut given)?;
    }
    if let Some(split) = options.split {
        let all = given.images.len();
        given.images.retain(|image| image.split == Some(split));
        if all > 0 && given.images.is_empty() {
            return Err(Error::EmptySplit { path: inputs[0].clone(), split });
        }
    }
    match (given.images.is_empty(), inputs.first()) {
        (true, Some(path)) => Err(Error::NoImages { path: path.clone() }),
        _ => Ok(given),
    }
}

fn read_one(input: &Path, options: &GivenOptions, given: &mut Given) -> Result<()> {
    let metadata = fs::metadata(input).map_err(Error::io(input, "open"))?;
    if metadata.is_dir() {
        return of_folder(input, options, given);
    }
    let name = input.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if let Some(listed) = listed_file(input) {
        return of_records(&[listed], None, options, given);
    }
    if is_archive(input) {
        return of_pictures(
            input,
            Pictures { archives: vec![input.to_owned()], ..Pictures::default() },
            options,
            given,
        );
    }
    let stem = name.strip_suffix(".gz").unwrap_or(&name);
    if [".csv", ".tsv", ".txt"].iter().any(|extension| stem.ends_with(extension)) {
        return of_table(input, options, given);
    }
    let id = input.file_name().unwrap_or_default().to_string_lossy().into_owned();
    given.images.push(GivenImage::of_origin(Origin::File(input.to_owned()), id));
    Ok(())
}

fn of_folder(folder: &Path, options: &GivenOptions, given: &mut Given) -> Result<()> {
    if folder.join(DatasetManifest::FILE_NAME).exists() {
        return of_dataset(folder, given);
    }
    match list(folder) {
        Ok(found) => {
            given.notes.extend(found.warnings);
            return of_records(&found.files, Some(folder), options, given);
        }
        Err(Error::NoRecords { .. }) => {}
        Err(error) => return Err(error),
    }
    let mut found = pictures(folder)?;
    given.notes.extend(found.unlisted.iter().map(one_line_of));
    if !found.files.is_empty() && !found.archives.is_empty() {
        // They may hold the very files that lie beside them.
        let many = counted(found.archives.len(), "archive");
        let (at, first) = (folder.display(), found.archives[0].display());
        given.notes.push(format!(
            "{at}: not opened, because images lie beside: {many}, such as {first}; name them to read them"
        ));
        found.archives.clear();
    }
    of_pictures(folder, found, options, given)
}

/// The pictures of a folder or of an archive, and those in the archives of a folder, each archive being a folder of its own.
fn of_pictures(folder: &Path, found: Pictures, options: &GivenOptions, given: &mut Given) -> Result<()> {
    let mut others = found.others;
    let mut images: Vec<(PathBuf, Origin)> =
        found.files.into_iter().map(|path| (path.clone(), Origin::File(path))).collect();
    for archive in &found.archives {
        let found = packed::pictures(archive, options.keep_in.as_deref())?;
        others += found.others;
        images.extend(found.images);
    }
    if others > 0 {
        let many = counted(others, "file");
        given.notes.push(format!("{}: not images by their names, and not read: {many}", folder.display()));
    }
    images.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let names: HashSet<String> = images.iter().map(|(path, _)| name_of(path)).collect();
    let is_unique = names.len() == images.len();
    for (path, origin) in images {
        let id = match is_unique {
            true => name_of(&path),
            false => path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned(),
        };
        given.images.push(GivenImage::of_origin(origin, id));
    }
    Ok(())
}

fn one_line_of(error: &Error) -> String {
    one_line(error)
}

/// A data set, split by split.
fn of_dataset(folder: &Path, given: &mut Given) -> Result<()> {
    let dataset = Arc::new(Dataset::open(folder, &OpenOptions::default())?);
    given.images.extend(records(&dataset)?.into_iter().map(|(image, _)| image));
    Ok(())
}

/// All records of a data set, split by split, with their labels; those of a record that cannot be read are unknown.
pub(super) fn records(dataset: &Arc<Dataset>) -> Result<Vec<(GivenImage, Vec<Label>)>> {
    let peek = |split: Split, id: RecordId| {
        let peeked = match dataset.peek(id) {
            Ok(sample) => {
                let Sample { image_id, patient_id, view, sex, age, source, labels, .. } = sample;
                Ok((image_id, About { patient_id, view, sex, age, source }, labels))
            }
            Err(error) if error.exit() == Exit::BadData => Err(()),
            Err(error) => return Err(error),
        };
        dataset.release(id);
        let place = dataset.place(id);
        let source = Source::Record(dataset.clone(), id);
        // Why it cannot be read is said when it is.
        let unknown = vec![Label::Unknown; dataset.labels().len()];
        let unnamed = |()| (name_of(Path::new(&place)), About::default(), unknown);
        let (id, about, labels) = peeked.unwrap_or_else(unnamed);
        Ok((GivenImage { id, place, split: Some(split), about, source }, labels))
    };
    let mut images = Vec::with_capacity(dataset.len() as usize);
    for split in Split::ALL {
        match dataset.select(split, &Draw::default()) {
            Err(Error::EmptySplit { .. }) => {}
            Err(error) => return Err(error),
            Ok(of_split) => {
                let found = of_split.into_par_iter().map(|id| peek(split, id));
                images.extend(found.collect::<Result<Vec<_>>>()?);
            }
        }
    }
    Ok(images)
}

/// TFRecords that someone else wrote. A damaged record is an image that cannot be read, and so is all of a file behind
/// a header that cannot be trusted.
fn of_records(
    files: &[Listed],
    folder: Option<&Path>,
    options: &GivenOptions,
    given: &mut Given,
) -> Result<()> {
    type Opened = (Listed, std::result::Result<Arc<RecordFile>, String>);
    let open = |listed: &Listed| -> Result<Opened> {
        match RecordFile::open(&listed.path) {
            Ok(file) => Ok((listed.clone(), Ok(Arc::new(file)))),
            Err(error) if error.exit() == Exit::BadData => Ok((listed.clone(), Err(one_line(&error)))),
            Err(error) => Err(error),
        }
    };
    let opened = files.par_iter().map(open).collect::<Result<Vec<_>>>()?;
    let good: Vec<&Arc<RecordFile>> = opened.iter().filter_map(|(_, file)| file.as_ref().ok()).collect();
    let inventory =
        good.par_iter().map(|file| Inventory::of(file)).reduce(Inventory::default, Inventory::plus);
    if let Some((place, problem)) = inventory.contradiction() {
        return Err(Error::Feature { place, problem });
    }
    let names = match &options.features {
        Some(names) => Ok(FeatureNames { labels: Vec::new(), ..names.clone() }),
        None if inventory.records == 0 => Ok(FeatureNames::xray(&[])),
        None => unlabelled(&inventory),
    };
    let at_first = |problem| match good.first() {
        Some(file) => Error::Feature { place: file.place(0, 0), problem },
        None => Error::NoRecords { folder: folder.unwrap_or(Path::new(".")).to_owned() },
    };
    let names = Arc::new(names.map_err(at_first)?);
    let images = opened.par_iter().map(|(listed, file)| match file {
        Ok(file) => of_file(file, listed.split, &names),
        Err(why) => {
            let place = listed.path.display().to_string();
            let why = why.strip_prefix(&format!("{place}: ")).unwrap_or(why).to_owned();
            vec![GivenImage::bad(name_of(&listed.path), place, listed.split, why)]
        }
    });
    given.images.extend(images.collect::<Vec<_>>().into_iter().flatten());
    Ok(())
}

/// Whether the process or the system ran out of something.
fn is_exhausted(error: &Error) -> bool {
    let Error::Io { source, .. } = error else { return false };
    let too_many = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOMEM];
    too_many.iter().any(|errno| source.raw_os_error() == Some(errno.raw_os_error()))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn of_file(file: &Arc<RecordFile>, split: Option<Split>, names: &Arc<FeatureNames>) -> Vec<GivenImage> {
    let mut number = 0;
    let records = file.iter().map(|record| {
        let own = format!("{}-{number:06}", name_of(file.path()));
        number += 1;
        let (place, offset, length) = match &record {
            Ok(record) => (file.place(record.number, record.offset), record.offset, record.payload.len()),
            Err(error) => {
                let line = one_line(error);
                let (place, why) = match error {
                    Error::Record { place, problem } => (place.to_string(), problem.to_string()),
                    _ => (file.path().display().to_string(), line),
                };
                return GivenImage::bad(own, place, split, why);
            }
        };
        let payload = record.map(|record| record.payload).unwrap_or_default();
        let read = Example::parse(payload)
            .map_err(|problem| problem.to_string())
            .and_then(|example| names.read(&example).map_err(|problem| problem.to_string()));
        match read {
            Err(why) => GivenImage::bad(own, place.to_string(), split, why),
            Ok(Sample { image_id, patient_id, view, sex, age, source, split: said, .. }) => {
                let origin = Origin::Record {
                    file: file.clone(),
                    names: names.clone(),
                    number: place.record,
                    entry: IndexEntry { offset, length: length as u64 },
                };
                GivenImage {
                    id: if image_id.is_empty() { own } else { image_id },
                    place: place.to_string(),
                    split: said.or(split),
                    about: About { patient_id, view, sex, age, source },
                    source: Source::Origin(origin),
                }
            }
        }
    });
    records.collect()
}

/// What is done with images that come by in an archive, where there is a folder for them.
pub(super) fn keep(folder: Option<&Path>) -> Result<Option<Box<Keep<'static>>>> {
    folder.map(packed::keep).transpose()
}

fn of_table(table: &Path, options: &GivenOptions, given: &mut Given) -> Result<()> {
    // Several rows of an image, one per reader or box, are one image, unless they contradict each other.
    let join = Some(options.columns.join.unwrap_or(Join::Any));
    let columns = CsvColumns { unlabelled: true, join, ..options.columns.clone() };
    let mut listing = csv_table::read(table, &columns)?;
    let folder = ImageFolder::scan(options.images.as_deref().unwrap_or(beside(table)))?;
    dicom::name_by_instance_if_needed(&mut listing, &folder);
    given.notes.append(&mut listing.notes);
    let keep = keep(options.keep_in.as_deref())?;
    let set = listing.locate(&folder, Missing::Keep, keep.as_deref())?;
    given.notes.extend(set.warnings);
    given.images.extend(set.images.into_iter().map(GivenImage::of_row));
    Ok(())
}

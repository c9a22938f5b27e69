//! Everything that can go wrong between a file on disk and a batch, with the place where it did.

use crate::build::BuildProblem;
use crate::check::LabelProblem;
use crate::dataset::ShardProblem;
use crate::example::ExampleProblem;
use crate::loader::{BadRecord, LoaderProblem};
use crate::publish::PublishProblem;
use crate::schema::FeatureProblem;
use crate::sources::{ArchiveProblem, SourceProblem, is_archive, short};
use crate::split::SplitProblem;
use crate::tfrecord::{Compression, RecordProblem};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, FileError, Split, one_line};
use xray_image::{AugmentationProblem, ImageProblem};

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Where a record lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file of records.
    pub path: PathBuf,
    /// Its number in the file, from 0.
    pub record: u64,
    /// Where its header begins, in bytes; in the inflated content of a compressed file.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: record {} at byte {}", self.path.display(), self.record, self.offset)
    }
}

/// Why data could not be read, written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `open`, `read`, `write`.
        action: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// A JSON file of the project could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder, pipe or device where a file is wanted.
    #[error("{} is {kind}, not a file", path.display())]
    NotAFile {
        /// Where it lies.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// An archive, or a member of it, that cannot be read.
    #[error("{}", in_archive(path, member.as_deref()))]
    Archive {
        /// The archive, or the member as if the archive were a folder.
        path: PathBuf,
        /// The member, where it is one.
        member: Option<String>,
        /// What is wrong with it.
        #[source]
        problem: ArchiveProblem,
    },
    /// A compressed file that ends early or holds something else.
    #[error("{} is {compression}-compressed and does not inflate", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// How it is compressed.
        compression: Compression,
        /// What the decoder met.
        source: io::Error,
    },
    /// A compressed file of records that holds far more than records do.
    #[error("{} inflates to more than {limit} bytes", path.display())]
    Inflated {
        /// The file.
        path: PathBuf,
        /// How many it may hold: 32 times its size, and what other files left of 64 MiB.
        limit: u64,
    },
    /// The framing of a record is damaged.
    #[error("{place}")]
    Record {
        /// Which record.
        place: Place,
        /// What is wrong with it.
        #[source]
        problem: RecordProblem,
    },
    /// A record is no `tf.train.Example`.
    #[error("{place}")]
    Example {
        /// Which record.
        place: Place,
        /// What is wrong with it.
        #[source]
        problem: ExampleProblem,
    },
    /// A record lacks a feature, or holds one that cannot be used.
    #[error("{place}")]
    Feature {
        /// Which record.
        place: Place,
        /// Which feature, and why.
        #[source]
        problem: FeatureProblem,
    },
    /// An image that is no X-ray, or cannot be decoded.
    #[error("{place}")]
    Image {
        /// The file, or the file and record.
        place: String,
        /// What is wrong with it.
        #[source]
        problem: ImageProblem,
    },
    /// The labels of a record contradict each other.
    #[error("{place}")]
    Label {
        /// The file and record.
        place: String,
        /// What is wrong with them.
        #[source]
        problem: LabelProblem,
    },
    /// A table of labels, or the images it names, cannot be used.
    #[error("{} line {line}", path.display())]
    Source {
        /// The table.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        #[source]
        problem: Box<SourceProblem>,
    },
    /// A folder without the table that says what its images show.
    #[error("no {table} in {}", folder.display())]
    NoTable {
        /// The folder.
        folder: PathBuf,
        /// The table's usual name.
        table: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
    /// No image of the views that are wanted.
    #[error("no image is {view}: {listed}")]
    NoView {
        /// The views.
        view: String,
        /// How many there are of others.
        listed: String,
    },
    /// A folder without records.
    #[error("no record in a *.tfrec or *.tfrecord file in {}", folder.display())]
    NoRecords {
        /// The folder.
        folder: PathBuf,
    },
    /// Nothing that could be an image.
    #[error("no image in {}", path.display())]
    NoImages {
        /// What was named.
        path: PathBuf,
    },
    /// Shards of this program, and nothing that says what they are.
    #[error("{} holds shards of `xray-data build` without their dataset.json", folder.display())]
    NoManifest {
        /// The folder.
        folder: PathBuf,
    },
    /// Numbered files of which some are not there.
    #[error("{}: {what}", path.display())]
    MissingParts {
        /// One of those that are.
        path: PathBuf,
        /// How many, and which is absent.
        what: String,
    },
    /// Labels that were asked for, and that no record shows.
    #[error("no record in {} is positive for {}", folder.display(), labels.join(", "))]
    NoPositive {
        /// The folder of records.
        folder: PathBuf,
        /// The labels.
        labels: Vec<String>,
    },
    /// A finding that the data set does not have.
    #[error("no label `{label}`{}", nearest.as_ref().map(|n| format!("; nearest is `{n}`")).unwrap_or_default())]
    NoLabel {
        /// The finding.
        label: String,
        /// The one that was perhaps meant.
        nearest: Option<String>,
        /// Those there are.
        labels: Vec<String>,
    },
    /// No record fits what was asked for.
    #[error("no image in {} fits", path.display())]
    NothingToShow {
        /// The data set.
        path: PathBuf,
    },
    /// Images cannot be given to splits.
    #[error(transparent)]
    Split(#[from] SplitProblem),
    /// Shards cannot be written, or not there.
    #[error(transparent)]
    Build(#[from] BuildProblem),
    /// A folder that cannot be published, or not there.
    #[error(transparent)]
    Publish(#[from] PublishProblem),
    /// A file of records is not the one that the data set lists.
    #[error("{}", path.display())]
    Shard {
        /// The file.
        path: PathBuf,
        /// How it differs.
        #[source]
        problem: ShardProblem,
    },
    /// A part of the data set without records.
    #[error("the {split} split of {} is empty", path.display())]
    EmptySplit {
        /// The data set.
        path: PathBuf,
        /// The part.
        split: Split,
    },
    /// A data fraction that is none.
    #[error("fraction {0} is not above 0 and at most 1")]
    Fraction(f64),
    /// A start of the draw outside the records.
    #[error("fraction offset {0} is not at least 0 and below 1")]
    Offset(f64),
    /// The loader was asked for something impossible.
    #[error(transparent)]
    Loader(#[from] LoaderProblem),
    /// An augmentation that is none.
    #[error(transparent)]
    Augmentation(#[from] AugmentationProblem),
    /// More bad records than may be skipped.
    #[error("{} bad records, at most {limit} may be skipped: {}", bad.len(), listed(bad))]
    TooManyBad {
        /// How many may be skipped.
        limit: u64,
        /// All that were met.
        bad: Vec<BadRecord>,
    },
}

/// A member as if its archive were a folder.
fn in_archive(path: &Path, member: Option<&str>) -> String {
    match member {
        Some(member) => format!("{}/{}", path.display(), short(member)),
        None => path.display().to_string(),
    }
}

/// Names each bad record once.
fn listed(bad: &[BadRecord]) -> String {
    bad.iter().map(|bad| bad.problem.as_str()).collect::<Vec<_>>().join("; ")
}

impl Error {
    /// An [`Error::Io`] maker for `map_err`.
    pub(crate) fn io<'a>(path: &'a Path, action: &'static str) -> impl FnOnce(io::Error) -> Error + 'a {
        move |source| Error::Io { path: path.to_owned(), action, source }
    }

    /// What to do about it, where something can be said.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Io { source, .. } => io_hint(source)?,
            Error::File(error) => error.hint()?,
            Error::NotAFile { .. } => "name a file, or move this one away",
            Error::Archive { problem, .. } => problem.hint(),
            Error::Compressed { .. } => "the file was cut off or damaged on the way: copy it again",
            Error::Inflated { .. } => {
                "records of images hardly shrink: check the file, and unpack it yourself if it is what you want"
            }
            Error::Record { problem, .. } => problem.hint(),
            Error::Example { .. } => "the file holds records of another kind than tf.train.Example",
            Error::Feature { problem, .. } => return problem.hint(),
            Error::Image { .. } => "look at the image, or leave such images out with --skip-bad",
            Error::Label { .. } => "correct the source and build again",
            Error::Source { problem, .. } => return problem.hint(),
            Error::NoTable { folder, .. } if is_archive(folder) => {
                "tables are looked for in the top folder of an archive: put them beside it and name the folder"
            }
            Error::NoTable { hint, .. } => *hint,
            Error::NoView { .. } => "choose another --view; sources without views cannot be filtered",
            Error::NoRecords { .. } => {
                "check the path; of the folders below it those named train, val or test are searched"
            }
            Error::NoImages { .. } => {
                "PNG, JPEG and DICOM files are images, at any depth of a folder; so are the records of a data set"
            }
            Error::NoManifest { .. } => {
                "copy dataset.json here too, or build the data set again; without the .idx files beside them the \
                 shards are read as TFRecords of others"
            }
            Error::MissingParts { .. } => "copy the others too, or rename the remaining files",
            Error::NoPositive { .. } => "nothing can be learned from such a label: leave it out of --labels",
            Error::NoLabel { labels, .. } => return Some(format!("the labels are {}", labels.join(", "))),
            Error::NothingToShow { .. } => "ask for another split or label",
            Error::Split(problem) => return Some(problem.hint()),
            Error::Build(problem) => return Some(problem.hint()),
            Error::Publish(problem) => problem.hint(),
            Error::Shard { problem, .. } => problem.hint(),
            Error::EmptySplit { .. } => "build the data set with larger fractions for its splits",
            Error::Fraction(_) => "1 is all the data, 0.1 a tenth of it",
            Error::Offset(_) => "0 starts at the first record, 0.5 in the middle",
            Error::Loader(problem) => problem.hint(),
            Error::Augmentation(_) => return None,
            Error::TooManyBad { .. } => "copy the files again, or allow more with --skip-bad",
        };
        Some(hint.to_owned())
    }

    /// The code a program ends with because of this.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Io { .. } | Error::File(FileError::Io { .. }) => Exit::Unexpected,
            Error::Fraction(_) | Error::Offset(_) | Error::Augmentation(_) | Error::NoLabel { .. } => {
                Exit::Usage
            }
            Error::Split(
                SplitProblem::Fractions { .. }
                | SplitProblem::NoFold { .. }
                | SplitProblem::FewPatients { .. },
            ) => Exit::Usage,
            Error::Build(problem) => problem.exit(),
            Error::Publish(problem) => problem.exit(),
            Error::Loader(problem) => problem.exit(),
            Error::EmptySplit { .. }
            | Error::NoImages { .. }
            | Error::NoRecords { .. }
            | Error::NoView { .. }
            | Error::NothingToShow { .. } => Exit::NothingMatches,
            Error::File(_)
            | Error::NotAFile { .. }
            | Error::Archive { .. }
            | Error::Compressed { .. }
            | Error::Inflated { .. }
            | Error::Record { .. }
            | Error::Example { .. }
            | Error::Feature { .. }
            | Error::Image { .. }
            | Error::Label { .. }
            | Error::Source { .. }
            | Error::NoTable { .. }
            | Error::NoManifest { .. }
            | Error::MissingParts { .. }
            | Error::NoPositive { .. }
            | Error::Split(_)
            | Error::Shard { .. }
            | Error::TooManyBad { .. } => Exit::BadData,
        }
    }

    /// Whether one record is to blame, so that the others can be used without it.
    pub fn is_bad_record(&self) -> bool {
        matches!(
            self,
            Error::Record { .. } | Error::Example { .. } | Error::Feature { .. } | Error::Image { .. }
        )
    }
}

fn io_hint(source: &io::Error) -> Option<&'static str> {
    match source.kind() {
        io::ErrorKind::NotFound => Some("check the path"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free some space"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("choose a folder that this user can read and write")
        }
        _ => None,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Failure::new(error.exit(), one_line(&error));
        failure.hint = error.hint();
        failure
    }
}

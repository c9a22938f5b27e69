//! From a source to shards: images are decoded, resized and encoded in parallel, and written as
//! `train-00000-of-00042.tfrecord` with an index beside each and `dataset.json` over all.
//!
//! Train records are in a seeded random order that keeps the images of a patient together, so that a data
//! fraction is a prefix of the train shards. The bytes depend on the source and the settings, never on the
//! number of threads.

mod exchange;
mod folder;
mod output;
mod plan;
mod store;
mod white_level;
mod workplace;

pub(crate) use folder::{is_shard, refuse_unfinished};
pub use output::Output;
pub use store::Encoding;
pub use white_level::Ranges;
pub(crate) use workplace::WORKPLACE;

use crate::error::Result;
use crate::schema::{Label, Sample, encode_sample};
use crate::sources::{SourceSet, labels_hash};
use crate::split::{SplitPlan, assign};
use crate::tfrecord::RecordWriter;
use folder::OutputFolder;
use plan::{Shard, plan_shards};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use store::{Store, Stored};
use xray_artifacts::{DatasetManifest, Exit, ImageFormat, ShardEntry, Source, Split, SplitSummary};

/// How shards are written.
#[derive(Clone, Debug)]
pub struct BuildConfig {
    /// Width and height of the stored images; the source's own where none.
    pub size: Option<u32>,
    /// How images are stored.
    pub encoding: Encoding,
    /// The value that is white in PNG of 16 bits, and all above it. Where none, it is looked for in the whole set.
    pub white_level: Option<NonZeroU16>,
    /// Draws the splits and orders the records.
    pub seed: u64,
    /// How images are given to splits.
    pub split: SplitPlan,
    /// The most records in a shard. Where none: 256, or less in a small set, so that train has 20 shards.
    /// Asking for 10 % more of the data then fetches at most half of that in vain.
    pub records_per_shard: Option<u64>,
    /// Leave out images that cannot be used, instead of stopping at one.
    pub skip_bad: bool,
    /// Replace a data set that is already there.
    pub overwrite: bool,
}

impl Default for BuildConfig {
    /// JPEG of quality 95 at the original size, splits of the source, else by patient: 10 % val, 20 % test.
    fn default() -> Self {
        BuildConfig {
            size: None,
            encoding: Encoding::Jpeg(95),
            white_level: None,
            seed: 0,
            split: SplitPlan::Carried { val: 0.1, test: 0.2 },
            records_per_shard: None,
            skip_bad: false,
            overwrite: false,
        }
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// The manifest written as `dataset.json`.
    pub manifest: DatasetManifest,
    /// What was found of images of 16 bits; nothing where the white level was given.
    pub ranges: Ranges,
    /// The images that were left out, each with the reason, in the order of the source.
    pub skipped: Vec<String>,
    /// What a person should know before trusting the set.
    pub warnings: Vec<String>,
}

/// Why shards cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildProblem {
    /// Something is in the folder already.
    #[error("{} is not empty", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// Another build is at work in the folder.
    #[error("another build is at work in {}", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A build in the folder was stopped.
    #[error("{} holds an unfinished build", folder.display())]
    Unfinished {
        /// The folder.
        folder: PathBuf,
    },
    /// A file that no build wrote is where a data set should be replaced.
    #[error("{} holds `{file}`, which is not part of a data set", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: String,
    },
    /// Two images of one name.
    #[error("two images are named `{image_id}`: {first} and {second}")]
    Duplicate {
        /// The name.
        image_id: String,
        /// Where one is.
        first: String,
        /// Where the other is.
        second: String,
    },
    /// A size that no image can have.
    #[error("images of {size} pixels a side cannot be stored")]
    Size {
        /// The size.
        size: u32,
    },
    /// No image could be used.
    #[error("none of the {images} images can be used: {first}")]
    NothingLeft {
        /// How many there were.
        images: u64,
        /// What is wrong with the first.
        first: String,
    },
}

impl BuildProblem {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            BuildProblem::NotEmpty { .. } => {
                "choose an empty folder, or replace the data set in it with --overwrite"
            }
            BuildProblem::Busy { .. } => "wait until it has ended, or choose another folder",
            BuildProblem::Unfinished { .. } => {
                "build the data set again; where another build may be running, wait for it, else add --overwrite"
            }
            BuildProblem::Foreign { .. } => "choose another folder: only data sets are overwritten",
            BuildProblem::Duplicate { .. } => "give each image a name of its own",
            BuildProblem::Size { .. } => "--size is 8 to 8192",
            BuildProblem::NothingLeft { .. } => "check the folder of images",
        }
        .to_owned()
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            BuildProblem::Duplicate { .. } | BuildProblem::NothingLeft { .. } => Exit::BadData,
            _ => Exit::Usage,
        }
    }
}

/// Writes the images of `set` to `out` as shards: [`Output::start`] and [`Output::build`], for sources that are read already.
///
/// # Errors
/// Those of both.
pub fn build(
    set: &SourceSet,
    config: &BuildConfig,
    out: &Path,
    progress: &(dyn Fn() + Sync),
) -> Result<Built> {
    Output::start(config, out)?.build(set, progress)
}

fn write(
    set: &SourceSet,
    config: &BuildConfig,
    folder: OutputFolder,
    progress: &(dyn Fn() + Sync),
) -> Result<Built> {
    refuse_duplicates(set)?;
    let rows: Vec<_> = set.images.iter().map(|image| &image.row).collect();
    refuse_nothing(&set.unusable, rows.len())?;
    let assigned = assign(&rows, &config.split, config.seed)?;
    let shards = plan_shards(&rows, &assigned.splits, config.seed, config.records_per_shard);
    let ranges = if config.white_level.is_some() { Ranges::default() } else { Ranges::of(set) };
    let built = set.built.as_ref();
    let white_level =
        config.white_level.or(ranges.white_level()).or(built.and_then(|built| built.white_level));
    let store = Store::new(config.size, config.encoding, white_level)?;
    let write =
        |shard: &Shard| write_shard(set, shard, &store, config.skip_bad, folder.workplace(), progress);
    let written: Vec<Written> = shards.par_iter().map(write).collect::<Result<_>>()?;

    let mut skipped: Vec<(usize, String)> = written.iter().flat_map(|w| w.skipped.clone()).collect();
    skipped.sort_unstable();
    let while_written = skipped.into_iter().map(|(_, why)| why);
    let skipped: Vec<String> = set.unusable.iter().cloned().chain(while_written).collect();
    refuse_nothing(&skipped, rows.len() + set.unusable.len() - skipped.len())?;
    let manifest = DatasetManifest {
        labels: set.labels.clone(),
        image: ImageFormat {
            encoding: config.encoding.name().to_owned(),
            size: common_size(&written),
            resized: config.size.is_some() || built.is_some_and(|built| built.resized),
            white_level,
        },
        splits: summaries(set, &shards, &written),
        split_rule: assigned.rule,
        seed: config.seed,
        source: Source {
            kind: set.kind.to_owned(),
            labels_blake3: labels_hash(&set.labels, rows.iter().copied()),
            notes: set.notes.clone(),
        },
    };
    folder.finish(&manifest)?;
    let warnings = set.warnings.iter().cloned().chain(assigned.warnings).chain(ranges.warning()).collect();
    Ok(Built { manifest, ranges, skipped, warnings })
}

/// Some image is left.
fn refuse_nothing(skipped: &[String], left: usize) -> Result<()> {
    match skipped.first() {
        Some(first) if left == 0 => {
            let images = skipped.len() as u64;
            Err(BuildProblem::NothingLeft { images, first: first.clone() }.into())
        }
        _ => Ok(()),
    }
}

/// Each image has a name of its own.
pub(crate) fn refuse_duplicates(set: &SourceSet) -> Result<()> {
    let mut seen = HashMap::with_capacity(set.images.len());
    for image in &set.images {
        if let Some(first) = seen.insert(&image.row.image_id, &image.origin) {
            let (image_id, first, second) = (image.row.image_id.clone(), first.place(), image.origin.place());
            return Err(BuildProblem::Duplicate { image_id, first, second }.into());
        }
    }
    Ok(())
}

/// One finished shard.
struct Written {
    entry: ShardEntry,
    /// Index of the image in the source, and why it was left out.
    skipped: Vec<(usize, String)>,
    /// Widths and heights that occur; more than two are not told apart.
    sizes: Vec<[u32; 2]>,
}

fn write_shard(
    set: &SourceSet,
    shard: &Shard,
    store: &Store,
    skip_bad: bool,
    folder: &Path,
    progress: &(dyn Fn() + Sync),
) -> Result<Written> {
    let mut writer = RecordWriter::create(&folder.join(&shard.file))?;
    let (mut skipped, mut sizes) = (Vec::new(), Vec::new());
    for &index in &shard.images {
        match store.store(&set.images[index].origin) {
            Ok(stored) => {
                writer.write(&record(set, index, &stored))?;
                if !sizes.contains(&stored.size) && sizes.len() < 2 {
                    sizes.push(stored.size);
                }
            }
            Err(error) if skip_bad && error.exit() == Exit::BadData => {
                skipped.push((index, xray_artifacts::one_line(&error)));
            }
            Err(error) => return Err(error),
        }
        progress();
    }
    Ok(Written { entry: writer.finish()?, skipped, sizes })
}

fn record(set: &SourceSet, index: usize, stored: &Stored) -> Vec<u8> {
    let row = &set.images[index].row;
    let sample = Sample {
        image: &stored.bytes,
        image_id: row.image_id.clone(),
        patient_id: row.patient_id.clone(),
        labels: row.labels.clone(),
        no_finding: row.no_finding,
        view: row.view.clone(),
        sex: row.sex.clone(),
        age: row.age,
        split: None,
        source: row.source.clone(),
    };
    encode_sample(&sample, &set.labels)
}

fn common_size(written: &[Written]) -> Option<[u32; 2]> {
    let mut sizes = written.iter().flat_map(|w| &w.sizes);
    let first = sizes.next()?;
    sizes.all(|size| size == first).then_some(*first)
}

fn summaries(set: &SourceSet, shards: &[Shard], written: &[Written]) -> BTreeMap<Split, SplitSummary> {
    let left_out: HashSet<usize> = written.iter().flat_map(|w| &w.skipped).map(|&(index, _)| index).collect();
    let summary = |split| {
        let of_split = || shards.iter().zip(written).filter(move |(shard, _)| shard.split == split);
        let images = of_split().flat_map(|(shard, _)| &shard.images).filter(|i| !left_out.contains(i));
        let entries = of_split().map(|(_, written)| written.entry.clone()).collect();
        (split, summarise(set, images.copied(), entries))
    };
    Split::ALL.into_iter().map(summary).filter(|(_, summary)| !summary.shards.is_empty()).collect()
}

fn summarise(set: &SourceSet, images: impl Iterator<Item = usize>, shards: Vec<ShardEntry>) -> SplitSummary {
    let labels = set.labels.len();
    let mut summary = SplitSummary {
        positives: vec![0; labels],
        unknown: vec![0; labels],
        shards,
        ..SplitSummary::default()
    };
    let mut patients = Some(HashSet::new());
    for row in images.map(|index| &set.images[index].row) {
        summary.images += 1;
        for (place, label) in row.labels.iter().enumerate() {
            summary.positives[place] += u64::from(*label == Label::Positive);
            summary.unknown[place] += u64::from(!label.is_known());
        }
        match (&row.patient_id, &mut patients) {
            (Some(patient), Some(seen)) => {
                seen.insert(patient);
            }
            _ => patients = None,
        }
    }
    summary.patients = patients.map(|seen| seen.len() as u64);
    summary
}

//! `xray-data build`

use super::source::{SourceArguments, SplitChoice, SplitOptions};
use super::{Format, print, warn};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt::Write;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use xray_artifacts::{DatasetManifest, Exit, Failure};
use xray_cli::{Progress, say};
use xray_data::build::{BuildConfig, Built, Encoding, Output};
use xray_data::sources::{Missing, SourceSet};
use xray_data::split::SplitPlan;
use xray_display::{counted, thousands};

const EXAMPLES: &str = "\
Examples:
  # ChestX-ray14 at 256 pixels, with the official test set
  xray-data build --nih /data/nih --train-list train_val_list.txt --test-list test_list.txt \\
      --size 256 --out shards

  # the same as downloaded: the table beside images_001.tar.gz to images_012.tar.gz
  xray-data build --nih downloads --train-list train_val_list.txt --test-list test_list.txt \\
      --size 256 --out shards

  # any images with a table
  xray-data build --csv labels.csv --images /data/xrays --patient-column subject --out shards

  # CheXpert as downloaded; what a report does not mention counts as absent
  xray-data build --chexpert CheXpert-v1.0-small.zip --blank negative --out shards

  # the TFRecords of Kaggle, split by patient
  xray-data build --tfrecord kaggle --labels-csv Data_Entry_2017.csv --out shards";

/// Write images and labels as shards for training
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BuildArguments {
    #[command(flatten)]
    source: SourceArguments,

    #[command(flatten)]
    split: SplitOptions,

    #[command(flatten)]
    output: OutputArguments,

    /// Width and height of the stored images, squashed to a square [default: as they are]. Models squash what they are
    /// shown in the same way; preprocessing.crop is then refused in training
    #[arg(long, value_name = "PIXELS", help_heading = "Output")]
    size: Option<u32>,

    /// The value that is white in PNG of 16 bits: `auto`, or a number such as 4095. Detectors have 10 to 16 bits; `auto`
    /// looks at all images and takes the range that nearly all of them fill, or says that there are several
    #[arg(long, value_name = "N", default_value = "auto", value_parser = white_level, help_heading = "Output")]
    white_level: WhiteLevel,

    /// Leave out rows whose image file is missing
    #[arg(long, help_heading = "Source")]
    skip_missing: bool,

    /// Leave out images that cannot be decoded or show nothing
    #[arg(long, help_heading = "Source")]
    skip_bad: bool,
}

/// `--white-level`; none is `auto`.
#[derive(Clone, Copy, Debug)]
struct WhiteLevel(Option<NonZeroU16>);

fn white_level(text: &str) -> Result<WhiteLevel, String> {
    if text == "auto" {
        return Ok(WhiteLevel(None));
    }
    let level = text.parse().map_err(|_| "`auto`, or a number from 1 to 65535".to_owned())?;
    Ok(WhiteLevel(Some(level)))
}

/// Options of every command that writes shards.
#[derive(Debug, Args)]
pub(super) struct OutputArguments {
    /// Folder for the shards
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(super) out: PathBuf,

    /// How images are stored
    #[arg(long, value_enum, default_value_t = ImageEncoding::Jpeg, help_heading = "Output")]
    encoding: ImageEncoding,

    /// Quality of JPEG, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 95, value_parser = clap::value_parser!(u8).range(1..=100),
          help_heading = "Output")]
    quality: u8,

    /// Largest number of records in a shard [default: 256; fewer in a small set, so that train has 20 shards]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Output")]
    records_per_shard: Option<u64>,

    /// Replace an existing data set once the new one is complete
    #[arg(long, help_heading = "Output")]
    overwrite: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ImageEncoding {
    /// Small; images that are upright gray JPEG already are kept byte for byte. Others lose a little: at quality 95 a model
    /// sees gray values that differ from the original's by 0.7 of 255 on average and by 8 at most (chest X-rays)
    Jpeg,
    /// Without loss: a model sees an original as it saw the stored image, bit for bit
    Png,
}

impl OutputArguments {
    pub(super) fn config(
        &self,
        size: Option<u32>,
        seed: u64,
        split: SplitPlan,
        skip_bad: bool,
    ) -> BuildConfig {
        let encoding = match self.encoding {
            ImageEncoding::Jpeg => Encoding::Jpeg(self.quality),
            ImageEncoding::Png => Encoding::Png,
        };
        let (records_per_shard, overwrite) = (self.records_per_shard, self.overwrite);
        let white_level = None;
        BuildConfig { size, encoding, white_level, seed, split, records_per_shard, skip_bad, overwrite }
    }
}

pub(super) fn run(arguments: &BuildArguments, format: Format) -> Result<Exit, Failure> {
    let missing = if arguments.skip_missing { Missing::Skip } else { Missing::Refuse };
    let plan = arguments.split.plan()?;
    let SplitChoice { seed, .. } = arguments.split.draw;
    let config = arguments.output.config(arguments.size, seed, plan, arguments.skip_bad);
    let config = BuildConfig { white_level: arguments.white_level.0, ..config };
    let output = Output::start(&config, &arguments.output.out)?;
    let passed = OnceLock::new();
    let keep = |place, bytes| {
        let kept = output.keep(place, bytes)?;
        passed.get_or_init(|| Progress::new("images of archives", None)).advance();
        Ok(kept)
    };
    let set = arguments.source.read(&arguments.split, missing, arguments.skip_bad, Some(&keep));
    passed.into_inner().iter().for_each(Progress::finish);
    write(&set?, output, &arguments.output.out, format)
}

/// Builds, and says what was built.
pub(super) fn write(
    set: &SourceSet,
    output: Output<'_>,
    out: &Path,
    format: Format,
) -> Result<Exit, Failure> {
    let progress = Progress::new("images", Some(set.images.len() as u64));
    let built = output.build(set, &|| progress.advance());
    progress.finish();
    let built = built?;
    warn(&built.warnings);
    for skipped in &built.skipped {
        say(format_args!("skipped: {skipped}"));
    }
    let result = BuildResult {
        folder: out,
        manifest: &built.manifest,
        missing: set.missing,
        skipped: built.skipped.len() as u64,
    };
    print(format, &result, text(out, set.missing, &built))?;
    Ok(Exit::Ok)
}

/// What `--format json` prints.
#[derive(Serialize)]
struct BuildResult<'a> {
    folder: &'a Path,
    /// Rows without an image file.
    missing: u64,
    /// Images that cannot be used.
    skipped: u64,
    manifest: &'a DatasetManifest,
}

fn text(out: &Path, missing: u64, built: &Built) -> String {
    let DatasetManifest { image, splits, .. } = &built.manifest;
    let images: u64 = splits.values().map(|split| split.images).sum();
    let size = image.size.map_or("several sizes".to_owned(), |[width, height]| format!("{width}x{height}"));
    let mut text = format!("{}: {} as {}, {size}\n", out.display(), counted(images, "image"), image.encoding);
    if let Some(level) = image.white_level {
        let found = match built.ranges.images() {
            0 => "as asked".to_owned(),
            images => format!("found in {}", counted(images, "image")),
        };
        let _ = writeln!(text, "  white in images of 16 bits: {level} ({found})");
    }
    for (split, summary) in splits {
        let patients = summary.patients.map_or("unknown".to_owned(), thousands);
        let (images, shards) = (thousands(summary.images), summary.shards.len());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {split:<5} {images:>9} images {patients:>9} patients {shards:>5} shards");
    }
    let mut left_out = |count: u64, what: &str, why: &str| {
        if count > 0 {
            let _ = writeln!(text, "  left out {} {why}", counted(count, what));
        }
    };
    left_out(missing, "row", "without an image file");
    left_out(built.skipped.len() as u64, "image", "that cannot be used");
    text
}

//! `xray-data show`

use super::stats::DataArguments;
use super::{Format, print, warn};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, Split, write_bytes};
use xray_data::show::{SheetConfig, sheet};
use xray_display::{counted, thousands};
use xray_image::encode_png;

/// Draw images side by side with their labels, as one PNG
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  xray-data show shards --label Effusion --count 24 --out effusion.png")]
pub(super) struct ShowArguments {
    #[command(flatten)]
    data: DataArguments,

    /// The PNG to write
    #[arg(long, value_name = "FILE", default_value = "sheet.png")]
    out: PathBuf,

    /// Only this split
    #[arg(long, value_enum)]
    split: Option<SplitName>,

    /// Only images that show this finding
    #[arg(long)]
    label: Option<String>,

    /// At most this many images
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,

    /// Draws the images
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Width and height of an image on the sheet
    #[arg(long, value_name = "PIXELS", default_value_t = 192,
          value_parser = clap::value_parser!(u32).range(64..=1024))]
    tile: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SplitName {
    Train,
    Val,
    Test,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Split {
        match name {
            SplitName::Train => Split::Train,
            SplitName::Val => Split::Val,
            SplitName::Test => Split::Test,
        }
    }
}

/// What `--format json` prints.
#[derive(Serialize)]
struct ShowResult<'a> {
    file: &'a Path,
    shown: u64,
    matching: u64,
}

pub(super) fn run(arguments: &ShowArguments, format: Format) -> Result<Exit, Failure> {
    let dataset = arguments.data.open()?;
    warn(dataset.warnings());
    let config = SheetConfig {
        split: arguments.split.map(Split::from),
        label: arguments.label.clone(),
        count: usize::from(arguments.count),
        seed: arguments.seed,
        tile: arguments.tile,
    };
    let sheet = sheet(&dataset, &config)?;
    let file = arguments.out.as_path();
    write_bytes(file, &encode_png(&sheet.image))?;
    let text =
        format!("{}: {} of {}", file.display(), thousands(sheet.shown), counted(sheet.matching, "image"));
    print(format, &ShowResult { file, shown: sheet.shown, matching: sheet.matching }, text)?;
    Ok(Exit::Ok)
}

//! `xray-data show`

use super::stats::DataArguments;
use super::{Format, print, training, warn};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{Exit, Failure, Preprocessing, Split, write_bytes};
use xray_data::show::{Seen, SeenConfig, SheetConfig, Values, sheet, sheet_as_seen};
use xray_display::{counted, thousands};
use xray_image::{Augmentation, encode_png};

const EXAMPLES: &str = "\
Examples:
  xray-data show shards --label Effusion --count 24 --out effusion.png

  # what the network of a run was trained on: each image as it is, then as in the first five epochs
  xray-data show shards --augmented --config runs/first/config.toml --count 4 --out augmented.png";

/// Draw images side by side with their labels, as one PNG
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
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

    /// At most this many images [default: 24; 6 with --augmented]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: Option<u16>,

    /// Seed by which images are drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Width and height of an image on the sheet
    #[arg(long, value_name = "PIXELS", default_value_t = 192,
          value_parser = clap::value_parser!(u32).range(64..=1024))]
    tile: u32,

    /// Draw what a network gets: prepared, resized, normalised, and mapped back to gray. A pixel of the network's input is
    /// a pixel of the sheet, or as many as fit into a tile
    #[arg(long, help_heading = "As a network sees it")]
    as_seen: bool,

    /// Draw training images as they are changed at random: each once as it is, then as in the first epochs
    #[arg(long, help_heading = "As a network sees it")]
    augmented: bool,

    /// How many epochs of --augmented
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=50),
          help_heading = "As a network sees it")]
    epochs: u64,

    /// Width and height of the network's input, from 8 to 1024 [default: as --config says, else 224]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(8..=1024),
          help_heading = "As a network sees it")]
    size: Option<u32>,

    /// Settings of a training, such as config.toml of a run: its preprocessing, augmentation and seed count
    #[arg(long, value_name = "FILE", help_heading = "As a network sees it")]
    config: Option<PathBuf>,
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

/// Most pixels of a sheet: few viewers open a larger PNG.
const LARGEST: u64 = 1 << 28;

/// What `--format json` prints.
#[derive(Serialize)]
struct ShowResult<'a> {
    file: &'a Path,
    shown: u64,
    matching: u64,
    /// Where images are drawn as a network gets them.
    #[serde(flatten)]
    seen: Option<SeenResult<'a>>,
}

/// How, and what came of it.
#[derive(Serialize)]
struct SeenResult<'a> {
    preprocessing: &'a Preprocessing,
    augmentation: Option<&'a Augmentation>,
    seed: u64,
    epochs: u64,
    values: Values,
}

pub(super) fn run(arguments: &ShowArguments, format: Format) -> Result<Exit, Failure> {
    let is_seen = arguments.as_seen || arguments.augmented;
    if let Some(option) = arguments.of_seen().filter(|_| !is_seen) {
        return Err(Failure::new(Exit::Usage, format!("--{option} needs --as-seen or --augmented"))
            .hint("--tile is the size of an image on the sheet"));
    }
    let split = match arguments.split {
        Some(SplitName::Val | SplitName::Test) if arguments.augmented => {
            return Err(Failure::new(Exit::Usage, "only training images are changed at random")
                .hint("--as-seen shows what the network gets of the others"));
        }
        None if arguments.augmented => Some(Split::Train),
        split => split.map(Split::from),
    };
    let dataset = Arc::new(arguments.data.open()?);
    warn(dataset.warnings());
    let config = SheetConfig {
        split,
        label: arguments.label.clone(),
        count: usize::from(arguments.count.unwrap_or(if arguments.augmented { 6 } else { 24 })),
        seed: arguments.seed,
        tile: arguments.tile,
    };
    let file = arguments.out.as_path();
    if !is_seen {
        let sheet = sheet(&dataset, &config)?;
        write_bytes(file, &encode_png(&sheet.image))?;
        let result = ShowResult { file, shown: sheet.shown, matching: sheet.matching, seen: None };
        return print(format, &result, text(&result, &[])).map(|()| Exit::Ok);
    }
    let epochs = arguments.augmented.then_some(arguments.epochs);
    let seen =
        training::settings(arguments.config.as_deref(), arguments.size, dataset.image_format(), epochs)?;
    let images = (config.count as u64).min(dataset.len());
    if seen.pixels(images, config.tile) > LARGEST {
        let message = format!("a sheet of more than {} pixels", thousands(LARGEST));
        return Err(Failure::new(Exit::Usage, message).hint("ask for a lower --count, --epochs or --size"));
    }
    let Seen { sheet, settings, values } = sheet_as_seen(&dataset, &config, &seen)?;
    write_bytes(file, &encode_png(&sheet.image))?;
    let SeenConfig { preprocessing, augmentation, seed, epochs } = &seen;
    let augmentation = augmentation.as_ref();
    let of_seen = SeenResult { preprocessing, augmentation, seed: *seed, epochs: *epochs, values };
    let result = ShowResult { file, shown: sheet.shown, matching: sheet.matching, seen: Some(of_seen) };
    print(format, &result, text(&result, &settings))?;
    Ok(Exit::Ok)
}

impl ShowArguments {
    /// An option that says how a network gets images.
    fn of_seen(&self) -> Option<&'static str> {
        let given = [("size", self.size.is_some()), ("config", self.config.is_some())];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }
}

fn text(result: &ShowResult<'_>, settings: &[String]) -> String {
    let ShowResult { file, shown, matching, .. } = result;
    let mut text = format!("{}: {} of {}", file.display(), thousands(*shown), counted(*matching, "image"));
    settings.iter().for_each(|line| text += &format!("\n  {line}"));
    text
}

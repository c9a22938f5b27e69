//! How a training prepares and changes its images, for those who want to look: the defaults, or the settings of a run.

use std::path::{Path, PathBuf};
use toml::{Table, Value};
use xray_artifacts::{Exit, Failure, ImageFormat, Preprocessing, read_text};
use xray_data::show::SeenConfig;
use xray_image::Augmentation;

/// What a file of settings says of images, all of it optional.
#[derive(Default)]
struct Settings {
    preprocessing: Option<Table>,
    augmentation: Option<Table>,
    seed: Option<u64>,
}

/// The settings of a file over the defaults, a size over both, and what the build did to the images.
///
/// # Errors
/// A file that is no TOML or sets what does not exist, and settings that prepare no image.
pub(super) fn settings(
    file: Option<&Path>,
    size: Option<u32>,
    stored: Option<&ImageFormat>,
    epochs: Option<u64>,
) -> Result<SeenConfig, Failure> {
    let said = file.map(read).transpose()?.unwrap_or_default();
    let named = |key: &str, error: toml::de::Error| {
        let file = file.map(PathBuf::from).unwrap_or_default();
        Failure::new(Exit::Usage, format!("{}: {key}: {}", file.display(), error.message().trim()))
            .hint("--config takes the config.toml of a run, or a file of the same keys")
    };
    let mut table = Table::try_from(Preprocessing::default()).expect("the defaults are plain values");
    table.extend(said.preprocessing.unwrap_or_default());
    let preprocessing: Preprocessing = table.try_into().map_err(|error| named("preprocessing", error))?;
    let augmentation: Augmentation =
        said.augmentation.unwrap_or_default().try_into().map_err(|error| named("augmentation", error))?;
    let preprocessing = Preprocessing {
        size: size.unwrap_or(preprocessing.size),
        white_level: stored.and_then(|stored| stored.white_level),
        stored_size: stored
            .filter(|stored| stored.resized)
            .and_then(|stored| stored.size)
            .map(|[side, _]| side),
        ..preprocessing
    };
    preprocessing.check().map_err(|problem| Failure::new(Exit::Usage, problem.to_string()))?;
    augmentation.validate().map_err(|problem| Failure::new(Exit::Usage, problem.to_string()))?;
    Ok(SeenConfig {
        preprocessing,
        augmentation: epochs.map(|_| augmentation),
        seed: said.seed.unwrap_or_default(),
        epochs: epochs.unwrap_or_default(),
    })
}

fn read(path: &Path) -> Result<Settings, Failure> {
    let text = read_text(path)?;
    let refused = |line: usize, what: &str| {
        Failure::new(Exit::Usage, format!("{}: line {line}: {what}", path.display()))
    };
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        refused(line, error.message().trim())
    })?;
    let mut settings = Settings::default();
    for (key, place) in
        [("preprocessing", &mut settings.preprocessing), ("augmentation", &mut settings.augmentation)]
    {
        *place = match table.remove(key) {
            Some(Value::Table(table)) => Some(table),
            None => None,
            Some(_) => return Err(refused(1, &format!("{key} is not a table"))),
        };
    }
    settings.seed = match table.remove("seed") {
        None => None,
        Some(Value::Integer(seed)) if seed >= 0 => Some(seed.unsigned_abs()),
        Some(_) => return Err(refused(1, "seed is not a whole number")),
    };
    Ok(settings)
}

//! What a network gets of images: prepared, resized and normalised by the loader itself, in training changed at random, and
//! mapped back to gray. A pixel of the sheet is a pixel of the network's input, or a square of several.

use super::{Sheet, SheetConfig, Tile, caption, draw, font, lay_out};
use crate::dataset::{Dataset, RecordId};
use crate::error::Result;
use crate::loader::{Images, Loader, LoaderConfig};
use serde::Serialize;
use std::sync::Arc;
use xray_artifacts::{Crop, Preprocessing, ResizeFilter};
use xray_image::{Augmentation, GrayImage};

/// Whose eyes.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenConfig {
    /// How images are prepared.
    pub preprocessing: Preprocessing,
    /// How those of training are changed; nothing shows each image once, as for validation and test.
    pub augmentation: Option<Augmentation>,
    /// Seed of the training, of which the changes are drawn.
    pub seed: u64,
    /// How many epochs are shown of each image that is changed.
    pub epochs: u64,
}

/// A sheet, and what the network is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The sheet.
    pub sheet: Sheet,
    /// The settings in words, and the values that came of them, as they stand on the sheet.
    pub settings: Vec<String>,
    /// Normalised pixels over all that is shown.
    pub values: Values,
}

/// Normalised pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Values {
    /// The smallest.
    pub min: f32,
    /// The largest.
    pub max: f32,
    /// Their mean.
    pub mean: f64,
}

/// Draws images as a network gets them; with an augmentation a row for each, first as it is, then as in the first epochs of
/// a training with this seed. The same data, settings and seeds give the same sheet.
///
/// # Errors
/// The errors of [`sheet`](super::sheet), and settings that prepare no image.
pub fn sheet_as_seen(dataset: &Arc<Dataset>, config: &SheetConfig, seen: &SeenConfig) -> Result<Seen> {
    let (drawn, matching) = draw(dataset, config)?;
    let records: Vec<RecordId> = drawn.iter().map(|&(_, id)| id).collect();
    let mut range = Range::default();
    let plain = images(dataset, &records, seen, None, &mut range)?;
    let epochs = 0..seen.augmentation.map_or(0, |_| seen.epochs);
    let changed = epochs.map(|epoch| images(dataset, &records, seen, Some(epoch), &mut range));
    let changed = changed.collect::<Result<Vec<_>>>()?;
    let scale = seen.scale(config.tile);
    let side = seen.preprocessing.size * scale;
    let mut tiles = Vec::new();
    for (place, &(split, id)) in drawn.iter().enumerate() {
        let sample = dataset.sample(id)?;
        let width = font::characters_in(side);
        let lines = caption::lines(&sample, split, dataset.labels(), width, super::CAPTION_LINES);
        dataset.release(id);
        tiles.push(Tile { image: enlarged(&plain[place], scale), lines });
        for (epoch, images) in changed.iter().enumerate() {
            tiles
                .push(Tile { image: enlarged(&images[place], scale), lines: vec![format!("epoch {epoch}")] });
        }
    }
    let columns = seen.augmentation.map(|_| 1 + changed.len() as u32);
    let values = range.values();
    let settings = described(seen, values);
    let image = lay_out(&tiles, side, columns, &settings);
    let sheet = Sheet { image, shown: drawn.len() as u64, matching };
    Ok(Seen { sheet, settings, values })
}

impl SeenConfig {
    /// Pixels of a sheet of so many images, their captions left out.
    pub fn pixels(&self, images: u64, tile: u32) -> u64 {
        let side = u64::from(self.preprocessing.size * self.scale(tile));
        let of_each = 1 + self.augmentation.map_or(0, |_| self.epochs);
        images.saturating_mul(of_each).saturating_mul(side * side)
    }

    /// How many pixels a pixel is wide.
    fn scale(&self, tile: u32) -> u32 {
        (tile / self.preprocessing.size).max(1)
    }
}

/// Each image as in an epoch of training, or without its changes, in gray.
fn images(
    dataset: &Arc<Dataset>,
    records: &[RecordId],
    seen: &SeenConfig,
    epoch: Option<u64>,
    range: &mut Range,
) -> Result<Vec<GrayImage>> {
    let augmentation = epoch.and(seen.augmentation);
    let config = LoaderConfig { seed: seen.seed, augmentation, ..LoaderConfig::default() };
    let loader = Loader::new(dataset.clone(), records.to_vec(), seen.preprocessing.clone(), config)?;
    let side = seen.preprocessing.size as usize;
    let mut images = Vec::with_capacity(records.len());
    for batch in loader.epoch(epoch.unwrap_or_default(), 0) {
        let Images::Normalised(pixels) = batch?.images else { unreachable!("levels were not asked for") };
        for pixels in pixels.chunks_exact(side * side) {
            range.see(pixels);
            images.push(gray_of(pixels, &seen.preprocessing));
        }
    }
    Ok(images)
}

/// The gray values that normalised ones were.
fn gray_of(pixels: &[f32], preprocessing: &Preprocessing) -> GrayImage {
    let Preprocessing { size, mean, std, .. } = *preprocessing;
    let pixels = pixels.iter().map(|value| ((value * std + mean) * 255.0).round() as u8).collect();
    GrayImage { width: size, height: size, pixels }
}

/// Each pixel as a square.
fn enlarged(image: &GrayImage, scale: u32) -> GrayImage {
    let row = |y: u32| {
        let row = image.row(y / scale);
        (0..image.width * scale).map(move |x| row[(x / scale) as usize])
    };
    let pixels = (0..image.height * scale).flat_map(row).collect();
    GrayImage { width: image.width * scale, height: image.height * scale, pixels }
}

/// What was seen of values so far.
struct Range {
    min: f32,
    max: f32,
    sum: f64,
    count: u64,
}

impl Default for Range {
    fn default() -> Self {
        Range { min: f32::INFINITY, max: f32::NEG_INFINITY, sum: 0.0, count: 0 }
    }
}

impl Range {
    fn see(&mut self, pixels: &[f32]) {
        for value in pixels {
            (self.min, self.max) = (self.min.min(*value), self.max.max(*value));
            self.sum += f64::from(*value);
        }
        self.count += pixels.len() as u64;
    }

    fn values(&self) -> Values {
        Values { min: self.min, max: self.max, mean: self.sum / self.count as f64 }
    }
}

fn described(seen: &SeenConfig, values: Values) -> Vec<String> {
    let Preprocessing { size, crop, filter, mean, std, .. } = seen.preprocessing;
    let crop = match crop {
        Crop::Squash => "squashed to a square",
        Crop::Center => "cut to the centred square",
        Crop::Pad => "padded with black to a square",
    };
    let filter = match filter {
        ResizeFilter::Box => "box",
        ResizeFilter::Bilinear => "bilinear",
        ResizeFilter::Lanczos3 => "Lanczos",
        ResizeFilter::Gaussian => "Gaussian",
    };
    let Values { min, max, mean: middle } = values;
    let mut lines = vec![
        format!("{size} x {size} pixels, {crop}, {filter} filter"),
        format!(
            "normalised: (gray / 255 - {mean}) / {std}; here from {min:.2} to {max:.2}, mean {middle:.2}"
        ),
    ];
    if let Some(Augmentation {
        rotation_degrees,
        shift_fraction,
        scale_fraction,
        brightness,
        contrast,
        flip,
    }) = seen.augmentation
    {
        let flip = if flip { "every second one is mirrored" } else { "none is mirrored" };
        lines.push(format!(
            "changed at random, at most: rotation {rotation_degrees} degrees, shift {shift_fraction} of the side, zoom \
             1 to {}, brightness {brightness} of the range, contrast {contrast}; {flip}; seed {}",
            1.0 + scale_fraction,
            seen.seed
        ));
    }
    lines
}

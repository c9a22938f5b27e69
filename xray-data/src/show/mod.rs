//! A contact sheet: images of a data set side by side, their labels written under each, as one PNG.

mod caption;
mod font;
mod seen;

pub use seen::{Seen, SeenConfig, Values, sheet_as_seen};

use crate::dataset::{Dataset, Draw, RecordId};
use crate::error::{Error, Result};
use crate::labels::{nearest, position};
use crate::schema::Label;
use crate::split::hash;
use font::{CHARACTER_HEIGHT, write_text};
use rayon::prelude::*;
use xray_artifacts::{Crop, Preprocessing, ResizeFilter, Split};
use xray_image::{GrayImage, decode_gray, prepare};

const GAP: u32 = 8;
const BACKGROUND: u8 = 24;
const INK: u8 = 235;
const PALE: u8 = 150;
const CAPTION_LINES: usize = 6;
/// Name and facts, which are paler than the findings.
const PALE_LINES: u32 = 2;

/// Which images to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetConfig {
    /// Only this split; all where none.
    pub split: Option<Split>,
    /// Only images that show this finding.
    pub label: Option<String>,
    /// At most this many.
    pub count: usize,
    /// Draws them.
    pub seed: u64,
    /// Width and height of a tile, in pixels.
    pub tile: u32,
}

/// A sheet and what is on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// The picture.
    pub image: GrayImage,
    /// How many images it shows.
    pub shown: u64,
    /// How many fit the wish.
    pub matching: u64,
}

/// Draws a contact sheet. The same data, settings and seed give the same sheet.
///
/// # Errors
/// [`Error::NoLabel`] for a finding the set does not have, [`Error::NothingToShow`], and records or images that
/// cannot be read.
pub fn sheet(dataset: &Dataset, config: &SheetConfig) -> Result<Sheet> {
    let (drawn, matching) = draw(dataset, config)?;
    let tiles = drawn.par_iter().map(|&(split, id)| tile(dataset, split, id, config.tile));
    let tiles = tiles.collect::<Result<Vec<_>>>()?;
    let image = lay_out(&tiles, config.tile, None, &[]);
    Ok(Sheet { image, shown: tiles.len() as u64, matching })
}

/// The records to show, and how many there are to choose from.
fn draw(dataset: &Dataset, config: &SheetConfig) -> Result<(Vec<(Split, RecordId)>, u64)> {
    let mut drawn = matching(dataset, config)?;
    let matching = drawn.len() as u64;
    drawn.sort_by_cached_key(|(_, id)| hash(config.seed, "show", &id.key().to_string()));
    drawn.truncate(config.count);
    if drawn.is_empty() {
        return Err(Error::NothingToShow { path: dataset.path().to_owned() });
    }
    // In the order of the set: images of one patient side by side.
    drawn.sort_by_key(|&(_, id)| id);
    Ok((drawn, matching))
}

fn matching(dataset: &Dataset, config: &SheetConfig) -> Result<Vec<(Split, RecordId)>> {
    let label = config.label.as_deref().map(|label| label_place(dataset, label)).transpose()?;
    let mut matching = Vec::new();
    for split in Split::ALL.into_iter().filter(|split| config.split.is_none_or(|wanted| wanted == *split)) {
        let records = match dataset.select(split, &Draw::default()) {
            Err(Error::EmptySplit { .. }) if config.split.is_none() => continue,
            records => records?,
        };
        for id in records {
            let shows = |place: usize| dataset.peek(id).map(|s| s.labels[place] == Label::Positive);
            if label.map_or(Ok(true), shows)? {
                matching.push((split, id));
            }
        }
    }
    Ok(matching)
}

fn label_place(dataset: &Dataset, label: &str) -> Result<usize> {
    position(dataset.labels(), label).ok_or_else(|| Error::NoLabel {
        label: label.to_owned(),
        nearest: nearest(label, dataset.labels().iter().map(String::as_str)).map(str::to_owned),
        labels: dataset.labels().to_vec(),
    })
}

/// A square picture and the lines under it.
struct Tile {
    image: GrayImage,
    lines: Vec<String>,
}

fn tile(dataset: &Dataset, split: Split, id: RecordId, side: u32) -> Result<Tile> {
    let sample = dataset.sample(id)?;
    let settings = Preprocessing {
        size: side,
        crop: Crop::Pad,
        filter: ResizeFilter::Bilinear,
        ..Preprocessing::default()
    };
    let image = decode_gray(sample.image).and_then(|image| prepare(&image, &settings));
    let image = image.map_err(|problem| Error::Image { place: dataset.place(id), problem })?;
    let lines = caption::lines(&sample, split, dataset.labels(), font::characters_in(side), CAPTION_LINES);
    dataset.release(id);
    Ok(Tile { image, lines })
}

/// Rows of so many tiles, or about three wide for two high, under lines of text.
fn lay_out(tiles: &[Tile], side: u32, columns: Option<u32>, heading: &[String]) -> GrayImage {
    let nearly_square = || ((tiles.len() as f64 * 1.5).sqrt().ceil() as u32).clamp(1, tiles.len() as u32);
    let columns = columns.unwrap_or_else(nearly_square);
    let rows = (tiles.len() as u32).div_ceil(columns);
    let lines = tiles.iter().map(|tile| tile.lines.len()).max().unwrap_or(0) as u32;
    let (step_x, step_y) = (side + GAP, side + lines * CHARACTER_HEIGHT + 2 * GAP);
    let width = columns * step_x + GAP;
    let heading = caption::broken(heading, font::characters_in(width - 2 * GAP));
    let top = if heading.is_empty() { GAP } else { heading.len() as u32 * CHARACTER_HEIGHT + 2 * GAP };
    let height = top + rows * step_y;
    let mut sheet = GrayImage { width, height, pixels: vec![BACKGROUND; width as usize * height as usize] };
    for (number, line) in (0..).zip(&heading) {
        write_text(&mut sheet, line, GAP, GAP + number * CHARACTER_HEIGHT, INK);
    }
    for (place, tile) in (0..).zip(tiles) {
        let (x, y) = (GAP + place % columns * step_x, top + place / columns * step_y);
        paste(&mut sheet, &tile.image, x, y);
        for (number, line) in (0..).zip(&tile.lines) {
            let ink = if number < PALE_LINES { PALE } else { INK };
            write_text(&mut sheet, line, x, y + side + GAP / 2 + number * CHARACTER_HEIGHT, ink);
        }
    }
    sheet
}

fn paste(sheet: &mut GrayImage, image: &GrayImage, x: u32, y: u32) {
    for row in 0..image.height {
        let start = (y + row) as usize * sheet.width as usize + x as usize;
        sheet.pixels[start..start + image.width as usize].copy_from_slice(image.row(row));
    }
}

//! Synthetic chest X-rays: phantoms with lungs, heart, ribs, spine and diaphragm, and a visible sign for each
//! of the fourteen findings, which occur as often and as often together as in the NIH collection.
//!
//! They stand in where no real image may be used: first runs, tests, continuous integration. A network learns
//! to find the signs, and more of them with more data, but nothing about patients.

mod anatomy;
mod population;
mod render;
mod signs;
mod texture;

use crate::image::GrayImage;
use anatomy::Anatomy;
pub(crate) use population::Case;
use population::Population;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SynthConfig {
    /// Images; the patients are as many as they need. Fewer images are a prefix of more.
    pub images: u64,
    /// Width and height, in pixels.
    pub size: u32,
    /// Everything is drawn from it.
    pub seed: u64,
    /// Strength of the findings' signs: at 1 some are obvious and some at the limit of what can be seen; above 2
    /// all of them are obvious, at 0 there is nothing to find.
    pub contrast: f32,
    /// Standard deviation of the noise of every pixel, as a part of the gray range.
    pub noise: f32,
}

impl Default for SynthConfig {
    fn default() -> Self {
        SynthConfig { images: 8000, size: 128, seed: 0, contrast: 1.0, noise: 0.03 }
    }
}

/// One synthetic X-ray and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SynthImage {
    /// `PPPPPPPP_FFF.png`: patient and follow-up, as NIH names its files.
    pub image_id: String,
    /// The patient's number, eight digits.
    pub patient_id: String,
    /// Findings in the usual order of the fourteen, from Atelectasis to Hernia.
    pub labels: [bool; 14],
    /// Years.
    pub age: u16,
    /// `M` or `F`.
    pub sex: &'static str,
    /// `PA` (standing) or `AP` (lying).
    pub view: &'static str,
    /// The picture.
    pub image: GrayImage,
}

/// Makes `config.images` images, in order: patient by patient, follow-up by follow-up. They are drawn in
/// parallel on the current rayon pool; each depends on `config` and its own number only, so that the number
/// of threads changes nothing.
///
/// ```
/// use xray_data::{SynthConfig, synthesise};
/// let config = SynthConfig { images: 3, size: 64, ..SynthConfig::default() };
/// let images: Vec<_> = synthesise(&config).collect();
/// assert_eq!(images.len(), 3);
/// assert_eq!(images[0].image.pixels.len(), 64 * 64);
/// assert_eq!(images[0].image_id, "00000001_000.png");
/// ```
pub fn synthesise(config: &SynthConfig) -> impl Iterator<Item = SynthImage> + Send + use<> {
    // Enough for any number of threads to share, few enough to hold in memory.
    const AT_ONCE: usize = 256;
    let config = config.clone();
    let mut cases = cases(&config);
    std::iter::from_fn(move || {
        let some: Vec<Case> = cases.by_ref().take(AT_ONCE).collect();
        let drawn: Vec<SynthImage> = some.into_par_iter().map(|case| draw(&config, &case)).collect();
        (!drawn.is_empty()).then_some(drawn)
    })
    .flatten()
}

/// Who is X-rayed, and with which findings, in the order of [`synthesise`]; nothing is drawn yet.
pub(crate) fn cases(config: &SynthConfig) -> impl Iterator<Item = Case> + Send + use<> {
    Population::new(config.seed).take(usize::try_from(config.images).unwrap_or(usize::MAX))
}

/// Draws one of them.
pub(crate) fn draw(config: &SynthConfig, case: &Case) -> SynthImage {
    let mut anatomy = Anatomy::of(config.seed, case);
    let signs = signs::draw(config, case, &mut anatomy);
    SynthImage {
        image_id: case.image_id(),
        patient_id: case.patient_id(),
        labels: case.labels,
        age: case.age,
        sex: case.sex(),
        view: case.view(),
        image: render::render(config, case, &anatomy, &signs),
    }
}

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

use crate::GrayImage;
use anatomy::Anatomy;
pub use population::Case;
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
/// use xray_image::{SynthConfig, synthesise};
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
pub fn cases(config: &SynthConfig) -> impl Iterator<Item = Case> + Send + use<> {
    Population::new(config.seed).take(usize::try_from(config.images).unwrap_or(usize::MAX))
}

/// Draws one of the [`cases`]; the same case gives the same pixels.
pub fn draw(config: &SynthConfig, case: &Case) -> SynthImage {
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

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u32 = 64;

    /// The films of one person with and without a finding.
    fn pair(contrast: f32, finding: usize, patient: u64) -> [GrayImage; 2] {
        let config = SynthConfig { images: 0, size: SIZE, seed: 1, contrast, noise: 0.0 };
        [true, false].map(|sick| {
            let labels = std::array::from_fn(|i| sick && i == finding);
            let (female, ap) = (patient.is_multiple_of(2), patient.is_multiple_of(3));
            let case = Case { patient, follow_up: 0, age: 50, female, labels, ap };
            draw(&config, &case).image
        })
    }

    /// How much brighter the finding makes a rectangle (left, top, right, bottom in parts of the side).
    fn change(finding: usize, [left, top, right, bottom]: [f32; 4]) -> f32 {
        let inside = |i: u32| {
            let (x, y) = ((i % SIZE) as f32 / SIZE as f32, (i / SIZE) as f32 / SIZE as f32);
            (left..right).contains(&x) && (top..bottom).contains(&y)
        };
        let place: Vec<usize> = (0..SIZE * SIZE).filter(|&i| inside(i)).map(|i| i as usize).collect();
        let people = 30;
        let difference = |patient| {
            let [sick, well] = pair(3.0, finding, patient);
            place.iter().map(|&i| f32::from(sick.pixels[i]) - f32::from(well.pixels[i])).sum::<f32>()
        };
        (0..people).map(difference).sum::<f32>() / (place.len() * people as usize) as f32
    }

    #[test]
    fn signs_show_where_they_should() {
        let mut wrong = vec![];
        let mut check = |finding, place, brighter: std::ops::Range<f32>| {
            let change = change(finding, place);
            if !brighter.contains(&change) {
                wrong.push(format!("finding {finding} changes {place:?} by {change}, not {brighter:?}"));
            }
        };
        let lungs = [0.2, 0.25, 0.8, 0.7];
        let (right_base, beside_heart) = ([0.16, 0.60, 0.26, 0.74], [0.66, 0.58, 0.76, 0.70]);
        check(0, lungs, 1.0..30.0); // atelectasis
        check(1, beside_heart, 20.0..120.0); // cardiomegaly
        check(2, right_base, 5.0..120.0); // effusion, in one person in two on this side
        check(3, lungs, 2.0..40.0); // infiltration
        check(4, lungs, 1.0..30.0); // mass
        check(5, lungs, 0.1..5.0); // nodule
        check(6, [0.2, 0.45, 0.8, 0.75], 2.0..50.0); // pneumonia
        check(7, [0.16, 0.25, 0.24, 0.5], -60.0..-4.0); // pneumothorax
        check(8, lungs, 2.0..50.0); // consolidation
        check(9, [0.30, 0.35, 0.42, 0.52], 20.0..150.0); // edema, at the hila
        check(10, [0.22, 0.25, 0.36, 0.45], -90.0..-10.0); // emphysema
        check(11, [0.15, 0.5, 0.3, 0.65], 1.0..60.0); // fibrosis
        check(12, [0.12, 0.25, 0.2, 0.6], 1.0..60.0); // pleural thickening
        check(13, [0.46, 0.60, 0.56, 0.68], -90.0..-3.0); // hernia: gas
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn every_finding_shows_in_every_patient_and_none_without_contrast() {
        for finding in 0..14 {
            for patient in 0..12 {
                let [sick, well] = pair(1.0, finding, patient);
                assert_ne!(sick, well, "finding {finding} of patient {patient}");
                let [sick, well] = pair(0.0, finding, patient);
                assert_eq!(sick, well, "finding {finding} of patient {patient}");
            }
        }
    }
}

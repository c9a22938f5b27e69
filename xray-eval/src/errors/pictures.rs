//! Small pictures of records, and of where in them a finding's score comes from, as text that a page holds.

use super::judged::Judged;
use crate::run_data;
use crate::run_model::{bundle, prepare};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use xray_artifacts::{Crop, Exit, Failure, Preprocessing};
use xray_bundle::{Bundle, glow};
use xray_image::{GrayImage, encode_jpeg};

/// Records, and findings whose maps are drawn over them.
pub(super) type Wanted = BTreeSet<(usize, usize)>;

/// No picture is wider or higher, in pixels: about 15 kB each.
const LARGEST: u32 = 256;
/// Side of a map in pixels; maps are smooth.
const MAP: usize = 96;
const QUALITY: u8 = 80;

/// Pictures as addresses that hold them.
#[derive(Default)]
pub(super) struct Pictures {
    images: HashMap<usize, String>,
    maps: HashMap<(usize, usize), String>,
}

impl Pictures {
    /// The image of a record, and the map of a finding to be laid over it.
    pub(super) fn of(&self, record: usize, label: usize) -> (&str, &str) {
        (&self.images[&record], &self.maps[&(record, label)])
    }

    fn add(
        &mut self,
        model: &Bundle,
        id: &str,
        file: &[u8],
        record: usize,
        labels: &[usize],
    ) -> Result<(), Failure> {
        let prepared = prepare(model, Path::new(id), file)?;
        let explained = model.explain(&prepared);
        let image = encode_jpeg(&small(prepared.image, id)?, QUALITY);
        self.images.insert(record, address("image/jpeg", &image));
        for &label in labels {
            let map = glow(&model.evidence(&explained, label), explained.places(), MAP);
            self.maps.insert((record, label), address("image/png", &map));
        }
        Ok(())
    }
}

/// Draws what is wanted, each record by the model that scored it.
///
/// # Errors
/// If a run's model or data cannot be opened, or a record is not there any more.
pub(super) fn draw(judged: &Judged, wanted: &Wanted, data: Option<&Path>) -> Result<Pictures, Failure> {
    let mut pictures = Pictures::default();
    for (number, (run, _)) in judged.runs.iter().enumerate() {
        let mut labels: HashMap<&str, (usize, Vec<usize>)> = HashMap::new();
        for &(record, label) in wanted.iter().filter(|(record, _)| judged.run_of(*record) == number) {
            let of = labels.entry(&judged.records.ids[record]).or_insert((record, Vec::new()));
            of.1.push(label);
        }
        if labels.is_empty() {
            continue;
        }
        let model = bundle(run)?;
        let config = run_data::config(run, data)?;
        let rescoring = run_data::open(&config, &model.card)?;
        let (dataset, split) = (rescoring.dataset(), judged.records.split);
        let mut missing: HashSet<&str> = labels.keys().copied().collect();
        run_data::each_file(dataset, split, &missing.clone(), |id, file| {
            missing.remove(id);
            let (record, labels) = &labels[id];
            pictures.add(&model, id, file, *record, labels)
        })?;
        if let Some(id) = missing.iter().min() {
            let message = format!("{}: there is no {split} record {id}", dataset.path().display());
            return Err(Failure::new(Exit::BadData, message));
        }
    }
    Ok(pictures)
}

fn small(image: GrayImage, id: &str) -> Result<GrayImage, Failure> {
    if image.width.max(image.height) <= LARGEST {
        return Ok(image);
    }
    let smaller = Preprocessing { size: LARGEST, crop: Crop::Squash, ..Preprocessing::default() };
    xray_image::prepare(&image, &smaller)
        .map_err(|problem| Failure::new(Exit::BadData, format!("{id}: {problem}")))
}

fn address(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_picture_is_larger_than_the_largest() {
        let slope = |side: u32| {
            let pixels = (0..side * side).map(|at| (at % 251) as u8).collect();
            GrayImage { width: side, height: side, pixels }
        };
        assert_eq!(small(slope(64), "a").ok(), Some(slope(64)));
        let smaller = small(slope(LARGEST + 1), "a").expect("an image with contrast");
        assert_eq!((smaller.width, smaller.height), (LARGEST, LARGEST));
    }
}

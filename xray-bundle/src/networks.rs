//! The networks of a bundle on one device: one, or the members of an ensemble, each of which sees every image.

use crate::Card;
use xray_artifacts::Member;
use xray_metrics::Calibrator;
use xray_model::{
    ActivationMaps, Backend, Begun, DeviceInfo, ModelConfig, Pixels, Predictor, Result, StateDict,
};

/// One network or several.
pub struct Networks {
    predictors: Vec<Predictor>,
    labels: usize,
}

/// What stands before the names of a member's tensors.
pub fn prefix(member: usize) -> String {
    format!("members.{member}.")
}

impl Networks {
    /// Those that a card describes, and the device.
    ///
    /// # Errors
    /// If the weights do not fit the card, or there is no such device.
    pub fn open(card: &Card, weights: &StateDict, backend: Backend) -> Result<(Self, DeviceInfo)> {
        let labels = card.labels.len();
        let open = |model: &ModelConfig, weights: &StateDict| {
            let (predictor, info) = Predictor::open(model, labels, weights, backend)?;
            Ok::<_, xray_model::Error>((predictor.with_ranges(card.preprocessing.channels)?, info))
        };
        if card.members.is_empty() {
            let (predictor, info) = open(&card.model, weights)?;
            return Ok((Networks::one(predictor, labels), info));
        }
        let of_member = |(at, member): (usize, &Member<ModelConfig, Calibrator>)| {
            open(&member.model, &weights.with_prefix(&prefix(at)))
        };
        let opened = card.members.iter().enumerate().map(of_member).collect::<Result<Vec<_>>>()?;
        let (predictors, mut infos): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        Ok((Networks { predictors, labels }, infos.remove(0)))
    }

    /// A single one.
    pub(crate) fn one(predictor: Predictor, labels: usize) -> Self {
        Networks { predictors: vec![predictor], labels }
    }

    /// The only one, or the first.
    pub(crate) fn first(&self) -> &Predictor {
        &self.predictors[0]
    }

    /// How many numbers are said of an image: a logit per label of each network, one network after the other.
    pub fn outputs(&self) -> usize {
        self.predictors.len() * self.labels
    }

    /// Begins with the outputs of many images.
    ///
    /// # Errors
    /// If the device failed, as a GPU may.
    pub fn begin(&self, pixels: &[f32], size: u32) -> Result<BegunNetworks> {
        let begun = self.predictors.iter().map(|of| of.begin(Pixels::Floats(pixels), size));
        Ok(BegunNetworks { begun: begun.collect::<Result<_>>()?, labels: self.labels })
    }

    /// The outputs of an image.
    ///
    /// # Errors
    /// As for [`Networks::begin`].
    pub(crate) fn predict(&self, pixels: &[f32], size: u32) -> Result<Vec<f32>> {
        let found = self.predictors.iter().map(|of| of.predict(pixels, size)).collect::<Result<Vec<_>>>()?;
        Ok(found.concat())
    }

    /// The same outputs, and where in the image the networks' logits come from on average.
    ///
    /// # Errors
    /// As for [`Networks::begin`].
    pub(crate) fn explain(&self, pixels: &[f32], size: u32) -> Result<(Vec<f32>, ActivationMaps)> {
        let found = self.predictors.iter().map(|of| of.predict_with_maps(pixels, size));
        let (logits, maps): (Vec<_>, Vec<_>) = found.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok((logits.concat(), mean(maps)))
    }
}

/// Outputs that a device is computing.
pub struct BegunNetworks {
    begun: Vec<Begun>,
    labels: usize,
}

impl BegunNetworks {
    /// Waits for them: `[n, outputs]`.
    ///
    /// # Errors
    /// If the device failed.
    pub fn outputs(self) -> Result<Vec<f32>> {
        let mut found = self.begun.into_iter().map(Begun::logits).collect::<Result<Vec<_>>>()?;
        if let [_] = found[..] {
            return Ok(found.remove(0));
        }
        let images = found[0].len() / self.labels;
        let of_image = |image: usize| {
            let labels = image * self.labels..(image + 1) * self.labels;
            found.iter().flat_map(move |logits| logits[labels.clone()].iter().copied())
        };
        Ok((0..images).flat_map(of_image).collect())
    }
}

/// Of maps of one image, on the finest of their grids: a coarse one says the same of all places that lie in one of its own.
fn mean(mut maps: Vec<ActivationMaps>) -> ActivationMaps {
    if let [_] = maps[..] {
        return maps.remove(0);
    }
    let finest = maps.iter().max_by_key(|of| of.height * of.width).expect("there is a network");
    let (classes, height, width) = (finest.classes, finest.height, finest.width);
    let value = |place: usize| {
        let (label, row, column) = (place / (height * width), place / width % height, place % width);
        let of = |map: &ActivationMaps| {
            let (row, column) = (row * map.height / height, column * map.width / width);
            map.values[(label * map.height + row) * map.width + column]
        };
        maps.iter().map(of).sum::<f32>() / maps.len() as f32
    };
    let values = (0..classes * height * width).map(value).collect();
    ActivationMaps { values, classes, height, width }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_averaged_on_the_finest_grid() {
        let map = |values: &[f32], height, width| ActivationMaps {
            values: values.to_vec(),
            classes: 2,
            height,
            width,
        };
        let fine = map(&[1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0], 2, 2);
        let coarse = map(&[3.0, 5.0, 0.0, 2.0], 2, 1);
        let found = mean(vec![coarse, fine.clone()]);
        assert_eq!((found.height, found.width), (2, 2));
        assert_eq!(found.values, [2.0, 2.5, 4.0, 4.5, 5.0, 10.0, 16.0, 21.0]);
        assert_eq!(mean(vec![fine.clone()]).values, fine.values);
    }
}

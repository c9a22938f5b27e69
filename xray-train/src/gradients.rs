//! One batch through a network in training, part by part where it is too large to go through at once. Each part counts by
//! its share of the known labels, so that the sum over parts is what the batch gives.

use crate::config::RunConfig;
use crate::scoring::pixels_of;
use std::time::Instant;
use xray_artifacts::{Preprocessing, Seconds};
use xray_data::Batch;
use xray_image::normalised_levels;
use xray_model::{Gradients, LabelledImages, Learner, Result};

/// How batches go through a network.
#[derive(Clone, Debug)]
pub struct Passes {
    /// At most so many images of a batch at once.
    pub images_at_once: usize,
    /// What levels of gray are for the network.
    pub values: [f32; 256],
}

impl Passes {
    pub(crate) fn of(config: &RunConfig, preprocessing: &Preprocessing) -> Passes {
        let images_at_once = config.training.images_at_once();
        Passes { images_at_once, values: normalised_levels(preprocessing) }
    }

    /// The gradients of a batch that is not empty; the time it took is added to `seconds`.
    pub(crate) fn gradients(&self, learner: &Learner, batch: &Batch, seconds: &mut Seconds) -> Gradients {
        let mut sum = None;
        for (part, share) in self.parts(batch) {
            let clock = Instant::now();
            let pass = learner.forward(&part);
            let forward = clock.elapsed();
            let found = learner.backward(pass.weighted(share));
            sum = Some(match sum {
                Some(sum) => learner.add(sum, found),
                None => found,
            });
            seconds.forward += forward.as_secs_f64();
            seconds.backward += (clock.elapsed() - forward).as_secs_f64();
        }
        sum.expect("a batch has a part")
    }

    /// The loss that [`Self::gradients`] begins with, the same bits where the weights are. Waits for the device.
    pub(crate) fn loss(&self, learner: &Learner, batch: &Batch) -> Result<f32> {
        let losses = self.parts(batch).map(|(part, share)| learner.forward(&part).weighted(share).loss());
        losses.reduce(|sum, more| Ok(sum? + more?)).expect("a batch has a part")
    }

    fn parts<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = (LabelledImages<'a>, f32)> {
        let known = |labels: &[f32]| labels.iter().filter(|label| !label.is_nan()).count().max(1) as f32;
        let all = known(&batch.labels);
        let (pixels, classes) = (batch.images.len() / batch.len(), batch.labels.len() / batch.len());
        let images = pixels_of(&batch.images, &self.values).chunks(self.images_at_once * pixels);
        let labels = batch.labels.chunks(self.images_at_once * classes);
        images.zip(labels).map(move |(images, labels)| {
            (LabelledImages { images, labels, size: batch.size }, known(labels) / all)
        })
    }
}

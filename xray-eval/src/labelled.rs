//! Other data with labels, and what a model says of their images.

use crate::external::{LabelMap, MatchedLabels};
use crate::predict::{Device, Pace, Row, each};
use std::path::Path;
use std::sync::Arc;
use xray_artifacts::{Exit, Failure, Predictions, Split};
use xray_bundle::{Bundle, said};
use xray_cli::say;
use xray_data::sources::{GivenImage, Labelled, LabelledOptions, labelled};
use xray_data::{Label, Uncertain};
use xray_display::counted;
use xray_train::signals::StopFlag;

/// Images whose labels are known, and which of those are the model's.
pub(crate) struct LabelledImages {
    pub(crate) labels: MatchedLabels,
    pub(crate) notes: Vec<String>,
    images: Arc<Vec<GivenImage>>,
    truths: Vec<Vec<Label>>,
}

impl LabelledImages {
    /// Reads data as their owner has them, without decoding anything.
    ///
    /// # Errors
    /// Data that cannot be read, labels of which none is the model's, a map that does not fit.
    pub(crate) fn read(
        data: &Path,
        how: &LabelledOptions,
        map: &LabelMap,
        model: &[String],
    ) -> Result<LabelledImages, Failure> {
        let Labelled { labels, images, notes } = labelled::read(data, how)?;
        let labels = map.matched(model, &labels)?;
        let (images, truths): (Vec<GivenImage>, _) = images.into_iter().unzip();
        Ok(LabelledImages { labels, notes, images: Arc::new(images), truths })
    }

    /// Only those that are wanted.
    #[must_use]
    pub(crate) fn only(self, wanted: impl Fn(&GivenImage) -> bool) -> Self {
        let images = self.images.iter().cloned().zip(self.truths).filter(|(image, _)| wanted(image));
        let (images, truths): (Vec<GivenImage>, _) = images.unzip();
        LabelledImages { images: Arc::new(images), truths, ..self }
    }

    pub(crate) fn images(&self) -> &[GivenImage] {
        &self.images
    }

    /// Places of the matched labels among the model's.
    pub(crate) fn places(&self) -> Vec<usize> {
        self.labels.matched.iter().map(|label| label.model_place).collect()
    }

    /// What a model says of each. The exit code of the signal that arrived meanwhile, where one did.
    ///
    /// # Errors
    /// If the device failed.
    pub(crate) fn scored(
        &self,
        bundle: &Arc<Bundle>,
        device: &mut Device,
        pace: Pace,
    ) -> Result<Result<Scored<'_>, Exit>, Failure> {
        let mut rows = Vec::with_capacity(self.images.len());
        let mut keep = |found: Vec<Row>| {
            rows.extend(found);
            Ok(())
        };
        let stop = StopFlag::install()?;
        if !each(bundle, device, &self.images, 0, pace, &stop, &mut keep)? {
            return Ok(Err(stop.requested().unwrap_or(Exit::Interrupted)));
        }
        for row in rows.iter_mut().filter(|row| row.error.is_none()) {
            let labels = 0..bundle.card.labels.len();
            row.logits = labels.map(|at| said(&bundle.card, &row.logits, at).logit).collect();
        }
        Ok(Ok(Scored { of: self, rows }))
    }
}

/// What a model says of images, beside what is true of them.
pub(crate) struct Scored<'a> {
    of: &'a LabelledImages,
    /// With a logit per label.
    rows: Vec<Row>,
}

/// At most so many are named one by one.
const NAMED: usize = 10;

impl Scored<'_> {
    /// The patients, also those that only an image's header names.
    pub(crate) fn patients(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(|row| row.patient.as_deref())
    }

    /// Names the images that cannot be read, and counts them.
    ///
    /// # Errors
    /// If it is all of them.
    pub(crate) fn unread(&self) -> Result<usize, Failure> {
        let unread: Vec<String> = (self.of.images.iter().zip(&self.rows))
            .filter_map(|(image, row)| Some(format!("{}: {}", image.place, row.error.as_ref()?)))
            .collect();
        for said in unread.iter().take(NAMED) {
            say(format_args!("not read, left out: {said}"));
        }
        if unread.len() > NAMED {
            say(format_args!("not read, left out: {} more", unread.len() - NAMED));
        }
        match unread.first() {
            Some(first) if unread.len() == self.rows.len() => Err(Failure::new(
                Exit::BadData,
                format!("none of {} can be read: {first}", counted(unread.len(), "image")),
            )),
            _ => Ok(unread.len()),
        }
    }

    /// Those of some images, as a split, of the matched labels under the model's names.
    pub(crate) fn predictions(&self, split: Split, wanted: impl Fn(&GivenImage) -> bool) -> Predictions {
        let LabelledImages { labels: MatchedLabels { matched, .. }, images, truths, .. } = self.of;
        let mut found = Predictions::empty(split, matched.iter().map(|label| label.model.clone()).collect());
        for ((image, truth), row) in images.iter().zip(truths).zip(&self.rows) {
            if row.error.is_some() || !wanted(image) {
                continue;
            }
            found.ids.push(image.id.clone());
            found.patients.extend(row.patient.clone());
            found.sources.push(image.about.source.clone().unwrap_or_default());
            found.views.push(row.view.clone().unwrap_or_default());
            found.sexes.push(row.sex.clone().unwrap_or_default());
            found.ages.push(row.age.map_or(f32::NAN, f32::from));
            found.logits.extend(matched.iter().map(|label| row.logits[label.model_place]));
            found.truth.extend(matched.iter().map(|label| truth[label.data_place].as_f32(Uncertain::Ignore)));
        }
        // Patients of some records only are of no use to intervals by patient.
        if found.patients.len() != found.ids.len() {
            found.patients.clear();
        }
        found.forget_unknown_sources();
        found
    }
}

/// That nothing is of a split that was asked for.
pub(crate) fn nothing_of(split: Split, data: &Path) -> Failure {
    Failure::new(Exit::NothingMatches, format!("nothing in {} is in the {split} split", data.display()))
        .hint("a data set of `xray-data build`, a column `split` or the names of TFRecords say which is")
}

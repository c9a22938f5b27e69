//! Phantoms as a source, so that they become shards the way real images do. Each is drawn when it is built:
//! a set of any size needs the memory of a few images.

use crate::labels::nih_14;
use crate::schema::Label;
use crate::sources::{ImageRow, Origin, SourceImage, SourceSet};
use std::fmt;
use std::sync::Arc;
use xray_image::GrayImage;
use xray_image::synth::{Case, SynthConfig, cases, draw};

/// One phantom that is not drawn yet.
#[derive(Clone, Debug)]
pub struct Phantom {
    config: Arc<SynthConfig>,
    case: Case,
}

impl Phantom {
    /// Draws it; the same phantom gives the same pixels.
    pub fn draw(&self) -> GrayImage {
        draw(&self.config, &self.case).image
    }
}

impl fmt::Display for Phantom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "phantom {} of patient {}", self.case.follow_up, self.case.patient)
    }
}

/// The images of `config`, in the order of [`synthesise`](xray_image::synthesise).
pub fn read(config: &SynthConfig) -> SourceSet {
    let shared = Arc::new(config.clone());
    let images = cases(config).map(|case| image(&shared, case)).collect();
    SourceSet {
        kind: "synthetic",
        labels: nih_14(),
        images,
        missing: 0,
        unusable: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
        built: None,
    }
}

fn image(config: &Arc<SynthConfig>, case: Case) -> SourceImage {
    let label = |shows: bool| if shows { Label::Positive } else { Label::Negative };
    let row = ImageRow {
        image_id: case.image_id(),
        patient_id: Some(case.patient_id()),
        labels: case.labels.map(label).to_vec(),
        no_finding: None,
        split: None,
        view: Some(case.view().to_owned()),
        sex: Some(case.sex().to_owned()),
        age: Some(case.age),
        source: None,
    };
    SourceImage { row, origin: Origin::Phantom(Phantom { config: config.clone(), case }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Loaded;
    use xray_image::synthesise;

    #[test]
    fn the_source_and_the_iterator_make_the_same_images() {
        let config = SynthConfig { images: 20, size: 32, ..SynthConfig::default() };
        let set = read(&config);
        assert_eq!(set.images.len(), 20);
        for (image, expected) in set.images.iter().zip(synthesise(&config)) {
            let row = &image.row;
            let positive = std::array::from_fn(|label| row.labels[label] == Label::Positive);
            assert_eq!(row.image_id, expected.image_id);
            assert_eq!(row.patient_id.as_ref(), Some(&expected.patient_id));
            assert_eq!(positive, expected.labels, "{}", row.image_id);
            assert_eq!((row.view.as_deref(), row.sex.as_deref()), (Some(expected.view), Some(expected.sex)));
            let loaded = image.origin.load().expect("nothing is read");
            assert_eq!(loaded, Loaded::Pixels(expected.image));
        }
    }
}

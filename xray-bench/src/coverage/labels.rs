//! Intervals of one finding's AUC.

use super::simulation::{Images, Plan, Shape, in_parallel};
use super::{Promise, Scale, Section, Share};
use xray_metrics::{Scores, auc_intervals};

/// Of intervals that are printed.
const HOLDS: [f64; 2] = [0.93, 1.0];
const AUCS: [f64; 5] = [0.6, 0.75, 0.85, 0.9, 0.95];
/// Patients who have the finding.
const POSITIVE: [usize; 9] = [3, 5, 7, 10, 14, 20, 50, 100, 150];

/// What became of the intervals of one row.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    pub(super) printed: Share,
    pub(super) holds: Share,
    pub(super) truth_below: Share,
    pub(super) truth_above: Share,
    pub(super) widths: Vec<f64>,
}

impl Coverage {
    pub(super) fn count(&mut self, interval: Option<[f64; 2]>, truth: f64) {
        self.printed.count(interval.is_some());
        if let Some([low, high]) = interval {
            self.holds.count((low..=high).contains(&truth));
            self.truth_below.count(truth < low);
            self.truth_above.count(truth > high);
            self.widths.push(high - low);
        }
    }

    pub(super) fn cells(mut self) -> Vec<String> {
        self.widths.sort_by(f64::total_cmp);
        let width = self.widths.get(self.widths.len() / 2);
        vec![
            self.printed.to_string(),
            self.holds.to_string(),
            self.truth_below.to_string(),
            self.truth_above.to_string(),
            width.map_or("–".to_owned(), |width| format!("{width:.3}")),
        ]
    }
}

/// By prevalence, AUC and clustering.
pub(super) fn intervals(scale: Scale) -> Section {
    let mut plans = Vec::new();
    for images in [Images::One, Images::Four, Images::Many] {
        for auc in AUCS {
            plans.extend(POSITIVE.map(|positive| (Shape::Normal, images, auc, positive, 200)));
        }
    }
    plans.extend([10, 50].map(|positive| (Shape::Normal, Images::Four, 0.9, positive, 2000)));
    table(
        "95 % intervals of a finding's AUC",
        "Normal scores of patients with 1, 1 to 4 (whose scores correlate by 0.5) or 1 to 30 images (by 0.8). Of what is \
         printed at least 0.93 must hold the truth."
            .to_owned(),
        plans,
        HOLDS,
        scale,
    )
}

/// Of other distributions.
pub(super) fn shapes(scale: Scale) -> Section {
    let mut plans = Vec::new();
    for shape in [Shape::Wide, Shape::Exponential, Shape::Mirrored, Shape::Undetected] {
        for auc in [0.75, 0.9] {
            plans.extend([5, 10, 20, 50].map(|positive| (shape, Images::Four, auc, positive, 200)));
        }
    }
    table(
        "The same of other distributions",
        "1 to 4 images a patient. Where some positives look like negatives, a few patients may all be of the others, and \
         nothing shows that there are such."
            .to_owned(),
        plans,
        [0.92, 1.0],
        scale,
    )
}

type Row = (Shape, Images, f64, usize, usize);

fn table(title: &'static str, text: String, plans: Vec<Row>, bounds: [f64; 2], scale: Scale) -> Section {
    let plans = scale.thinned(plans);
    let found = in_parallel(&plans, |at, &(shape, images, auc, positive, patients)| {
        let positive = [positive];
        let plan = Plan { patients, images, shape, positive: &positive, aucs: [auc; 2], alike: 0.5 };
        let mut coverage = Coverage::default();
        for records in plan.draws(scale, at) {
            // Either model is one simulation.
            for scores in &records.scores {
                let scores = Scores::new(scores, &records.truth, 1).expect("finite scores");
                let found = auc_intervals(scores, Some(&records.patients)).expect("a patient each");
                coverage.count(found.labels[0].ok(), auc);
            }
        }
        coverage
    });
    let mut section = Section {
        title,
        text,
        head: vec![
            "scores",
            "images a patient",
            "AUC",
            "positive patients",
            "printed",
            "holds the truth",
            "truth below",
            "truth above",
            "median width",
        ],
        rows: Vec::new(),
        promises: Vec::new(),
    };
    for (&(shape, images, auc, positive, patients), found) in plans.iter().zip(found) {
        let what = format!("{}, {} images, AUC {auc}, {positive} of {patients}", shape.name(), images.name());
        section.promises.push(Promise { what, found: found.holds, bounds });
        let about = [shape.name().to_owned(), images.name().to_owned(), auc.to_string()];
        let of = [format!("{positive} of {patients}")];
        section.rows.push(about.into_iter().chain(of).chain(found.cells()).collect());
    }
    section
}

//! Intervals of the macro-AUC, where some findings are rare.

use super::labels::Coverage;
use super::simulation::{Images, Plan, Shape, in_parallel};
use super::{Promise, Scale, Section, Share};
use xray_metrics::{Scores, auc_intervals};

/// Positive patients of each finding.
pub(super) const SETS: [(&str, &[usize]); 7] = [
    ("1 × 5", &[5]),
    ("3 × 5", &[5; 3]),
    ("13 × 1, 1 × 5", &[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5]),
    ("10 × 2, 4 × 5", &[2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 5, 5, 5, 5]),
    ("1 to 30", &[1, 2, 3, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30]),
    ("14 × 20", &[20; 14]),
    (
        "30: 1 to 100",
        &[
            1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 8, 8, 10, 10, 12, 12, 15, 15, 20, 20, 30, 30, 40, 50, 60, 70,
            80, 100,
        ],
    ),
];

/// By set of findings.
pub(super) fn intervals(scale: Scale) -> Section {
    let mut plans = Vec::new();
    for (name, positive) in SETS {
        for images in [Images::One, Images::Four, Images::Many] {
            plans.extend([0.7, 0.85].map(|auc| (name, positive, images, auc)));
        }
    }
    // Each has many findings, which cost as many.
    let scale = Scale { simulations: scale.simulations / 2, ..scale };
    let plans = scale.thinned(plans);
    let found = in_parallel(&plans, |at, &(_, positive, images, auc)| {
        let (mut coverage, mut named) = (Coverage::default(), Share::default());
        let plan = Plan { patients: 200, images, shape: Shape::Normal, positive, aucs: [auc; 2], alike: 0.5 };
        for records in plan.draws(scale, at) {
            for scores in &records.scores {
                let scores = Scores::new(scores, &records.truth, positive.len()).expect("finite scores");
                let found = auc_intervals(scores, Some(&records.patients)).expect("a patient each");
                coverage.count(found.macro_auc.ok(), auc);
                named.count(!found.dominant.is_empty());
            }
        }
        (coverage, named)
    });
    let mut section = Section {
        title: "95 % intervals of the macro-AUC",
        text: "200 patients, normal scores. Of what is printed at least 0.93 must hold the truth; where findings without \
               an interval of their own make more than half of the variance, they are named."
            .to_owned(),
        head: vec![
            "positive patients", "images a patient", "AUC", "printed", "holds the truth", "truth below",
            "truth above", "median width", "rare findings named",
        ],
        rows: Vec::new(),
        promises: Vec::new(),
    };
    for (&(name, _, images, auc), (found, named)) in plans.iter().zip(found) {
        let what = format!("macro-AUC of {name}, {} images, AUC {auc}", images.name());
        section.promises.push(Promise { what, found: found.holds, bounds: [0.93, 1.0] });
        let about = [name.to_owned(), images.name().to_owned(), auc.to_string()];
        section.rows.push(about.into_iter().chain(found.cells()).chain([named.to_string()]).collect());
    }
    section
}

//! Differences of two models: how often equal ones seem to differ, and how often others are told apart.

use super::macros::SETS;
use super::simulation::{Images, Plan, Shape, in_parallel};
use super::{Promise, Scale, Section, Share};
use xray_metrics::{Comparison, Scores, compare};

/// The most of equal models that may seem to differ.
const FALSE: [f64; 2] = [0.0, 0.06];
const LEVEL: f64 = 0.05;

/// What a set of comparisons told.
#[derive(Clone, Debug, Default)]
struct Told {
    tested: Share,
    label: Share,
    label_at_1: Share,
    holds: Share,
    contradicts: Share,
    macro_tested: Share,
    macro_auc: Share,
    any_by_holm: Share,
}

impl Told {
    fn count(&mut self, found: &Comparison, difference: f64) {
        for label in found.labels.iter().chain([&found.macro_auc]) {
            if let (Some(p), Some([low, high])) = (label.p_value, label.interval) {
                self.contradicts.count((p < LEVEL) != (low > 0.0 || high < 0.0));
            }
        }
        for label in &found.labels {
            self.tested.count(label.p_value.is_some());
            if let (Some(p), Some([low, high])) = (label.p_value, label.interval) {
                self.label.count(p < LEVEL);
                self.label_at_1.count(p < 0.01);
                self.holds.count((low..=high).contains(&difference));
            }
        }
        self.macro_tested.count(found.macro_auc.p_value.is_some());
        if let Some(p) = found.macro_auc.p_value {
            self.macro_auc.count(p < LEVEL);
        }
        let any = found.labels.iter().any(|label| label.p_value_holm.is_some_and(|p| p < LEVEL));
        self.any_by_holm.count(any);
    }
}

fn told(plan: &Plan<'_>, scale: Scale, at: usize) -> Told {
    let mut told = Told::default();
    for records in plan.draws(scale, at) {
        let of = |model: usize| {
            Scores::new(&records.scores[model], &records.truth, plan.positive.len()).expect("finite scores")
        };
        let found = compare(of(0), of(1), Some(&records.patients)).expect("the same records");
        told.count(&found, plan.aucs[0] - plan.aucs[1]);
    }
    told
}

/// Models with one AUC.
pub(super) fn equal(scale: Scale) -> Section {
    let mut plans: Vec<(String, Vec<usize>, Images, f64, f64)> = Vec::new();
    for positive in [5, 7, 10, 20, 50] {
        for (images, auc, alike) in [
            (Images::One, 0.85, 0.6),
            (Images::Four, 0.75, 0.6),
            (Images::Four, 0.85, 0.6),
            (Images::Four, 0.85, 0.95),
            (Images::Many, 0.85, 0.6),
        ] {
            plans.push((format!("14 × {positive}"), vec![positive; 14], images, auc, alike));
        }
    }
    for (name, positive) in SETS.iter().filter(|(name, _)| !name.starts_with("14")) {
        plans.push(((*name).to_owned(), positive.to_vec(), Images::Four, 0.85, 0.6));
    }
    let scale = Scale { simulations: scale.simulations / 2, ..scale };
    let plans = scale.thinned(plans);
    let found = in_parallel(&plans, |at, (_, positive, images, auc, alike)| {
        let (shape, images, aucs, alike) = (Shape::Normal, *images, [*auc; 2], *alike);
        told(&Plan { patients: 200, images, shape, positive, aucs, alike }, scale, at)
    });
    let mut section = Section {
        title: "Two equally good models",
        text: "200 patients; the scores of both models on a record correlate by the second column. At most 0.06 of the \
               findings and of the macro-AUCs may have p below 0.05, and of the comparisons at most 0.06 a finding whose p \
               by Holm is. Intervals and p-values may never contradict each other."
            .to_owned(),
        head: vec![
            "positive patients", "alike", "images a patient", "AUC", "findings tested", "p < 0.05", "p < 0.01",
            "any by Holm", "macro tested", "macro p < 0.05", "contradictions",
        ],
        rows: Vec::new(),
        promises: Vec::new(),
    };
    for ((name, _, images, auc, alike), found) in plans.iter().zip(found) {
        let about = format!("{name}, alike {alike}, {} images, AUC {auc}", images.name());
        let mut promise = |what: &str, found: Share, bounds: [f64; 2]| {
            section.promises.push(Promise { what: format!("{what} of {about}"), found, bounds });
        };
        promise("p of findings", found.label, FALSE);
        promise("p of the macro-AUC", found.macro_auc, FALSE);
        promise("Holm's p", found.any_by_holm, FALSE);
        promise("contradictions", found.contradicts, [0.0, 0.0]);
        let row = [name.clone(), alike.to_string(), images.name().to_owned(), auc.to_string()];
        let shares = [
            found.tested,
            found.label,
            found.label_at_1,
            found.any_by_holm,
            found.macro_tested,
            found.macro_auc,
            found.contradicts,
        ];
        section.rows.push(row.into_iter().chain(shares.map(|share| share.to_string())).collect());
    }
    section
}

/// Models of different AUCs.
pub(super) fn different(scale: Scale) -> Section {
    let mut plans = Vec::new();
    for aucs in [[0.85, 0.8], [0.85, 0.75], [0.8, 0.6]] {
        plans.extend([5, 10, 20, 50, 100].map(|positive| (aucs, [positive; 5])));
    }
    let scale = Scale { simulations: scale.simulations / 4, ..scale };
    let plans = scale.thinned(plans);
    let found = in_parallel(&plans, |at, (aucs, positive)| {
        let (patients, images, shape) = (200, Images::Four, Shape::Normal);
        told(&Plan { patients, images, shape, positive, aucs: *aucs, alike: 0.6 }, scale, at)
    });
    let mut section = Section {
        title: "Two models that differ",
        text: "200 patients with 1 to 4 images, five findings, scores that correlate by 0.6: how often the difference is \
               found, and how often its interval holds it."
            .to_owned(),
        head: vec!["AUCs", "positive patients", "p < 0.05", "macro p < 0.05", "interval holds the difference"],
        rows: Vec::new(),
        promises: Vec::new(),
    };
    for (([a, b], positive), found) in plans.iter().zip(found) {
        let what = format!("interval of {a} less {b}, {} positive patients", positive[0]);
        section.promises.push(Promise { what, found: found.holds, bounds: [0.93, 1.0] });
        let about = [format!("{a} and {b}"), positive[0].to_string()];
        let shares = [found.label, found.macro_auc, found.holds].map(|share| share.to_string());
        section.rows.push(about.into_iter().chain(shares).collect());
    }
    section
}

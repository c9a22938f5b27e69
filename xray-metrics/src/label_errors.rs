//! Labels that are likely wrong, by confident learning (Northcutt, Jiang and Chuang: Confident Learning: Estimating
//! Uncertainty in Dataset Labels, JAIR 2021, arXiv:1911.00068), one finding against its absence at a time.
//!
//! A record is confidently of a class where its probability reaches the mean probability that the class has on the records
//! labelled so: a finding that a network calls weakly everywhere has a low bar. A record labelled one way and confidently
//! the other is suspected. Suspects are ranked by how much further the probability lies above the bar of the other class
//! than above its own: the margin, adjusted for the bars (Kuan and Mueller: Model-agnostic label quality scoring to detect
//! real-world label errors, 2022). Scores must be of records that the network was not trained on.

use crate::ValidationScores;
use crate::mean::mean;
use crate::units::MIN_UNITS;
use serde::{Deserialize, Serialize};

/// What the scores say of one finding's labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelErrors {
    /// Mean probability of the finding on the records that are labelled with it.
    pub positive_bar: f64,
    /// Mean probability of its absence on the records that are labelled without it.
    pub negative_bar: f64,
    /// The likeliest first.
    pub suspects: Vec<SuspectedLabel>,
}

/// A label that its scores contradict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuspectedLabel {
    /// The place of its record.
    pub record: usize,
    /// What it says.
    pub positive: bool,
    /// Of the finding.
    pub probability: f64,
    /// How much further the probability lies above the bar of the other class than above that of its own.
    pub margin: f64,
}

/// One for each finding; none where fewer than [`MIN_UNITS`] records are labelled with it, or without it: the bars would be
/// of chance.
pub fn label_errors(scores: ValidationScores<'_>) -> Vec<Option<LabelErrors>> {
    (0..scores.num_labels()).map(|label| of_label(&rows(scores, label))).collect()
}

/// A record with a label.
struct Row {
    record: usize,
    positive: bool,
    probability: f64,
}

fn rows(scores: ValidationScores<'_>, label: usize) -> Vec<Row> {
    let rows = scores.probabilities_of(label).zip(scores.truth_of(label)).enumerate();
    rows.filter_map(|(record, (probability, truth))| Some(Row { record, positive: truth?, probability }))
        .collect()
}

fn of_label(rows: &[Row]) -> Option<LabelErrors> {
    let labelled = |positive| rows.iter().filter(move |row| row.positive == positive);
    if [true, false].into_iter().any(|positive| labelled(positive).count() < MIN_UNITS) {
        return None;
    }
    let positive_bar = mean(labelled(true).map(|row| row.probability))?;
    let negative_bar = mean(labelled(false).map(|row| 1.0 - row.probability))?;
    let confident = |row: &Row| {
        let (p, q) = (row.probability, 1.0 - row.probability);
        match (p >= positive_bar, q >= negative_bar) {
            (true, true) => Some(p > q),
            (true, false) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    };
    let is_suspect = |row: &&Row| confident(row) == Some(!row.positive);
    let margin = |row: &Row| {
        let (above, below) = (row.probability - positive_bar, 1.0 - row.probability - negative_bar);
        if row.positive { below - above } else { above - below }
    };
    let suspect = |row: &Row| SuspectedLabel {
        record: row.record,
        positive: row.positive,
        probability: row.probability,
        margin: margin(row),
    };
    let mut suspects: Vec<_> = rows.iter().filter(is_suspect).map(suspect).collect();
    suspects.sort_by(|a, b| b.margin.total_cmp(&a.margin));
    Some(LabelErrors { positive_bar, negative_bar, suspects })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scores;
    use crate::probability::logit;
    use std::collections::HashSet;
    use xray_random::Random;

    /// Records with their true labels hidden: probabilities that know the truth through a normal noise, and labels of which
    /// a share was turned over. Returns logits, labels, and which were.
    fn flipped(
        records: usize,
        prevalence: f64,
        share: f64,
        seed: u64,
    ) -> (Vec<f64>, Vec<f32>, HashSet<usize>) {
        let mut random = Random::keyed(&[seed, 0x1AB]);
        let (mut logits, mut labels, mut turned) = (Vec::new(), Vec::new(), HashSet::new());
        for record in 0..records {
            let truth = random.unit() < prevalence;
            // The log-odds of two normal distributions of the same spread, whose means are four spreads apart.
            let shift = if truth { 2.0 } else { -2.0 };
            logits.push(4.0 * (shift + random.normal()) + logit(prevalence));
            let is_turned = random.unit() < share;
            if is_turned {
                turned.insert(record);
            }
            labels.push(f32::from(u8::from(truth != is_turned)));
        }
        (logits, labels, turned)
    }

    fn precision_at(suspects: &[SuspectedLabel], turned: &HashSet<usize>, count: usize) -> f64 {
        let hits = suspects[..count].iter().filter(|suspect| turned.contains(&suspect.record)).count();
        hits as f64 / count as f64
    }

    fn found(logits: &[f64], labels: &[f32]) -> LabelErrors {
        let scores = Scores::new(logits, labels, 1).expect("finite");
        label_errors(ValidationScores::new(scores)).remove(0).expect("enough of each")
    }

    #[test]
    fn the_first_suspects_are_labels_that_were_turned_over() {
        for (prevalence, seed) in [(0.5, 1), (0.2, 2), (0.1, 3)] {
            let (logits, labels, turned) = flipped(4000, prevalence, 0.05, seed);
            let errors = found(&logits, &labels);
            // Of labels taken at random, one in twenty is.
            for (count, least) in [(20, 0.9), (100, 0.8), (turned.len() * 3 / 4, 0.8)] {
                let precision = precision_at(&errors.suspects, &turned, count);
                assert!(precision >= least, "{precision} of the first {count} at prevalence {prevalence}");
            }
        }
    }

    #[test]
    fn labels_without_errors_have_few_suspects() {
        let (logits, labels, _) = flipped(4000, 0.2, 0.0, 4);
        let errors = found(&logits, &labels);
        assert!(errors.suspects.len() < 100, "{}", errors.suspects.len());
    }

    /// By hand: the bars are 0.6 and 0.8; 0.9 labelled without it, and 0.1 labelled with it, contradict them.
    #[test]
    fn bars_and_margins_are_those_of_the_definition() {
        let positives = [0.9, 0.8, 0.8, 0.7, 0.7, 0.65, 0.55, 0.5, 0.3, 0.1];
        let negatives = [0.05, 0.05, 0.1, 0.1, 0.1, 0.1, 0.15, 0.18, 0.27, 0.9];
        let logits: Vec<f64> = positives.iter().chain(&negatives).map(|p| logit(*p)).collect();
        let mut labels = vec![1.0; 10];
        labels.extend([0.0; 10]);
        let errors = found(&logits, &labels);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        close(errors.positive_bar, 0.6);
        close(errors.negative_bar, 0.8);
        let places: Vec<_> =
            errors.suspects.iter().map(|suspect| (suspect.record, suspect.positive)).collect();
        assert_eq!(places, [(19, false), (9, true)]);
        close(errors.suspects[0].margin, (0.9 - 0.6) - (0.1 - 0.8));
        close(errors.suspects[1].margin, (0.9 - 0.8) - (0.1 - 0.6));
    }

    #[test]
    fn unknown_labels_count_nothing_and_few_tell_nothing() {
        let (logits, mut labels, _) = flipped(400, 0.3, 0.05, 5);
        let whole = found(&logits, &labels);
        let hidden = whole.suspects[0].record;
        labels[hidden] = f32::NAN;
        assert!(found(&logits, &labels).suspects.iter().all(|suspect| suspect.record != hidden));
        let few: Vec<f32> = (0..400).map(|at| f32::from(u8::from(at + 1 < MIN_UNITS))).collect();
        let scores = Scores::new(&logits, &few, 1).expect("finite");
        assert_eq!(label_errors(ValidationScores::new(scores)), [None]);
    }
}

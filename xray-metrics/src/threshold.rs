//! One threshold per label, chosen on the validation records by a [`Rule`].
//!
//! The choice is among the calls that the records can tell apart: all records down to some distinct score
//! are positive, at least one. The threshold then lies **midway** between that score and the next lower one,
//! since a new record in the gap is as likely to belong to either side; it is the score itself where there
//! is no lower one, and for [`Rule::LowestPositive`]. Where `f32` tells the two scores apart the threshold is an
//! `f32` as a network's scores are, so that no later rounding moves a record to the other side.
//!
//! `sensitivity>=S` takes the most specific cut that reaches S and, of equals, the more sensitive; `specificity>=S`
//! and `ppv>=P` the most sensitive and, of equals, the more specific. So no cut that reaches the bound is better in
//! one and as good in the other. For the other rules, of equally good cuts the highest is taken, which calls the
//! fewest records positive.

use crate::probability::{logit, sigmoid};
use crate::{Column, Confusion, Rule, ValidationScores};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// What a rule made of one label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fitted {
    /// Scores of this or more are positive.
    Threshold(f64),
    /// There is none.
    Undefined(Undefined),
}

impl Fitted {
    /// The threshold, if there is one.
    pub fn threshold(self) -> Option<f64> {
        match self {
            Fitted::Threshold(threshold) => Some(threshold),
            Fitted::Undefined(_) => None,
        }
    }
}

/// Why a label has no threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Undefined {
    /// Nobody knows the label of any record.
    #[error("the label is unknown in every validation record")]
    NoRecords,
    /// No sensitivity can be told.
    #[error("no validation record is positive")]
    NoPositives,
    /// No specificity can be told.
    #[error("no validation record is negative")]
    NoNegatives,
    /// The rule asks for more than these scores can do.
    #[error("no threshold reaches {rule} (the highest is {highest:.4})")]
    NotReached {
        /// What was asked for.
        rule: Rule,
        /// The highest that any threshold gets which calls a record positive.
        highest: f64,
    },
}

/// A threshold for each label, or why there is none. All rules need a positive and a negative record.
///
/// ```
/// use xray_metrics::{Fitted, Rule, Scores, ValidationScores, threshold};
///
/// let logits = [-2.0, -1.0, 0.0, 1.0, 2.0];
/// let scores = ValidationScores::new(Scores::new(&logits, &[0.0, 0.0, 1.0, 0.0, 1.0], 1)?);
/// assert_eq!(threshold::fit(scores, Rule::Sensitivity(0.9)), [Fitted::Threshold(-0.5)]);
/// assert_eq!(threshold::fit(scores, Rule::Specificity(0.9)), [Fitted::Threshold(1.5)]);
/// # Ok::<(), xray_metrics::Error>(())
/// ```
pub fn fit(scores: ValidationScores<'_>, rule: Rule) -> Vec<Fitted> {
    let middle = if scores.has_probabilities() { middle_of_probabilities } else { f64::midpoint };
    (0..scores.num_labels()).map(|label| fit_label(&scores.column(label), rule, middle)).collect()
}

/// What lies midway between two scores.
type Middle = fn(f64, f64) -> f64;

fn fit_label(column: &Column, rule: Rule, middle: Middle) -> Fitted {
    let cuts = Confusion::at_each_score(column);
    match choose(&cuts, rule) {
        Ok(at) if rule == Rule::LowestPositive => Fitted::Threshold(cuts[at].0),
        Ok(at) => Fitted::Threshold(midway(cuts[at].0, cuts.get(at + 1).map(|cut| cut.0), middle)),
        Err(undefined) => Fitted::Undefined(undefined),
    }
}

/// A distinct score and the calls it makes as a threshold.
type Cut = (f64, Confusion);

/// The place of the best of the cuts, which come from the highest score down.
fn choose(cuts: &[Cut], rule: Rule) -> Result<usize, Undefined> {
    let (_, all) = cuts.last().ok_or(Undefined::NoRecords)?;
    if all.positives() == 0 {
        return Err(Undefined::NoPositives);
    }
    if all.negatives() == 0 {
        return Err(Undefined::NoNegatives);
    }
    let found = |calls: &Confusion| calls.true_positives as f64;
    match rule {
        Rule::Youden => best(cuts, |calls| Some(youden(calls))),
        Rule::MaxF1 => best(cuts, Confusion::f1),
        Rule::Sensitivity(least) => most_specific(cuts, |calls| calls.sensitivity() >= Some(least)),
        // The first of the most sensitive calls the fewest negatives positive.
        Rule::Specificity(least) => {
            best(cuts, |calls| (calls.specificity() >= Some(least)).then(|| found(calls)))
        }
        Rule::Ppv(least) => best(cuts, |calls| (calls.ppv() >= Some(least)).then(|| found(calls))),
        Rule::LowestPositive => best(cuts, |calls| Some(found(calls))),
    }
    .ok_or_else(|| Undefined::NotReached { rule, highest: highest(cuts, rule) })
}

/// The first of the cuts with the highest figure, among those that have it.
fn best(cuts: &[Cut], figure: impl Fn(&Confusion) -> Option<f64>) -> Option<usize> {
    let figures = cuts.iter().enumerate().filter_map(|(at, (_, calls))| Some((at, figure(calls)?)));
    // Of equal ones `max_by` takes the last.
    figures.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(at, _)| at)
}

/// The last of the allowed cuts with the fewest false alarms, which finds the most.
fn most_specific(cuts: &[Cut], allowed: impl Fn(&Confusion) -> bool) -> Option<usize> {
    let allowed = cuts.iter().enumerate().filter(|(_, (_, calls))| allowed(calls));
    let alarms_and_place = |&(at, (_, calls)): &(usize, &Cut)| (calls.false_positives, Reverse(at));
    allowed.min_by_key(alarms_and_place).map(|(at, _)| at)
}

/// Youden's J times positives times negatives: whole numbers, so that equal ones are equal.
fn youden(calls: &Confusion) -> f64 {
    let [found, missed] = [calls.true_positives, calls.false_positives].map(|count| count as f64);
    found * calls.negatives() as f64 - missed * calls.positives() as f64
}

/// The highest of what the rule asks for.
fn highest(cuts: &[Cut], rule: Rule) -> f64 {
    let figure = |calls: &Confusion| match rule {
        Rule::Sensitivity(_) => calls.sensitivity(),
        Rule::Specificity(_) => calls.specificity(),
        _ => calls.ppv(),
    };
    cuts.iter().filter_map(|(_, calls)| figure(calls)).fold(0.0, f64::max)
}

/// Between two distinct scores, and above the lower one whatever the rounding.
fn midway(above: f64, below: Option<f64>, middle: Middle) -> f64 {
    let Some(below) = below else { return above };
    let between = middle(above, below);
    let short = [between, above].map(|threshold| f64::from(threshold as f32));
    let parts = |threshold: &f64| below < *threshold && *threshold <= above;
    short.into_iter().chain([between]).find(parts).unwrap_or(above)
}

/// Midway between their logits, as for a network's scores; 0 and 1 have none.
fn middle_of_probabilities(above: f64, below: f64) -> f64 {
    if below == 0.0 || above == 1.0 {
        return f64::midpoint(above, below);
    }
    sigmoid(f64::midpoint(logit(above), logit(below)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scores;
    use proptest::prelude::*;

    fn column(rows: &[(f32, bool)]) -> Column {
        let (scores, positive) = rows.iter().map(|&(score, positive)| (f64::from(score), positive)).unzip();
        Column::new(scores, positive).expect("finite")
    }

    /// Scores 9, 8, ... 1.
    const TRUTH: [bool; 9] = [true, true, false, true, false, false, true, false, false];

    fn ladder() -> Column {
        let scores = (1..=9).rev().map(|score: u8| f32::from(score));
        column(&scores.zip(TRUTH).collect::<Vec<_>>())
    }

    #[test]
    fn rules_by_hand() {
        let check = |rule: &str, expected| {
            let rule = rule.parse().expect("a rule");
            assert_eq!(fit_label(&ladder(), rule, f64::midpoint), Fitted::Threshold(expected), "{rule}");
        };
        check("youden", 5.5); // 3/4 - 1/5
        check("max-f1", 5.5); // 6/8
        check("sensitivity>=0.5", 7.5);
        check("sensitivity>=0.75", 5.5);
        check("sensitivity>=1", 2.5);
        check("specificity>=1", 7.5);
        check("specificity>=0.8", 5.5);
        check("specificity>=0.6", 5.5); // 4.5 finds no more, at one more alarm
        check("specificity>=0.4", 2.5);
        check("ppv>=0.75", 5.5);
        check("ppv>=0.76", 7.5);
        check("ppv>=0.5", 2.5);
        check("lowest-positive", 3.0);
    }

    /// Each of two cuts at one specificity, or at one sensitivity, reaches the bound.
    #[test]
    fn no_cut_that_is_worse_in_one_and_no_better_in_the_other_is_taken() {
        let check = |rule: &str, rows: &[(f32, bool)], expected| {
            let rule = rule.parse().expect("a rule");
            assert_eq!(fit_label(&column(rows), rule, f64::midpoint), Fitted::Threshold(expected), "{rule}");
        };
        let rows = [(5.0, true), (4.0, true), (3.0, false), (2.0, false), (1.0, false)];
        check("sensitivity>=0.5", &rows, 3.5); // 4.5 has no alarm either, and finds one less
        check("specificity>=0.3", &rows, 3.5);
        check("ppv>=0.5", &rows, 3.5);
    }

    #[test]
    fn of_equal_ones_the_highest_is_taken() {
        let check = |rule, rows: &[(f32, bool)], expected| {
            assert_eq!(fit_label(&column(rows), rule, f64::midpoint), Fitted::Threshold(expected), "{rule}");
        };
        // J is 0.5 at scores 4 and 2, F1 is 2/3 at 4 and 0.8 at 2; the PPV of 1/2 is had twice at 2 found.
        let rows = [(4.0, true), (3.0, false), (2.0, true), (1.0, false)];
        check(Rule::Youden, &rows, 3.5);
        check(Rule::MaxF1, &rows, 1.5);
        check(Rule::Ppv(0.5), &rows, 1.5);
        // F1 is 2/3 at scores 4 and 1.
        let rows = [(4.0, true), (3.0, false), (2.0, false), (1.0, true)];
        check(Rule::MaxF1, &rows, 3.5);
    }

    #[test]
    fn the_lowest_score_and_the_original_rule_have_no_midway() {
        let check = |rule, rows: &[(f32, bool)], expected| {
            assert_eq!(fit_label(&column(rows), rule, f64::midpoint), Fitted::Threshold(expected), "{rule}");
        };
        let rows = [(3.0, false), (2.0, false), (1.0, true)];
        check(Rule::Sensitivity(1.0), &rows, 1.0);
        check(Rule::LowestPositive, &rows, 1.0);
        check(Rule::LowestPositive, &[(3.0, true), (1.0, false)], 3.0);
        check(Rule::Youden, &[(7.0, true), (7.0, false)], 7.0); // all scores are equal
    }

    #[test]
    fn a_gap_that_f32_cannot_halve_keeps_its_upper_end() {
        let check = |above: f32, below: f32| {
            let threshold = midway(f64::from(above), Some(f64::from(below)), f64::midpoint);
            assert_eq!(threshold, f64::from(threshold as f32));
            let threshold = threshold as f32;
            assert!(below < threshold && threshold <= above, "{threshold} in {below} to {above}");
        };
        // Halves round to even: up from one neighbour and down from the other.
        for bits in [1.0_f32, 2.0, 0.3, f32::MIN_POSITIVE, 1e30].map(f32::to_bits) {
            check(f32::from_bits(bits), f32::from_bits(bits - 1));
            check(f32::from_bits(bits + 1), f32::from_bits(bits));
            check(-f32::from_bits(bits), -f32::from_bits(bits + 1));
        }
        check(0.0, -f32::from_bits(1));
        check(f32::from_bits(1), -0.0);
        check(f32::MAX, f32::MIN);
        assert_eq!(midway(3.0, Some(1.0), f64::midpoint), 2.0);
        assert_eq!(midway(0.1, None, f64::midpoint), 0.1);
    }

    #[test]
    fn scores_that_only_f64_tells_apart_get_an_f64_threshold() {
        for below in [0.9_f64, 1e-300, 5e-324, 1e300, -0.3, 0.0] {
            let [above, far] = [below.next_up(), below.next_up().next_up()];
            for middle in [f64::midpoint, middle_of_probabilities] {
                assert_eq!(midway(above, Some(below), middle), above);
            }
            assert_eq!(midway(far, Some(below), f64::midpoint), above);
            let fitted =
                fit_label(&Column::of_rows(&[(above, true), (below, false)]), Rule::Youden, f64::midpoint);
            assert_eq!(fitted, Fitted::Threshold(above));
        }
    }

    #[test]
    fn probabilities_are_parted_midway_between_their_logits() {
        let check = |above, below, expected: f64| {
            let found = midway(above, Some(below), middle_of_probabilities);
            assert!((found - expected).abs() < 1e-7, "{found} is not {expected}");
        };
        check(0.9, 0.5, 0.75); // odds of 9 and 1
        check(0.9, 0.1, 0.5);
        check(0.01, 0.0, 0.005);
        check(1.0, 0.9, 0.95);
        check(1.0, 0.0, 0.5);
    }

    #[test]
    fn labels_without_a_threshold_say_why() {
        let nan = f32::NAN;
        let logits = [1.0; 8];
        let truth = [nan, 1.0, 0.0, 1.0, nan, 1.0, 0.0, 0.0];
        let scores = ValidationScores::new(Scores::new(&logits, &truth, 4).expect("valid"));
        let check = |rule, expected: [&str; 4]| {
            let said = |fitted: &Fitted| match fitted {
                Fitted::Threshold(threshold) => threshold.to_string(),
                Fitted::Undefined(undefined) => undefined.to_string(),
            };
            assert_eq!(fit(scores, rule).iter().map(said).collect::<Vec<_>>(), expected);
        };
        let [nothing, positive, negative] = [
            "the label is unknown in every validation record",
            "no validation record is negative",
            "no validation record is positive",
        ];
        check(Rule::Sensitivity(0.9), [nothing, positive, negative, "1"]);
        let ppv = "no threshold reaches ppv>=0.6 (the highest is 0.5000)";
        check(Rule::Ppv(0.6), [nothing, positive, negative, ppv]);
        let specificity = "no threshold reaches specificity>=0.1 (the highest is 0.0000)";
        check(Rule::Specificity(0.1), [nothing, positive, negative, specificity]);
        let nonsense = "no threshold reaches sensitivity>=NaN (the highest is 1.0000)";
        check(Rule::Sensitivity(f64::NAN), [nothing, positive, negative, nonsense]);
    }

    #[test]
    fn what_is_not_reached_names_the_highest_there_is() {
        let column = column(&[(4.0, false), (3.0, true), (2.0, true), (1.0, false)]);
        let check = |rule, highest| {
            let expected = Undefined::NotReached { rule, highest };
            assert_eq!(fit_label(&column, rule, f64::midpoint), Fitted::Undefined(expected));
        };
        check(Rule::Ppv(0.75), 2.0 / 3.0);
        check(Rule::Specificity(0.75), 0.5);
        check(Rule::Sensitivity(1.5), 1.0);
    }

    #[test]
    fn json_says_threshold_or_why_not() {
        let check = |fitted: Fitted, expected: &str| {
            let text = serde_json::to_string(&fitted).expect("finite");
            assert_eq!(text, expected);
            assert_eq!(serde_json::from_str::<Fitted>(&text).expect("its own shape"), fitted);
        };
        check(Fitted::Threshold(0.1), r#"{"threshold":0.1}"#);
        check(Fitted::Undefined(Undefined::NoPositives), r#"{"undefined":"no_positives"}"#);
        let not_reached = Undefined::NotReached { rule: Rule::Ppv(0.3), highest: 0.125 };
        let expected = r#"{"undefined":{"not_reached":{"rule":"ppv>=0.3","highest":0.125}}}"#;
        check(Fitted::Undefined(not_reached), expected);
    }

    /// The calls that a rule should choose: of every score as a threshold, those that are allowed are put
    /// in the rule's order of merit.
    fn by_brute_force(column: &Column, rule: Rule) -> Option<Confusion> {
        let thresholds = column.iter().map(|(score, _)| score);
        let of = |figure: Option<f64>| figure.unwrap_or(f64::NAN);
        let merit = |threshold: f64| {
            let calls = Confusion::at(column, threshold);
            let [sensitivity, specificity, ppv] =
                [calls.sensitivity(), calls.specificity(), calls.ppv()].map(of);
            let (allowed, merits) = match rule {
                Rule::Youden => (true, [sensitivity + specificity, 0.0]),
                Rule::MaxF1 => (true, [2.0 / (1.0 / ppv + 1.0 / sensitivity), 0.0]),
                Rule::Sensitivity(least) => (sensitivity >= least, [specificity, sensitivity]),
                Rule::Specificity(least) => (specificity >= least, [sensitivity, specificity]),
                Rule::Ppv(least) => (ppv >= least, [sensitivity, specificity]),
                Rule::LowestPositive => (sensitivity == 1.0, [specificity, 0.0]),
            };
            // Sums of shares that are equal may differ by rounding.
            let [first, second] = merits.map(|merit| (merit * 1e9).round());
            allowed.then_some((first, second, threshold, calls))
        };
        type Merit = (f64, f64, f64, Confusion);
        let better =
            |a: &Merit, b: &Merit| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2));
        thresholds.filter_map(merit).max_by(better).map(|(.., calls)| calls)
    }

    /// Whether a cut of the column reaches the rule's bound and beats `calls` in sensitivity or specificity without
    /// losing in the other.
    fn is_dominated(column: &Column, rule: Rule, calls: &Confusion) -> bool {
        let reaches = |other: &Confusion| match rule {
            Rule::Sensitivity(least) => other.sensitivity() >= Some(least),
            Rule::Specificity(least) => other.specificity() >= Some(least),
            Rule::Ppv(least) => other.ppv() >= Some(least),
            _ => true,
        };
        column.iter().map(|(score, _)| Confusion::at(column, score)).filter(reaches).any(|other| {
            let (finds, alarms) = (other.true_positives, other.false_positives);
            finds >= calls.true_positives && alarms <= calls.false_positives && other != *calls
        })
    }

    proptest! {
        #[test]
        fn the_choice_is_that_of_trying_everything(
            rows in prop::collection::vec(((-8_i8..8).prop_map(f32::from), any::<bool>()), 2..40),
            least in (1_u8..=20).prop_map(|twentieth| f64::from(twentieth) / 20.0),
        ) {
            let column = column(&rows);
            let none = Confusion::at(&column, f64::INFINITY);
            prop_assume!(none.positives() > 0 && none.negatives() > 0);
            let rules = [
                Rule::Youden,
                Rule::MaxF1,
                Rule::Sensitivity(least),
                Rule::Specificity(least),
                Rule::Ppv(least),
                Rule::LowestPositive,
            ];
            for rule in rules {
                let fitted = fit_label(&column, rule, f64::midpoint).threshold();
                let calls = fitted.map(|threshold| Confusion::at(&column, threshold));
                prop_assert_eq!(calls, by_brute_force(&column, rule), "{}", rule);
                prop_assert!(calls.is_none_or(|calls| !is_dominated(&column, rule, &calls)), "{}", rule);
            }
        }
    }
}

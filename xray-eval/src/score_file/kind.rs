//! What the numbers of a table are.

use super::clip::{Clip, exact};
use super::{bad, columns::LabelColumns, row::Row};
use std::fmt;
use std::ops::RangeInclusive;
use xray_artifacts::Failure;

/// What the numbers in score columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ScoreKind {
    /// Between 0 and 1.
    Probabilities,
    /// Between 0 and 100.
    Percent,
    /// Any number; a sigmoid makes it a probability.
    Logits,
}

/// Largest distance beyond 0 and 1 that rounding gives a probability; logits rarely stay within it.
const ROUNDING: f64 = 0.01;

/// Beyond it a logit is none of any network, and squares of it would not be finite for long.
const LARGEST_LOGIT: f64 = f32::MAX as f64;

const SAY_WHICH: &str = "say --scores percent, or --scores logits";

/// The lowest and the highest score of a label, and the rows that have them.
struct Extent<'a> {
    label: &'a LabelColumns,
    ends: [(&'a Row, f64); 2],
}

impl fmt::Display for Extent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(_, low), (_, high)] = self.ends;
        write!(f, "{} are from {} to {}", self.label.name, brief(low), brief(high))
    }
}

impl Extent<'_> {
    fn lies_in(&self, range: &RangeInclusive<f64>) -> bool {
        self.ends.iter().all(|(_, score)| range.contains(score))
    }

    fn is_negative(&self) -> bool {
        self.ends[0].1 < -ROUNDING
    }

    /// The row, the label and the score that is not in the range.
    fn outside(&self, range: &RangeInclusive<f64>) -> Option<String> {
        let (row, score) = self.ends.iter().find(|(_, score)| !range.contains(score))?;
        Some(format!("row {}: the score of {} is {}", row.id, self.label.name, brief(*score)))
    }
}

/// What the scores are; without a word of the caller's, what names and values tell beyond doubt.
///
/// # Errors
/// If they are not what they must be, or could be more than one thing.
pub(super) fn decide(
    kind: Option<ScoreKind>,
    rows: &[Row],
    labels: &[LabelColumns],
) -> Result<ScoreKind, Failure> {
    let extents = extents(rows, labels);
    let within = |range: RangeInclusive<f64>, what: &str, hint: &str| match extents
        .iter()
        .find_map(|extent| extent.outside(&range))
    {
        Some(score) => Err(bad(format!("{score}, {what}")).hint(hint)),
        None => Ok(()),
    };
    match kind.or_else(|| known(&extents, labels)) {
        Some(ScoreKind::Probabilities) => within(0.0..=1.0, "no probability", not_between_0_and_1(&extents))
            .map(|()| ScoreKind::Probabilities),
        Some(ScoreKind::Percent) => {
            within(0.0..=100.0, "no percentage", "say --scores logits, or clip percentages to 0 and 100")
                .map(|()| ScoreKind::Percent)
        }
        Some(ScoreKind::Logits) => {
            within(-LARGEST_LOGIT..=LARGEST_LOGIT, "larger than any logit", "scale the scores")
                .map(|()| ScoreKind::Logits)
        }
        None => Err(doubt(&extents)),
    }
}

fn extents<'a>(rows: &'a [Row], labels: &'a [LabelColumns]) -> Vec<Extent<'a>> {
    let of_label = |(at, label): (usize, &'a LabelColumns)| {
        let scores = || rows.iter().map(move |row| (row, row.scores[at]));
        let by_score = |a: &(&Row, f64), b: &(&Row, f64)| a.1.total_cmp(&b.1);
        let ends = [scores().min_by(by_score), scores().max_by(by_score)];
        Extent { label, ends: ends.map(|end| end.expect("a table has a row")) }
    };
    labels.iter().enumerate().map(of_label).collect()
}

fn known(extents: &[Extent<'_>], labels: &[LabelColumns]) -> Option<ScoreKind> {
    if labels.iter().all(|label| label.word == "logit") {
        return Some(ScoreKind::Logits);
    }
    let probabilities = extents.iter().all(|extent| extent.lies_in(&(0.0..=1.0)));
    let negative = extents.iter().all(Extent::is_negative);
    let called = labels.iter().any(|label| label.word == "prob");
    if probabilities {
        Some(ScoreKind::Probabilities)
    } else {
        (negative && !called).then_some(ScoreKind::Logits)
    }
}

/// Few digits whatever the size.
pub(super) fn brief(score: f64) -> String {
    let plain = score == 0.0 || (1e-4..1e15).contains(&score.abs());
    if plain { score.to_string() } else { format!("{score:e}") }
}

/// Why it cannot be told what the scores are, some of which are outside 0 to 1.
fn doubt(extents: &[Extent<'_>]) -> Failure {
    let outside = extents.iter().find_map(|extent| extent.outside(&(0.0..=1.0)));
    let score = outside.expect("probabilities leave no doubt");
    let rounded = -ROUNDING..=1.0 + ROUNDING;
    let hint = not_between_0_and_1(extents);
    if extents.iter().any(|extent| extent.label.word == "prob") {
        return bad(format!("{score}, but columns are called `prob`, and that is not a probability"))
            .hint(hint);
    }
    if extents.iter().all(|extent| extent.lies_in(&rounded)) {
        return bad(format!("{score}, just outside 0 to 1: neither a probability nor surely a logit"))
            .hint(hint);
    }
    let named = |class: Class| extents.iter().find(|extent| Class::of(extent) == class);
    let classes = [Class::UpToOne, Class::Above, Class::Negative].map(named);
    match classes.into_iter().flatten().collect::<Vec<_>>()[..] {
        [first, second, ..] => bad(format!("the scores of {first}, those of {second}: perhaps of two kinds"))
            .hint(format!("if all are of one kind, {SAY_WHICH}; otherwise make them so")),
        [one] => {
            bad(format!("the scores of {one} and none is below 0: neither probabilities nor surely logits"))
                .hint(hint)
        }
        [] => unreachable!("a table has a label"),
    }
}

/// What the scores of one column look like.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    UpToOne,
    Above,
    Negative,
}

impl Class {
    fn of(extent: &Extent<'_>) -> Class {
        if extent.is_negative() {
            Class::Negative
        } else if extent.lies_in(&(-ROUNDING..=1.0 + ROUNDING)) {
            Class::UpToOne
        } else {
            Class::Above
        }
    }
}

/// Advice for scores of which some are outside 0 to 1.
fn not_between_0_and_1(extents: &[Extent<'_>]) -> &'static str {
    let all_in = |range: RangeInclusive<f64>| extents.iter().all(|extent| extent.lies_in(&range));
    if all_in(-ROUNDING..=1.0 + ROUNDING) || extents.iter().any(Extent::is_negative) {
        "say --scores logits, or clip probabilities to 0 and 1"
    } else if all_in(0.0..=100.0) {
        SAY_WHICH
    } else {
        "say --scores logits, or divide the scores by the largest that they can be"
    }
}

/// Probabilities of the scores of one kind; none of logits.
pub(super) fn probability(kind: ScoreKind, score: f64) -> Option<f64> {
    match kind {
        ScoreKind::Probabilities => Some(score),
        ScoreKind::Percent => Some(score / 100.0),
        ScoreKind::Logits => None,
    }
}

/// What a reader should know of scores that were taken for `kind`.
pub(super) fn notes(kind: ScoreKind, rows: &[Row], labels: &[LabelColumns], clips: &[Clip]) -> Vec<String> {
    let what = match kind {
        ScoreKind::Probabilities => "probabilities",
        ScoreKind::Percent => "percentages",
        ScoreKind::Logits => "logits",
    };
    let mut notes = vec![format!("scores are taken for {what}")];
    let list = |wanted: &dyn Fn(usize, &LabelColumns) -> bool| {
        let found = labels.iter().enumerate().filter(|(at, label)| wanted(*at, label));
        let names: Vec<&str> = found.map(|(_, label)| label.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let extents = extents(rows, labels);
    let up_to_one = |at: usize| extents[at].lies_in(&(0.0..=1.0));
    notes.extend(match kind {
        ScoreKind::Percent => list(&|at, _| up_to_one(at)).map(|names| {
            format!("no score is above 1 %, and those of probabilities would look like this: {names}")
        }),
        ScoreKind::Logits => list(&|at, label| label.word != "logit" && up_to_one(at))
            .map(|names| format!("all scores are between 0 and 1, as probabilities are: {names}")),
        ScoreKind::Probabilities => list(&|_, label| label.word == "logit")
            .map(|names| format!("columns are called `logit`, but scores are all between 0 and 1: {names}")),
    });
    notes.extend(exact(kind, rows, clips));
    let calls = |at: usize| {
        let all = || rows.iter().filter_map(|row| probability(kind, row.scores[at]));
        [0.0, 1.0].iter().all(|end| all().any(|p| p == *end)) && all().all(|p| p == 0.0 || p == 1.0)
    };
    notes.extend(
        list(&|at, _| calls(at))
            .map(|names| format!("every score is 0 or 1, so these are calls, which rank little: {names}")),
    );
    notes
}

//! Whether the chosen run is better than baselines that ignore the image: one score for all images, whose AUC is 0.5, and
//! sex, age and view.

use super::without_score;
use crate::report::document::{Card, Value};
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use xray_display::thousands;
use xray_metrics::Difference;

/// AUC of a model that gives every image the same score.
const CONSTANT: f64 = 0.5;

pub(super) fn card(sweep: &Sweep) -> Card {
    let name = "Is it better than a baseline that ignores the image?".to_owned();
    let Some(chosen) = &sweep.chosen else {
        return Card { name, value: Value::none(), detail: without_score(sweep) };
    };
    let constant = against_constant(&chosen.run);
    let metadata = sweep.beside_metadata();
    match metadata.and_then(|(fitted_on, of)| against_metadata(&of, fitted_on, &sweep.score_name())) {
        Some((value, text)) => Card { name, value, detail: format!("{constant} {text}") },
        None => Card { name, value: above_constant(&chosen.run), detail: constant },
    }
}

fn above_constant(run: &Run) -> Value {
    let interval = run.score_interval.map(|ends| ends.map(|end| end - CONSTANT));
    Value::signed_estimate(run.score.map(|score| score - CONSTANT), interval, 3)
}

fn against_constant(run: &Run) -> String {
    let verdict = match run.score_interval {
        Some([low, _]) if low > CONSTANT => "yes, its interval lies above",
        Some([_, high]) if high < CONSTANT => "no, its interval lies below",
        Some(_) => "not shown, its interval contains that",
        None => "not known, it has no interval",
    };
    format!("Compared with one score for all images (AUC {CONSTANT}): {verdict}.")
}

fn against_metadata(of: &Difference, fitted_on: u64, score_name: &str) -> Option<(Value, String)> {
    let (baseline, ahead) = (of.b?, of.difference?);
    let verdict = match (of.interval, of.missing) {
        (Some([low, _]), _) if low > 0.0 => "yes, the interval of the difference lies above 0".to_owned(),
        (Some([_, high]), _) if high < 0.0 => "no, the interval of the difference lies below 0".to_owned(),
        (Some(_), _) => "not shown, the difference could be chance".to_owned(),
        (None, Some(why)) => format!("not known, no interval: {why}"),
        (None, None) => "not known, no interval".to_owned(),
    };
    let text = format!(
        "Compared with sex, age and view alone ({score_name} {baseline:.3}, a logistic regression fitted on {} validation \
         records): {verdict}.",
        thousands(fitted_on as i64)
    );
    Some((Value::signed_estimate(Some(ahead), of.interval, 3), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_decides_against_one_score_for_all() {
        let check = |interval, expected: &str| {
            let run = Run { score: Some(0.6), score_interval: interval, ..Run::default() };
            let said = against_constant(&run);
            assert_eq!(said, format!("Compared with one score for all images (AUC 0.5): {expected}."));
        };
        check(Some([0.51, 0.7]), "yes, its interval lies above");
        check(Some([0.5, 0.7]), "not shown, its interval contains that");
        check(Some([0.3, 0.49]), "no, its interval lies below");
        check(None, "not known, it has no interval");
        let run = Run { score: Some(0.6), score_interval: Some([0.51, 0.7]), ..Run::default() };
        assert_eq!(above_constant(&run).text, "+0.100 (+0.010 to +0.200)");
    }
}

//! Thresholds that reach what a rule asks for by calling (nearly) everybody the same, and calls that are no better than
//! chance.

use crate::{Column, Confusion, Fitted, OperatingPoint};

/// A class of which this share or less is called right is called wrong for nearly every image.
pub const NEARLY_NONE: f64 = 0.05;

/// Why calls say little of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OneSided {
    /// Nearly all are called positive.
    Specificity(f64),
    /// Nearly all are called negative.
    Sensitivity(f64),
    /// Sensitivity and specificity add up to 1 or less, which calls at random reach too.
    AtRandom(f64, f64),
}

impl OneSided {
    /// Of calls on records of both classes; none where the calls tell something, or a class is not there.
    pub fn of(calls: &Confusion) -> Option<Self> {
        let (sensitivity, specificity) = (calls.sensitivity()?, calls.specificity()?);
        match (sensitivity, specificity) {
            _ if specificity <= NEARLY_NONE => Some(OneSided::Specificity(specificity)),
            _ if sensitivity <= NEARLY_NONE => Some(OneSided::Sensitivity(sensitivity)),
            _ if sensitivity + specificity <= 1.0 => Some(OneSided::AtRandom(sensitivity, specificity)),
            _ => None,
        }
    }
}

impl OneSided {
    fn figure(self) -> String {
        match self {
            OneSided::Specificity(left) => format!("a specificity of {left:.3}"),
            OneSided::Sensitivity(left) => format!("a sensitivity of {left:.3}"),
            OneSided::AtRandom(sensitivity, specificity) => {
                format!("a sensitivity of {sensitivity:.3} with a specificity of {specificity:.3}")
            }
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            OneSided::Specificity(_) => "nearly every image is called positive",
            OneSided::Sensitivity(_) => "nearly every image is called negative, those with the finding too",
            OneSided::AtRandom(..) => "no better than calls at random",
        }
    }
}

/// A sentence if a label's threshold says little on the validation records that chose it, or on the test records that
/// `point` is of.
///
/// ```
/// use xray_metrics::{Column, Fitted, one_sided};
///
/// // The positive that is hardest to see lies below every negative.
/// let validation = Column::new(vec![-1.0, 0.0, 1.0, 2.0], vec![true, false, false, true])?;
/// let said = one_sided::warning(Fitted::Threshold(-1.0), &validation, None).expect("all are called positive");
/// assert_eq!(said, "a specificity of 0.000 on validation: nearly every image is called positive");
/// # Ok::<(), xray_metrics::Error>(())
/// ```
pub fn warning(fitted: Fitted, validation: &Column, point: Option<&OperatingPoint>) -> Option<String> {
    let threshold = fitted.threshold()?;
    let on_validation = OneSided::of(&Confusion::at(validation, threshold));
    let on_test = point.and_then(|point| OneSided::of(&point.confusion));
    let said = |why: OneSided, on: &str| format!("{} on {on}: {}", why.figure(), why.meaning());
    match (on_validation, on_test) {
        (None, None) => None,
        (Some(why), None) => Some(said(why, "validation")),
        (None, Some(why)) => Some(said(why, "test")),
        (Some(val), Some(test)) if val.meaning() == test.meaning() => {
            Some(format!("{} on validation, {} on test: {}", val.figure(), test.figure(), val.meaning()))
        }
        (Some(val), Some(test)) => Some(format!("{}; {}", said(val, "validation"), said(test, "test"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_one_sided_or_not() {
        let check = |[true_positives, false_positives, true_negatives, false_negatives]: [u64; 4],
                     expected| {
            let calls = Confusion { true_positives, false_positives, true_negatives, false_negatives };
            assert_eq!(OneSided::of(&calls), expected);
        };
        check([10, 100, 0, 0], Some(OneSided::Specificity(0.0)));
        check([10, 95, 5, 0], Some(OneSided::Specificity(0.05)));
        check([10, 94, 6, 0], None);
        check([0, 0, 100, 10], Some(OneSided::Sensitivity(0.0)));
        check([1, 1, 99, 19], Some(OneSided::Sensitivity(0.05)));
        check([2, 1, 99, 18], None);
        check([9, 90, 10, 1], Some(OneSided::AtRandom(0.9, 0.1)));
        check([5, 40, 60, 5], None);
        check([0, 5, 5, 0], None); // without positives nothing is known of them
        check([5, 0, 0, 5], None);
    }

    #[test]
    fn both_splits_are_looked_at() {
        let column = Column::of_rows(&[(1.0, true), (0.0, false), (0.5, false)]);
        let check = |threshold, expected: Option<&str>| {
            assert_eq!(warning(Fitted::Threshold(threshold), &column, None).as_deref(), expected);
        };
        check(0.7, None);
        check(0.0, Some("a specificity of 0.000 on validation: nearly every image is called positive"));
        let mirror = "a sensitivity of 0.000 on validation: nearly every image is called negative, those with the finding too";
        check(2.0, Some(mirror));
        let why = crate::Undefined::NoPositives;
        assert_eq!(warning(Fitted::Undefined(why), &column, None), None);
    }
}

//! Which learning rates are tried: from a lowest to a highest one, each step as many times the rate before.

use serde::Serialize;
use std::str::FromStr;
use xray_artifacts::{Exit, Failure};
use xray_model::Algorithm;

/// Learning rates from a lowest to a highest one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// That of the first step.
    pub low: f64,
    /// That of the last step.
    pub high: f64,
}

impl Rates {
    /// What is tried where nothing is said: decades around the rates that the rule is used with. A step of SGD is as long as
    /// the gradient says, one of Adam as long as the rate.
    pub fn of(algorithm: Algorithm) -> Rates {
        match algorithm {
            Algorithm::Adam | Algorithm::AdamW => Rates { low: 1e-6, high: 1.0 },
            Algorithm::Sgd => Rates { low: 1e-4, high: 100.0 },
        }
    }
}

/// Below where it falls, nothing changes; above, it rises.
const LEAST_SPAN: f64 = 100.0;

/// `LOW..HIGH`.
impl FromStr for Rates {
    type Err = String;

    fn from_str(text: &str) -> Result<Rates, String> {
        let rate = |text: &str| text.trim().parse().ok().filter(|&rate: &f64| rate > 0.0 && rate.is_finite());
        let rates = text.split_once("..").and_then(|(low, high)| Some((rate(low)?, rate(high)?)));
        match rates {
            Some((low, high)) if high >= LEAST_SPAN * low => Ok(Rates { low, high }),
            Some((low, high)) if low < high => Err(format!(
                "{high} is less than {LEAST_SPAN} times {low}, too narrow to find the loss's turning point"
            )),
            Some((low, high)) => Err(format!("{low} is not below {high}: LOW..HIGH, such as 1e-6..1")),
            None => Err(format!("`{text}` is not LOW..HIGH, two numbers above 0, such as 1e-6..1")),
        }
    }
}

/// A rate for each step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Course {
    steps: u64,
    rates: Rates,
}

impl Course {
    /// Fewer are not a curve: the smoothing alone looks at twenty.
    const FEWEST_STEPS: u64 = 50;

    /// So many steps through these rates.
    ///
    /// # Errors
    /// If the steps are too few to see anything.
    pub fn new(steps: u64, rates: Rates) -> Result<Course, Failure> {
        if steps < Course::FEWEST_STEPS {
            let fewest = Course::FEWEST_STEPS;
            let message = format!("--find-learning-rate is {steps}, it must be {fewest} steps or more");
            return Err(Failure::new(Exit::Usage, message).hint("leave the number out for the default"));
        }
        Ok(Course { steps, rates })
    }

    /// How many steps it takes.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The rates it goes through.
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// The rate of a step, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        let Rates { low, high } = self.rates;
        let done = step as f64 / (self.steps - 1) as f64;
        // Each end exactly.
        if done >= 1.0 { high } else { low * (high / low).powf(done) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_grow_by_one_factor_from_end_to_end() {
        let course = Course::new(101, Rates { low: 1e-6, high: 1e-1 }).expect("enough steps");
        let close = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-12, "{found}");
        assert_eq!([course.rate(0), course.rate(100), course.rate(101)], [1e-6, 1e-1, 1e-1]);
        close(course.rate(20), 1e-5);
        close(course.rate(80), 1e-2);
        (0..100).for_each(|step| close(course.rate(step + 1) / course.rate(step), 10_f64.powf(0.05)));
    }

    #[test]
    fn rates_are_two_numbers_above_0() {
        let rates = |text: &str| text.parse::<Rates>();
        assert_eq!(rates("1e-5..0.5"), Ok(Rates { low: 1e-5, high: 0.5 }));
        for text in ["", "1", "0..1", "-1..1", "a..b", "1e-3..inf", "nan..1", "1..", "1e-3,1"] {
            let message = rates(text).expect_err(text);
            assert!(message.starts_with(&format!("`{text}` is not LOW..HIGH")), "{message}");
        }
        for text in ["1..1", "1..0.1"] {
            assert!(rates(text).expect_err(text).contains("is not below"), "{text}");
        }
        assert_eq!(rates("1e-3..1e-1"), Ok(Rates { low: 1e-3, high: 1e-1 }));
        let message = rates("1e-3..0.09").expect_err("less than two powers of ten");
        assert_eq!(message, "0.09 is less than 100 times 0.001, too narrow to find the loss's turning point");
    }

    #[test]
    fn few_steps_are_refused() {
        let rates = Rates::of(Algorithm::Sgd);
        let failure = Course::new(49, rates).expect_err("too few");
        assert_eq!(failure.message, "--find-learning-rate is 49, it must be 50 steps or more");
        assert!(Course::new(50, rates).is_ok());
    }
}

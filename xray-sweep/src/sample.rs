//! Points drawn at random from the axes of a sweep.

use crate::axis::Axis;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashSet};
use xray_artifacts::{Exit, Failure};
use xray_display::counted;
use xray_random::Random;

/// Draws in a row without a new point after which there is none.
const FRUITLESS: u32 = 100_000;

/// The first `count` different points of a sequence that the seed decides: a larger count begins with the same points, so
/// that their cells stay what they are.
///
/// # Errors
/// When there are fewer points, or nothing to draw from.
pub(crate) fn sample(
    axes: &BTreeMap<String, Axis>,
    count: u64,
    seed: u64,
) -> Result<Vec<BTreeMap<String, Json>>, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    if axes.is_empty() {
        return Err(usage("--sample has no axis to draw from".to_owned())
            .hint("such as --axis \"schedule.learning_rate=log(1e-4,1e-2)\""));
    }
    if count == 0 {
        return Err(usage("--sample is 0, it must be at least 1".to_owned()));
    }
    let too_many = |there: u64| {
        usage(format!("--sample is {count}, but the axes have {}", counted(there, "different point")))
            .hint("draw fewer, or leave --sample out for the whole grid")
    };
    let all = axes.values().map(Axis::count).try_fold(1_u64, |all, count| Some(all.saturating_mul(count?)));
    if let Some(all) = all.filter(|all| *all < count) {
        return Err(too_many(all));
    }
    let (mut points, mut seen, mut fruitless) = (Vec::new(), HashSet::new(), 0);
    for number in 0_u64.. {
        if points.len() as u64 == count {
            break;
        }
        let draw = |(key, axis): (&String, &Axis)| {
            // Of the key too: another axis changes nothing of what this one is given.
            let value = axis.draw(&mut Random::named(seed, &format!("sample {number} {key}")));
            (key.clone(), value)
        };
        let point: BTreeMap<String, Json> = axes.iter().map(draw).collect();
        let is_new = seen.insert(serde_json::to_string(&point).expect("keys are strings"));
        fruitless = if is_new { 0 } else { fruitless + 1 };
        if fruitless > FRUITLESS {
            return Err(too_many(points.len() as u64));
        }
        points.extend(is_new.then_some(point));
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::parse_axis;

    fn draw(axes: &[&str], count: u64, seed: u64) -> Result<Vec<BTreeMap<String, Json>>, Failure> {
        sample(&axes.iter().map(|axis| parse_axis(axis).expect("good")).collect(), count, seed)
    }

    const AXES: [&str; 3] = ["a=log(1e-4,1e-2)", "b=1,2", "c=int(1,9)"];

    #[test]
    fn more_points_begin_with_the_same_ones() {
        let few = draw(&AXES, 5, 7).expect("good");
        let many = draw(&AXES, 50, 7).expect("good");
        assert_eq!(few, many[..5]);
        assert_ne!(few, draw(&AXES, 5, 8).expect("good"));
        // Without one of the axes the others are given the same.
        let two = draw(&AXES[..2], 5, 7).expect("good");
        assert!(two.iter().zip(&few).all(|(two, three)| two["a"] == three["a"] && two["b"] == three["b"]));
    }

    #[test]
    fn of_lists_no_point_comes_twice() {
        let lists = ["a=1,2,3", "b=x,y", "c=int(0,1)"];
        let all = draw(&lists, 12, 0).expect("the whole grid");
        let different: HashSet<String> = all.iter().map(|point| format!("{point:?}")).collect();
        assert_eq!(different.len(), 12);
    }

    #[test]
    fn impossible_samples_say_why() {
        let check = |axes: &[&str], count, message: &str| {
            assert_eq!(draw(axes, count, 0).expect_err("refused").message, message);
        };
        check(&["a=1,2", "b=1,2,3"], 7, "--sample is 7, but the axes have 6 different points");
        check(&["a=uniform(1,1.0012)"], 9, "--sample is 9, but the axes have 2 different points");
        check(&[], 3, "--sample has no axis to draw from");
        check(&["a=1,2"], 0, "--sample is 0, it must be at least 1");
    }
}

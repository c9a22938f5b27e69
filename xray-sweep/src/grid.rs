//! The points of a sweep: every combination of the axes, times fractions, times trials, and the settings
//! that make each of them.

use crate::axis::{Axis, json};
use crate::sample::sample;
use crate::spec::Spec;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use xray_artifacts::{Exit, Failure};

/// One combination.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Values of the further axes.
    pub axes: BTreeMap<String, Json>,
    /// Share of the training records.
    pub fraction: f64,
    /// Where it begins.
    pub offset: f64,
    /// From 1.
    pub trial: u32,
    /// The run's seed.
    pub seed: u64,
}

impl Point {
    /// The settings that this point lays on those of all runs.
    pub fn settings(&self) -> Map<String, Json> {
        let mut settings: Map<_, _> = self.axes.clone().into_iter().collect();
        settings.insert("data.fraction".into(), self.fraction.into());
        settings.insert("data.fraction_offset".into(), self.offset.into());
        settings.insert("seed".into(), self.seed.into());
        settings
    }
}

/// Keys that the grid itself sets, or that the launcher decides.
const TAKEN: [(&str, &str); 5] = [
    ("data.fraction", "--fractions"),
    ("data.fraction_offset", "--rotate-data"),
    ("seed", "--trials, and --set seed=N for the first trial's seed"),
    ("data.dir", "--data"),
    ("threads", "--cpus"),
];

/// All points, in the order of the axes' values, then fractions, then trials.
pub fn points(spec: &Spec) -> Result<Vec<Point>, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    if spec.trials == 0 {
        return Err(usage("trials is 0, it must be at least 1".into()));
    }
    for key in spec.axes.keys().cloned().chain(spec.settings().into_iter().map(|(key, _)| key)) {
        let taken = TAKEN.iter().find(|(taken, _)| *taken == key);
        if let Some((_, flag)) = taken.filter(|(taken, _)| *taken != "seed" || spec.axes.contains_key(*taken))
        {
            return Err(usage(format!("`{key}` is set by the sweep itself")).hint(format!("use {flag}")));
        }
        if spec.axes.contains_key(&key) && spec.settings().iter().any(|(set, _)| *set == key) {
            return Err(usage(format!("`{key}` is both an axis and a setting")).hint("leave one of them out"));
        }
    }
    let first_seed = first_seed(spec)?;
    let mut points = Vec::new();
    for axes in combinations(spec, first_seed)? {
        for &fraction in spec.fractions.values() {
            for trial in 1..=spec.trials {
                let turn = if spec.rotate_data { f64::from(trial - 1) / f64::from(spec.trials) } else { 0.0 };
                let seed = first_seed + u64::from(trial - 1);
                points.push(Point { axes: axes.clone(), fraction, offset: turn, trial, seed });
            }
        }
    }
    Ok(points)
}

fn first_seed(spec: &Spec) -> Result<u64, Failure> {
    match spec.settings().into_iter().find(|(key, _)| key == "seed") {
        None => Ok(0),
        Some((_, value)) => value.as_integer().and_then(|seed| u64::try_from(seed).ok()).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("seed is {value}, it must be a whole number from 0"))
        }),
    }
}

/// Values of the axes: of every combination, or of the points that are drawn.
fn combinations(spec: &Spec, seed: u64) -> Result<Vec<BTreeMap<String, Json>>, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let mut all = vec![BTreeMap::new()];
    for (key, axis) in &spec.axes {
        let values: Vec<Json> = match axis {
            Axis::Values(values) => values.iter().map(json).collect(),
            Axis::Drawn(_) if spec.sample.is_some() => continue,
            Axis::Drawn(distribution) => {
                return Err(usage(format!("axis `{key}` is {distribution}, which has no grid"))
                    .hint("say how many points to draw: --sample N"));
            }
        };
        if values.is_empty() {
            return Err(usage(format!("axis `{key}` has no values")));
        }
        if let Some(twice) =
            values.iter().enumerate().find_map(|(at, value)| values[..at].contains(value).then_some(value))
        {
            return Err(usage(format!("axis `{key}` lists {twice} twice")));
        }
        let with = |axes: &BTreeMap<String, Json>, value: &Json| {
            let mut axes = axes.clone();
            axes.insert(key.clone(), value.clone());
            axes
        };
        if spec.sample.is_none() {
            all = all.iter().flat_map(|axes| values.iter().map(move |value| with(axes, value))).collect();
        }
    }
    match spec.sample {
        Some(count) => sample(&spec.axes, count, seed),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::parse_axis;
    use crate::spec::parse_setting;

    fn spec(axes: &[&str], set: &[&str]) -> Spec {
        let mut spec = Spec { fractions: "0.5,1".parse().expect("good"), trials: 2, ..Spec::default() };
        spec.axes.extend(axes.iter().map(|axis| parse_axis(axis).expect("good")));
        spec.set.extend(set.iter().map(|setting| parse_setting(setting).expect("good")));
        spec
    }

    #[test]
    fn the_grid_is_a_product() {
        let points = points(&spec(&["model.width=16,32"], &["seed=10"])).expect("a good sweep");
        assert_eq!(points.len(), 8);
        assert_eq!((points[0].fraction, points[0].trial, points[0].seed), (0.5, 1, 10));
        assert_eq!(
            points[5].settings(),
            serde_json::from_str(
                r#"{"model.width": 32, "data.fraction": 0.5, "data.fraction_offset": 0.0, "seed": 11}"#
            )
            .expect("JSON")
        );
    }

    #[test]
    fn rotated_trials_share_the_circle() {
        let mut spec = spec(&[], &[]);
        (spec.rotate_data, spec.trials) = (true, 4);
        let offsets: Vec<_> = points(&spec).expect("good")[..4].iter().map(|point| point.offset).collect();
        assert_eq!(offsets, [0.0, 0.25, 0.5, 0.75]);
    }

    #[test]
    fn impossible_grids_say_why() {
        let check = |axes: &[&str], set: &[&str], message: &str| {
            assert_eq!(points(&spec(axes, set)).expect_err("refused").message, message);
        };
        check(&["data.fraction=0.1,0.2"], &[], "`data.fraction` is set by the sweep itself");
        check(&["seed=1,2"], &[], "`seed` is set by the sweep itself");
        check(&[], &["threads=4"], "`threads` is set by the sweep itself");
        check(&["model.width=16,16"], &[], "axis `model.width` lists 16 twice");
        check(&["model.width=[]"], &[], "axis `model.width` has no values");
        check(&["model.width=8"], &["model.width=16"], "`model.width` is both an axis and a setting");
        check(&["a.b=log(1,2)"], &[], "axis `a.b` is log(1,2), which has no grid");
        check(&[], &["seed=-1"], "seed is -1, it must be a whole number from 0");
    }
}

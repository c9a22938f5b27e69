//! The tasks of a step, as `examples/steps --record` writes them down.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// One pass: tasks that may run at the same time, each of which waits for all of the pass before. Times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) name: String,
    pub(crate) floats: u64,
    /// What one thread did alone since the pass before.
    pub(crate) alone: u64,
    pub(crate) tasks: Vec<u64>,
}

/// A step, cut for some number of workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) workers: usize,
    pub(crate) passes: Vec<Pass>,
    /// After the last pass.
    pub(crate) alone: u64,
}

impl Step {
    /// The step for each number of workers. Each time is the shortest of all recorded steps, because nothing but
    /// another program on the same processor makes a task longer.
    pub(crate) fn of_recordings(json: &Value) -> Result<Vec<Step>> {
        let recordings = json["recordings"].as_array().context("no recordings")?;
        recordings.iter().map(Self::of_recording).collect()
    }

    fn of_recording(json: &Value) -> Result<Step> {
        let workers = usize::try_from(number(&json["workers"])?)?;
        let steps = json["steps"].as_array().context("no steps")?;
        let steps = steps.iter().map(|step| Self::read(workers, step)).collect::<Result<Vec<_>>>()?;
        let mut steps = steps.into_iter();
        let first = steps.next().context("no step was recorded")?;
        steps.try_fold(first, Self::least)
    }

    fn read(workers: usize, json: &Value) -> Result<Step> {
        let passes = json["passes"].as_array().context("no passes")?;
        let pass = |pass: &Value| {
            let tasks = pass["task_nanoseconds"].as_array().context("no tasks")?;
            Ok(Pass {
                name: pass["name"].as_str().context("a pass without a name")?.to_owned(),
                floats: number(&pass["floats"])?,
                alone: number(&pass["alone_nanoseconds"])?,
                tasks: tasks.iter().map(number).collect::<Result<_>>()?,
            })
        };
        let passes = passes.iter().map(pass).collect::<Result<_>>()?;
        Ok(Step { workers, passes, alone: number(&json["alone_nanoseconds"])? })
    }

    /// The shorter of each two times.
    fn least(mut self, other: Step) -> Result<Step> {
        ensure!(self.passes.len() == other.passes.len(), "two steps have different passes");
        for (one, other) in self.passes.iter_mut().zip(other.passes) {
            let same =
                (&one.name, one.floats, one.tasks.len()) == (&other.name, other.floats, other.tasks.len());
            ensure!(same, "two steps have different passes: {}, {}", one.name, other.name);
            one.alone = one.alone.min(other.alone);
            one.tasks.iter_mut().zip(other.tasks).for_each(|(one, other)| *one = (*one).min(other));
        }
        self.alone = self.alone.min(other.alone);
        Ok(self)
    }

    /// On one thread, without what threads cost.
    pub(crate) fn total(&self) -> u64 {
        self.alone + self.passes.iter().map(|pass| pass.alone + pass.tasks.iter().sum::<u64>()).sum::<u64>()
    }
}

fn number(json: &Value) -> Result<u64> {
    json.as_u64().with_context(|| format!("{json} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(alone: u64, tasks: &[u64]) -> Value {
        let pass =
            json!({ "name": "pool", "floats": 9, "alone_nanoseconds": alone, "task_nanoseconds": tasks });
        json!({ "passes": [pass], "alone_nanoseconds": 7 })
    }

    fn recorded(steps: &[Value]) -> Result<Vec<Step>> {
        Step::of_recordings(&json!({ "recordings": [{ "workers": 4, "steps": steps }] }))
    }

    #[test]
    fn the_shortest_of_each_time_counts() {
        let steps = recorded(&[step(5, &[10, 40]), step(6, &[20, 30])]).expect("two steps");
        let pass = Pass { name: "pool".to_owned(), floats: 9, alone: 5, tasks: vec![10, 30] };
        assert_eq!(steps, [Step { workers: 4, passes: vec![pass], alone: 7 }]);
        assert_eq!(steps[0].total(), 5 + 10 + 30 + 7);
    }

    #[test]
    fn steps_of_different_tasks_are_refused() {
        let refused = |steps: &[Value], part: &str| {
            let error = recorded(steps).expect_err("must be refused");
            assert!(format!("{error:#}").contains(part), "{error:#}");
        };
        refused(&[step(5, &[10]), step(5, &[10, 10])], "different passes");
        refused(&[], "no step was recorded");
        refused(&[json!({ "passes": [{ "floats": 1 }] })], "no tasks");
    }
}

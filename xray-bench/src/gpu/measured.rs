//! What processes on a GPU said, line by line.

use super::side::{Group, Pass, Side};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use xray_artifacts::Exit;
use xray_workspace::watch::Ending;

/// What came of a process.
pub(super) struct Found {
    /// Also of one that failed later.
    pub(super) lines: Vec<Value>,
    /// Why there are no more.
    pub(super) trouble: Option<String>,
    /// Whether it cannot run here at all: a precision or a backend that this device or this version does not have.
    pub(super) is_absent: bool,
}

impl Found {
    pub(super) fn new(ending: &Ending, limit: Duration) -> Self {
        let lines = ending.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let exit = ending.status.code().and_then(|code| u8::try_from(code).ok()).and_then(Exit::from_code);
        let is_absent = matches!(exit, Some(Exit::Usage | Exit::CannotRunHere));
        Found { lines, trouble: super::trouble(ending, limit), is_absent }
    }
}

/// A pass of a network on a side, in a round.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) model: &'static str,
    pub(super) round: usize,
    pub(super) side: Side,
    pub(super) pass: Pass,
    pub(super) images_per_second: f64,
    /// From the program's start until its first step was done; ours only.
    pub(super) first_step_seconds: Option<f64>,
    /// Highest use of the GPU's memory while it ran, minus the use before.
    pub(super) gpu_memory_mib: Option<f64>,
    /// As ours calls it.
    pub(super) device: Option<String>,
    pub(super) versions: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub(super) began: f64,
    pub(super) ended: f64,
}

impl Measured {
    /// None of a line without a rate.
    pub(super) fn new(line: &Value, model: &'static str, round: usize, group: Group) -> Option<Self> {
        let pass = Pass::ALL.into_iter().find(|pass| line["pass"] == pass.name())?;
        let side = Side::of(group, line["setting"].as_str())?;
        let images_per_second = line["images_per_second"].as_f64().filter(|rate| *rate > 0.0)?;
        let versions = line["versions"].as_object().into_iter().flatten();
        Some(Measured {
            model,
            round,
            side,
            pass,
            images_per_second,
            first_step_seconds: line["first_step_seconds"].as_f64(),
            gpu_memory_mib: None,
            device: line["device"].as_str().map(str::to_owned),
            versions: versions.filter_map(|(name, v)| Some((name.clone(), v.as_str()?.to_owned()))).collect(),
            began: line["began"].as_f64().unwrap_or(0.0),
            ended: line["ended"].as_f64().unwrap_or(0.0),
        })
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "model": self.model,
            "round": self.round,
            "side": self.side.name(),
            "pass": self.pass.name(),
            "images_per_second": self.images_per_second,
            "first_step_seconds": self.first_step_seconds,
            "gpu_memory_mib": self.gpu_memory_mib,
        })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}, {}: {:.1} images/s",
            self.pass.name(),
            self.model,
            self.side.name(),
            self.images_per_second
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use xray_workspace::watch::watch;

    /// What is found of a script that is ended after half a second.
    fn found(script: &str) -> Found {
        let limit = Duration::from_millis(500);
        let ending = watch(Command::new("sh").args(["-c", script]), "sh", limit).expect("a shell starts");
        Found::new(&ending, limit)
    }

    #[test]
    fn lines_before_a_failure_count() {
        let found = found("echo compiling; echo '{\"pass\": \"train\"}'; echo 'error: lost' >&2; exit 1");
        assert_eq!(found.lines, [json!({ "pass": "train" })]);
        assert_eq!((found.trouble.as_deref(), found.is_absent), (Some("lost"), false));
    }

    #[test]
    fn one_that_takes_too_long_is_ended_and_one_that_cannot_run_here_is_absent() {
        let slow = found("echo '{\"pass\": \"train\"}'; exec sleep 60");
        assert_eq!((slow.lines.len(), slow.is_absent), (1, false));
        assert!(slow.trouble.is_some_and(|trouble| trouble.starts_with("ended after ")));
        assert!(found("exit 78").is_absent && found("exit 2").is_absent);
        assert_eq!(found("true").trouble, None);
    }

    #[test]
    fn a_line_needs_a_pass_a_rate_and_a_side() {
        let line = json!({ "pass": "infer", "setting": "autocast", "images_per_second": 7.5, "versions": { "torch": "2" } });
        let measured = Measured::new(&line, "small-cnn", 1, Group::Torch).expect("whole");
        assert_eq!(
            (measured.side, measured.pass, measured.images_per_second),
            (Side::TorchAutocast, Pass::Infer, 7.5)
        );
        for (key, value) in
            [("pass", json!("both")), ("setting", json!("fast")), ("images_per_second", json!(0.0))]
        {
            let mut wrong = line.clone();
            wrong[key] = value;
            assert!(Measured::new(&wrong, "small-cnn", 1, Group::Torch).is_none(), "{wrong}");
        }
    }
}

//! A program that does a task and says how fast it was: ours or another one.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use xray_workspace::steps::{self, command};

/// Variables of a process.
pub(crate) type Environment = &'static [(&'static str, &'static str)];

/// Whose allocator gives big blocks back at once loses time to page faults, which says nothing about the work: these
/// keep the blocks (glibc 2.35 or newer; elsewhere unknown and without effect).
pub(crate) const TUNED_MALLOC: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592:glibc.malloc.hugetlb=1",
);

/// One command and where its figures stand in the JSON that it prints.
#[derive(Clone, Debug)]
pub(crate) struct Competitor {
    pub(crate) name: String,
    pub(crate) command: Vec<OsString>,
    pub(crate) environment: Environment,
    /// JSON pointer to the rate, such as `/load/images_per_second`.
    pub(crate) rate: &'static str,
    /// JSON pointers to its processes' peaks in MiB, where they are said.
    pub(crate) peaks: &'static [&'static str],
}

/// What one run of a competitor said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    /// Higher is better.
    pub(crate) rate: f64,
    /// Highest resident memory of all its processes together, in MiB.
    pub(crate) peak_mib: Option<f64>,
    /// Arithmetic, and the most that this machine does of it, in GFLOP/s, where it is said.
    pub(crate) arithmetic: Option<(f64, f64)>,
    /// What a step asks of a device, where it is said.
    pub(crate) work: Option<Work>,
    /// What it ran on, where it is said.
    pub(crate) device: Option<String>,
    /// Versions of what it is made of.
    pub(crate) versions: BTreeMap<String, String>,
}

/// What a step asks of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) launches: u64,
    pub(crate) work_groups: u64,
    pub(crate) multiply_adds: u64,
    /// That memory must at least move.
    pub(crate) bytes: u64,
}

impl Work {
    fn of(json: &Value) -> Option<Work> {
        let number = |name: &str| json[name].as_u64();
        Some(Work {
            launches: number("launches")?,
            work_groups: number("work_groups")?,
            multiply_adds: number("multiply_adds")?,
            bytes: number("bytes")?,
        })
    }

    pub(crate) fn json(self) -> Value {
        let Work { launches, work_groups, multiply_adds, bytes } = self;
        json!({ "launches": launches, "work_groups": work_groups, "multiply_adds": multiply_adds, "bytes": bytes })
    }
}

impl Competitor {
    /// Runs it once in a process of its own.
    pub(crate) fn run(&self) -> Result<Reading> {
        let (program, arguments) = self.command.split_first().context("an empty command")?;
        let mut command = command(program);
        command.args(arguments).env_remove(TUNED_MALLOC.0).envs(self.environment.iter().copied());
        let printed = steps::output(&mut command)?;
        self.read(&printed).with_context(|| format!("{} of {}", self.name, steps::line(&command)))
    }

    fn read(&self, printed: &str) -> Result<Reading> {
        let json = json_of(printed)?;
        let number = |pointer: &str| json.pointer(pointer).and_then(Value::as_f64);
        let rate = number(self.rate).filter(|rate| rate.is_finite() && *rate > 0.0);
        let Some(rate) = rate else { bail!("no rate at {} of {json}", self.rate) };
        let peaks: Vec<_> = self.peaks.iter().filter_map(|pointer| number(pointer)).collect();
        let peak_mib = (!peaks.is_empty()).then(|| peaks.iter().sum());
        let arithmetic = number("/gigaflops").zip(number("/peak_gigaflops"));
        let versions = json["versions"].as_object().into_iter().flatten();
        let versions =
            versions.filter_map(|(name, v)| Some((name.clone(), v.as_str()?.to_owned()))).collect();
        let (work, device) = (Work::of(&json["work"]), json["device"].as_str().map(str::to_owned));
        Ok(Reading { rate, peak_mib, arithmetic, work, device, versions })
    }
}

/// All of the output, or its last line when others come before.
fn json_of(printed: &str) -> Result<Value> {
    let last = printed.trim_end().lines().last().unwrap_or_default();
    serde_json::from_str(printed).or_else(|_| serde_json::from_str(last)).context("its output is not JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn competitor() -> Competitor {
        Competitor {
            name: "peer".to_owned(),
            command: vec!["cargo".into()],
            environment: &[],
            rate: "/img_per_s",
            peaks: &["/peak_rss_mb", "/workers_peak_rss_mb"],
        }
    }

    #[test]
    fn figures_are_read_from_the_last_line() {
        let printed = "tf.data: 635.9 img/s\n{\"img_per_s\": 635.9, \"peak_rss_mb\": 747.5, \
                       \"versions\": {\"numpy\": \"2.4.6\"}}\n";
        let reading = competitor().read(printed).expect("figures");
        assert_eq!(reading.rate, 635.9);
        assert_eq!(reading.peak_mib, Some(747.5));
        assert_eq!(reading.versions["numpy"], "2.4.6");
        assert_eq!(reading.arithmetic, None);
    }

    #[test]
    fn arithmetic_is_read_where_it_is_said() {
        let printed = "{\"img_per_s\": 1, \"gigaflops\": 200.5, \"peak_gigaflops\": 307}";
        let reading = competitor().read(printed).expect("figures");
        assert_eq!(reading.arithmetic, Some((200.5, 307.0)));
    }

    #[test]
    fn what_a_step_asks_of_a_device_is_read_where_all_of_it_is_said() {
        let work = |work: &str| {
            let printed = format!("{{\"img_per_s\": 1, \"device\": \"a GPU\", \"work\": {work}}}");
            competitor().read(&printed).expect("figures").work
        };
        let whole = r#"{"launches": 38, "work_groups": 9000, "multiply_adds": 7, "bytes": 8}"#;
        assert_eq!(work(whole), Some(Work { launches: 38, work_groups: 9000, multiply_adds: 7, bytes: 8 }));
        assert_eq!(work(r#"{"launches": 38}"#), None);
        assert_eq!(work("null"), None);
    }

    #[test]
    fn figures_are_read_from_json_of_many_lines_and_the_memory_of_workers_is_added() {
        let printed =
            "{\n  \"img_per_s\": 1.5,\n  \"peak_rss_mb\": 100,\n  \"workers_peak_rss_mb\": 20.5\n}\n";
        let reading = competitor().read(printed).expect("figures");
        assert_eq!((reading.rate, reading.peak_mib), (1.5, Some(120.5)));
    }

    #[test]
    fn a_rate_that_is_absent_or_no_rate_is_an_error() {
        let refused = |printed: &str, part: &str| {
            let error = competitor().read(printed).expect_err("must be refused");
            assert!(format!("{error:#}").contains(part), "{error:#}");
        };
        refused("", "its output is not JSON");
        refused("{\"images\": 3}", "no rate at /img_per_s");
        refused("{\"img_per_s\": 0}", "no rate at /img_per_s");
        refused("{\"img_per_s\": null}", "no rate at /img_per_s");
    }
}

//! The figures as a table to read and as JSON to compare later.

use crate::competitor::Reading;
use crate::contest::{Outcome, Round};
use crate::machine::Machine;
use crate::spread::Spread;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) title: &'static str,
    /// What was typed.
    pub(crate) command: &'static str,
    pub(crate) machine: Machine,
    /// On what it was measured: sentences without their full stops.
    pub(crate) notes: Vec<String>,
    pub(crate) outcomes: Vec<Outcome>,
    /// What the columns mean.
    pub(crate) method: &'static str,
    /// Figures that are not a contest.
    pub(crate) table: Option<Table>,
}

/// Rows to read, and the same as JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    /// Of the JSON.
    pub(crate) name: &'static str,
    pub(crate) head: Vec<&'static str>,
    pub(crate) rows: Vec<(Vec<String>, Value)>,
}

impl Table {
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let head = [format!("| {} |", self.head.join(" | ")), format!("|{}", "---|".repeat(self.head.len()))];
        head.into_iter().chain(self.rows.iter().map(|(row, _)| format!("| {} |", row.join(" | "))))
    }
}

impl Report {
    /// Writes `NAME.md` and `NAME.json` into a folder.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Result<()> {
        write(folder, name, &self.markdown(), &self.json())
    }

    /// Tables, and how they came about.
    pub(crate) fn markdown(&self) -> String {
        let Machine { date, commit, .. } = &self.machine;
        let mut lines = vec![
            format!("# {}", self.title),
            String::new(),
            format!("`{}`, {date}, commit {commit}.", self.command),
            String::new(),
            format!("Machine: {}.", self.machine.sentence()),
        ];
        lines.extend(self.notes.iter().map(|note| format!("{note}.")));
        lines.extend([format!("Versions: {}.", self.versions()), String::new()]);
        let with_arithmetic = self.outcomes.iter().any(|outcome| outcome.our_arithmetic().is_some());
        lines.extend(head(with_arithmetic));
        lines.extend(self.outcomes.iter().map(|outcome| row(outcome, with_arithmetic)));
        lines.extend([String::new(), self.method.to_owned()]);
        if let Some(table) = &self.table {
            lines.push(String::new());
            lines.extend(table.lines());
        }
        lines.join("\n") + "\n"
    }

    fn versions(&self) -> String {
        let rounds = self.outcomes.iter().flat_map(|outcome| &outcome.rounds);
        let readings = rounds.flat_map(|round| [Some(&round.ours), round.theirs.as_ref()]).flatten();
        let versions: BTreeMap<_, _> = readings.flat_map(|reading| &reading.versions).collect();
        versions.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
    }

    fn json(&self) -> Value {
        let mut json = json!({
            "format": 2,
            "machine": self.machine.json(),
            "notes": self.notes,
            "versions": self.versions(),
            "contests": self.outcomes.iter().map(outcome_json).collect::<Vec<_>>(),
        });
        if let Some(Table { name, rows, .. }) = &self.table {
            json[name] = rows.iter().map(|(_, row)| row.clone()).collect();
        }
        json
    }
}

/// Writes `NAME.md` and `NAME.json` into a folder.
pub(crate) fn write(folder: &Path, name: &str, markdown: &str, json: &Value) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (extension, text) in [("md", markdown), ("json", &format!("{json:#}\n"))] {
        let path = folder.join(name).with_extension(extension);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

fn head(with_arithmetic: bool) -> [String; 2] {
    let mut names = vec!["task", "threads", "ours", "against", "theirs", "ours / theirs"];
    names.push("peak MiB, ours / theirs");
    if with_arithmetic {
        names.push("GFLOP/s of ours, share of the peak");
    }
    [format!("| {} |", names.join(" | ")), format!("|{}", "---|".repeat(names.len()))]
}

fn row(outcome: &Outcome, with_arithmetic: bool) -> String {
    let contest = &outcome.contest;
    let rate = |spread: Option<Spread>| {
        spread.map_or("–".to_owned(), |spread| format!("{spread} {}", contest.unit))
    };
    let against = contest.theirs.as_ref().map_or("–", |theirs| &theirs.name);
    let ratio = outcome.ratio().map_or("–".to_owned(), Spread::as_ratio);
    let mib = |peak: Option<f64>| peak.map_or("–".to_owned(), |peak| format!("{peak:.0}"));
    let peaks = format!("{} / {}", mib(outcome.our_peak()), mib(outcome.their_peak()));
    let (ours, theirs) = (rate(outcome.ours()), rate(outcome.theirs()));
    let arithmetic = outcome.our_arithmetic().map_or(" – |".to_owned(), |(speed, peak)| {
        format!(" {speed:.0} of {peak:.0}, {:.0} % |", 100.0 * speed / peak)
    });
    format!(
        "| {} | {} | {ours} | {against} | {theirs} | {ratio} | {peaks} |{}",
        contest.task,
        contest.threads,
        if with_arithmetic { &arithmetic } else { "" }
    )
}

fn outcome_json(outcome: &Outcome) -> Value {
    let contest = &outcome.contest;
    json!({
        "task": contest.task,
        "unit": contest.unit,
        "threads": contest.threads,
        "against": contest.theirs.as_ref().map(|theirs| &theirs.name),
        "ours": outcome.ours().map(Spread::json),
        "theirs": outcome.theirs().map(Spread::json),
        "ratio": outcome.ratio().map(Spread::json),
        "rounds": outcome.rounds.iter().map(round_json).collect::<Vec<_>>(),
    })
}

fn round_json(round: &Round) -> Value {
    let side = |reading: &Reading| {
        let speed = reading.arithmetic.map(|(speed, _)| speed);
        json!({ "rate": reading.rate, "peak_mib": reading.peak_mib, "gigaflops": speed })
    };
    json!({ "ours": side(&round.ours), "theirs": round.theirs.as_ref().map(side) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::competitor::Competitor;
    use crate::contest::Contest;

    fn reading(rate: f64, peak_mib: Option<f64>, library: (&str, &str)) -> Reading {
        let versions = [(library.0.to_owned(), library.1.to_owned())].into();
        Reading { rate, peak_mib, arithmetic: None, work: None, device: None, versions }
    }

    fn outcome(theirs: Option<[f64; 3]>) -> Outcome {
        let competitor = |name: &str| Competitor {
            name: name.to_owned(),
            command: Vec::new(),
            environment: &[],
            rate: "",
            peaks: &[],
        };
        let ours = [300.0, 200.0, 400.0];
        let rounds = (0..3).map(|i| Round {
            ours: reading(ours[i], Some(40.0 + i as f64), ("xray-data", "0.1.0")),
            theirs: theirs.map(|rates| reading(rates[i], None, ("numpy", "2.4.6"))),
        });
        Outcome {
            contest: Contest {
                task: "load".to_owned(),
                unit: "images/s",
                threads: 2,
                ours: competitor("ours"),
                theirs: theirs.map(|_| competitor("tf.data")),
            },
            rounds: rounds.collect(),
        }
    }

    #[test]
    fn a_row_holds_both_sides_and_the_ratio_of_each_round() {
        assert_eq!(
            row(&outcome(Some([150.0, 50.0, 100.0])), false),
            "| load | 2 | 300 (200–400) images/s | tf.data | 100 (50–150) images/s \
             | 4.00× (2.00–4.00) | 42 / – |"
        );
        let alone = "| load | 2 | 300 (200–400) images/s | – | – | – | 42 / – |";
        assert_eq!(row(&outcome(None), false), alone);
        assert_eq!(row(&outcome(None), true), format!("{alone} – |"));
    }

    #[test]
    fn arithmetic_is_the_median_of_the_rounds_beside_the_peak() {
        let mut outcome = outcome(None);
        for (round, speed) in outcome.rounds.iter_mut().zip([150.0, 100.0, 170.0]) {
            round.ours.arithmetic = Some((speed, 300.0));
        }
        assert!(row(&outcome, true).ends_with("| 42 / – | 150 of 300, 50 % |"), "{}", row(&outcome, true));
        assert_eq!(head(true).map(|line| line.matches('|').count()), [9, 9]);
    }

    #[test]
    fn a_report_is_written_twice() {
        let machine = Machine {
            cpu: "a CPU".to_owned(),
            cores: 1,
            memory_gib: None,
            system: "Linux".to_owned(),
            date: "2026-01-02".to_owned(),
            commit: "abc".to_owned(),
        };
        let row = (vec!["load".to_owned(), "45 MiB".to_owned()], json!({ "peak_mib": 44.6 }));
        let table = Some(Table { name: "memory", head: vec!["task", "peak memory"], rows: vec![row] });
        let outcomes = vec![outcome(Some([150.0, 50.0, 100.0]))];
        let report = Report {
            title: "Loading",
            command: "bench",
            machine,
            notes: vec!["Shards: 768 px".to_owned()],
            outcomes,
            method: "In turn.",
            table,
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        report.write(&folder.path().join("new"), "data").expect("writable");

        let read = |name: &str| fs::read_to_string(folder.path().join("new").join(name)).expect("written");
        let markdown = read("data.md");
        for line in [
            "Machine: a CPU, 1 core, Linux.",
            "Shards: 768 px.",
            "In turn.",
            "Versions: numpy 2.4.6, xray-data 0.1.0.",
            "| task | peak memory |",
            "|---|---|",
            "| load | 45 MiB |",
        ] {
            assert!(markdown.lines().any(|found| found == line), "{line} in\n{markdown}");
        }
        let json: Value = serde_json::from_str(&read("data.json")).expect("JSON");
        assert_eq!(json["contests"][0]["ratio"]["median"], 4.0);
        assert_eq!(
            json["contests"][0]["rounds"][1]["theirs"],
            json!({ "rate": 50.0, "peak_mib": null, "gigaflops": null })
        );
        assert_eq!(json["memory"][0]["peak_mib"], 44.6);
    }
}

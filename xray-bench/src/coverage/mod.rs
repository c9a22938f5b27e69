//! `cargo xtask bench coverage`: whether intervals and p-values hold what they promise, on simulated data whose truth is
//! known.

mod labels;
mod learning_curve;
mod macros;
mod models;
mod simulation;

use crate::machine::Machine;
use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::path::PathBuf;
use xray_workspace::steps;

/// Measure how often 95 % intervals hold the truth and how often equal models differ: results/benchmarks/coverage.md
///
/// Every simulation is seeded: the same program writes the same figures. The whole takes minutes.
#[derive(Debug, Args)]
pub(crate) struct CoverageArguments {
    /// A twentieth of the simulations, in seconds
    #[arg(long)]
    short: bool,

    /// Seed of the simulations
    #[arg(long, default_value = "0")]
    seed: u64,

    /// Folder for coverage.md
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

/// How much is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Simulated data sets per row of a table.
    pub(crate) simulations: usize,
    /// One row of so many is simulated.
    pub(crate) one_in: usize,
    pub(crate) seed: u64,
}

impl Scale {
    pub(crate) fn thinned<Row>(self, rows: Vec<Row>) -> Vec<Row> {
        rows.into_iter().step_by(self.one_in).collect()
    }
}

/// A table and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// What is simulated and what the columns mean.
    pub(crate) text: String,
    pub(crate) head: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    /// Every share that is promised, with what was found.
    pub(crate) promises: Vec<Promise>,
}

/// A share that may not leave its bounds.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) what: String,
    pub(crate) found: Share,
    /// Least and most.
    pub(crate) bounds: [f64; 2],
}

/// How often something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Share {
    pub(crate) times: usize,
    pub(crate) of: usize,
}

impl Share {
    pub(crate) fn count(&mut self, happened: bool) {
        self.times += usize::from(happened);
        self.of += 1;
    }

    /// NaN of nothing.
    pub(crate) fn value(self) -> f64 {
        self.times as f64 / self.of as f64
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.of == 0 { f.write_str("–") } else { write!(f, "{:.3}", self.value()) }
    }
}

impl Promise {
    /// Whether what was found could come from a share within the bounds: within so many standard errors of them.
    fn kept(&self, standard_errors: f64) -> bool {
        let [least, most] = self.bounds;
        let spread = |share: f64| standard_errors * (share * (1.0 - share) / self.found.of as f64).sqrt();
        let found = self.found.value();
        self.found.of == 0 || (found >= least - spread(least) && found <= most + spread(most))
    }
}

impl Section {
    fn markdown(&self) -> String {
        let head = [format!("| {} |", self.head.join(" | ")), format!("|{}", "---|".repeat(self.head.len()))];
        let rows = self.rows.iter().map(|row| format!("| {} |", row.join(" | ")));
        let table = head.into_iter().chain(rows).collect::<Vec<_>>().join("\n");
        let broken: Vec<_> = self.promises.iter().filter(|promise| !promise.kept(0.0)).collect();
        let kept =
            format!("{} of {} promises are kept.", self.promises.len() - broken.len(), self.promises.len());
        let broken: String = broken
            .iter()
            .map(|Promise { what, found, bounds: [least, most] }| {
                format!("\n- {what}: {found}, promised {least} to {most}")
            })
            .collect();
        format!("## {}\n\n{}\n\n{table}\n\n{kept}{broken}\n", self.title, self.text)
    }
}

fn sections(scale: Scale) -> Vec<Section> {
    let mut sections = vec![labels::intervals(scale), labels::shapes(scale), macros::intervals(scale)];
    sections.extend([models::equal(scale), models::different(scale)]);
    sections.extend(learning_curve::sections(scale));
    sections
}

/// Simulates, prints, writes.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &CoverageArguments) -> Result<()> {
    let simulations = if arguments.short { 200 } else { 4000 };
    let scale = Scale { simulations, one_in: 1, seed: arguments.seed };
    let machine = Machine::here();
    let body: Vec<_> = sections(scale).iter().map(Section::markdown).collect();
    let text = format!(
        "# Coverage\n\n`cargo xtask bench coverage`, {simulations} simulations a row, seed {}, {}, commit {}.\n\n{}",
        scale.seed,
        machine.date,
        machine.commit,
        body.join("\n"),
    );
    print!("{text}");
    let out = steps::root().join(&arguments.out);
    fs::create_dir_all(&out)?;
    fs::write(out.join("coverage.md"), text).context("cannot write coverage.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few rows, few simulations and wide bounds: four standard errors.
    #[test]
    fn what_is_promised_holds_in_a_short_simulation() {
        let promises = sections(Scale { simulations: 250, one_in: 7, seed: 1 })
            .into_iter()
            .flat_map(|section| section.promises);
        let broken: Vec<_> = promises.filter(|promise| !promise.kept(4.0)).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }

    #[test]
    fn a_promise_bends_by_chance_only() {
        let check = |times, of, bounds, expected| {
            let promise = Promise { what: String::new(), found: Share { times, of }, bounds };
            assert_eq!(promise.kept(3.0), expected, "{times} of {of}");
        };
        check(90, 100, [0.93, 1.0], true);
        check(80, 100, [0.93, 1.0], false);
        check(9, 100, [0.0, 0.06], true);
        check(20, 100, [0.0, 0.06], false);
        check(0, 0, [0.93, 1.0], true);
    }
}

//! What was measured on a GPU as tables to read and as JSON, and what was not.

use super::measured::Measured;
use super::side::{Class, Pass, Side};
use super::{CASES, tiles};
use crate::machine::Machine;
use crate::report::Table;
use crate::spread::Spread;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use xray_display::DASH;

/// Everything.
pub(super) struct GpuReport {
    pub(super) machine: Machine,
    pub(super) is_short: bool,
    pub(super) measured: Vec<Measured>,
    pub(super) tiles: Vec<tiles::Shape>,
    /// What was not measured, and why.
    pub(super) unseen: Vec<String>,
    pub(super) took: Duration,
}

const METHOD: &str = "\
Images of one channel, 14 findings. Median of the rounds (lowest–highest where there are several). A round is one process
of ours for each precision, one with burn's own operations, and one of PyTorch with every setting, one after the other; a
ratio is taken within its round. A process makes some steps, then measures blocks of five and gives the median; at the end
of a block the device is waited for, in it not. A training step copies a batch from memory, then forward, binary
cross-entropy, backward and Adam; inference copies a batch and reads the logits. Burn's own operations are measured step by
step, twice. PyTorch chooses its algorithms by trial (`cudnn.benchmark`).

Ours rounds the factors of products to the precision and keeps float32 for weights, statistics and sums. PyTorch's TF32 is
what it does as it comes: factors of convolutions are rounded to ten bits. Its autocast keeps maps in bfloat16, too. A ratio
stands within a class: float32 against float32, TF32 against the faster of two layouts, 16 bits against autocast; `fastest`
is the fastest of ours against the fastest of PyTorch's. Memory is the GPU's, as nvidia-smi tells it, minus the use
before; a process's context is in it. A process trains first and infers then. The start to the first step is that of
a training: from the program's first line until the first loss is read, kernels compiled on the way.";

impl GpuReport {
    pub(super) fn markdown(&self) -> String {
        let Machine { date, commit, .. } = &self.machine;
        let form = if self.is_short { " --short" } else { "" };
        let rounds = self.measured.iter().map(|measured| measured.round).max().unwrap_or(0);
        let mut lines = vec![
            "# On a GPU".to_owned(),
            String::new(),
            format!(
                "`cargo xtask bench gpu{form}`, {date}, commit {commit}, rounds: {rounds}, {} s.",
                self.took.as_secs()
            ),
            String::new(),
            format!(
                "Machine: {}. GPU: {}. Versions: {}.",
                self.machine.sentence(),
                self.device(),
                self.versions()
            ),
        ];
        for pass in Pass::ALL {
            let title = if pass == Pass::Train { "Training" } else { "Inference" };
            lines.extend([String::new(), format!("## {title}, images/s"), String::new()]);
            lines.extend(
                self.table(pass, |all| Spread::of(all.iter().map(|one| one.images_per_second))).lines(),
            );
        }
        let ratios = self.ratios();
        if !ratios.rows.is_empty() {
            lines.extend([String::new(), "## Ours / PyTorch's".to_owned(), String::new()]);
            lines.extend(ratios.lines());
        }
        if self.measured.iter().any(|one| one.gpu_memory_mib.is_some()) {
            lines.extend([String::new(), "## Memory of the GPU in training, MiB".to_owned(), String::new()]);
            let memory = |all: &[&Measured]| Spread::of(all.iter().filter_map(|one| one.gpu_memory_mib));
            lines.extend(self.table(Pass::Train, memory).lines());
        }
        lines.extend([String::new(), "## Start to first step".to_owned(), String::new(), self.first_steps()]);
        if !self.tiles.is_empty() {
            lines.extend([String::new(), "## Tiles".to_owned(), String::new()]);
            lines.extend(tiles::table(&self.tiles).lines());
        }
        lines.extend([String::new(), "## What was not seen".to_owned(), String::new()]);
        match self.unseen.as_slice() {
            [] => lines.push("Nothing is missing.".to_owned()),
            unseen => lines.extend(unseen.iter().map(|what| format!("- {what}"))),
        }
        lines.extend([String::new(), METHOD.to_owned()]);
        lines.join("\n") + "\n"
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "format": 3,
            "machine": self.machine.json(),
            "device": self.device(),
            "versions": self.versions(),
            "seconds": self.took.as_secs_f64(),
            "measured": self.measured.iter().map(Measured::json).collect::<Vec<_>>(),
            "tiles": tiles::table(&self.tiles).rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>(),
            "unseen": self.unseen,
        })
    }

    fn device(&self) -> String {
        let devices: BTreeSet<_> =
            self.measured.iter().filter_map(|measured| measured.device.clone()).collect();
        if devices.is_empty() {
            "unknown".to_owned()
        } else {
            devices.into_iter().collect::<Vec<_>>().join("; ")
        }
    }

    fn versions(&self) -> String {
        let versions: BTreeMap<_, _> = self.measured.iter().flat_map(|measured| &measured.versions).collect();
        versions.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
    }

    fn of(&self, model: &str, pass: Pass, side: Side) -> Vec<&Measured> {
        let is_it = |one: &&Measured| one.model == model && one.pass == pass && one.side == side;
        self.measured.iter().filter(is_it).collect()
    }

    /// A row for each network, a column for each side that was measured at all.
    fn table(&self, pass: Pass, figure: impl Fn(&[&Measured]) -> Option<Spread>) -> Table {
        let is_seen = |side: &Side| self.measured.iter().any(|one| one.side == *side);
        let sides: Vec<Side> = Side::ALL.into_iter().filter(is_seen).collect();
        let row = |&(model, size, batch): &(&str, &str, &str)| {
            let cell = |&side: &Side| figure(&self.of(model, pass, side)).map_or(DASH.to_owned(), short);
            let name = format!("{model} {size} px, batch {batch}");
            (std::iter::once(name).chain(sides.iter().map(cell)).collect(), Value::Null)
        };
        let is_measured = |case: &&(&str, &str, &str)| self.measured.iter().any(|one| one.model == case.0);
        let head = std::iter::once("network").chain(sides.iter().map(|side| side.name())).collect();
        Table { name: "sides", head, rows: CASES.iter().filter(is_measured).map(row).collect() }
    }

    /// A row for each pass of a network, a column for each class.
    fn ratios(&self) -> Table {
        let mut rows = Vec::new();
        for pass in Pass::ALL {
            for (model, ..) in CASES {
                let within =
                    |class: Option<Class>| self.ratio(model, pass, class).map_or(DASH.to_owned(), ratio);
                let ratios: Vec<_> = Class::ALL.into_iter().map(Some).chain([None]).map(within).collect();
                if ratios.iter().any(|ratio| ratio != DASH) {
                    rows.push((
                        [vec![pass.name().to_owned(), model.to_owned()], ratios].concat(),
                        Value::Null,
                    ));
                }
            }
        }
        let head =
            ["pass", "network"].into_iter().chain(Class::ALL.map(Class::name)).chain(["fastest"]).collect();
        Table { name: "ratios", head, rows }
    }

    /// The fastest of ours by the fastest of PyTorch's, of a class or of all, round by round.
    fn ratio(&self, model: &str, pass: Pass, class: Option<Class>) -> Option<Spread> {
        let of_it = |one: &&Measured| {
            one.model == model && one.pass == pass && class.is_none_or(|class| one.side.class() == class)
        };
        let fastest = |round: usize, is_wanted: fn(Side) -> bool| {
            let all =
                self.measured.iter().filter(of_it).filter(|one| one.round == round && is_wanted(one.side));
            all.map(|one| one.images_per_second).max_by(f64::total_cmp)
        };
        let rounds: BTreeSet<_> = self.measured.iter().map(|one| one.round).collect();
        let pair = |round: usize| Some((fastest(round, Side::is_ours)?, fastest(round, Side::is_torch)?));
        Spread::of_ratios(rounds.into_iter().filter_map(pair))
    }

    /// The longest of each network.
    fn first_steps(&self) -> String {
        let of = |model: &str| {
            let trained = self.measured.iter().filter(|one| one.model == model && one.pass == Pass::Train);
            let first = trained.filter(|one| one.side.is_ours()).filter_map(|one| one.first_step_seconds);
            Some(format!("{model} {:.1} s", first.max_by(f64::total_cmp)?))
        };
        let all: Vec<_> = CASES.iter().filter_map(|(model, ..)| of(model)).collect();
        if all.is_empty() {
            DASH.to_owned()
        } else {
            format!("{}: the longest of all precisions.", all.join(", "))
        }
    }
}

/// One figure where there was one round.
fn short(spread: Spread) -> String {
    let text = spread.to_string();
    let alone = spread.lowest == spread.highest;
    text.split_once(" (").filter(|_| alone).map_or(text.clone(), |(median, _)| median.to_owned())
}

/// As of several rounds, or alone.
fn ratio(spread: Spread) -> String {
    if spread.lowest == spread.highest { format!("{:.2}×", spread.median) } else { spread.as_ratio() }
}

//! One planned run: a place in the grid, what decides its numbers, and what it asks of a machine. Cells are
//! the lines of `cells.jsonl`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use xray_artifacts::Versioned;

/// A planned run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The format of this line.
    pub format: u32,
    /// Hash of configuration, data and code: the first 16 hexadecimal digits of a blake3.
    pub id: String,
    /// Share of the training records.
    pub fraction: f64,
    /// Where that share begins.
    pub fraction_offset: f64,
    /// Number of the trial, from 1.
    pub trial: u32,
    /// Its seed.
    pub seed: u64,
    /// Values of the sweep's other axes, by configuration key.
    pub axes: BTreeMap<String, serde_json::Value>,
    /// Training records it uses.
    pub train_images: u64,
    /// The data set's id.
    pub dataset: String,
    /// Version and commit of the trainer it was planned with.
    pub code: String,
    /// What it asks of a machine.
    pub request: Request,
}

impl Versioned for Cell {
    const FORMAT: u32 = 1;
    const KIND: &'static str = "cell";
}

/// What a run asks of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Processor cores, and as many threads.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in MiB.
    pub disk_mib: u64,
    /// GPUs.
    pub gpus: u32,
}

impl Cell {
    /// The values of the other axes as `model.width=16 loss.name=focal`; empty without any.
    pub fn axes_text(&self) -> String {
        let axis = |(key, value): (&String, &serde_json::Value)| match value.as_str() {
            Some(text) => format!("{key}={text}"),
            None => format!("{key}={value}"),
        };
        self.axes.iter().map(axis).collect::<Vec<_>>().join(" ")
    }

    /// How a person names it: `fraction 0.3, trial 2, model.width=16 (1a2b3c4d5e6f7081)`.
    pub fn name(&self) -> String {
        let Cell { fraction, trial, id, .. } = self;
        match self.axes_text() {
            axes if axes.is_empty() => format!("fraction {fraction}, trial {trial} ({id})"),
            axes => format!("fraction {fraction}, trial {trial}, {axes} ({id})"),
        }
    }
}

//! `xray-serve bench`: how many requests a server answers, and how long they take, from few clients to many.
//!
//! In a closed loop each client sends its next request when it has the answer to the last. In an open loop requests are
//! due at a steady rate whatever the server does, and a latency counts from when its request was due, so that a server
//! that stalls is not spared the requests it delayed (coordinated omission; Tene, 2013).

mod chart;
mod client;
mod load;

pub use load::{Load, Measured};

use bytes::Bytes;
use client::Target;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xray_artifacts::{Exit, Failure, FileError};

/// What is measured.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// `http://HOST:PORT/v1/predict`.
    pub url: String,
    /// The file that is sent.
    pub image: PathBuf,
    /// Clients of closed loops, one measurement each.
    pub clients: Vec<usize>,
    /// Requests per second of open loops, one measurement each.
    pub rates: Vec<f64>,
    /// Connections that are open meanwhile and say nothing.
    pub silent: usize,
    /// Seconds of each measurement, after one to warm up.
    pub time: Duration,
    /// Sent as `Authorization: Bearer`.
    pub key: Option<String>,
    /// Where `bench.csv` and the charts go.
    pub out: Option<PathBuf>,
}

/// Measures one load after the other and writes what came out; the table is returned.
///
/// # Errors
/// If the image cannot be read, the address is none, nobody listens there or takes the silent connections, or a file cannot
/// be written.
pub fn bench(options: &BenchOptions) -> Result<String, Failure> {
    let io = |source| FileError::Io { path: options.image.clone(), action: "read", source };
    let body = Bytes::from(fs::read(&options.image).map_err(io)?);
    let target = Target::new(&options.url, body, options.key.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("clients")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Unexpected, format!("cannot start: {error}")))?;
    crate::server::raise_descriptor_limit();
    runtime.block_on(target.reach())?;
    let silent = runtime.block_on(target.connections(options.silent))?;
    let closed = options.clients.iter().map(|&clients| Load::Closed { clients });
    let open = options.rates.iter().map(|&rate| Load::Open { rate });
    let measure = |load: Load| runtime.block_on(load.measure(&target, options.time));
    let measured: Vec<Measured> = closed.chain(open).map(measure).collect();
    drop(silent);
    if let Some(folder) = &options.out {
        write(folder, &measured)?;
    }
    Ok(table(&measured))
}

fn write(folder: &Path, measured: &[Measured]) -> Result<(), Failure> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Failure::from(FileError::Io { path, action: "write", source })
    };
    fs::create_dir_all(folder).map_err(io(folder))?;
    let files = [
        ("bench.csv", csv(measured)),
        ("throughput.svg", chart::throughput(measured)),
        ("latency.svg", chart::latency(measured)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(io(&path))?;
    }
    Ok(())
}

const COLUMNS: [&str; 13] = [
    "loop",
    "load",
    "seconds",
    "ok",
    "busy",
    "refused",
    "broken",
    "ok_per_second",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "max_ms",
    "processors",
];

fn csv(measured: &[Measured]) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    for one in measured {
        text += &(cells(one, 3).join(",") + "\n");
    }
    text
}

fn table(measured: &[Measured]) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(COLUMNS.map(str::to_owned).to_vec())
        .chain(measured.iter().map(|one| cells(one, 1)))
        .collect();
    let width = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:>width$}", width = width(at)));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  "));
    }
    text
}

fn cells(one: &Measured, digits: usize) -> Vec<String> {
    let (kind, load) = match one.load {
        Load::Closed { clients } => ("closed", clients.to_string()),
        Load::Open { rate } => ("open", rate.to_string()),
    };
    let number = |value: f64| format!("{value:.digits$}");
    let quantile = |quantile: f64| number(one.milliseconds(quantile));
    vec![
        kind.to_owned(),
        load,
        number(one.seconds),
        one.ok.to_string(),
        one.busy.to_string(),
        one.refused.to_string(),
        one.broken.to_string(),
        number(one.per_second()),
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        quantile(1.0),
        one.processors.map_or(String::new(), |processors| format!("{processors:.2}")),
    ]
}

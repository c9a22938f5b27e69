//! `xray-bench load`: how many requests a server answers, and how long they take, from few clients to many.
//!
//! In a closed loop each client sends its next request when it has the answer to the last. In an open loop requests are
//! due at a steady rate whatever the server does, and a latency counts from when its request was due, so that a server
//! that stalls is not spared the requests it delayed (coordinated omission; Tene, 2013).

mod chart;
mod client;
mod measurement;

use anyhow::Result;
use bytes::Bytes;
use clap::Args;
use client::Target;
use measurement::{Load, Measurement};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xray_artifacts::{Exit, Failure, FileError, one_line, read_text};
use xray_display::{Align, Column, TextTable};

/// Measure a server: answers in a second and latencies, by clients and by requests per second
///
/// With --clients each sends its next request when it has its answer (closed loop). With --rates requests are due at
/// a steady rate, and a latency counts from when its request was due (open loop, no coordinated omission).
#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    /// Such as http://127.0.0.1:8080
    url: String,
    /// The JPEG file that is sent
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// Numbers of clients, one measurement each
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,10,100")]
    clients: Vec<usize>,
    /// Requests per second, one measurement each
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    rates: Vec<f64>,
    /// Connections that are open meanwhile and say nothing
    #[arg(long, value_name = "N", default_value = "0")]
    silent: usize,
    /// Seconds of each measurement, after one to warm up
    #[arg(long, value_name = "S", default_value = "10")]
    seconds: u64,
    /// A file with the server's key
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Folder for bench.csv, throughput.svg and latency.svg
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Measures one load after the other, writes what came out and prints the table.
///
/// A [`Failure`] if the image cannot be read, the address is none, nobody listens there or takes the silent connections,
/// or a file cannot be written.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &LoadArguments) -> Result<()> {
    let measurements = measure(arguments)?;
    if let Some(folder) = &arguments.out {
        write(folder, &measurements)?;
    }
    print!("{}", table(&measurements));
    Ok(())
}

fn measure(arguments: &LoadArguments) -> Result<Vec<Measurement>, Failure> {
    let io = |source| FileError::Io { path: arguments.image.clone(), action: "read", source };
    let body = Bytes::from(fs::read(&arguments.image).map_err(io)?);
    let key = arguments.api_key_file.as_deref().map(key).transpose()?;
    let target = Target::new(&arguments.url, body, key.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("clients")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Unexpected, format!("cannot start: {error}")))?;
    raise_descriptor_limit();
    runtime.block_on(target.reach())?;
    let silent = runtime.block_on(target.connections(arguments.silent))?;
    let closed = arguments.clients.iter().filter(|clients| **clients > 0);
    let closed = closed.map(|&clients| Load::Closed { clients });
    let open = arguments.rates.iter().filter(|rate| **rate > 0.0).map(|&rate| Load::Open { rate });
    let time = Duration::from_secs(arguments.seconds.max(1));
    let measurements = closed.chain(open).map(|load| runtime.block_on(load.measure(&target, time))).collect();
    drop(silent);
    Ok(measurements)
}

/// The key in a file.
fn key(path: &Path) -> Result<String, Failure> {
    let wrong = |what: String| Failure::new(Exit::Usage, what);
    let text = read_text(path).map_err(|error| wrong(one_line(&error)))?;
    match text.trim() {
        "" => Err(wrong(format!("{} holds no key", path.display()))),
        key => Ok(key.to_owned()),
    }
}

/// Lets this process have as many open files as the system allows: each client is one. The server does the same by three
/// lines of its own, since they have no crate in common that knows sockets.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

fn write(folder: &Path, measurements: &[Measurement]) -> Result<(), Failure> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Failure::from(FileError::Io { path, action: "write", source })
    };
    fs::create_dir_all(folder).map_err(io(folder))?;
    let files = [
        ("bench.csv", csv(measurements)),
        ("throughput.svg", chart::throughput(measurements)),
        ("latency.svg", chart::latency(measurements)),
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

fn csv(measurements: &[Measurement]) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    for one in measurements {
        text += &(cells(one, 3).join(",") + "\n");
    }
    text
}

fn table(measurements: &[Measurement]) -> String {
    let mut table = TextTable::of(COLUMNS.map(|title| Column::new(title, Align::Right)));
    measurements.iter().for_each(|one| table.row(cells(one, 1)));
    table.text()
}

fn cells(one: &Measurement, digits: usize) -> Vec<String> {
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

//! `xray-data bench`

use super::stats::DataArguments;
use super::{Format, print};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use xray_artifacts::{Exit, Failure, Preprocessing, Split};
use xray_data::sources::tfrecord::record_files;
use xray_data::{Dataset, Draw, Error, Loader, LoaderConfig, RecordFile, RecordId};
use xray_display::{counted, thousands};

/// Measure how fast this machine reads records with their checksums, and makes batches for a network
///
/// The passes of --warmup bring the files into memory where they fit, so that what is measured is the
/// processor and not the disk; --warmup 0 --repeats 1 on files that were not read before measures both.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  xray-data bench shards --size 224 --threads 2")]
pub(super) struct BenchArguments {
    #[command(flatten)]
    data: DataArguments,

    /// Only one of the two
    #[arg(long, value_enum)]
    only: Option<Task>,

    /// Width and height of the images in a batch
    #[arg(long, value_name = "PIXELS", default_value_t = 224,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    size: u32,

    /// Images in a batch
    #[arg(long, value_name = "N", default_value = "32")]
    batch_size: NonZero<usize>,

    /// Measured passes over all records
    #[arg(long, value_name = "N", default_value = "3")]
    repeats: NonZero<usize>,

    /// Passes before those
    #[arg(long, value_name = "N", default_value_t = 1)]
    warmup: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Task {
    /// Read every record in order on one thread, both checksums compared
    Read,
    /// Read in random order, decode, resize, normalise and batch on all threads
    Load,
}

#[derive(Debug, Serialize)]
struct Measured {
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<ReadRate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<LoadRate>,
    /// Highest resident memory of this process, where the system tells it.
    peak_memory_mib: Option<f64>,
    versions: Versions,
}

#[derive(Debug, Serialize)]
struct Versions {
    #[serde(rename = "xray-data")]
    xray_data: &'static str,
}

#[derive(Debug, Serialize)]
struct ReadRate {
    records: u64,
    /// Bytes of the payloads.
    bytes: u64,
    threads: usize,
    /// Duration of each pass.
    seconds: Vec<f64>,
    gb_per_second: f64,
    records_per_second: f64,
}

#[derive(Debug, Serialize)]
struct LoadRate {
    images: u64,
    size: u32,
    batch_size: usize,
    threads: usize,
    /// Duration of each pass.
    seconds: Vec<f64>,
    images_per_second: f64,
}

pub(super) fn run(arguments: &BenchArguments, format: Format) -> Result<Exit, Failure> {
    let read = arguments.wants(Task::Read).then(|| read(arguments)).transpose()?;
    let load = arguments.wants(Task::Load).then(|| load(arguments)).transpose()?;
    let versions = Versions { xray_data: env!("CARGO_PKG_VERSION") };
    let measured = Measured { read, load, peak_memory_mib: peak_memory_mib(), versions };
    print(format, &measured, &measured)?;
    Ok(Exit::Ok)
}

impl BenchArguments {
    fn wants(&self, task: Task) -> bool {
        self.only.is_none_or(|only| only == task)
    }

    /// Seconds of each measured pass, and what the last one counted.
    fn time<T>(&self, mut pass: impl FnMut(u64) -> Result<T, Failure>) -> Result<(Vec<f64>, T), Failure> {
        for number in 0..self.warmup {
            pass(number as u64)?;
        }
        let mut timed = |number: usize| {
            let start = Instant::now();
            let counted = pass((self.warmup + number) as u64)?;
            Ok::<_, Failure>((start.elapsed().as_secs_f64(), counted))
        };
        let (first, mut counted) = timed(0)?;
        let mut seconds = vec![first];
        for number in 1..self.repeats.get() {
            let (more, count) = timed(number)?;
            seconds.push(more);
            counted = count;
        }
        Ok((seconds, counted))
    }
}

fn read(arguments: &BenchArguments) -> Result<ReadRate, Failure> {
    let files = record_files(arguments.data.folder())?;
    let files = files.iter().map(|path| RecordFile::open(path)).collect::<Result<Vec<_>, Error>>()?;
    let (seconds, (records, bytes)) = arguments.time(|_| {
        let mut counted = (0u64, 0u64);
        for record in files.iter().flat_map(RecordFile::iter) {
            counted = (counted.0 + 1, counted.1 + record?.payload.len() as u64);
        }
        Ok(counted)
    })?;
    let median = median(&seconds);
    Ok(ReadRate {
        records,
        bytes,
        threads: 1,
        gb_per_second: bytes as f64 / median / 1e9,
        records_per_second: records as f64 / median,
        seconds,
    })
}

fn load(arguments: &BenchArguments) -> Result<LoadRate, Failure> {
    let dataset = Arc::new(arguments.data.open()?);
    let records = all_records(&dataset)?;
    let images = records.len() as u64;
    let preprocessing = Preprocessing { size: arguments.size, ..Preprocessing::default() };
    let (batch_size, threads) = (arguments.batch_size.get(), rayon::current_num_threads());
    let config = LoaderConfig { batch_size, threads, shuffle: true, ..LoaderConfig::default() };
    let loader = Loader::new(dataset, records, preprocessing, config)?;
    let (seconds, ()) = arguments.time(|epoch| {
        loader.epoch(epoch, 0).try_for_each(|batch| batch.map(drop))?;
        Ok(())
    })?;
    let images_per_second = images as f64 / median(&seconds);
    Ok(LoadRate { images, size: arguments.size, batch_size, threads, seconds, images_per_second })
}

/// Those of every split that there is.
fn all_records(dataset: &Dataset) -> Result<Vec<RecordId>, Failure> {
    let mut records = Vec::new();
    for split in [Split::Train, Split::Val, Split::Test] {
        match dataset.select(split, &Draw::default()) {
            Ok(selected) => records.extend(selected),
            Err(Error::EmptySplit { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(records)
}

/// Median of at least one pass; for an even number, the slower of the two in the middle.
fn median(seconds: &[f64]) -> f64 {
    let mut seconds = seconds.to_vec();
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// What Linux calls VmHWM.
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = peak.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(read) = &self.read {
            writeln!(
                f,
                "read: {:.2} GB/s, {} records/s: {}, {:.0} MB, checksums compared, 1 thread, {}",
                read.gb_per_second,
                thousands(read.records_per_second as u64),
                counted(read.records, "record"),
                read.bytes as f64 / 1e6,
                passes(&read.seconds),
            )?;
        }
        if let Some(load) = &self.load {
            writeln!(
                f,
                "load: {} images/s: {} to {} px in batches of {}, threads: {}, {}",
                thousands(load.images_per_second as u64),
                counted(load.images, "image"),
                load.size,
                load.batch_size,
                load.threads,
                passes(&load.seconds),
            )?;
        }
        match self.peak_memory_mib {
            Some(peak) => writeln!(f, "peak memory: {peak:.0} MiB"),
            None => Ok(()),
        }
    }
}

/// `3 passes of 0.104 s (0.101-0.120)`
fn passes(seconds: &[f64]) -> String {
    let lowest = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = seconds.iter().copied().fold(0.0, f64::max);
    format!("{} of {:.3} s ({lowest:.3}-{highest:.3})", counted(seconds.len(), "pass"), median(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_summed_up() {
        assert_eq!(passes(&[0.3, 0.1, 0.2]), "3 passes of 0.200 s (0.100-0.300)");
        assert_eq!(passes(&[0.25]), "1 pass of 0.250 s (0.250-0.250)");
    }

    #[test]
    fn this_process_has_a_peak() {
        if cfg!(target_os = "linux") {
            let peak = peak_memory_mib().expect("Linux tells it");
            assert!((1.0..100_000.0).contains(&peak), "{peak} MiB");
        }
    }
}

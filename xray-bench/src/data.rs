//! `cargo xtask bench data`: reading records, making batches, and the memory that takes, against tf.data and
//! PyTorch's DataLoader over the same files.

use crate::competitor::{Competitor, TUNED_MALLOC};
use crate::contest::{Contest, Outcome};
use crate::machine::Machine;
use crate::peers::{LOADERS, PeerArguments, Peers};
use crate::report::{Report, Table};
use crate::shards::Shards;
use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use xray_workspace::ProgramArguments;
use xray_workspace::steps;

/// Measure reading and loading of images, and write results/benchmarks/data.md and data.json
///
/// Every figure comes from a process of its own, ours and theirs in turn, with the files in memory: leave the
/// machine alone meanwhile. Without --peers only ours is measured.
#[derive(Debug, Args)]
pub(crate) struct DataArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// Folder of TFRecords with images of about 768 px [default: synthetic ones, made once]
    #[arg(long, value_name = "DIR")]
    shards_768: Option<PathBuf>,

    /// Folder of TFRecords with images of about 512 px [default: synthetic ones, made once]
    #[arg(long, value_name = "DIR")]
    shards_512: Option<PathBuf>,

    #[command(flatten)]
    peers: PeerArguments,

    /// How often each pair is measured
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZero<usize>,

    /// Threads that decode, on every side
    #[arg(long, value_name = "N", default_value = "2")]
    workers: NonZero<usize>,

    /// Folder for data.md and data.json
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

/// A read lasts a tenth of a second, so it is repeated more.
const READ_PASSES: [&str; 4] = ["--repeats", "20", "--warmup", "3"];
const LOAD_PASSES: [&str; 4] = ["--repeats", "3", "--warmup", "1"];
const ONE_PASS: [&str; 4] = ["--repeats", "1", "--warmup", "0"];

const METHOD: &str = "\
Median of the rounds (lowest–highest). A round is one process of ours and one of theirs, one after the other; a
ratio is taken within its round. A process makes one pass, then measures three (reads: three, then twenty) and
gives the median. Loading is: read in random order, decode all of the JPEG, antialiased bilinear resize,
normalise, batches of 32 with 14 labels.";

/// Measures, prints, writes.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &DataArguments) -> Result<()> {
    let peers = arguments.peers.get(&LOADERS)?;
    let programs = arguments.programs.get()?;
    let workers = arguments.workers.get();
    let bench =
        DataBench { program: programs.path("xray-data")?, peers, rounds: arguments.rounds.get(), workers };
    let shards_768 = Shards::prepare(arguments.shards_768.as_deref(), 768, &programs)?;
    let shards_512 = Shards::prepare(arguments.shards_512.as_deref(), 512, &programs)?;

    let machine = Machine::here();
    let mut outcomes = bench.read(&shards_768)?;
    outcomes.extend(bench.load(&shards_768, 768, 224)?);
    outcomes.extend(bench.load(&shards_512, 512, 128)?);
    let memory = Table {
        name: "memory",
        head: vec!["peak memory of one pass", "shards", "ten times the shards"],
        rows: vec![bench.memory(&shards_768, 768, 224)?, bench.memory(&shards_512, 512, 128)?],
    };
    let shards = [shards_768.description, shards_512.description].join("; ");
    let notes = vec![
        format!("Shards: {shards}; in memory before each measurement"),
        format!("Every process runs with tuned malloc (`{}={}`)", TUNED_MALLOC.0, TUNED_MALLOC.1),
    ];

    let report = Report {
        title: "Reading and loading",
        command: "cargo xtask bench data",
        machine,
        notes,
        outcomes,
        method: METHOD,
        table: Some(memory),
    };
    print!("{}", report.markdown());
    report.write(&steps::root().join(&arguments.out), "data")
}

/// Who is measured, and how often.
struct DataBench {
    program: PathBuf,
    peers: Option<Peers>,
    rounds: usize,
    workers: usize,
}

impl DataBench {
    fn read(&self, shards: &Shards) -> Result<Vec<Outcome>> {
        let ours =
            self.ours(&shards.once, &[&["--only", "read", "--threads", "1"], &READ_PASSES[..]].concat());
        let ours = Competitor { rate: "/read/gb_per_second", ..ours };
        let theirs = self.peers.as_ref().map(|peers| peers.read(&shards.once, &READ_PASSES));
        self.hold("read records", "GB/s", 1, &ours, theirs)
    }

    fn load(&self, shards: &Shards, from: u32, size: u32) -> Result<Vec<Outcome>> {
        let ours = self.ours_loading(&shards.once, size, &LOAD_PASSES);
        let peers = self.peers.as_ref();
        let theirs = peers.map(|peers| peers.load(&shards.once, size, self.workers, &LOAD_PASSES));
        self.hold(&format!("load {from} → {size} px"), "images/s", self.workers, &ours, theirs)
    }

    /// One pass over the shards, and one over ten times as many.
    fn memory(&self, shards: &Shards, from: u32, size: u32) -> Result<(Vec<String>, Value)> {
        eprintln!("peak memory of loading {from} → {size} px, and with ten times the records");
        let peak_mib = |shards: &Path| {
            let reading = self.ours_loading(shards, size, &ONE_PASS).run()?;
            reading.peak_mib.context("this system tells no peak memory")
        };
        let task = format!("load {from} → {size} px");
        let (once, ten_times) = (peak_mib(&shards.once)?, peak_mib(&shards.ten_times)?);
        let row = vec![task.clone(), format!("{once:.0} MiB"), format!("{ten_times:.0} MiB")];
        Ok((row, json!({ "task": task, "peak_mib": once, "peak_mib_ten_times": ten_times })))
    }

    fn ours_loading(&self, shards: &Path, size: u32, passes: &[&str]) -> Competitor {
        let (size, workers) = (size.to_string(), self.workers.to_string());
        let task = ["--only", "load", "--size", &size, "--batch-size", "32", "--threads", &workers];
        self.ours(shards, &[&task, passes].concat())
    }

    fn ours(&self, shards: &Path, arguments: &[&str]) -> Competitor {
        let mut command = vec![self.program.clone().into_os_string(), "bench".into(), shards.into()];
        command.extend(["--format".into(), "json".into()]);
        command.extend(arguments.iter().map(Into::into));
        let name = "xray-data".to_owned();
        Competitor {
            name,
            command,
            environment: &[TUNED_MALLOC],
            rate: "/load/images_per_second",
            peaks: &["/peak_memory_mib"],
        }
    }

    /// Against each of them; alone where there are none.
    fn hold(
        &self,
        task: &str,
        unit: &'static str,
        threads: usize,
        ours: &Competitor,
        theirs: Option<Vec<Competitor>>,
    ) -> Result<Vec<Outcome>> {
        let theirs = theirs.map_or(vec![None], |theirs| theirs.into_iter().map(Some).collect());
        let contest = |theirs| Contest { task: task.to_owned(), unit, threads, ours: ours.clone(), theirs };
        theirs.into_iter().map(|theirs| contest(theirs).hold(self.rounds)).collect()
    }
}

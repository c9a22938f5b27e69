//! `cargo xtask bench data`: reading records, making batches, and the memory that takes, against tf.data and
//! PyTorch's DataLoader over the same files.

use super::competitor::Competitor;
use super::contest::{Contest, Outcome};
use super::machine::Machine;
use super::peers::Peers;
use super::report::{Memory, Report};
use super::shards::Shards;
use crate::programs::ProgramArguments;
use crate::steps;
use anyhow::{Context, Result};
use clap::Args;
use std::num::NonZero;
use std::path::{Path, PathBuf};

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

    /// Folder with loader_tfdata.py and loader_torch.py, to compare with tf.data and PyTorch's DataLoader
    #[arg(long, value_name = "DIR", requires = "python")]
    peers: Option<PathBuf>,

    /// A Python that can import tensorflow, torch and PIL, for --peers
    #[arg(long, value_name = "FILE", requires = "peers")]
    python: Option<PathBuf>,

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

/// Measures, prints, writes.
#[expect(clippy::print_stdout, reason = "the result")]
pub(super) fn run(arguments: &DataArguments) -> Result<()> {
    let peers = match (&arguments.peers, &arguments.python) {
        (Some(scripts), Some(python)) => Some(Peers::new(scripts, python)?),
        _ => None,
    };
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
    let memory = vec![bench.memory(&shards_768, 768, 224)?, bench.memory(&shards_512, 512, 128)?];
    let shards = vec![shards_768.description, shards_512.description];

    let report = Report { machine, shards, outcomes, memory };
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
    fn memory(&self, shards: &Shards, from: u32, size: u32) -> Result<Memory> {
        eprintln!("peak memory of loading {from} → {size} px, and with ten times the records");
        let peak_mib = |shards: &Path| {
            let reading = self.ours_loading(shards, size, &ONE_PASS).run()?;
            reading.peak_mib.context("this system tells no peak memory")
        };
        let task = format!("load {from} → {size} px");
        Ok(Memory { task, once: peak_mib(&shards.once)?, ten_times: peak_mib(&shards.ten_times)? })
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
        Competitor { name, command, rate: "/load/images_per_second", peaks: &["/peak_memory_mib"] }
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

//! `xray-torture`: the built programs interrupted, starved and damaged. `cargo xtask torture` builds it and runs it.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "says on the terminal what it does")]

mod archives;
mod flip;
mod kill;
mod kinds;
mod lab;
mod matrix;
mod meddle;
mod outcome;
mod report;
mod scene;
mod starve;
mod step;
mod verdict;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use lab::{Lab, PROGRAMS};
use meddle::Meddler;
use report::Tally;
use starve::Wanted;
use std::fs;
use std::process::ExitCode;
use std::time::Instant;
use tempfile::TempDir;
use verdict::Verdict;
use xray_workspace::{ProgramArguments, steps};

/// Interrupt, starve and damage the programs
///
/// Trainings under every setting that the trainer has are killed at file operations and at random moments, and must come to
/// the same bits as without. All programs work on a full disk, on one that fails, and are killed at every file operation:
/// an error must say where, what was there before must stay whole, and the next start must succeed. A bit of every kind
/// of file is turned over, and whoever reads it must name it or do as ever. The same seed makes the same trials. Failed
/// ones are kept in target/torture, and the exit code is 1; it is 3 where there is no C compiler, or a kernel that
/// does not let one program answer for another's system calls.
#[derive(Debug, Parser)]
#[command(name = "xray-torture", bin_name = "cargo xtask torture", version)]
struct Arguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// A few of each: a third of a minute
    #[arg(long)]
    short: bool,

    /// Try these only
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<Kind>,

    /// Of --kind starved: this work only, such as train or `plan again`
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    work: Vec<String>,

    /// Interrupt trainings on the GPU, by an `xray-train` that was built for one: --binaries names its folder
    #[arg(long, requires = "binaries", conflicts_with_all = ["short", "work"])]
    gpu: bool,

    /// Repeat these trials of one kind
    #[arg(long, value_name = "NUMBER", value_delimiter = ',', requires = "kind", conflicts_with = "short")]
    only: Vec<u64>,

    /// So many interrupted trainings [default: 500], operations of each way to starve each work [default: one on each
    /// file], bits of each kind of file by each reader [default: 40]
    #[arg(long, value_name = "N", conflicts_with = "short")]
    trials: Option<u64>,

    /// Draws what is tried
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// What is done to the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Trainings are interrupted
    Kills,
    /// File operations fail
    Starved,
    /// Files are damaged
    Flips,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Kills, Kind::Starved, Kind::Flips];

    fn name(self) -> &'static str {
        ["kills", "starved", "flips"][self as usize]
    }
}

/// Nothing can be tried on this machine.
const CANNOT: u8 = 3;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8> {
    let programs = arguments.programs.get_only(&PROGRAMS)?;
    let begin = Instant::now();
    let folder = TempDir::new()?;
    let meddler = match Meddler::compile(folder.path())? {
        Ok(meddler) => meddler,
        Err(reason) => {
            eprintln!("error: {reason}");
            return Ok(CANNOT);
        }
    };
    let kept = steps::target_folder()?.join("torture");
    if arguments.only.is_empty() && kept.exists() {
        fs::remove_dir_all(&kept)?;
    }
    let trainer = programs.path("xray-train")?;
    let lab = Lab::set_up(programs, meddler, folder, arguments.seed, kept, arguments.gpu)?;
    eprintln!("set up in {}", steps::duration(begin.elapsed()));
    let mut well = true;
    for kind in Kind::ALL {
        let wanted = if arguments.gpu { &[Kind::Kills][..] } else { &arguments.kind };
        if wanted.is_empty() || wanted.contains(&kind) {
            let start = Instant::now();
            let named = torture(&lab, arguments, kind, &trainer)?;
            let tallies = tallies(kind, &named);
            println!("{}", report::table(&tallies));
            well &= named.iter().all(|(_, verdict)| verdict.came.is_ok());
            eprintln!("{} {} in {}", named.len(), kind.name(), steps::duration(start.elapsed()));
        }
    }
    let verdict = if well { "all is well" } else { "failed: target/torture keeps the folders" };
    eprintln!("{verdict}, in {}", steps::duration(begin.elapsed()));
    Ok(u8::from(!well))
}

/// The trials of a kind, each with what it is counted under.
fn torture(
    lab: &Lab,
    arguments: &Arguments,
    kind: Kind,
    trainer: &std::path::Path,
) -> Result<Vec<(String, Verdict)>> {
    let trials =
        |whole: u64, short: u64| arguments.trials.unwrap_or(if arguments.short { short } else { whole });
    let only = &arguments.only;
    Ok(match kind {
        Kind::Kills => {
            let numbers: Vec<u64> =
                if only.is_empty() { (0..trials(500, 8)).collect() } else { only.clone() };
            let verdicts = kill::torture(lab, trainer, &numbers)?;
            verdicts.into_iter().map(|verdict| ("trainings".to_owned(), verdict)).collect()
        }
        Kind::Starved => {
            let wanted = match arguments.short {
                _ if !only.is_empty() => Wanted::Only(only),
                true => Wanted::OfEachMode,
                false => Wanted::Works(&arguments.work, arguments.trials),
            };
            let verdicts = starve::torture(lab, kind.name(), wanted)?;
            let named = |verdict: Verdict| (starve::name(verdict.number).0.to_owned(), verdict);
            verdicts.into_iter().map(named).collect()
        }
        Kind::Flips => {
            let (verdicts, names) = flip::torture(lab, kind.name(), only, trials(40, 1))?;
            let named = |verdict: Verdict| (names[flip::place(verdict.number)].clone(), verdict);
            verdicts.into_iter().map(named).collect()
        }
    })
}

/// In the order of their first trials.
fn tallies(kind: Kind, named: &[(String, Verdict)]) -> Vec<Tally<'_>> {
    let mut tallies: Vec<Tally> = Vec::new();
    for (name, verdict) in named {
        match tallies.iter_mut().find(|tally| tally.name == *name) {
            Some(tally) => tally.verdicts.push(verdict),
            None => tallies.push(Tally { kind: kind.name(), name: name.clone(), verdicts: vec![verdict] }),
        }
    }
    tallies
}

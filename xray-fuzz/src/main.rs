//! `xray-fuzz`: attacks the built programs with damaged input. `cargo xtask fuzz` builds it and runs it.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "says on the terminal what it does")]

mod answer;
mod archive;
mod attack;
mod corpus;
mod dicom;
mod fault;
mod http;
mod image;
mod lab;
mod mutate;
mod program;
mod report;
mod server;
mod table;

use anyhow::Result;
use attack::{build, post, sources, talk};
use clap::Parser;
use corpus::Kind;
use fault::Limits;
use lab::Lab;
use report::{Saved, Tally};
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use xray_workspace::{ProgramArguments, steps};

/// Attack the programs with damaged files, tables, archives and requests
///
/// 10,000 DICOM files and 10,000 JPEG and PNG files are built, checked and posted to a server, 2,000 tables and 2,000 archives are built, and
/// 2,000 conversations are held with the server; each program has 1 GiB of address space. The same seed makes the same
/// inputs. An input that ends a program, lets it panic, takes too long or too much memory, or is answered in no way
/// that is documented, is kept in target/fuzz with the command that makes it again, and the exit code is 1.
#[derive(Debug, Parser)]
#[command(name = "xray-fuzz", bin_name = "cargo xtask fuzz", version)]
struct Arguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// A tenth of that: half a minute
    #[arg(long)]
    short: bool,

    /// Attack with these only
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<Kind>,

    /// Try these inputs only, and keep them in target/fuzz
    #[arg(long, value_name = "NUMBER", value_delimiter = ',', conflicts_with_all = ["short", "inputs"])]
    only: Vec<u64>,

    /// So many inputs of each kind
    #[arg(long, value_name = "N", conflicts_with = "short")]
    inputs: Option<u64>,

    /// Draws the inputs
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Seconds that an answer or the building of one table may take; more on a slow machine
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    slowest: f64,

    /// Failures of one attack after which no more are looked for
    #[arg(long, value_name = "N", default_value_t = 50)]
    failures: usize,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=600.0).contains(&seconds) { Ok(seconds) } else { Err("not between 0.1 and 600".to_owned()) }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
fn run(arguments: &Arguments) -> Result<bool> {
    let programs = arguments.programs.get_only(&["xray-data", "xray-train", "xray-serve"])?;
    let begin = Instant::now();
    let saved = Saved { folder: steps::target_folder()?.join("fuzz"), seed: arguments.seed };
    if arguments.only.is_empty() && saved.folder.exists() {
        fs::remove_dir_all(&saved.folder)?;
    }
    let limits =
        Limits { address_mib: 1024, slowest: Duration::from_secs_f64(arguments.slowest), growth_mib: 300.0 };
    let lab = Lab::set_up(programs, limits, saved, arguments.failures)?;
    eprintln!("set up in {}", steps::duration(begin.elapsed()));
    let mut tallies = Vec::new();
    for kind in Kind::ALL {
        if arguments.kind.is_empty() || arguments.kind.contains(&kind) {
            tallies.extend(attack(&lab, arguments, kind)?);
        }
    }
    println!("{}", report::table(&tallies));
    let well = report::all_is_well(&tallies);
    let verdict = if well { "all is well" } else { "failed: target/fuzz keeps the inputs" };
    eprintln!("{verdict}, in {}", steps::duration(begin.elapsed()));
    Ok(well)
}

fn attack(lab: &Lab, arguments: &Arguments, kind: Kind) -> Result<Vec<Tally>> {
    let (begin, seed, numbers) = (Instant::now(), arguments.seed, arguments.numbers(kind));
    let files = |make: fn(u64) -> corpus::Corpus| {
        let corpus = make(seed);
        for &number in &arguments.only {
            let input = corpus.input(number);
            lab.keep((kind, number, &input.bytes), &input.name)?;
        }
        Ok::<_, anyhow::Error>(corpus)
    };
    let tallies = match kind {
        Kind::Dicom | Kind::Image => {
            let corpus = files(if kind == Kind::Dicom { dicom::corpus } else { image::corpus })?;
            vec![build::attack(lab, &corpus, &numbers)?, post::attack(lab, &corpus, &numbers)?]
        }
        Kind::Table => vec![sources::attack(lab, &files(table::corpus)?, &numbers)?],
        Kind::Archive => vec![sources::attack(lab, &files(archive::corpus)?, &numbers)?],
        Kind::Http => {
            for &number in &arguments.only {
                let conversation = http::conversation(seed, number);
                lab.keep((kind, number, conversation.text().as_bytes()), &conversation.name)?;
            }
            vec![talk::attack(lab, seed, &numbers)?]
        }
    };
    eprintln!("{} {} in {}", numbers.len(), kind.name(), steps::duration(begin.elapsed()));
    Ok(tallies)
}

impl Arguments {
    /// Of the inputs to try.
    fn numbers(&self, kind: Kind) -> Vec<u64> {
        if !self.only.is_empty() {
            return self.only.clone();
        }
        let [whole, short] = match kind {
            Kind::Dicom | Kind::Image => [10_000, 1000],
            Kind::Table | Kind::Archive => [2000, 200],
            Kind::Http => [2000, 300],
        };
        (0..self.inputs.unwrap_or(if self.short { short } else { whole })).collect()
    }
}

//! `cargo xtask bench serve`: the server under load, and the same model behind FastAPI and ONNX Runtime in turn.

use crate::competitor::{Competitor, Reading};
use crate::contest::{Contest, Outcome, Round};
use crate::machine::Machine;
use crate::report::{Report, Table};
use crate::server::Server;
use crate::spread::Spread;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use xray_workspace::steps::{self, command, output};
use xray_workspace::{ProgramArguments, Programs};

/// Measure the server under load, and FastAPI with ONNX Runtime: results/benchmarks/serve.md
///
/// The load comes from `xray-bench load` on the same machine. Without --python ours stands alone.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// The run whose model is served
    #[arg(long, value_name = "DIR")]
    run: PathBuf,

    /// The JPEG file that is sent
    #[arg(long, value_name = "FILE")]
    image: PathBuf,

    /// A Python with fastapi, uvicorn, uvloop, httptools, onnxruntime and Pillow
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,

    /// Numbers of clients of closed loops
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,8,100,1000")]
    clients: Vec<usize>,

    /// Open loops, in parts of what eight clients get of ours
    #[arg(long, value_name = "X,...", value_delimiter = ',', default_value = "0.7,10")]
    overloads: Vec<f64>,

    /// Connections of another measurement with eight clients, which are open and say nothing
    #[arg(long, value_name = "N", default_value = "10000")]
    silent: usize,

    /// The server on one half of the processors and the load on the other, instead of both on all: serve-apart.md. Needs
    /// taskset
    #[arg(long)]
    apart: bool,

    /// Seconds of each measurement
    #[arg(long, value_name = "S", default_value = "6")]
    seconds: usize,

    /// How often each pair is measured
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: NonZero<usize>,

    /// Folder for serve.md and serve.json
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

const METHOD: &str = "\
Rates are answers with findings in a second. Median of the rounds (lowest–highest); a round is ours and theirs, one after
the other, each started anew and under every load in turn; a ratio is taken within its round. The load comes from
`xray-bench load` on the same machine, whose share of it is part of every figure. In a closed loop each client waits for
its answer; in an open loop requests are due at a steady rate and latencies count from then. Latencies are those of
answers with findings, milliseconds, medians of the rounds; beside them every other answer's part (ours turns away by
503, theirs waits) and the processors that making the load kept busy, which a server on the same ones does not have.";

const SCRIPT: &str = include_str!("serve.py");
const PEER: &str = "FastAPI, ONNX Runtime";

/// Measures, prints, writes.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &ServeArguments) -> Result<()> {
    let work = steps::target_folder()?.join("bench-serve");
    fs::create_dir_all(&work)?;
    ensure!(!arguments.apart || processors() > 1, "one processor has no halves");
    // Asked before the programs are built: that replaces this file, and Linux then calls its path deleted.
    let this = env::current_exe()?;
    let bench = ServeBench { arguments, programs: arguments.programs.get()?, this, work };
    let machine = Machine::here();
    if let Some(python) = &arguments.python {
        bench.export()?;
        let difference = bench.difference(python)?;
        eprintln!("largest difference of a probability, ours and theirs: {difference:.4}");
    }
    let rounds =
        (1..=arguments.rounds.get()).map(|number| bench.round(number)).collect::<Result<Vec<_>>>()?;
    let (title, command, name) = if arguments.apart {
        ("Serving, the load on other processors", "cargo xtask bench serve --apart", "serve-apart")
    } else {
        ("Serving", "cargo xtask bench serve", "serve")
    };
    let report = Report {
        title,
        command,
        machine,
        notes: bench.notes(&rounds)?,
        outcomes: outcomes(&rounds),
        method: METHOD,
        table: Some(latencies(&rounds)),
    };
    print!("{}", report.markdown());
    report.write(&steps::root().join(&arguments.out), name)
}

/// A server's figures of one round.
struct Side {
    /// Milliseconds from start to the first answer.
    ready: f64,
    /// MiB before the first request, and after the last.
    idle: [f64; 2],
    /// At most so far, after each load.
    peaks: Vec<f64>,
    loads: Vec<LoadRow>,
    versions: BTreeMap<String, String>,
}

/// A row of `bench.csv`.
struct LoadRow {
    name: String,
    per_second: f64,
    /// p50, p99, in milliseconds.
    latencies: [f64; 2],
    /// Part of the requests that was not answered with findings.
    other: f64,
    broken: f64,
    /// Processors that making the load kept busy.
    processors: f64,
}

struct Sides {
    ours: Side,
    theirs: Option<Side>,
}

/// Of the processors, where they are divided.
#[derive(Clone, Copy)]
enum Half {
    Server,
    Load,
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// One of the sides, where it was measured.
type Pick<'a> = &'a dyn Fn(&Sides) -> Option<&Side>;

struct ServeBench<'a> {
    arguments: &'a ServeArguments,
    programs: Programs,
    /// The path of this program, which makes the load too, in a process of its own.
    this: PathBuf,
    work: PathBuf,
}

impl ServeBench<'_> {
    fn model(&self) -> PathBuf {
        steps::root().join(&self.arguments.run).join("model")
    }

    fn image(&self) -> PathBuf {
        steps::root().join(&self.arguments.image)
    }

    /// A program where it may run.
    fn on(&self, half: Half, program: impl AsRef<OsStr>) -> Command {
        if !self.arguments.apart {
            return command(program);
        }
        let (middle, all) = (processors() / 2, processors());
        let range = match half {
            Half::Server => format!("0-{}", middle - 1),
            Half::Load => format!("{middle}-{}", all - 1),
        };
        let mut taskset = command("taskset");
        taskset.args(["-c", &range]).arg(program);
        taskset
    }

    /// The same model for the peer.
    fn export(&self) -> Result<()> {
        fs::write(self.work.join("serve.py"), SCRIPT)?;
        let mut export = command(self.programs.path("xray-eval")?);
        export
            .arg("export")
            .arg(&self.arguments.run)
            .args(["--to", "onnx", "--out"])
            .arg(self.work.join("export"));
        steps::run(&mut export)
    }

    fn ours(&self) -> Result<Server> {
        let mut serve = self.on(Half::Server, self.programs.path("xray-serve")?);
        serve.arg("--model").arg(self.model()).arg("--bind");
        Server::start(serve, |serve, port| serve.arg(format!("127.0.0.1:{port}")))
    }

    fn theirs(&self, python: &Path) -> Result<Server> {
        let mut uvicorn = self.on(Half::Server, python);
        let workers = if self.arguments.apart { processors() / 2 } else { processors() }.max(1).to_string();
        uvicorn.args(["-m", "uvicorn", "--app-dir"]).arg(&self.work).args([
            "serve:app",
            "--workers",
            &workers,
        ]);
        uvicorn.args(["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--port"]);
        uvicorn.env("XRAY_EXPORT", self.work.join("export")).env("OMP_NUM_THREADS", "1");
        Server::start(uvicorn, |uvicorn, port| uvicorn.arg(port.to_string()))
    }

    /// That both do the same work: Pillow resizes a little differently.
    fn difference(&self, python: &Path) -> Result<f64> {
        let (ours, theirs) = (self.findings(&self.ours()?)?, self.findings(&self.theirs(python)?)?);
        let differences = ours.iter().map(|(label, ours)| {
            let theirs = theirs.get(label).with_context(|| format!("theirs has no {label}"))?;
            Ok((ours - theirs).abs())
        });
        let differences = differences.collect::<Result<Vec<_>>>()?;
        let largest = differences.into_iter().fold(0.0, f64::max);
        if largest > 0.1 {
            bail!("the servers differ by {largest} in a probability: they are not the same model");
        }
        Ok(largest)
    }

    fn findings(&self, server: &Server) -> Result<BTreeMap<String, f64>> {
        let body = format!("@{}", self.image().display());
        let mut curl = command("curl");
        curl.args(["-sS", "-H", "Content-Type: image/jpeg", "--data-binary", &body]);
        let said: Value = serde_json::from_str(&output(curl.arg(server.url("/v1/predict")))?)?;
        let findings =
            said["images"][0]["findings"].as_array().with_context(|| format!("no findings in {said}"))?;
        let finding =
            |finding: &Value| Some((finding["label"].as_str()?.to_owned(), finding["probability"].as_f64()?));
        findings.iter().map(|found| finding(found).context("no finding")).collect()
    }

    fn round(&self, number: usize) -> Result<Sides> {
        eprintln!("round {number}: ours");
        let ours = self.side(self.ours()?, None)?;
        let Some(python) = &self.arguments.python else { return Ok(Sides { ours, theirs: None }) };
        eprintln!("round {number}: {PEER}");
        let theirs = Some(self.side(self.theirs(python)?, Some(peak(&ours)))?);
        Ok(Sides { ours, theirs })
    }

    /// Every load on a server that has just started; with the rate that open loops are parts of, if it is not its own.
    fn side(&self, server: Server, whole: Option<f64>) -> Result<Side> {
        let versions = server.versions()?;
        let before = server.memory_mib()?;
        let clients = |clients: &usize| vec!["--clients".to_owned(), clients.to_string()];
        let mut loads = Vec::new();
        let mut peaks = Vec::new();
        let mut measure = |how: Vec<String>| -> Result<()> {
            let measured = self.load(&server, &how)?;
            eprintln!(
                "  {}: {:.0}/s, p99 {:.1} ms",
                measured.name, measured.per_second, measured.latencies[1]
            );
            loads.push(measured);
            peaks.push(server.peak_mib()?);
            Ok(())
        };
        // Before others, so that the memory at most is its own.
        if self.arguments.silent > 0 {
            let silent = vec!["--silent".to_owned(), self.arguments.silent.to_string()];
            measure([clients(&8), silent].concat())?;
        }
        for number in &self.arguments.clients {
            measure(clients(number))?;
        }
        let side = Side { ready: server.ready_ms(), idle: [before, 0.0], peaks, loads, versions };
        let whole = whole.unwrap_or_else(|| peak(&side));
        let Side { mut loads, mut peaks, .. } = side;
        for part in &self.arguments.overloads {
            let rate = (part * whole).round().to_string();
            let measured =
                self.load(&server, &["--clients".to_owned(), "0".to_owned(), "--rates".to_owned(), rate])?;
            let name = format!("{part} times that rate");
            eprintln!("  {name}: {:.0}/s, p99 {:.1} ms", measured.per_second, measured.latencies[1]);
            loads.push(LoadRow { name, ..measured });
            peaks.push(server.peak_mib()?);
        }
        let idle = [before, server.memory_mib()?];
        Ok(Side { ready: server.ready_ms(), idle, peaks, loads, versions: side.versions })
    }

    /// One load.
    fn load(&self, server: &Server, how: &[String]) -> Result<LoadRow> {
        let out = self.work.join("load");
        let mut load = self.on(Half::Load, &self.this);
        load.arg("load").arg(server.url("/v1/predict")).arg("--image").arg(self.image());
        load.args(["--seconds", &self.arguments.seconds.to_string(), "--out"]).arg(&out).args(how);
        output(&mut load)?;
        let csv = fs::read_to_string(out.join("bench.csv"))?;
        let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let (names, row) = lines.next().zip(lines.next()).context("bench.csv holds no row")?;
        let text = |name: &str| {
            let at = names.iter().position(|found| *found == name);
            at.and_then(|at| row.get(at).copied()).with_context(|| format!("bench.csv has no {name}"))
        };
        let number = |name: &str| Ok::<f64, anyhow::Error>(text(name)?.parse()?);
        let (ok, broken) = (number("ok")?, number("broken")?);
        let other = number("busy")? + number("refused")? + broken;
        let silent = how.iter().any(|word| word == "--silent");
        Ok(LoadRow {
            name: match (text("load")?, silent) {
                ("1", _) => "1 client".to_owned(),
                (clients, false) => format!("{clients} clients"),
                (clients, true) => format!("{clients} clients, {} silent connections", self.arguments.silent),
            },
            per_second: number("ok_per_second")?,
            latencies: [number("p50_ms")?, number("p99_ms")?],
            other: other / (ok + other).max(1.0),
            broken,
            processors: number("processors")?,
        })
    }

    fn notes(&self, rounds: &[Sides]) -> Result<Vec<String>> {
        let kilobytes = fs::metadata(self.image())?.len() / 1000;
        let mut notes = vec![format!("A JPEG of {kilobytes} kB, sent as the whole body")];
        let side = |name: &str, pick: Pick<'_>| {
            let spread = |of: &dyn Fn(&Side) -> f64| Spread::of(rounds.iter().filter_map(pick).map(of));
            let [ready, before, after] =
                [spread(&|side| side.ready)?, spread(&|side| side.idle[0])?, spread(&|side| side.idle[1])?];
            let broken: f64 =
                rounds.iter().filter_map(pick).flat_map(|side| &side.loads).map(|load| load.broken).sum();
            Some(format!(
                "{name}: from start to ready {ready} ms, memory before the first request {before} MiB and after the last \
                 {after} MiB, connections that broke: {broken}"
            ))
        };
        notes.extend(side("xray-serve", &|sides| Some(&sides.ours)));
        notes.extend(side(PEER, &|sides| sides.theirs.as_ref()));
        Ok(notes)
    }
}

/// What eight clients get, or the most of other loads.
fn peak(side: &Side) -> f64 {
    let eight = side.loads.iter().find(|load| load.name == "8 clients");
    let most = || side.loads.iter().map(|load| load.per_second).fold(0.0, f64::max);
    eight.map_or_else(most, |load| load.per_second)
}

/// The loads as contests.
fn outcomes(rounds: &[Sides]) -> Vec<Outcome> {
    let one = |name: &str| Competitor {
        name: name.to_owned(),
        command: Vec::new(),
        environment: &[],
        rate: "",
        peaks: &[],
    };
    let loads = rounds.first().map_or(0, |sides| sides.ours.loads.len());
    let outcome = |load: usize| {
        let reading = |side: &Side| Reading {
            rate: side.loads[load].per_second,
            peak_mib: Some(side.peaks[load]),
            arithmetic: None,
            work: None,
            device: None,
            versions: side.versions.clone(),
        };
        let first = &rounds[0];
        Outcome {
            contest: Contest {
                task: first.ours.loads[load].name.clone(),
                unit: "requests/s",
                threads: processors(),
                ours: one("xray-serve"),
                theirs: first.theirs.as_ref().map(|_| one(PEER)),
            },
            rounds: rounds
                .iter()
                .map(|sides| Round { ours: reading(&sides.ours), theirs: sides.theirs.as_ref().map(reading) })
                .collect(),
        }
    };
    (0..loads).map(outcome).collect()
}

fn latencies(rounds: &[Sides]) -> Table {
    let loads = rounds.first().map_or(0, |sides| sides.ours.loads.len());
    let row = |load: usize| {
        let name = rounds[0].ours.loads[load].name.clone();
        let mut cells = vec![name.clone()];
        let mut json = json!({ "load": name });
        let sides: [(&str, Pick<'_>); 2] =
            [("ours", &|sides| Some(&sides.ours)), ("theirs", &|sides| sides.theirs.as_ref())];
        for (who, pick) in sides {
            let median = |of: &dyn Fn(&LoadRow) -> f64| {
                let all = rounds.iter().filter_map(pick).map(|side| of(&side.loads[load]));
                Spread::of(all).map(|spread| spread.median)
            };
            let [p50, p99, other, processors] = [
                median(&|load| load.latencies[0]),
                median(&|load| load.latencies[1]),
                median(&|load| load.other),
                median(&|load| load.processors),
            ];
            let cell = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
            cells.push(format!("{} / {}", cell(p50), cell(p99)));
            cells.push(other.map_or("–".to_owned(), |other| format!("{:.0} %", 100.0 * other)));
            cells.push(processors.map_or("–".to_owned(), |processors| format!("{processors:.2}")));
            json[who] =
                json!({ "p50_ms": p50, "p99_ms": p99, "other": other, "load_processors": processors });
        }
        (cells, json)
    };
    Table {
        name: "latencies",
        head: vec![
            "load",
            "ours, p50 / p99 ms",
            "no findings",
            "load on",
            "theirs, p50 / p99 ms",
            "no findings",
            "load on",
        ],
        rows: (0..loads).map(row).collect(),
    }
}

//! `cargo xtask bench train` and `infer`: steps of a network on a batch in memory, against PyTorch, Keras, ONNX
//! Runtime and burn's own operations.

use crate::competitor::{Competitor, Environment, TUNED_MALLOC};
use crate::contest::{Contest, Outcome};
use crate::machine::Machine;
use crate::peers::{PeerArguments, Peers};
use crate::report::Report;
use anyhow::Result;
use clap::Args;
use std::num::NonZero;
use std::path::PathBuf;
use xray_workspace::steps;
use xray_workspace::{ProgramArguments, Programs};

/// Which contests, and how often.
#[derive(Debug, Args)]
pub(crate) struct StepArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    #[command(flatten)]
    peers: PeerArguments,

    /// How often each pair is measured
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZero<usize>,

    /// Threads on every side
    #[arg(long, value_name = "N", default_value = "2")]
    threads: NonZero<usize>,

    /// Only contests whose task and opponent contain this, such as `small-cnn 128` or `avx2`; nothing is written
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// Folder for the table and its JSON
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

const TORCH: &str = "torch_train.py";
const KERAS: &str = "keras_train.py";
const ONNX: &str = "ort_infer.py";

/// Measures training, prints, writes.
pub(crate) fn train(arguments: &StepArguments) -> Result<()> {
    let bench = StepBench::new(arguments, &[TORCH, KERAS])?;
    let outcomes = bench.hold(Case::ALL.iter().flat_map(|case| bench.training(case)).collect())?;
    bench.report(outcomes, "Training steps", "cargo xtask bench train", TRAIN_METHOD, "train")
}

/// Measures inference, prints, writes.
pub(crate) fn infer(arguments: &StepArguments) -> Result<()> {
    let bench = StepBench::new(arguments, &[ONNX])?;
    let mut contests = Vec::new();
    for case in &Case::ALL {
        contests.extend(bench.inference(case)?);
    }
    for model in NETWORKS {
        contests.extend(bench.integer_inference(model)?);
    }
    let outcomes = bench.hold(contests)?;
    bench.report(outcomes, "Inference", "cargo xtask bench infer", INFER_METHOD, "infer")
}

const TRAIN_METHOD: &str = "\
Median of the rounds (lowest–highest). A round is one process of ours and one of theirs, one after the other; a
ratio is taken within its round. A process makes three steps, then measures some and gives the median. A step is
forward, binary cross-entropy, backward and Adam, in float32, on one batch in memory. Ours lets `mimalloc` keep its
blocks, PyTorch does so with tuned malloc only, and both are shown. GFLOP/s are those of direct convolutions, three
passes of two operations per multiply-add; an algorithm that needs fewer multiplications can go past the peak, which
is measured by a loop of multiply-adds in registers.";

const INFER_METHOD: &str = "\
Median of the rounds (lowest–highest). A round is one process of ours and one of theirs, one after the other; a
ratio is taken within its round. A process makes ten calls, then measures some and gives the median. A call is one
forward pass of a batch in memory, in float32 or in 8 bits. In 8 bits ours is what `xray-eval export --dtype int8` writes,
calibrated on the batch; ONNX Runtime is given our float32 network and quantises it itself, statically, with a scale for
each output channel. GFLOP/s are those of direct convolutions; the peak is measured by a loop of multiply-adds of floats
in registers, past which products of bytes can go.";

/// Those that are measured in 8 bits, at 224 pixels.
const NETWORKS: [&str; 6] =
    ["small-cnn", "resnet-18", "resnet-50", "densenet-121", "mobilenet-v2", "efficientnet-b0"];

/// ONNX Runtime in 8 bits.
const INT8: &str = include_str!("int8.py");

/// A network at a size, and what its peers call it.
struct Case {
    model: &'static str,
    peers_model: &'static str,
    size: &'static str,
    batch: &'static str,
    /// Measured steps of ours and of theirs, after three.
    repeats: &'static str,
}

impl Case {
    const ALL: [Case; 4] = [
        Case { model: "small-cnn", peers_model: "small", size: "128", batch: "32", repeats: "8" },
        Case { model: "small-cnn", peers_model: "small", size: "224", batch: "32", repeats: "6" },
        Case { model: "resnet-18", peers_model: "resnet18", size: "224", batch: "16", repeats: "6" },
        Case { model: "densenet-121", peers_model: "densenet121", size: "224", batch: "8", repeats: "6" },
    ];

    fn is_small(&self) -> bool {
        self.model == "small-cnn"
    }
}

/// Instructions of a processor without AVX-512.
const AVX2: Environment = &[("XRAY_ISA", "avx2")];
const TORCH_AVX2: Environment =
    &[TUNED_MALLOC, ("ATEN_CPU_CAPABILITY", "avx2"), ("ONEDNN_MAX_CPU_ISA", "AVX2")];

/// Who is measured, and how often.
struct StepBench<'a> {
    arguments: &'a StepArguments,
    programs: Programs,
    peers: Option<Peers>,
    machine: Machine,
    threads: String,
}

impl<'a> StepBench<'a> {
    fn new(arguments: &'a StepArguments, scripts: &[&str]) -> Result<Self> {
        let peers = arguments.peers.get(scripts)?;
        let programs = arguments.programs.get()?;
        let (machine, threads) = (Machine::here(), arguments.threads.to_string());
        Ok(StepBench { arguments, programs, peers, machine, threads })
    }

    fn hold(&self, contests: Vec<Contest>) -> Result<Vec<Outcome>> {
        let wanted = |contest: &Contest| {
            let against = contest.theirs.as_ref().map_or("", |theirs| &theirs.name);
            let name = format!("{} {} {against}", contest.task, contest.ours.name);
            self.arguments.only.as_ref().is_none_or(|only| name.contains(only))
        };
        let contests = contests.into_iter().filter(wanted);
        contests.map(|contest| contest.hold(self.arguments.rounds.get())).collect()
    }

    fn training(&self, case: &Case) -> Vec<Contest> {
        let Case { model, size, batch, .. } = case;
        let contest = |ours: Competitor, theirs: Option<Competitor>| Contest {
            task: format!("train {model} {size} px, batch {batch}"),
            unit: "images/s",
            threads: self.arguments.threads.get(),
            ours,
            theirs,
        };
        let ours = |environment| self.ours("train", case, batch, &self.threads, "cpu", environment);
        let mut contests = Vec::new();
        if let Some(peers) = &self.peers {
            let torch = |name: &str, environment| self.torch(peers, case, name, environment);
            contests.push(contest(ours(&[]), Some(torch("channels_last, tuned malloc", &[TUNED_MALLOC]))));
            contests.push(contest(ours(&[]), Some(torch("channels_last", &[]))));
            let avx2 = torch("channels_last, tuned malloc, AVX2", TORCH_AVX2);
            contests.push(contest(Competitor { name: "AVX2".to_owned(), ..ours(AVX2) }, Some(avx2)));
            if case.is_small() {
                contests.push(contest(ours(&[]), Some(self.keras(peers, case))));
            }
        }
        if case.is_small() {
            let flex = self.ours("train", case, batch, &self.threads, "flex", &[]);
            let flex = Competitor { name: "burn-flex's own operations".to_owned(), ..flex };
            contests.push(contest(ours(&[]), Some(flex)));
        }
        let one = self.ours("train", case, batch, "1", "cpu", &[]);
        contests.push(contest(ours(&[]), Some(Competitor { name: "ours on one thread".to_owned(), ..one })));
        contests
    }

    fn inference(&self, case: &Case) -> Result<Vec<Contest>> {
        let onnx = self.peers.as_ref().map(|peers| self.export(peers, case)).transpose()?;
        let mut contests = Vec::new();
        for (batch, repeats) in [("1", "100"), (case.batch, "20")] {
            for threads in ["1", &self.threads] {
                let case = Case { repeats, ..*case };
                contests.push(Contest {
                    task: format!("infer {} {} px, batch {batch}", case.model, case.size),
                    unit: "images/s",
                    threads: threads.parse()?,
                    ours: self.ours("infer", &case, batch, threads, "cpu", &[]),
                    theirs: self.peers.as_ref().zip(onnx.as_ref()).map(|(peers, onnx)| {
                        let task = ["--size", case.size, "--batch", batch, "--threads", threads];
                        let file = ["run", "--repeats", repeats, "--warmup", "10", "--onnx", onnx];
                        let arguments = [&file[..], &task[..]].concat();
                        let command = peers.command(ONNX, &[&arguments[..], &["--json"]].concat());
                        let name = "ONNX Runtime".to_owned();
                        let environment: Environment = &[TUNED_MALLOC];
                        Competitor {
                            name,
                            command,
                            environment,
                            rate: "/img_per_s",
                            peaks: &["/peak_rss_mb"],
                        }
                    }),
                });
            }
        }
        Ok(contests)
    }

    /// One image and sixteen, in integers on both sides.
    fn integer_inference(&self, model: &'static str) -> Result<Vec<Contest>> {
        const SIZE: &str = "224";
        let theirs = self.peers.as_ref().map(|peers| Ok::<_, anyhow::Error>((peers, self.own_onnx(model)?)));
        let theirs = theirs.transpose()?;
        let mut contests = Vec::new();
        for (batch, repeats) in [("1", "100"), ("16", "20")] {
            for threads in ["1", &self.threads] {
                let case = Case { model, peers_model: model, size: SIZE, batch, repeats };
                let mut ours = self.ours("infer", &case, batch, threads, "cpu", &[]);
                ours.command.push("--int8".into());
                let task = ["--size", SIZE, "--batch", batch, "--threads", threads];
                let how = ["--repeats", repeats, "--warmup", "10"];
                let competitor = |(peers, (script, file)): &(&Peers, (PathBuf, String))| Competitor {
                    name: "ONNX Runtime in 8 bits".to_owned(),
                    command: peers.run(script, &[&["--onnx", file.as_str()], &task[..], &how].concat()),
                    environment: &[TUNED_MALLOC],
                    rate: "/images_per_second",
                    peaks: &["/peak_memory_mib"],
                };
                contests.push(Contest {
                    task: format!("infer int8 {model} {SIZE} px, batch {batch}"),
                    unit: "images/s",
                    threads: threads.parse()?,
                    ours,
                    theirs: theirs.as_ref().map(competitor),
                });
            }
        }
        Ok(contests)
    }

    /// The script that quantises and measures, and our network as a file, made once.
    fn own_onnx(&self, model: &str) -> Result<(PathBuf, String)> {
        let folder = steps::target_folder()?.join("bench-onnx");
        std::fs::create_dir_all(&folder)?;
        let (script, file) = (folder.join("int8.py"), folder.join(format!("own-{model}.onnx")));
        std::fs::write(&script, INT8)?;
        if !file.is_file() {
            let mut write = steps::command(self.programs.path("examples/network")?);
            steps::output(write.args(["--model", model, "--onnx"]).arg(&file))?;
        }
        Ok((script, file.display().to_string()))
    }

    /// The peers' own model as a file, made once.
    fn export(&self, peers: &Peers, case: &Case) -> Result<String> {
        let folder = steps::target_folder()?.join("bench-onnx");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}-{}.onnx", case.model, case.size)).display().to_string();
        if !std::path::Path::new(&file).is_file() {
            let arguments = ["export", "--model", case.peers_model, "--size", case.size, "--out", &file];
            let command = peers.command(ONNX, &arguments);
            steps::run(steps::command(&command[0]).args(&command[1..]))?;
        }
        Ok(file)
    }

    fn ours(
        &self,
        pass: &str,
        case: &Case,
        batch: &str,
        threads: &str,
        backend: &str,
        environment: Environment,
    ) -> Competitor {
        let warmup = if pass == "train" { "3" } else { "10" };
        let program = self.programs.path("examples/steps").map_or_else(|_| "steps".into(), Into::into);
        let mut command: Vec<std::ffi::OsString> = vec![program];
        let task = ["--pass", pass, "--model", case.model, "--size", case.size, "--batch", batch];
        let how = ["--threads", threads, "--backend", backend, "--repeats", case.repeats, "--warmup", warmup];
        command.extend(task.iter().chain(&how).map(Into::into));
        let name = "xray-model".to_owned();
        Competitor { name, command, environment, rate: "/images_per_second", peaks: &["/peak_memory_mib"] }
    }

    fn torch(&self, peers: &Peers, case: &Case, name: &str, environment: Environment) -> Competitor {
        let task = ["--model", case.peers_model, "--size", case.size, "--batch", case.batch];
        let how = ["--threads", &self.threads, "--memory-format", "channels_last", "--dtype", "f32"];
        let repeats = ["--repeats", case.repeats, "--warmup", "3"];
        let arguments = [&task[..], &how[..], &repeats[..]].concat();
        peers.competitor(format!("PyTorch, {name}"), TORCH, &arguments, environment)
    }

    fn keras(&self, peers: &Peers, case: &Case) -> Competitor {
        let task = ["--size", case.size, "--batch", case.batch, "--threads", &self.threads];
        let arguments = [&task[..], &["--repeats", case.repeats, "--warmup", "3"]].concat();
        peers.competitor("Keras".to_owned(), KERAS, &arguments, &[])
    }

    #[expect(clippy::print_stdout, reason = "the result")]
    fn report(
        &self,
        outcomes: Vec<Outcome>,
        title: &'static str,
        command: &'static str,
        method: &'static str,
        name: &str,
    ) -> Result<()> {
        let notes = vec![format!("Tuned malloc is `{}={}`", TUNED_MALLOC.0, TUNED_MALLOC.1)];
        let machine = self.machine.clone();
        let report = Report { title, command, machine, notes, outcomes, method, table: None };
        print!("{}", report.markdown());
        if self.arguments.only.is_some() {
            return Ok(());
        }
        report.write(&steps::root().join(&self.arguments.out), name)
    }
}

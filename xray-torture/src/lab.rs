//! What all trials share: programs, the meddler, and folders to begin with, which the programs themselves have made.

use crate::archives;
use crate::meddle::{Meddler, Meddling, Operations, operations};
use crate::outcome;
use crate::step::Step;
use crate::verdict::{Fault, Verdict, What};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use xray_image::{SynthConfig, encode_png, synthesise};
use xray_workspace::Programs;
use xray_workspace::watch::{Ending, last_words, panic_in, watch};

pub(crate) struct Lab {
    folder: TempDir,
    programs: Programs,
    meddler: Meddler,
    /// Draws what is tried.
    pub(crate) seed: u64,
    /// Where failed trials are kept.
    kept: PathBuf,
    /// How many were.
    keeping: AtomicUsize,
    /// The exit codes that each program's help names.
    codes: BTreeMap<&'static str, Vec<i32>>,
    /// Trials at a time.
    pub(crate) threads: usize,
    /// Whether trainings are interrupted on a GPU.
    pub(crate) gpu: bool,
}

/// How long any step may take: a GPU may be one in software, which compiles its kernels first.
const DEADLINE: Duration = Duration::from_secs(60);
const DEADLINE_ON_GPU: Duration = Duration::from_secs(900);

/// More are not kept: they fill the disk.
const MOST_KEPT: usize = 60;

const IMAGES: usize = 40;

pub(crate) const PROGRAMS: [&str; 5] = ["xray-data", "xray-train", "xray-eval", "xray-sweep", "xray-serve"];

/// A training of a third of a second whose checkpoints, evaluations and epochs do not fall together.
pub(crate) const TRAIN: &str = "xray-train --data LAB/shards --set preprocessing.size=32 --set model.width=8 --set 'training.duration=2 epochs' \
    --set training.bootstrap_resamples=20 --set training.log_every=1 --set 'training.checkpoint_every=3 steps' \
    --set 'training.evaluate_every=4 steps' --set training.keep=all --threads 1 -q --run FOLDER/run";

/// Its learning rate. A chart that is whole although its disk failed is replaced by the next.
pub(crate) const RANGE_TEST: &str = "xray-train --data LAB/shards --set preprocessing.size=32 --set model.width=8 \
    --batch-size 8 --find-learning-rate=50 --threads 1 -q --out FOLDER/rates.svg --overwrite";

/// A sweep of two such trainings, from the weights of one.
pub(crate) const PLAN: &str = "xray-sweep plan FOLDER/sweep --data LAB/shards --fractions 0.5,1.0 --trials 1 --no-pool \
    --set 'training.duration=1 epochs' --set model.width=8 --set preprocessing.size=32 \
    --set training.bootstrap_resamples=20 --set fine_tuning.weights=templates/run/run/model/model.safetensors";

/// A sweep of three points, of which one goes on from the first rung.
const HALVING: &str = "xray-sweep plan FOLDER/sweep --data LAB/shards --fractions 1 --trials 1 --no-pool \
    --rungs '3 steps,9 steps' --sample 3 --axis 'schedule.learning_rate=log(1e-4,1e-2)' --set model.width=8 \
    --set preprocessing.size=32 --set training.bootstrap_resamples=20";

/// Shards of the images.
pub(crate) const BUILD: &str =
    "xray-data build --csv LAB/images/labels.csv --labels Mass,Nodule --threads 1 --out FOLDER/shards";

/// Rows of the images.
pub(crate) const PREDICT: &str = "xray-eval predict FOLDER/run LAB/images --batch-size 8 --threads 1 \
    --out FOLDER/predictions.csv";

/// The same shards of the images and their table in an archive, which is read where it lies or from front to back.
pub(crate) const BUILD_ZIP: &str =
    "xray-data build --csv LAB/images.zip --labels Mass,Nodule --threads 1 --out FOLDER/shards";
pub(crate) const BUILD_TAR_GZ: &str =
    "xray-data build --csv LAB/images.tar.gz --labels Mass,Nodule --threads 1 --out FOLDER/shards";

/// The same rows of the images in an archive.
pub(crate) const PREDICT_TAR_GZ: &str = "xray-eval predict FOLDER/run LAB/images.tar.gz --batch-size 8 --threads 1 \
    --out FOLDER/predictions.csv";

/// A bundle of a run's weights, as if they were somebody else's.
pub(crate) const IMPORT: &str = "xray-eval import FOLDER/run/model/model.safetensors --architecture small-cnn --width 8 \
    --labels a,b,c,d,e,f,g,h,i,j,k,l,m,n --preprocessing zero-to-one --size 32 --out FOLDER/bundle";

impl Lab {
    /// Draws images, trains, plans and runs a sweep.
    pub(crate) fn set_up(
        programs: Programs,
        meddler: Meddler,
        folder: TempDir,
        seed: u64,
        kept: PathBuf,
        gpu: bool,
    ) -> Result<Lab> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let keeping = AtomicUsize::new(0);
        let mut lab =
            Lab { folder, programs, meddler, seed, kept, keeping, codes: BTreeMap::new(), threads, gpu };
        for program in PROGRAMS {
            lab.codes.insert(program, lab.documented(program)?);
        }
        lab.make_images()?;
        archives::pack(&lab.path().join("images"), lab.path())?;
        lab.make("LAB", "", &["xray-data synth --images 300 --size 32 --out LAB/shards"])?;
        lab.make("LAB", "", &["xray-data synth --images 300 --size 32 --out LAB/damaged"])?;
        lab.damage_records()?;
        lab.make("data", "", &["xray-data synth --images 300 --size 32 --out FOLDER/shards"])?;
        lab.make("built", "", &[&format!("{BUILD} --encoding png --seed 3")])?;
        lab.make("run", "", &[TRAIN])?;
        lab.make("other", "", &[&format!("{TRAIN} --set seed=7 --set schedule.learning_rate=0.01")])?;
        lab.interrupt("half", "", TRAIN, "/checkpoints/")?;
        lab.interrupt("cached", "", &format!("{TRAIN} --cache disk"), "/checkpoints/")?;
        lab.interrupt("predicting", "run", PREDICT, ".csv.part")?;
        let [f16, int8] = [
            "xray-eval export FOLDER/run --to safetensors --dtype f16 --max-auc-drop 1",
            "xray-eval export FOLDER/run --to onnx --dtype int8 --max-auc-drop 1",
        ];
        lab.make("calibrated", "run", &["xray-eval calibrate FOLDER/run", f16, int8])?;
        let drawn = "xray-eval explain FOLDER/run --test-records 2 --label Effusion --out FOLDER/maps";
        lab.make("explained", "run", &[drawn])?;
        let [first, second] = [0, 1].map(|fold| {
            format!("{TRAIN} --set data.folds=2 --set data.fold={fold} --run FOLDER/fold-{fold}")
        });
        lab.make("folds", "", &[&first, &second])?;
        lab.make("planned", "", &[PLAN])?;
        lab.make("swept", "planned", &["xray-sweep run FOLDER/sweep --launcher local -j 1"])?;
        let [collect, report] = ["xray-sweep collect FOLDER/sweep", "xray-sweep report FOLDER/sweep"];
        lab.make("reported", "swept", &[collect, report])?;
        lab.make("halved", "", &[HALVING, "xray-sweep run FOLDER/sweep --launcher local -j 1"])?;
        Ok(lab)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder to begin with.
    pub(crate) fn template(&self, name: &str) -> PathBuf {
        if name == "LAB" { self.path().to_owned() } else { self.path().join("templates").join(name) }
    }

    /// All of them.
    pub(crate) fn templates(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.path().join("templates"))?;
        let mut names: Vec<_> = entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        names.sort();
        Ok(names)
    }

    /// Takes steps in a new folder, or in a copy of another one.
    fn make(&self, name: &str, from: &str, lines: &[&str]) -> Result<()> {
        let folder = self.template(name);
        if from.is_empty() {
            fs::create_dir_all(&folder)?;
        } else {
            copy(&self.template(from), &folder)?;
        }
        for line in lines {
            self.must(&Step::new(line), &folder)?;
        }
        Ok(())
    }

    /// Work that was killed after some of its progress, which is written to files whose paths hold `progress`.
    fn interrupt(&self, name: &str, from: &str, line: &str, progress: &str) -> Result<()> {
        let (step, folder) = (Step::new(line), self.template(name));
        self.make(name, from, &[])?;
        let counted = self.count(&step, &folder, Meddling::NONE)?;
        fs::remove_dir_all(&folder)?;
        self.make(name, from, &[])?;
        let is_progress = |operation: &String| operation.contains(progress);
        let all: Vec<_> = (0..counted.len()).filter(|&at| is_progress(&counted[at])).collect();
        let at = all.get(all.len() * 3 / 5).context("it keeps its progress")? + 1;
        let kill = Meddling { at: at as u64, ..Meddling::NONE };
        let ended = self.run(&step, &folder, Some(kill))?;
        ensure!(ended.status.signal() == Some(9), "{name}: not killed: {}", ended.stderr);
        Ok(())
    }

    /// Does what must succeed.
    pub(crate) fn must(&self, step: &Step, folder: &Path) -> Result<Ending> {
        let ended = self.run(step, folder, None)?;
        let line = step.line(self.path(), folder);
        ensure!(ended.status.success(), "{line}: {}\n{}", ended.status, ended.stderr);
        Ok(ended)
    }

    /// The file operations of a step that succeeds.
    pub(crate) fn count(&self, step: &Step, folder: &Path, meddling: Meddling) -> Result<Vec<String>> {
        let ended = self.run(step, folder, Some(Meddling { at: 0, ..meddling }))?;
        let line = step.line(self.path(), folder);
        ensure!(ended.status.success(), "{line}: {}\n{}", ended.status, ended.stderr);
        Ok(operations(&trace(folder)))
    }

    /// Takes a step, which may be meddled with.
    pub(crate) fn run(&self, step: &Step, folder: &Path, meddling: Option<Meddling>) -> Result<Ending> {
        let program = self.programs.path(step.program())?;
        let mut command = match meddling {
            None => Command::new(program),
            Some(meddling) => {
                let mut command = self.meddler.command(meddling, folder, &trace(folder));
                command.arg(program);
                command
            }
        };
        command.args(step.arguments(self.path(), folder));
        self.watch(command, self.deadline())
    }

    /// Takes a step for so long, then kills it.
    pub(crate) fn run_for(&self, step: &Step, folder: &Path, time: Duration) -> Result<Ending> {
        let mut command = Command::new(self.programs.path(step.program())?);
        command.args(step.arguments(self.path(), folder));
        self.watch(command, time)
    }

    /// Takes a step from a shell, to whose script it is `"$@"`.
    pub(crate) fn run_in_shell(&self, script: &str, step: &Step, folder: &Path) -> Result<Ending> {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(self.programs.path(step.program())?);
        command.args(step.arguments(self.path(), folder));
        self.watch(command, self.deadline())
    }

    fn deadline(&self) -> Duration {
        if self.gpu { DEADLINE_ON_GPU } else { DEADLINE }
    }

    fn watch(&self, mut command: Command, deadline: Duration) -> Result<Ending> {
        command.current_dir(self.path()).env("RUST_BACKTRACE", "0");
        watch(&mut command, "", deadline)
    }

    /// What must not happen however a program is disturbed: that it dies, panics, hangs, or ends with a code that its
    /// help does not name or without saying why.
    pub(crate) fn unseemly(&self, step: &Step, ended: &Ending) -> Option<Fault> {
        let last = last_words(&ended.stderr);
        if let Some(panic) = panic_in(&ended.stderr) {
            return Some(Fault::new(What::Panic, panic));
        }
        if ended.time >= self.deadline() {
            return Some(Fault::new(What::Hang, format!("{:.0} s; {last}", ended.time.as_secs_f64())));
        }
        if let Some(signal) = ended.status.signal() {
            return Some(Fault::new(What::Death, format!("signal {signal}; {last}")));
        }
        let code = ended.status.code().unwrap_or(-1);
        if !self.codes[step.program()].contains(&code) {
            return Some(Fault::new(What::Code, format!("exit code {code}; {last}")));
        }
        None
    }

    /// The exit codes that a program's help names.
    fn documented(&self, program: &str) -> Result<Vec<i32>> {
        let help = Command::new(self.programs.path(program)?).arg("--help").output()?;
        let text = String::from_utf8_lossy(&help.stdout).into_owned();
        Ok(exit_codes(&text))
    }

    /// A new folder for a trial, with a copy of what it begins with.
    pub(crate) fn begin(&self, trial: &str, template: Option<&str>) -> Result<PathBuf> {
        let folder = self.path().join("trials").join(trial);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        match template {
            Some(name) => copy(&self.template(name), &folder)?,
            None => fs::create_dir_all(&folder)?,
        }
        Ok(folder)
    }

    /// Ends a trial: of one that failed the folder is kept, with what was done.
    pub(crate) fn end(&self, kind: &str, folder: &Path, verdict: &Verdict) -> Result<()> {
        if let Err(fault) = &verdict.came {
            let number = verdict.number;
            let said = format!(
                "{fault}\n\n{}\n\ncargo xtask torture --seed {} --kind {kind} --only {number}\n",
                verdict.did, self.seed
            );
            if self.keeping.fetch_add(1, Ordering::Relaxed) < MOST_KEPT {
                let place = self.kept.join(format!("{kind}-{number}"));
                if place.exists() {
                    fs::remove_dir_all(&place)?;
                }
                copy(folder, &place)?;
                fs::write(place.join("WHY.txt"), said)?;
            }
        }
        let _ = fs::remove_file(trace(folder));
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())
    }

    /// Images with a table of labels.
    fn make_images(&self) -> Result<()> {
        let folder = self.path().join("images");
        fs::create_dir_all(&folder)?;
        let config = SynthConfig { images: IMAGES as u64, size: 32, seed: 7, ..SynthConfig::default() };
        let mut table = "path,patient,Mass,Nodule\n".to_owned();
        for (number, drawn) in synthesise(&config).enumerate() {
            fs::write(folder.join(format!("{number}.png")), encode_png(&drawn.image))?;
            let (patient, mass, nodule) = (number / 2, number % 2, number / 3 % 2);
            table += &format!("{number}.png,p{patient},{mass},{nodule}\n");
        }
        fs::write(folder.join("labels.csv"), table)?;
        Ok(())
    }

    /// Makes two training records bad, in the middle of their images.
    fn damage_records(&self) -> Result<()> {
        let folder = self.path().join("damaged");
        let shards: Vec<_> = outcome::files(&folder)?
            .into_iter()
            .filter(|name| name.starts_with("train-") && name.ends_with(".tfrecord"))
            .collect();
        for name in [&shards[1], &shards[4]] {
            let path = folder.join(name);
            let mut bytes = fs::read(&path)?;
            bytes[700] ^= 0x40;
            fs::write(&path, bytes)?;
        }
        Ok(())
    }
}

impl Meddling {
    /// Only counts what changes files.
    pub(crate) const NONE: Meddling =
        Meddling { operations: Operations::Changes, how: crate::meddle::How::Kill, at: 0 };
}

/// Where the operations of a trial are noted.
pub(crate) fn trace(folder: &Path) -> PathBuf {
    folder.with_extension("trace")
}

/// Copies a folder. Programs in it are linked: they are large, and nobody writes into them.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &place)?;
        } else if from.ends_with("bin") && fs::hard_link(&path, &place).is_ok() {
        } else {
            fs::copy(&path, &place).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// Numbers before words in what follows `Exit codes`, in any layout: `0 ok · 130/143 stopped`.
fn exit_codes(help: &str) -> Vec<i32> {
    let text = help.find("Exit codes").map_or("", |at| &help[at..]);
    let mut codes: Vec<i32> =
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
    codes.push(0);
    codes.sort_unstable();
    codes.dedup();
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_read_from_a_help() {
        let check = |help, expected: &[i32]| assert_eq!(exit_codes(help), expected);
        check("--size 32\nExit codes: 0 ok · 1 unexpected · 130/143\nstopped", &[0, 1, 130, 143]);
        check("Exit codes:\n  0  done\n  5  bad data\n", &[0, 5]);
        check("no list", &[0]);
    }
}

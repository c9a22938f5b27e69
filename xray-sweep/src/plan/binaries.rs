//! The trainer's builds that a sweep ships: where they come from, what each needs of a processor, and which
//! machine gets which.

use super::{Plan, PlanOptions, absolute};
use crate::glibc::glibc_of;
use crate::isa::{IsaError, Level, is_static, level_of};
use crate::sweep_dir::SweepDir;
use crate::trainer;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, FileError, NewFile};

/// A build in the sweep's `bin/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binary {
    /// Its place below the sweep directory.
    pub file: String,
    /// What it needs of a processor.
    pub level: Level,
    /// Whether it is for cells that ask for a GPU; plans of earlier versions know no such program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gpu: bool,
    /// The oldest glibc that it runs with, of a program that loads one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glibc: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// Its content.
    pub blake3: String,
}

impl Binary {
    /// What a machine must have to run it, for a person.
    pub fn needs(&self) -> String {
        let processor = match self.level {
            Level::V1 => "any x86-64 processor".to_owned(),
            level => format!("{level} or better"),
        };
        let library = self.glibc.iter().map(|version| format!("glibc {version} or newer"));
        let driver = self.gpu.then(|| "a GPU with a Vulkan driver".to_owned());
        [processor].into_iter().chain(library).chain(driver).collect::<Vec<_>>().join(", ")
    }

    /// Where it lies, if it is what was planned: a program with a flipped bit may still train, and to other numbers.
    fn checked(&self, dir: &SweepDir) -> Result<PathBuf, Failure> {
        let path = absolute(&dir.path().join(&self.file));
        let content =
            fs::read(&path).map_err(|source| FileError::Io { path: path.clone(), action: "read", source })?;
        if hash(&content) == self.blake3 {
            return Ok(path);
        }
        let message = format!("{} is not the program that was planned: its content differs", path.display());
        Err(Failure::new(Exit::BadData, message)
            .hint("restore the old one, or plan again with --binary and the same build"))
    }
}

/// Refuses to send programs that are not those that were planned.
pub fn check_binaries(dir: &SweepDir, plan: &Plan) -> Result<(), Failure> {
    plan.binaries.iter().try_for_each(|binary| binary.checked(dir).map(drop))
}

fn hash(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

/// Builds that were found.
pub(super) struct Found {
    /// For processors alone, those that need least first; none where none lies anywhere.
    for_cpu: Vec<Build>,
    /// What to know of those, if they are sent.
    note: Option<String>,
    /// For a GPU.
    for_gpu: Option<Build>,
}

struct Build {
    path: PathBuf,
    level: Level,
    bytes: u64,
    is_for_gpu: bool,
}

/// Those of `options`; else those of the plan before; else the packaged worker, and the GPU's program in the folder of
/// this one. Which of them are sent, [`Found::needed`] says.
pub(super) fn find(dir: &SweepDir, options: &PlanOptions, before: Option<&Plan>) -> Result<Found, Failure> {
    let mut found = Found { for_cpu: Vec::new(), note: None, for_gpu: None };
    for (said, path) in &options.binaries {
        found.for_cpu.push(build(path, *said, false)?);
    }
    if let Some(path) = &options.gpu_binary {
        found.for_gpu = Some(build(path, None, true)?);
    }
    let (was_cpu_said, was_gpu_said) = (!found.for_cpu.is_empty(), found.for_gpu.is_some());
    for binary in before.iter().flat_map(|before| &before.binaries) {
        let is_said = if binary.gpu { was_gpu_said } else { was_cpu_said };
        if !is_said {
            let build = build(&binary.checked(dir)?, Some(binary.level), binary.gpu)?;
            if binary.gpu { found.for_gpu = Some(build) } else { found.for_cpu.push(build) }
        }
    }
    if found.for_cpu.is_empty()
        && let Some((path, note)) = default_build()?
    {
        found.for_cpu.push(build(&path, None, false)?);
        found.note = note;
    }
    let beside = here().join(GPU_PROGRAM);
    if found.for_gpu.is_none() && beside.is_file() {
        found.for_gpu = Some(build(&beside, None, true)?);
    }
    found.for_cpu.sort_by_key(|build| build.level);
    if let Some(pair) = found.for_cpu.windows(2).find(|pair| pair[0].level == pair[1].level) {
        let (a, b) = (pair[0].path.display(), pair[1].path.display());
        return Err(Failure::new(Exit::Usage, format!("{a} and {b} both need {}", pair[0].level))
            .hint("give one build per level"));
    }
    Ok(found)
}

fn build(path: &Path, said: Option<Level>, is_for_gpu: bool) -> Result<Build, Failure> {
    let read = |source| FileError::Io { path: path.to_owned(), action: "read", source };
    let bytes = fs::metadata(path).map_err(read)?.len();
    let failure = |message: String| Failure::new(Exit::Usage, message);
    let carried = level_of(path).map_err(unusable)?;
    let level = match (said, carried) {
        (Some(said), Some(carried)) if said != carried => {
            let message = format!("{} carries {carried}, not {said}", path.display());
            return Err(failure(message).hint("the level is stored in the file: leave it out"));
        }
        (_, Some(level)) | (Some(level), None) => level,
        (None, None) => {
            let message = format!("{} does not state which processor it needs", path.display());
            return Err(failure(message)
                .hint("build it with `cargo xtask package worker`, or state it: --binary v1=PATH"));
        }
    };
    Ok(Build { path: absolute(path), level, bytes, is_for_gpu })
}

fn unusable(error: IsaError) -> Failure {
    Failure::new(Exit::Usage, xray_artifacts::one_line(&error))
}

/// The trainer with a GPU backend.
const GPU_PROGRAM: &str = "xray-train-gpu";

/// The folder in which this program lies.
fn here() -> PathBuf {
    std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default()
}

/// `cargo xtask package worker` puts its output below the folder in which this program lies; in a release, the trainer
/// beside this program is static itself.
fn default_build() -> Result<Option<(PathBuf, Option<String>)>, Failure> {
    let packaged = here().join("../worker/xray-train");
    if packaged.is_file() {
        return Ok(Some((packaged, None)));
    }
    let beside = here().join("xray-train");
    if !beside.is_file() {
        return Ok(None);
    }
    let is_static = is_static(&beside).map_err(unusable)?;
    let note = format!(
        "no packaged worker was found: jobs get {}, which needs this system's libraries; \
         `cargo xtask package worker` makes one that runs everywhere",
        beside.display()
    );
    Ok(Some((beside, (!is_static).then_some(note))))
}

fn no_program() -> Failure {
    Failure::new(Exit::Usage, "no trainer was found to send with the jobs")
        .hint("make one with `cargo xtask package worker`, or name one with --binary")
}

fn no_gpu_program() -> Failure {
    let message = format!("no {GPU_PROGRAM} was found to send with the jobs that ask for a GPU");
    Failure::new(Exit::Usage, message)
        .hint("make one with `cargo xtask build --gpu`, or name one with --gpu-binary")
}

impl Found {
    /// The one to ask what settings come to: of those for processors the one that most machines can run, unless the
    /// GPU's is preferred or alone.
    pub(super) fn resolver(&self, prefers_gpu: bool) -> Result<&Path, Failure> {
        let (cpu, gpu) = (self.for_cpu.first(), self.for_gpu.as_ref());
        let chosen = if prefers_gpu { gpu.or(cpu) } else { cpu.or(gpu) };
        chosen.map(|build| build.path.as_path()).ok_or_else(no_program)
    }

    /// Bytes of the largest program that a cell may get.
    pub(super) fn largest(&self, for_gpu: bool) -> u64 {
        let builds = if for_gpu { self.for_gpu.as_slice() } else { &self.for_cpu[..] };
        builds.iter().map(|build| build.bytes).max().unwrap_or_default()
    }

    /// What cells that ask for so many GPUs are sent.
    ///
    /// # Errors
    /// When a program is missing, or `version`, with which the cells were resolved, is not that of the GPU's program.
    pub(super) fn needed(
        self,
        gpus: &[u32],
        version: &str,
        notes: &mut Vec<String>,
    ) -> Result<Needed, Failure> {
        let mut builds = Vec::new();
        if gpus.contains(&0) {
            builds = self.for_cpu;
            notes.extend(self.note);
            if builds.is_empty() {
                return Err(no_program());
            }
        }
        if gpus.iter().any(|&gpus| gpus > 0) {
            let build = self.for_gpu.ok_or_else(no_gpu_program)?;
            let own = trainer::ask(&build.path)?.version;
            if own != version {
                let message =
                    format!("{} is {own}, but the other trainer is {version}", build.path.display());
                return Err(
                    Failure::new(Exit::ModelMismatch, message).hint("build both from the same commit")
                );
            }
            builds.push(build);
        }
        Ok(Needed(builds))
    }
}

/// Builds that are sent: those for processors, those that need least first, then that for a GPU.
pub(super) struct Needed(Vec<Build>);

impl Needed {
    /// Copies them into `bin/`, where they are not yet. A job that starts meanwhile gets the old or the new
    /// one, never half of one.
    pub(super) fn install(&self, dir: &SweepDir) -> Result<Vec<Binary>, Failure> {
        let io = |path: &Path, action| {
            let path = path.to_owned();
            move |source| FileError::Io { path, action, source }
        };
        fs::create_dir_all(dir.bin()).map_err(io(&dir.bin(), "create"))?;
        let mut binaries = Vec::new();
        let for_cpu = self.0.iter().filter(|build| !build.is_for_gpu).count();
        for build in &self.0 {
            let file = match (build.is_for_gpu, for_cpu) {
                (true, _) => format!("bin/{GPU_PROGRAM}"),
                (false, 1) => "bin/xray-train".to_owned(),
                (false, _) => format!("bin/xray-train-{}", build.level),
            };
            let to = dir.path().join(&file);
            let content = fs::read(&build.path).map_err(io(&build.path, "read"))?;
            if fs::read(&to).ok().is_none_or(|old| old != content) {
                let permissions = fs::metadata(&build.path).map_err(io(&build.path, "read"))?.permissions();
                let mut file = NewFile::create(&to)?;
                file.write_all(&content).map_err(io(&to, "write"))?;
                file.set_permissions(permissions)?;
                file.finish()?;
            }
            binaries.push(Binary {
                file,
                level: build.level,
                gpu: build.is_for_gpu,
                glibc: glibc_of(&build.path).map_err(unusable)?,
                bytes: build.bytes,
                blake3: hash(&content),
            });
        }
        Ok(binaries)
    }
}

/// The best of the sweep's builds that runs on this machine, among those that are wanted. A build says itself, by
/// [`Exit::CannotRunHere`], when it does not.
pub fn runnable_here(
    dir: &SweepDir,
    plan: &Plan,
    is_wanted: impl Fn(&Binary) -> bool,
) -> Result<PathBuf, Failure> {
    let runs_here = |path: &PathBuf| {
        let mut version = std::process::Command::new(path);
        version.arg("--version").stdin(std::process::Stdio::null());
        version.output().is_ok_and(|output| output.status.success())
    };
    let wanted: Vec<&Binary> = plan.binaries.iter().filter(|binary| is_wanted(binary)).collect();
    for binary in wanted.iter().rev() {
        let path = binary.checked(dir)?;
        if runs_here(&path) {
            return Ok(path);
        }
    }
    let needs: Vec<_> = wanted.iter().map(|binary| binary.needs()).collect();
    let message =
        format!("none of the sweep's programs runs on this machine: they need {}", needs.join(", or "));
    Err(Failure::new(Exit::CannotRunHere, message).hint("plan with the baseline build, or submit to a pool"))
}

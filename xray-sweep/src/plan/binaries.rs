//! The trainer's builds that a sweep ships: where they come from, what each needs of a processor, and which
//! machine gets which.

use super::{Plan, PlanOptions, absolute};
use crate::isa::{IsaError, Level, is_static, level_of};
use crate::sweep_dir::SweepDir;
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
    /// Its size.
    pub bytes: u64,
    /// Its content.
    pub blake3: String,
}

impl Binary {
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
            .hint("copy the old one back, or plan again with --binary and the same build"))
    }
}

/// Refuses to send programs that are not those that were planned.
pub fn check_binaries(dir: &SweepDir, plan: &Plan) -> Result<(), Failure> {
    plan.binaries.iter().try_for_each(|binary| binary.checked(dir).map(drop))
}

fn hash(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

/// Builds that were found, those that need least first.
pub(super) struct Found {
    builds: Vec<Build>,
    pub(super) notes: Vec<String>,
}

struct Build {
    path: PathBuf,
    level: Level,
    bytes: u64,
}

/// Those of `options`; else those of the plan before; else the packaged worker.
pub(super) fn find(dir: &SweepDir, options: &PlanOptions, before: Option<&Plan>) -> Result<Found, Failure> {
    let mut notes = Vec::new();
    let mut builds = Vec::new();
    if !options.binaries.is_empty() {
        for (said, path) in &options.binaries {
            builds.push(build(path, *said)?);
        }
    } else if let Some(before) = before {
        for binary in &before.binaries {
            builds.push(build(&binary.checked(dir)?, Some(binary.level))?);
        }
    } else {
        let (path, note) = default_build()?;
        builds.push(build(&path, None)?);
        notes.extend(note);
    }
    builds.sort_by_key(|build| build.level);
    if let Some(pair) = builds.windows(2).find(|pair| pair[0].level == pair[1].level) {
        let (a, b) = (pair[0].path.display(), pair[1].path.display());
        return Err(Failure::new(Exit::Usage, format!("{a} and {b} both need {}", pair[0].level))
            .hint("give one build per level"));
    }
    Ok(Found { builds, notes })
}

fn build(path: &Path, said: Option<Level>) -> Result<Build, Failure> {
    let read = |source| FileError::Io { path: path.to_owned(), action: "read", source };
    let bytes = fs::metadata(path).map_err(read)?.len();
    let failure = |message: String| Failure::new(Exit::Usage, message);
    let carried = level_of(path).map_err(unusable)?;
    let level = match (said, carried) {
        (Some(said), Some(carried)) if said != carried => {
            let message = format!("{} carries {carried}, not {said}", path.display());
            return Err(failure(message).hint("the level stands in the file itself: leave it out"));
        }
        (_, Some(level)) | (Some(level), None) => level,
        (None, None) => {
            let message = format!("{} does not say what it needs of a processor", path.display());
            return Err(failure(message)
                .hint("build it with `cargo xtask package worker`, or say it: --binary v1=PATH"));
        }
    };
    Ok(Build { path: absolute(path), level, bytes })
}

fn unusable(error: IsaError) -> Failure {
    Failure::new(Exit::Usage, xray_artifacts::one_line(&error))
}

/// `cargo xtask package worker` puts its output below the folder in which this program lies; in a release, the trainer
/// beside this program is static itself.
fn default_build() -> Result<(PathBuf, Option<String>), Failure> {
    let here =
        std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
    let packaged = here.join("../worker/xray-train");
    if packaged.is_file() {
        return Ok((packaged, None));
    }
    let beside = here.join("xray-train");
    if beside.is_file() {
        let is_static = is_static(&beside).map_err(unusable)?;
        let note = format!(
            "no packaged worker was found: jobs get {}, which needs this system's libraries; \
             `cargo xtask package worker` makes one that runs everywhere",
            beside.display()
        );
        return Ok((beside, (!is_static).then_some(note)));
    }
    Err(Failure::new(Exit::Usage, "no trainer was found to send with the jobs")
        .hint("make one with `cargo xtask package worker`, or name one with --binary"))
}

impl Found {
    /// The one that most machines can run.
    pub(super) fn least(&self) -> &Path {
        &self.builds[0].path
    }

    /// Bytes of the largest.
    pub(super) fn largest(&self) -> u64 {
        self.builds.iter().map(|build| build.bytes).max().unwrap_or_default()
    }

    /// Copies them into `bin/`, where they are not yet. A job that starts meanwhile gets the old or the new
    /// one, never half of one.
    pub(super) fn install(&self, dir: &SweepDir) -> Result<Vec<Binary>, Failure> {
        let io = |path: &Path, action| {
            let path = path.to_owned();
            move |source| FileError::Io { path, action, source }
        };
        fs::create_dir_all(dir.bin()).map_err(io(&dir.bin(), "create"))?;
        let mut binaries = Vec::new();
        for build in &self.builds {
            let file = if self.builds.len() == 1 {
                "bin/xray-train".to_owned()
            } else {
                format!("bin/xray-train-{}", build.level)
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
            binaries.push(Binary { file, level: build.level, bytes: build.bytes, blake3: hash(&content) });
        }
        Ok(binaries)
    }
}

/// The best of the sweep's builds that runs on this machine. A build says itself, by [`Exit::CannotRunHere`], when it
/// does not.
pub fn runnable_here(dir: &SweepDir, plan: &Plan) -> Result<PathBuf, Failure> {
    let runs_here = |path: &PathBuf| {
        let mut version = std::process::Command::new(path);
        version.arg("--version").stdin(std::process::Stdio::null());
        version.output().is_ok_and(|output| output.status.success())
    };
    for binary in plan.binaries.iter().rev() {
        let path = binary.checked(dir)?;
        if runs_here(&path) {
            return Ok(path);
        }
    }
    let levels: Vec<_> = plan.binaries.iter().map(|binary| binary.level.to_string()).collect();
    let message =
        format!("none of the sweep's programs runs on this machine: they need {}", levels.join(", "));
    Err(Failure::new(Exit::CannotRunHere, message).hint("plan with the baseline build, or submit to a pool"))
}

//! The project's own programs: built, or found where they were built before.

use crate::steps::{self, cargo};
use anyhow::{Result, bail};
use clap::Args;
use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the programs come from.
#[derive(Clone, Debug, Default, Args)]
pub struct ProgramArguments {
    /// Folder of programs that were built before, which are used as they are [default: build them]
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

/// A folder with `xray-train`, `xray-data` and the others.
#[derive(Clone, Debug)]
pub struct Programs(PathBuf);

impl ProgramArguments {
    /// Builds all of them, and the examples that benches run, unless a folder was named.
    pub fn get(&self) -> Result<Programs> {
        self.or_build(&ALL, &["--examples"])
    }

    /// Builds `programs` unless a folder was named.
    pub fn get_only(&self, programs: &[&str]) -> Result<Programs> {
        self.or_build(programs, &[])
    }

    /// Builds examples with features of the workspace's crates unless a folder was named.
    pub fn get_examples(&self, examples: &[&str], features: &str) -> Result<Programs> {
        let named = examples.iter().flat_map(|example| ["--example", example]);
        self.or_build(&[], &["--features", features].into_iter().chain(named).collect::<Vec<_>>())
    }

    fn or_build(&self, programs: &[&str], more: &[&str]) -> Result<Programs> {
        match &self.binaries {
            Some(folder) => Ok(Programs(std::path::absolute(folder)?)),
            None => Programs::build_with(programs, more),
        }
    }
}

/// Every program that people use.
pub const ALL: [&str; 5] = ["xray-data", "xray-train", "xray-eval", "xray-sweep", "xray-serve"];

impl Programs {
    /// Builds those of these names, and whatever they need and no more.
    pub fn build(programs: &[&str]) -> Result<Programs> {
        Programs::build_with(programs, &[])
    }

    fn build_with(programs: &[&str], more: &[&str]) -> Result<Programs> {
        let start = Instant::now();
        // All of the workspace is named, so that dependencies get the features that they have in every other build.
        let mut build = cargo(["build", "--release", "--workspace"]);
        build.args(programs.iter().flat_map(|program| ["--bin", program])).args(more);
        steps::run(&mut build)?;
        eprintln!("built in {}", steps::duration(start.elapsed()));
        Ok(Programs(beside_this_program()?))
    }

    /// The path of one program.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(format!("{name}{EXE_SUFFIX}"));
        if !path.is_file() {
            bail!("there is no {}", path.display());
        }
        Ok(path)
    }

    /// The same as one would type it in the workspace.
    pub fn shown(&self, name: &str) -> String {
        self.relative().join(name).display().to_string()
    }

    /// Where they are, as one would type it in the workspace.
    pub fn folder(&self) -> String {
        self.relative().display().to_string()
    }

    fn relative(&self) -> &Path {
        self.0.strip_prefix(steps::root()).unwrap_or(&self.0)
    }
}

/// Cargo puts this program where it puts all others of the profile, whatever the target folder is.
fn beside_this_program() -> Result<PathBuf> {
    let this = steps::this_program()?;
    Ok(this.parent().map(Path::to_owned).unwrap_or_default())
}

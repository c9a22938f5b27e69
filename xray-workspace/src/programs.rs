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
    /// Builds them unless a folder was named.
    pub fn get(&self) -> Result<Programs> {
        match &self.binaries {
            Some(folder) => Ok(Programs(std::path::absolute(folder)?)),
            None => build(),
        }
    }
}

impl Programs {
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
        self.0.strip_prefix(steps::root()).unwrap_or(&self.0).join(name).display().to_string()
    }
}

/// There are no examples to build. Naming them makes cargo choose the features that the tests need, so that
/// programs and tests share their dependencies; without that, most of burn would be compiled twice.
const BUILD: [&str; 5] = ["build", "--release", "--workspace", "--bins", "--examples"];

fn build() -> Result<Programs> {
    let start = Instant::now();
    steps::run(&mut cargo(BUILD))?;
    eprintln!("built in {}", steps::duration(start.elapsed()));
    Ok(Programs(beside_this_program()?))
}

/// Cargo puts this program where it puts all others of the profile, whatever the target folder is.
fn beside_this_program() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    Ok(this.parent().map(Path::to_owned).unwrap_or_default())
}

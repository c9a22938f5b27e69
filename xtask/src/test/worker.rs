//! The packaged worker for the tests that run it on an old processor.

use crate::package::{Level, worker};
use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSection as _};
use std::fs;
use std::path::{Path, PathBuf};
use xray_workspace::steps;

/// Only there.
pub(super) const CAN_BE_BUILT: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// A folder, not that of real workers, with a baseline worker and one that an old processor cannot run; none where none
/// can be built.
pub(super) fn prepare() -> Result<Option<PathBuf>> {
    if !CAN_BE_BUILT {
        return Ok(None);
    }
    let folder = steps::target_folder()?.join("test-workers");
    let baseline = folder.join(worker::file_name(Level::V1));
    worker::build(Level::V1, &baseline)?;
    claim(&baseline, Level::V3, &folder.join(worker::file_name(Level::V3)))?;
    Ok(Some(folder))
}

/// Copies a worker as one that is built for `level`: its guard asks the processor for that, and then uses an
/// instruction of it. Tests look at how it ends where the processor lacks it, for which nothing has to be built anew.
fn claim(worker: &Path, level: Level, copy: &Path) -> Result<()> {
    let mut program = fs::read(worker)?;
    let section = object::File::parse(program.as_slice())?
        .section_by_name(worker::LEVEL_SECTION)
        .and_then(|section| section.file_range())
        .context("a worker says what it needs")?;
    let place = section.0 as usize..(section.0 + section.1) as usize;
    let text = format!("{level}\0");
    ensure!(text.len() == place.len(), "{level} is not a level that fits in");
    program[place].copy_from_slice(text.as_bytes());
    // With the permissions.
    fs::copy(worker, copy)?;
    fs::write(copy, program).with_context(|| format!("cannot write {}", copy.display()))
}

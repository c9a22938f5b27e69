//! The packaged worker for the tests that run it on an old processor.

use crate::package::{Level, Profile, worker};
use anyhow::Result;
use std::path::PathBuf;
use xray_workspace::steps;

/// A folder, not that of real workers, with a baseline worker and one that an old processor cannot run; none where none
/// can be built. The second is hardly optimised: tests look at how it ends, and building all of burn once more took ten
/// minutes.
pub(super) fn prepare() -> Result<Option<PathBuf>> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(None);
    }
    let folder = steps::target_folder()?.join("test-workers");
    for (level, profile) in [(Level::V1, Profile::Worker), (Level::V3, Profile::Hasty)] {
        worker::build(level, profile, &folder.join(worker::file_name(level)))?;
    }
    Ok(Some(folder))
}

//! The packaged worker for the tests that run it on an old processor.

use crate::package::{Level, worker};
use anyhow::Result;
use std::path::PathBuf;

/// The folder of a baseline worker and one that an old processor cannot run; none where none can be built.
pub(super) fn prepare() -> Result<Option<PathBuf>> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(None);
    }
    let folder = worker::folder()?;
    for level in [Level::V1, Level::V3] {
        worker::build(level, &folder.join(worker::file_name(level)))?;
    }
    Ok(Some(folder))
}

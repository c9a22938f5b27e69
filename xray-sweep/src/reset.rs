//! Makes a cell as if it had never run. What was there is moved aside, never removed.

use crate::plan::placeholder;
use crate::sweep_dir::CellDir;
use std::fs;
use std::path::{Path, PathBuf};
use xray_artifacts::{Failure, FileError};

/// Moves the run directory to `run.1`, `run.2`, ... and puts a fresh one in its place.
pub fn reset(cell: &CellDir) -> Result<(), Failure> {
    let io = |path: &Path, action| {
        let path = path.to_owned();
        move |source| FileError::Io { path, action, source }
    };
    let run = cell.run();
    if run.exists() {
        let aside =
            (1_u32..).map(|number| aside(cell, number)).find(|path| !path.exists()).expect("numbers go on");
        fs::rename(&run, &aside).map_err(io(&run, "move aside"))?;
    }
    fs::create_dir_all(&run).map_err(io(&run, "create"))?;
    Ok(placeholder(&cell.status()).map_err(io(&cell.status(), "write"))?)
}

fn aside(cell: &CellDir, number: u32) -> PathBuf {
    cell.path().join(format!("run.{number}"))
}

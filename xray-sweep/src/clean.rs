//! Frees what finished cells need no more, and those that halving left behind. A cell counts as finished only by its own
//! complete result, so what is at work, waits at a rung, failed or is unfinished keeps what it goes on from.

use crate::state::CellReport;
use crate::sweep_dir::SweepDir;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use xray_artifacts::{Exit, Failure, FileError, Keep};

/// What can be freed of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freed {
    /// Id of the cell.
    pub cell: String,
    /// How much.
    pub bytes: u64,
}

/// What a sweep's finished cells hold beyond what is kept, in the sweep's order; cells that hold nothing more are left out.
/// With `remove` it goes.
///
/// # Errors
/// A folder that cannot be read, a file that cannot be removed, or a trainer that is still in the run directory.
pub fn clean(dir: &SweepDir, cells: &[CellReport], keep: Keep, remove: bool) -> Result<Vec<Freed>, Failure> {
    let mut freed = Vec::new();
    for report in cells.iter().filter(|report| report.state.is_final()) {
        let cell = report.cell.id.clone();
        let run = dir.cell(&cell).run();
        let bytes = keep.frees(&run)?;
        if remove {
            let _lock = lock(&run)?;
            keep.tidy(&run)?;
        }
        if bytes > 0 {
            freed.push(Freed { cell, bytes });
        }
    }
    Ok(freed)
}

/// Keeps trainers out of a run directory by the file that they lock, where there is one: what comes back from a pool may
/// lack it.
fn lock(run: &Path) -> Result<Option<File>, Failure> {
    let path = run.join(".lock");
    let io = |action| {
        let path = path.clone();
        move |source| Failure::from(FileError::Io { path, action, source })
    };
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(io("open"))?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let message = format!("another process is running in {}", run.display());
            Err(Failure::new(Exit::Usage, message)
                .hint("wait for it; the same command then removes the rest"))
        }
        Err(TryLockError::Error(source)) => Err(io("lock")(source)),
    }
}

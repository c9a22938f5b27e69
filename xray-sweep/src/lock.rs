//! One process at a time plans or runs a sweep; others may look.

use crate::sweep_dir::SweepDir;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use xray_artifacts::{Exit, Failure, FileError};

/// Held until dropped, and let go by the system when the process dies.
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Lock {
    /// Takes the sweep for `purpose`, such as `plan`; makes its folder where there is none.
    pub fn take(dir: &SweepDir, purpose: &str) -> Result<Lock, Failure> {
        let path = dir.lock();
        let io = |action| {
            let path = path.clone();
            move |source| Failure::from(FileError::Io { path, action, source })
        };
        fs::create_dir_all(dir.path()).map_err(io("create the folder of"))?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let message = format!("another process works on {}: {}", dir.path().display(), holder.trim());
                return Err(Failure::new(Exit::Usage, message)
                    .hint("wait for it or stop it; `xray-sweep status` works meanwhile"));
            }
            Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let text = format!("`xray-sweep {purpose}`, process {} on {host}\n", std::process::id());
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(io("write"))?;
        Ok(Lock(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = SweepDir::new(folder.path().join("sweep"));
        let first = Lock::take(&dir, "run").expect("free");
        let failure = Lock::take(&dir, "plan").err().expect("taken");
        assert!(failure.message.contains("`xray-sweep run`, process "), "{failure}");
        assert_eq!(failure.exit, Exit::Usage);
        drop(first);
        Lock::take(&dir, "plan").expect("free again");
    }
}

//! A program whose file operations fail, or during which it is killed: `meddle.c`, compiled when it is needed.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which file operations are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operations {
    /// What changes files and folders.
    Changes,
    /// What looks at them.
    Reads,
}

/// What happens at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The process is killed before it.
    Kill,
    /// The process is killed after half of a write; before any other operation.
    Half,
    /// It fails with this error.
    Once(Errno),
    /// It and all that follow fail; of a first write half is done.
    Sticky(Errno),
}

/// Why an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errno {
    Input = 5,
    Denied = 13,
    ManyFiles = 24,
    Full = 28,
}

/// What to do to a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meddling {
    pub(crate) operations: Operations,
    pub(crate) how: How,
    /// Counts from 1; 0 only counts.
    pub(crate) at: u64,
}

impl Meddling {
    /// As the program spells it.
    fn arguments(&self) -> [String; 4] {
        let operations = if self.operations == Operations::Changes { "change" } else { "read" };
        let (how, errno) = match self.how {
            How::Kill => ("kill", 0),
            How::Half => ("half", 0),
            How::Once(errno) => ("once", errno as i32),
            How::Sticky(errno) => ("sticky", errno as i32),
        };
        [operations.to_owned(), self.at.to_string(), how.to_owned(), errno.to_string()]
    }
}

/// The compiled program.
#[derive(Debug)]
pub(crate) struct Meddler(PathBuf);

impl Meddler {
    /// Why this machine cannot run it, where it cannot.
    pub(crate) fn compile(folder: &Path) -> Result<Result<Meddler, String>> {
        let (source, program) = (folder.join("meddle.c"), folder.join("meddle"));
        fs::write(&source, include_str!("meddle.c"))?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-o"]).arg(&program).arg(&source);
        match compiler.output() {
            Err(error) => return Ok(Err(format!("there is no C compiler `cc`: {error}"))),
            Ok(made) if !made.status.success() => {
                let said = String::from_utf8_lossy(&made.stderr);
                return Ok(Err(format!("`cc` cannot compile meddle.c: {}", said.trim_end())));
            }
            Ok(_) => {}
        }
        let meddler = Meddler(program);
        let count = Meddling { operations: Operations::Changes, how: How::Kill, at: 0 };
        let mut trial = meddler.command(count, folder, &folder.join("trace"));
        let tried = trial.arg("/bin/true").output().context("cannot start meddle")?;
        let said = String::from_utf8_lossy(&tried.stderr);
        Ok(if tried.status.success() { Ok(meddler) } else { Err(said.trim_end().to_owned()) })
    }

    /// A command to which the program and its arguments are to be added.
    pub(crate) fn command(&self, meddling: Meddling, folder: &Path, trace: &Path) -> Command {
        let [operations, at, how, errno] = meddling.arguments();
        let mut command = Command::new(&self.0);
        command.arg(folder).args([operations, at, how, errno]).arg(trace);
        command
    }
}

/// The operations of a trace, each as its name and path.
pub(crate) fn operations(trace: &Path) -> Vec<String> {
    let text = fs::read(trace).unwrap_or_default();
    let lines = String::from_utf8_lossy(&text).into_owned();
    lines.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Output;

    struct Bench {
        folder: tempfile::TempDir,
        meddler: Meddler,
    }

    /// None, and a word why, where this machine cannot do it.
    fn bench() -> Option<Bench> {
        let folder = tempfile::tempdir().expect("a folder");
        match Meddler::compile(folder.path()).expect("compiled") {
            Ok(meddler) => Some(Bench { folder, meddler }),
            Err(reason) => {
                writeln!(std::io::stderr(), "skipped: {reason}").expect("written");
                None
            }
        }
    }

    use std::io::Write as _;

    impl Bench {
        fn sh(&self, script: &str, how: How, at: u64) -> (Output, Vec<String>) {
            let watched = self.folder.path().join("watched");
            let _ = fs::remove_dir_all(&watched);
            fs::create_dir(&watched).expect("created");
            let trace = self.folder.path().join("trace");
            let meddling = Meddling { operations: Operations::Changes, how, at };
            let mut command = self.meddler.command(meddling, &watched, &trace);
            let output =
                command.args(["/bin/sh", "-c", script]).current_dir(&watched).output().expect("it runs");
            let names = operations(&trace).into_iter().map(|line| {
                let (name, path) = line.split_once(' ').expect("a path");
                format!("{name} {}", path.rsplit('/').next().expect("a name"))
            });
            (output, names.collect())
        }

        fn text(&self) -> String {
            fs::read_to_string(self.folder.path().join("watched/a")).unwrap_or_default()
        }
    }

    const SCRIPT: &str = "printf abcdef > a; mv a b; mkdir c; rm b; exit 7";

    #[test]
    fn operations_are_counted_and_the_exit_code_is_kept() {
        let Some(bench) = bench() else { return };
        let (output, names) = bench.sh(SCRIPT, How::Kill, 0);
        assert_eq!(output.status.code(), Some(7));
        assert_eq!(names.len(), 5, "{names:?}");
        assert_eq!(names[..2], ["openat a", "write a"]);
        assert!(names[2].starts_with("rename") && names[3] == "mkdir c", "{names:?}");
        let outside = bench.sh("printf x > /dev/null; printf x", How::Kill, 0);
        assert_eq!(outside.1, [""; 0], "others are not counted");
        assert_eq!(outside.0.stdout, b"x");
    }

    #[test]
    fn a_program_is_killed_before_an_operation_or_after_half_of_a_write() {
        let Some(bench) = bench() else { return };
        let (output, _) = bench.sh(SCRIPT, How::Kill, 2);
        assert_eq!((output.status.signal(), bench.text().as_str()), (Some(9), ""));
        let (output, _) = bench.sh(SCRIPT, How::Half, 2);
        assert_eq!((output.status.signal(), bench.text().as_str()), (Some(9), "abc"));
        let (output, _) = bench.sh(SCRIPT, How::Kill, 3);
        // A child is killed, not who started it.
        assert_eq!((output.status.code(), bench.text().as_str()), (Some(7), "abcdef"));
    }

    #[test]
    fn an_operation_fails_once_or_from_then_on() {
        let Some(bench) = bench() else { return };
        let writes = "printf abcdef > a; printf gh >> a; cat a";
        let (output, _) = bench.sh(writes, How::Once(Errno::Full), 2);
        assert_eq!(output.stdout, b"gh");
        let (output, _) = bench.sh("LC_ALL=C mkdir b", How::Once(Errno::Full), 1);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("No space left on device"), "{said}");
        let (output, _) = bench.sh(writes, How::Sticky(Errno::Full), 2);
        assert_eq!(output.stdout, b"abc", "half of the first write, and none of the second");
        let (output, _) = bench.sh("rm a; printf x > a; rm a; ls", How::Sticky(Errno::Full), 2);
        assert_eq!(output.stdout, b"", "a full disk lets files be removed");
    }
}

//! A folder that this machine and the pool see at the same path, with programs and shards.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs, thread};
use tempfile::TempDir;
use xray_artifacts::Exit;

/// One per test; gone when the test passed.
pub(crate) struct Workplace {
    folder: TempDir,
    xtask: PathBuf,
    workers: PathBuf,
}

impl Workplace {
    /// None, and a line that says so, where there is no pool or no worker.
    pub(crate) fn new() -> Option<Self> {
        let xtask = path_in("XRAY_CONDOR_RUN", "no HTCondor pool (cargo xtask test starts one)")?;
        let workers = path_in("XRAY_WORKER_DIR", "no workers (cargo xtask test builds them)")?;
        let folder = tempfile::Builder::new()
            .prefix("pool-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a folder below the target folder");
        let workplace = Self { folder, xtask, workers };
        // The pool does not see where cargo put it.
        fs::copy(program("xray-sweep"), workplace.path("xray-sweep")).expect("the program can be copied");
        checked(&mut workplace.xray_data(&["synth", "--images", "240", "--size", "32", "--out", "shards"]));
        // All of it is shown at once: jobs of a sweep read the shards beside it.
        checked(&mut workplace.in_pool(&workplace.path(""), &["true"]));
        Some(workplace)
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One of the workers that were built.
    pub(crate) fn worker(&self, name: &str) -> PathBuf {
        self.workers.join(name)
    }

    /// `xray-sweep` on this machine, started in the folder.
    pub(crate) fn xray_sweep(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("xray-sweep"));
        command.args(arguments).current_dir(self.path(""));
        command
    }

    /// `xray-data` on this machine, started in the folder.
    pub(crate) fn xray_data(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("xray-data"));
        command.args(arguments).current_dir(self.path(""));
        command
    }

    /// A command in the pool, started in `folder`, as a user without privileges.
    pub(crate) fn in_pool(&self, folder: &Path, command: &[&str]) -> Command {
        let mut run = Command::new(&self.xtask);
        run.args(["condor", "run", "-C"]).arg(folder).args(command);
        run
    }

    /// Names of the machines of the pool for which an expression is true.
    pub(crate) fn slots(&self, constraint: &str) -> Vec<String> {
        let constraint = format!("DynamicSlot =!= true && ({constraint})");
        let names = checked(
            &mut self.in_pool(&self.path(""), &["condor_status", "-af", "Name", "-constraint", &constraint]),
        );
        names.lines().map(str::to_owned).collect()
    }
}

/// What a test that failed leaves in the queue would be in the way of the others.
impl Drop for Workplace {
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.disable_cleanup(true);
            let folder = self.path("");
            let jobs = format!("regexp(\"^{}\", Iwd)", folder.display());
            let _ = self.in_pool(&folder, &["condor_rm", "-constraint", &jobs]).output();
        }
    }
}

/// The path in an environment variable.
pub(crate) fn path_in(variable: &str, otherwise: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: {variable} is not set: {otherwise}");
    }
    path
}

/// The project's programs lie side by side.
fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_xray-sweep")).with_file_name(name)
}

/// What a command prints on stdout; it must succeed.
pub(crate) fn checked(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(Exit::Ok.code().into()), "{command:?}\n{}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// Everything a command printed.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

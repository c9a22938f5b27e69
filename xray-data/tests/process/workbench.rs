//! A temporary folder with images and tables made on the spot, and the program to run on them.

use assert_cmd::Command;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

pub(crate) struct Workbench {
    dir: TempDir,
}

/// What a run left behind.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workbench {
    pub(crate) fn new() -> Workbench {
        Workbench { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("writable");
        fs::write(&path, content).expect("writable");
        path
    }

    /// Runs `xray-data` in the folder; arguments are separated by blanks.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        self.run_with(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// The same with arguments that may hold blanks.
    pub(crate) fn run_with(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::cargo_bin("xray-data").expect("built with the tests");
        command.current_dir(self.dir.path()).args(arguments);
        ran(&command.output().expect("the program starts"))
    }

    /// Runs in a folder below.
    pub(crate) fn run_in(&self, folder: &str, arguments: &str) -> Ran {
        let mut command = Command::cargo_bin("xray-data").expect("built with the tests");
        command.current_dir(self.path(folder)).args(arguments.split_whitespace());
        ran(&command.output().expect("the program starts"))
    }

    /// Runs with this stdout and expects this exit code; the result is stderr.
    pub(crate) fn printed_to(&self, stdout: fs::File, code: i32, arguments: &str) -> String {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_xray-data"));
        command.current_dir(self.dir.path()).args(arguments.split_whitespace()).stdout(stdout);
        let ran = ran(&command.output().expect("the program starts"));
        assert_eq!(ran.code, code, "xray-data {arguments}\n{}", ran.stderr);
        ran.stderr
    }

    /// Runs and expects success; the result is what was printed.
    pub(crate) fn good(&self, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "xray-data {arguments}\n{}{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Runs with `--format json` and reads the result.
    pub(crate) fn json(&self, arguments: &str) -> serde_json::Value {
        serde_json::from_str(&self.good(&format!("{arguments} --format json"))).expect("JSON on stdout")
    }

    /// Runs and expects this exit code; the result is stdout and stderr.
    pub(crate) fn refused(&self, code: i32, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "xray-data {arguments}\n{}{}", ran.stdout, ran.stderr);
        ran.stdout + &ran.stderr
    }

    /// The manifest of a folder as a version wrote it that knew no hash of it: whatever is edited is read.
    pub(crate) fn unsealed_manifest(&self, folder: &str) -> serde_json::Value {
        let text = fs::read(self.path(folder).join("dataset.json")).expect("built");
        let mut manifest: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        manifest["format"] = 1.into();
        manifest.as_object_mut().expect("an object").remove("blake3").expect("a hash");
        manifest
    }

    /// Content of every file of a folder, by name.
    pub(crate) fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.path(folder)).expect("a folder");
        let mut files: Vec<_> = entries
            .map(|entry| {
                let path = entry.expect("readable").path();
                (name(&path), fs::read(&path).expect("readable"))
            })
            .collect();
        files.sort();
        files
    }
}

fn ran(output: &Output) -> Ran {
    let text = |bytes: &[u8]| str::from_utf8(bytes).expect("messages are UTF-8").to_owned();
    let code = output.status.code().expect("not stopped by a signal");
    Ran { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn name(path: &Path) -> String {
    path.file_name().expect("a file").to_string_lossy().into_owned()
}

//! What the program says of itself, and an output that cannot be written.

use crate::workplace::{assert_exit, stderr, stdout};
use std::process::Command;
use xray_artifacts::Exit;
use xray_train::environment::VERSION;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_xray-eval"))
}

#[test]
fn the_version_says_what_was_built() {
    let output = program().arg("--version").output().expect("the program starts");
    assert_exit(&output, Exit::Ok);
    let said = stdout(&output);
    assert!(said.starts_with(&format!("xray-eval {VERSION}\nbuilt for ")), "{said}");
    assert!(said.contains("\nkernels: portable") && said.ends_with(" on this processor\n"), "{said}");
    let short = program().arg("-V").output().expect("the program starts");
    assert_eq!(stdout(&short), format!("xray-eval {VERSION}\n"));
}

/// `/dev/full` is an output on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    for arguments in [&["--version"][..], &["--help"], &["--completions", "bash"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let output = program().args(arguments).stdout(full).output().expect("the program starts");
        assert_exit(&output, Exit::Unexpected);
        assert_eq!(
            stderr(&output),
            "error: cannot write to stdout: No space left on device (os error 28)\n",
            "{arguments:?}"
        );
    }
}

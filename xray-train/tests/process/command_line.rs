//! What the program says of itself, and an output that cannot be written.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use std::process::Command;
use xray_artifacts::Exit;
use xray_train::environment::VERSION;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_xray-train"))
}

#[test]
fn the_version_says_what_was_built() {
    let output = program().arg("--version").output().expect("the program starts");
    assert_exit(&output, Exit::Ok);
    let said = stdout(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines.len(), lines[0]), (4, &*format!("xray-train {VERSION}")), "{said}");
    assert!(lines[1].starts_with("built for ") && lines[1].ends_with(", dynamic"), "{said}");
    assert!(lines[2].starts_with("backends: cpu, flex"), "{said}");
    assert!(lines[3].starts_with("kernels: portable") && lines[3].ends_with(" on this processor"), "{said}");
    let short = program().arg("-V").output().expect("the program starts");
    assert_eq!(stdout(&short), format!("{}\n", lines[0]));
}

/// `/dev/full` is an output on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let workplace = Workplace::new();
    let dry_run = [&Workplace::arguments("run")[..], &["--dry-run"]].concat();
    for arguments in [&["--version"][..], &["--help"], &["--completions", "bash"], &dry_run] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let mut program = program();
        program.current_dir(workplace.path("")).args(arguments).stdout(full);
        let output = program.output().expect("the program starts");
        assert_exit(&output, Exit::Unexpected);
        let said = stderr(&output);
        assert!(
            said.ends_with("error: cannot write to stdout: No space left on device (os error 28)\n"),
            "{said}"
        );
    }
}

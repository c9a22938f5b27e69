//! What the program says of itself, and an output that cannot be written.

use std::process::{Command, Output};
use xray_artifacts::Exit;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_xray-sweep"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_version_says_what_was_built() {
    let said = |option| -> String {
        let Output { status, stdout, stderr } = program().arg(option).output().expect("the program starts");
        assert!(status.success(), "{}", text(&stderr));
        text(&stdout)
    };
    let long = said("--version");
    let lines: Vec<&str> = long.lines().collect();
    assert!(lines[0].starts_with(concat!("xray-sweep ", env!("CARGO_PKG_VERSION"))), "{long}");
    assert!(lines[1].starts_with("built for ") && lines[1].ends_with(", dynamic"), "{long}");
    assert_eq!(said("-V"), format!("{}\n", lines[0]));
}

/// `/dev/full` is an output on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    for arguments in [&["--version"][..], &["--help"], &["--completions", "bash"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let output = program().args(arguments).stdout(full).output().expect("the program starts");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(Exit::Unexpected.code().into()), "{arguments:?}: {said}");
        assert_eq!(said, "error: cannot write to stdout: No space left on device (os error 28)\n");
    }
}

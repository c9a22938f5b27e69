//! What the program says of itself, and an output that cannot be written.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
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

/// A table of figures of a finding with a name of 40 letters.
#[test]
fn a_table_wider_than_100_characters_goes_on_below_itself_unless_it_may_be_wide() {
    let workplace = Workplace::empty();
    let long = "a".repeat(40);
    let mut rows = format!("id,split,{long},prob_{long}\n");
    for at in 0..80 {
        rows += &format!("{at},{},{},0.{at:02}\n", ["val", "test"][at / 2 % 2], at % 2);
    }
    std::fs::write(workplace.path("a.csv"), rows).expect("writable");
    let figures = |more: &[&str]| {
        let output = workplace.eval(&[&["score", "a.csv"], more].concat());
        assert_exit(&output, Exit::Ok);
        let text = stdout(&output);
        let rows: Vec<String> =
            text.lines().filter(|line| line.starts_with(&format!("{long}  "))).map(str::to_owned).collect();
        rows
    };
    let (broken, wide) = (figures(&[]), figures(&["--wide"]));
    assert!(broken.iter().all(|row| row.chars().count() <= 100), "{broken:?}");
    assert!(wide.iter().any(|row| row.chars().count() > 100) && wide.len() < broken.len(), "{wide:?}");
    let cells = |rows: &[String]| -> Vec<String> {
        rows.iter().flat_map(|row| row[long.len()..].split_whitespace().map(str::to_owned)).collect()
    };
    assert_eq!(cells(&broken), cells(&wide), "no figure is lost");
}

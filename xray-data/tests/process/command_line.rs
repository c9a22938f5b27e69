//! What the program says of itself, and an output that cannot be written.

use crate::workbench::Workbench;
use std::fs::File;
use std::process::Command;
use xray_artifacts::Exit;

#[test]
fn the_version_says_what_was_built() {
    let bench = Workbench::new();
    let long = bench.good("--version");
    let lines: Vec<&str> = long.lines().collect();
    assert!(lines[0].starts_with(concat!("xray-data ", env!("CARGO_PKG_VERSION"))), "{long}");
    assert!(lines[1].starts_with("built for ") && lines[1].ends_with(", dynamic"), "{long}");
    assert_eq!(
        lines[2],
        "sources: nih, chexpert, mimic, padchest, vindr, rsna, siim, nih-experts, csv, tfrecord, dicom"
    );
    assert_eq!(bench.good("-V"), format!("{}\n", lines[0]));
}

#[test]
fn completions_help_and_manual_pages() {
    let bench = Workbench::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(bench.good(&format!("--completions {shell}")).contains("xray-data"), "{shell}");
    }
    let help = bench.good("--help");
    assert!(help.contains("Exit codes:"));
    assert!(bench.good("build --help").contains("Examples:"));
    assert_eq!(bench.good("--manual-pages pages"), "");
    let pages: Vec<String> = bench.files("pages").into_iter().map(|(name, _)| name).collect();
    // A command stands behind two spaces, until an empty line; what it does goes on behind more.
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names =
        listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()));
    let commands = names.filter(|name| *name != "help");
    let mut expected: Vec<String> = commands.map(|name| format!("xray-data-{name}.1")).collect();
    expected.push("xray-data.1".to_owned());
    expected.sort_unstable();
    assert!(expected.contains(&"xray-data-build.1".to_owned()), "{help}");
    assert_eq!(pages, expected);
}

/// `/dev/full` is an output on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let bench = Workbench::new();
    bench.good("synth --images 30 --size 32 --out shards");
    for line in ["--version", "-V", "--help", "build --help", "--completions bash", "stats shards"] {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let mut program = Command::new(env!("CARGO_BIN_EXE_xray-data"));
        program.current_dir(bench.path("")).args(line.split(' ')).stdout(full);
        let output = program.output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(Exit::Unexpected.code().into()), "{line}: {said}");
        assert!(
            said.ends_with("error: cannot write to stdout: No space left on device (os error 28)\n"),
            "{line}: {said}"
        );
    }
}

/// Such as `head`.
#[test]
fn a_reader_that_went_away_is_no_error() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut program = Command::new(env!("CARGO_BIN_EXE_xray-data"));
    let output = program.args(["--completions", "bash"]).stdout(writer).output().expect("the program starts");
    assert_eq!((output.status.code(), output.stderr), (Some(Exit::Ok.code().into()), Vec::new()));
}

//! One set of features for each dependency. Cargo builds a crate anew for every set of features that it is asked for,
//! and one that burn or polars depends on costs minutes. Programs, tests, documentation and lints are all built with
//! `--workspace`, which leaves one difference: tests ask for more.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Every crate from outside with its features, by `cargo tree`, along these edges.
fn features(edges: &str) -> BTreeSet<String> {
    let cargo = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--edges",
            edges,
            "--prefix",
            "none",
            "--format",
            "{p} [{f}]",
            "--offline",
        ])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("cargo starts");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let tree = String::from_utf8(cargo.stdout).expect("names");
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)").replace(" (proc-macro)", ""));
    // Those of the workspace stand with their folder.
    lines.filter(|line| !line.contains(" (/")).collect()
}

#[test]
fn tests_ask_for_no_other_features_than_programs() {
    let (programs, all) = (features("normal,build"), features("normal,build,dev"));
    assert!(programs.iter().any(|line| line.starts_with("burn ")), "the tree is read");
    let built_twice: Vec<_> = programs.difference(&all).collect();
    assert!(
        built_twice.is_empty(),
        "built once for programs and once more for tests: name the missing features where the dependency is used\n{built_twice:#?}"
    );
}

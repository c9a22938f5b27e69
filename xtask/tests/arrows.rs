//! The arrows between the crates, as ARCHITECTURE.md draws them: a worker node gets the trainer without polars, the
//! submit node gets the sweep without a tensor engine, the server links neither the training loop, records nor polars,
//! and no program that people use links what measures it. Dependencies of tests and build scripts count too.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What each crate may depend on. A crate that is not named here does not belong to the workspace.
const ARROWS: &[(&str, &[&str])] = &[
    ("xray-random", &[]),
    ("xray-artifacts", &[]),
    ("xray-display", &[]),
    ("xray-cli", &["xray-artifacts", "xray-display"]),
    ("xray-kernels", &["xray-random"]),
    ("xray-gpu", &["xray-kernels", "xray-random"]),
    ("xray-metrics", &["xray-random"]),
    ("xray-image", &["xray-random", "xray-artifacts"]),
    ("xray-data", &["xray-image", "xray-random", "xray-artifacts", "xray-display", "xray-cli"]),
    ("xray-model", &["xray-kernels", "xray-gpu", "xray-random", "xray-artifacts"]),
    ("xray-bundle", &["xray-model", "xray-image", "xray-metrics", "xray-artifacts"]),
    (
        "xray-train",
        &[
            "xray-bundle",
            "xray-model",
            "xray-data",
            "xray-image",
            "xray-kernels",
            "xray-metrics",
            "xray-artifacts",
            "xray-display",
            "xray-cli",
        ],
    ),
    (
        "xray-eval",
        &[
            "xray-train",
            "xray-bundle",
            "xray-model",
            "xray-data",
            "xray-image",
            "xray-kernels",
            "xray-metrics",
            "xray-artifacts",
            "xray-display",
            "xray-cli",
        ],
    ),
    ("xray-sweep", &["xray-metrics", "xray-random", "xray-artifacts", "xray-display", "xray-cli"]),
    (
        "xray-serve",
        &[
            "xray-bundle",
            "xray-model",
            "xray-image",
            "xray-kernels",
            "xray-metrics",
            "xray-artifacts",
            "xray-cli",
        ],
    ),
    (
        "xray-lambda",
        &[
            "xray-serve",
            "xray-bundle",
            "xray-model",
            "xray-image",
            "xray-metrics",
            "xray-artifacts",
            "xray-cli",
        ],
    ),
    ("xray-workspace", &[]),
    ("xray-bench", &["xray-artifacts", "xray-display", "xray-metrics", "xray-random", "xray-workspace"]),
    ("xray-fuzz", &["xray-image", "xray-display", "xray-random", "xray-workspace"]),
    ("xray-torture", &["xray-image", "xray-display", "xray-random", "xray-workspace"]),
    ("xtask", &["xray-workspace"]),
];

/// Families of crates from outside, by the start of their names, that one crate alone may name.
const RESERVED: [(&str, &str); 3] =
    [("burn", "xray-model"), ("cubecl", "xray-gpu"), ("polars", "xray-sweep")];

fn metadata() -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo starts");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    serde_json::from_slice(&cargo.stdout).expect("cargo prints JSON")
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().expect("an array").iter().map(|entry| entry["name"].as_str().expect("a name"))
}

/// Every arrow that is not allowed, as `from -> to`, and every crate without a place.
fn violations(metadata: &Value) -> Vec<String> {
    let members: Vec<_> = names(&metadata["packages"]).collect();
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().expect("an array") {
        let from = package["name"].as_str().expect("a name");
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == from) else {
            found.push(format!("{from} has no place in ARROWS"));
            continue;
        };
        let refused =
            |to: &&str| (members.contains(to) && !allowed.contains(to)) || reserved_for_another(from, to);
        found.extend(names(&package["dependencies"]).filter(refused).map(|to| format!("{from} -> {to}")));
    }
    found
}

fn reserved_for_another(from: &str, to: &str) -> bool {
    RESERVED.iter().any(|(family, owner)| to.starts_with(family) && from != *owner)
}

#[test]
fn every_arrow_is_allowed() {
    let metadata = metadata();
    assert!(names(&metadata["packages"]).count() > 1, "the whole workspace is read");
    let found = violations(&metadata);
    assert!(found.is_empty(), "arrows that ARCHITECTURE.md does not draw:\n{}", found.join("\n"));
}

#[test]
fn a_wrong_arrow_is_seen() {
    let workspace = |from: &str, to: &[&str]| {
        let dependencies: Vec<_> = to.iter().map(|name| serde_json::json!({ "name": name })).collect();
        let others = ARROWS.iter().filter(|(name, _)| *name != from);
        let mut packages: Vec<_> =
            others.map(|(name, _)| serde_json::json!({ "name": name, "dependencies": [] })).collect();
        packages.push(serde_json::json!({ "name": from, "dependencies": dependencies }));
        serde_json::json!({ "packages": packages })
    };
    let check = |from, to: &[&str], expected: &[&str]| assert_eq!(violations(&workspace(from, to)), expected);
    check("xray-train", &["xray-model", "xray-data", "serde"], &[]);
    check("xray-model", &["burn", "burn-flex", "xray-kernels"], &[]);
    check("xray-gpu", &["cubecl", "xray-kernels"], &[]);
    check("xray-kernels", &["cubecl", "xray-gpu"], &["xray-kernels -> cubecl", "xray-kernels -> xray-gpu"]);
    check("xray-gpu", &["burn-cubecl"], &["xray-gpu -> burn-cubecl"]);
    check("xray-sweep", &["polars", "xray-model"], &["xray-sweep -> xray-model"]);
    check("xray-train", &["burn-core", "polars-io"], &["xray-train -> burn-core", "xray-train -> polars-io"]);
    check("xray-serve", &["xray-train"], &["xray-serve -> xray-train"]);
    check("xray-train", &["xray-eval"], &["xray-train -> xray-eval"]);
    check("xray-serve", &["xray-bench"], &["xray-serve -> xray-bench"]);
    check("xray-fuzz", &["xray-data"], &["xray-fuzz -> xray-data"]);
    check("xray-torture", &["xray-train"], &["xray-torture -> xray-train"]);
    check("xtask", &["xray-artifacts"], &["xtask -> xray-artifacts"]);
    check("xray-utils", &[], &["xray-utils has no place in ARROWS"]);
}

/// Every crate that a build of one package links, at whatever distance, by `cargo tree`.
fn linked(package: &str) -> String {
    let cargo = Command::new(env!("CARGO"))
        .args(["tree", "--package", package, "--edges", "normal,build", "--prefix", "none", "--offline"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("cargo starts");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    String::from_utf8(cargo.stdout).expect("names")
}

#[test]
fn a_sweep_links_no_tensor_engine_a_trainer_no_polars_a_server_no_records_and_none_a_gpu() {
    let check = |package: &str, own: &str, families: &[&str]| {
        let tree = linked(package);
        assert!(tree.lines().any(|line| line.starts_with(own)), "{package} links {own}: the tree is read");
        let found: Vec<_> =
            tree.lines().filter(|line| families.iter().any(|family| line.starts_with(family))).collect();
        assert!(found.is_empty(), "{package} links {found:?}");
    };
    check(
        "xray-sweep",
        "polars-core ",
        &["burn", "cubecl", "cubek", "wgpu", "naga", "gemm", "xray-model", "xray-train"],
    );
    let gpu = ["cubek", "wgpu", "naga", "ash "];
    let check_without_gpu =
        |package, families: &[&str]| check(package, "burn-flex ", &[families, &gpu].concat());
    check_without_gpu("xray-train", &["polars", "minijinja", "xray-sweep"]);
    check_without_gpu("xray-eval", &["polars", "minijinja", "xray-sweep"]);
    check_without_gpu(
        "xray-serve",
        &["polars", "xray-train", "xray-data", "csv ", "crc32c ", "hdrhistogram "],
    );
}

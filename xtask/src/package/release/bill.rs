//! The software bill of materials: every crate that the programs are made of, as CycloneDX 1.5
//! (<https://cyclonedx.org/docs/1.5/json/>), from cargo's own metadata.

use super::{Item, VERSION};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use xray_workspace::steps::{self, cargo};

/// As `share/doc/xray/sbom.cdx.json`; with the GPU backend's crates or without.
pub(super) fn of_materials(gpu: bool) -> Result<Item> {
    let mut command = cargo(["metadata", "--format-version", "1", "--locked"]);
    command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    if gpu {
        command.args(["--features", "xray-train/wgpu"]);
    }
    let metadata = steps::output(&mut command)?;
    let metadata = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let lock = fs::read_to_string(steps::root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let bill = serde_json::to_vec_pretty(&bill(&metadata, &checksums(&lock)))?;
    Ok(Item::document("share/doc/xray/sbom.cdx.json", bill))
}

/// Crates that the programs are built from, without those that only tests and build scripts need.
fn bill(metadata: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let linked = linked(metadata);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let components: Vec<Value> = list(&metadata["packages"])
        .iter()
        .filter(|package| package["source"].is_string() && linked.contains(text(&package["id"])))
        .map(|package| component(package, checksums))
        .collect();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": { "type": "application", "name": "xray", "version": VERSION } },
        "components": components,
    })
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    let mut component = json!({
        "type": "library",
        "name": name,
        "version": version,
        "purl": format!("pkg:cargo/{name}@{version}"),
    });
    if let Some(licence) = package["license"].as_str() {
        // Old manifests separate by a slash, which is not an SPDX expression.
        let expression = licence.replace('/', " OR ").replace("  ", " ");
        component["licenses"] = json!([{ "expression": expression }]);
    }
    if let Some(checksum) = checksums.get(&(name.to_owned(), version.to_owned())) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// Everything that a member of the workspace needs at run time, at whatever distance.
fn linked(metadata: &Value) -> BTreeSet<&str> {
    let nodes = metadata["resolve"]["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let by_id: BTreeMap<&str, &Value> = nodes.iter().map(|node| (text(&node["id"]), node)).collect();
    let members = metadata["workspace_members"].as_array().map(Vec::as_slice).unwrap_or_default();
    // The others are not part of the packages.
    let is_given = |id: &&str| xray_workspace::ALL.iter().any(|name| id.contains(&format!("/{name}#")));
    let mut waiting: Vec<&str> = members.iter().map(text).filter(is_given).collect();
    let mut found: BTreeSet<&str> = waiting.iter().copied().collect();
    while let Some(id) = waiting.pop() {
        let dependencies = by_id.get(id).and_then(|node| node["deps"].as_array()).map(Vec::as_slice);
        for dependency in dependencies.unwrap_or_default() {
            let kinds = dependency["dep_kinds"].as_array().map(Vec::as_slice).unwrap_or_default();
            let id = text(&dependency["pkg"]);
            if kinds.iter().any(|kind| kind["kind"].is_null()) && found.insert(id) {
                waiting.push(id);
            }
        }
    }
    found
}

/// SHA-256 of each crate in `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")))?;
        line.strip_suffix('"').map(str::to_owned)
    };
    let entry =
        |block: &str| Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?));
    lock.split("[[package]]").filter_map(entry).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_with_licence_and_checksum() {
        let package = |name: &str, source: Value, licence: &str| json!({ "id": format!("id/{name}#1"), "name": name, "version": "1.0.0", "source": source, "license": licence });
        let crates_io = || json!("registry+https://github.com/rust-lang/crates.io-index");
        let needs = |from: &str, to: &[(&str, Value)]| {
            let deps: Vec<_> = to
                .iter()
                .map(|(name, kind)| json!({ "pkg": format!("id/{name}#1"), "dep_kinds": [{ "kind": kind }] }))
                .collect();
            json!({ "id": format!("id/{from}#1"), "deps": deps })
        };
        let metadata = json!({
            "packages": [
                package("xray-data", Value::Null, "MIT"),
                package("linked", crates_io(), "MIT/Apache-2.0"),
                package("far", crates_io(), "ISC"),
                package("tested", crates_io(), "MIT"),
                package("of-xtask", crates_io(), "MIT"),
            ],
            "workspace_members": ["id/xray-data#1", "id/xtask#1"],
            "resolve": { "nodes": [
                needs("xray-data", &[("linked", Value::Null), ("tested", json!("dev"))]),
                needs("linked", &[("far", Value::Null)]),
                needs("xtask", &[("of-xtask", Value::Null)]),
            ] },
        });
        let lock = "[[package]]\nname = \"far\"\nversion = \"1.0.0\"\nchecksum = \"abc\"\n";
        let bill = bill(&metadata, &checksums(lock));
        assert_eq!(
            bill["components"],
            json!([
                { "type": "library", "name": "linked", "version": "1.0.0", "purl": "pkg:cargo/linked@1.0.0",
                  "licenses": [{ "expression": "MIT OR Apache-2.0" }] },
                { "type": "library", "name": "far", "version": "1.0.0", "purl": "pkg:cargo/far@1.0.0",
                  "licenses": [{ "expression": "ISC" }], "hashes": [{ "alg": "SHA-256", "content": "abc" }] },
            ])
        );
    }
}

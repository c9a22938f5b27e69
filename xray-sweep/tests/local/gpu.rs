//! Cells that run on a GPU: which program they get, what they ask for, and what is refused.

use crate::workplace::{Workplace, assert_exit, stderr};
use serde_json::Value as Json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use xray_artifacts::Exit;

/// A trainer in the place of `xray-train-gpu`: planning asks it only what settings come to.
fn stand_in(workplace: &Workplace) -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_xray-sweep")).parent().expect("a folder");
    let program = workplace.path("xray-train-gpu");
    if !program.exists() {
        fs::copy(programs.join("xray-train"), &program).expect("the program can be copied");
    }
    program
}

/// Plans one cell a value of the axis, with a program for GPUs at hand.
fn plan(workplace: &Workplace, dir: &str, more: &[&str]) -> std::process::Output {
    let program = stand_in(workplace).display().to_string();
    let fixed = ["--fractions", "1", "--trials", "1", "--gpu-binary", &program];
    workplace.plan(dir, "2", &[&fixed[..], more].concat())
}

fn text(workplace: &Workplace, file: &str) -> String {
    fs::read_to_string(workplace.path(file)).expect("planned")
}

/// What a plan must come to: GPUs and backend of each cell, in their order, and the programs that are sent.
struct Expected<'a> {
    cells: &'a [(u32, &'a str)],
    programs: &'a [&'a str],
}

/// One for each way in which the backend is said, or why the plan is refused.
type Outcomes<'a> = [Result<&'a Expected<'a>, &'a str>; 5];

const CPU: Expected<'_> = Expected { cells: &[(0, "cpu")], programs: &["bin/xray-train"] };
const GPU: Expected<'_> = Expected { cells: &[(1, "wgpu")], programs: &["bin/xray-train-gpu"] };
const AUTO: Expected<'_> = Expected { cells: &[(1, "auto")], programs: &["bin/xray-train-gpu"] };
const NO_GPU: Expected<'_> = Expected { cells: &[(0, "auto")], programs: &["bin/xray-train"] };
const BOTH: Expected<'_> =
    Expected { cells: &[(0, "cpu"), (1, "wgpu")], programs: &["bin/xray-train", "bin/xray-train-gpu"] };

fn check(workplace: &Workplace, number: usize, more: &[&str], expected: &Expected<'_>) {
    let dir = format!("s{number}");
    assert_exit(&plan(workplace, &dir, more), Exit::Ok);
    let backend = |cell: &Json| {
        let id = cell["id"].as_str().expect("an id");
        let config = text(workplace, &format!("{dir}/cells/{id}/config.toml"));
        let line = config.lines().find_map(|line| line.strip_prefix("backend = ")).expect("it stands there");
        line.trim_matches('"').to_owned()
    };
    let cells = workplace.cells(&dir);
    let found: Vec<_> = cells.iter().map(|cell| (cell["request"]["gpus"].clone(), backend(cell))).collect();
    let wanted: Vec<_> =
        expected.cells.iter().map(|(gpus, backend)| (Json::from(*gpus), (*backend).to_owned())).collect();
    assert_eq!(found, wanted, "{more:?}");
    let plan: Json = serde_json::from_str(&text(workplace, &format!("{dir}/plan.json"))).expect("JSON");
    let programs: Vec<_> =
        plan["binaries"].as_array().expect("a list").iter().map(|binary| binary["file"].clone()).collect();
    assert_eq!(programs, expected.programs, "{more:?}");

    let rows: Vec<Vec<String>> = text(workplace, &format!("{dir}/cells.csv"))
        .lines()
        .map(|row| row.split(',').map(str::to_owned).collect())
        .collect();
    let uses_gpu = expected.cells.iter().any(|(gpus, _)| *gpus > 0);
    let is_mixed = expected.programs.len() > 1;
    for file in ["sweep.sub", "node.sub"] {
        let submit = text(workplace, &format!("{dir}/{file}"));
        let executable = if is_mixed { "$($(program))" } else { expected.programs[0] };
        assert!(submit.contains(&format!("executable           = {executable}\n")), "{more:?} {submit}");
        assert_eq!(submit.contains("request_gpus         = $(gpus)\n"), uses_gpu, "{more:?}");
        assert_eq!(submit.contains("gpu_program          = bin/xray-train-gpu\n"), is_mixed, "{more:?}");
        assert_eq!(submit.contains("a GPU with a Vulkan driver"), uses_gpu, "{more:?}");
    }
    let dag = text(workplace, &format!("{dir}/sweep.dag"));
    for (row, (gpus, _)) in rows.iter().zip(expected.cells) {
        let program = if *gpus > 0 { "gpu_program" } else { "cpu_program" };
        assert_eq!(row.contains(&program.to_owned()), is_mixed, "{row:?}");
        assert_eq!(row.len(), 8 + usize::from(uses_gpu) + usize::from(is_mixed), "{row:?}");
        let variables = format!("{} ", row[0]);
        let line = dag.lines().find(|line| line.starts_with(&format!("VARS {variables}"))).expect("its node");
        assert_eq!(line.contains(&format!("gpus=\"{gpus}\"")), uses_gpu, "{line}");
        assert_eq!(line.contains(&format!("program=\"{program}\"")), is_mixed, "{line}");
    }
}

#[test]
fn every_cell_gets_the_program_and_the_gpu_that_its_backend_needs() {
    let Some(workplace) = Workplace::new() else { return };
    // A copy of the templates says the same as those that are built in.
    let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/../submit-templates");
    let backends: [&[&str]; 5] = [
        &[],
        &["--set", "backend=cpu"],
        &["--set", "backend=wgpu"],
        &["--set", "backend=auto"],
        &["--axis", "backend=cpu,wgpu"],
    ];
    let expected: [(&[&str], Outcomes<'_>); 4] = [
        (&[], [Ok(&CPU), Ok(&CPU), Ok(&GPU), Ok(&AUTO), Ok(&BOTH)]),
        (
            &["--gpus", "1"],
            [
                Ok(&GPU),
                Err("gpus is 1, but no cell uses one: they run with backend `cpu`"),
                Ok(&GPU),
                Ok(&AUTO),
                Ok(&BOTH),
            ],
        ),
        (
            &["--gpus", "0"],
            [
                Ok(&CPU),
                Ok(&CPU),
                Err("gpus is 0, but backend `wgpu` needs one"),
                Ok(&NO_GPU),
                Err("gpus is 0, but backend `wgpu` needs one"),
            ],
        ),
        (&["--gpus", "2"], ["gpus is 2, but a run uses one GPU"; 5].map(Err)),
    ];
    let mut number = 0;
    for (gpus, outcomes) in expected {
        for (backend, outcome) in backends.iter().zip(outcomes) {
            for own in [&[][..], &["--templates", templates]] {
                number += 1;
                let more = [gpus, backend, own].concat();
                match outcome {
                    Ok(expected) => check(&workplace, number, &more, expected),
                    Err(why) => {
                        let output = plan(&workplace, &format!("s{number}"), &more);
                        assert_exit(&output, Exit::Usage);
                        assert!(stderr(&output).contains(why), "{more:?}: {}", stderr(&output));
                    }
                }
            }
        }
    }
    // Asked for in sweep.toml, and kept when it is planned again.
    fs::write(workplace.path("asked.toml"), "[condor]\ngpus = 1\nrequire_gpus = \"Capability >= 7.0\"\n")
        .expect("writable");
    check(&workplace, 0, &["--from", "asked.toml"], &GPU);
    assert!(text(&workplace, "s0/sweep.sub").contains("require_gpus         = Capability >= 7.0\n"));
    assert_exit(&workplace.sweep(&["plan", "s0", "--no-pool", "--trials", "2"]), Exit::Ok);
    assert!(workplace.cells("s0").iter().all(|cell| cell["request"]["gpus"] == 1));
    let refused = plan(&workplace, "refused", &["--gpus", "1", "--require-gpus", "true) || (true"]);
    assert_exit(&refused, Exit::Usage);
    assert!(stderr(&refused).contains("has one ) too many"), "{}", stderr(&refused));
}

#[test]
fn a_precision_that_only_gpus_have_is_refused_without_them_and_may_be_an_axis() {
    let Some(workplace) = Workplace::new() else { return };
    let refused = |number: usize, more: &[&str]| {
        let output = plan(&workplace, &format!("refused{number}"), more);
        assert_exit(&output, Exit::Usage);
        let said = stderr(&output);
        assert!(said.contains("precision is f16") && said.contains("hint: --gpus 1"), "{more:?}: {said}");
    };
    refused(1, &["--set", "precision=f16"]);
    refused(2, &["--axis", "precision=f32,f16"]);
    refused(3, &["--set", "precision=f16", "--set", "backend=auto", "--gpus", "0"]);
    refused(4, &["--set", "precision=f16", "--axis", "backend=cpu,wgpu"]);
    assert_exit(&plan(&workplace, "axis", &["--gpus", "1", "--axis", "precision=f32,f16"]), Exit::Ok);
    let cells = workplace.cells("axis");
    let values: Vec<_> = cells.iter().map(|cell| cell["axes"]["precision"].clone()).collect();
    assert_eq!(values, ["f16", "f32"]);
    assert_ne!(cells[0]["id"], cells[1]["id"]);
    for cell in &cells {
        let (id, value) = (cell["id"].as_str().expect("an id"), &cell["axes"]["precision"]);
        let config = text(&workplace, &format!("axis/cells/{id}/config.toml"));
        assert!(config.contains(&format!("precision = {value}\n")), "{config}");
    }
}

/// One more program with the rules of the others.
#[test]
fn the_program_for_gpus_is_found_compared_and_checked() {
    let Some(workplace) = Workplace::new() else { return };
    let program = stand_in(&workplace);
    // Where nothing lies beside xray-sweep.
    fs::create_dir(workplace.path("alone")).expect("writable");
    let alone = workplace.path("alone/xray-sweep");
    fs::copy(env!("CARGO_BIN_EXE_xray-sweep"), &alone).expect("the program can be copied");
    let plan_alone = |more: &[&str]| {
        let mut command = Command::new(&alone);
        command.current_dir(workplace.path("")).args(["plan", "t", "--data", "shards", "--no-pool"]);
        command.args(["--fractions", "1", "--trials", "1"]).args(more).output().expect("it starts")
    };
    let cpu = program.display().to_string();
    for more in [&["--gpus", "1", "--binary", &cpu][..], &["--axis", "backend=cpu,wgpu", "--binary", &cpu]] {
        let missing = plan_alone(more);
        assert_exit(&missing, Exit::Usage);
        let said = stderr(&missing);
        assert!(
            said.contains("no xray-train-gpu was found to send with the jobs that ask for a GPU"),
            "{said}"
        );
        assert!(said.contains("cargo xtask build --gpu") && said.contains("--gpu-binary"), "{said}");
        assert!(!workplace.path("t/plan.json").exists());
    }
    symlink(&program, workplace.path("alone/xray-train-gpu")).expect("a link");
    assert_exit(&plan_alone(&["--gpus", "1"]), Exit::Ok);

    // Of another commit: cells of the one are not those of the other.
    let code = workplace.cells("t")[0]["code"].as_str().expect("text").to_owned();
    let mut other = fs::read(&program).expect("readable");
    let places: Vec<_> = (0..other.len()).filter(|&at| other[at..].starts_with(code.as_bytes())).collect();
    places
        .iter()
        .for_each(|&at| other[at..][..code.len()].copy_from_slice("9".repeat(code.len()).as_bytes()));
    assert!(!places.is_empty(), "the version stands in the program");
    let changed = workplace.path("other");
    fs::copy(&program, &changed).expect("writable");
    fs::write(&changed, &other).expect("writable");
    let changed = changed.display().to_string();
    let mixed = workplace.plan("m", "2", &["--axis", "backend=cpu,wgpu", "--gpu-binary", &changed]);
    assert_exit(&mixed, Exit::ModelMismatch);
    assert!(stderr(&mixed).contains("build both from the same commit"), "{}", stderr(&mixed));

    let path = workplace.path("t/bin/xray-train-gpu");
    let mut bytes = fs::read(&path).expect("planned");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).expect("writable");
    for arguments in [&["run", "t", "--launcher", "local"][..], &["run", "t", "--launcher", "condor"]] {
        let output = workplace.sweep(arguments);
        assert_exit(&output, Exit::BadData);
        let said = stderr(&output);
        assert!(said.contains("bin/xray-train-gpu is not the program that was planned"), "{said}");
    }
}

/// The stand-in has no GPU backend, so that its cells end as on a machine without a GPU: with a reason, before they train.
#[test]
fn here_too_each_cell_runs_the_program_of_its_kind() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&plan(&workplace, "s", &["--axis", "backend=cpu,wgpu"]), Exit::Ok);
    let run = workplace.sweep(&["run", "s", "--launcher", "local"]);
    assert_exit(&run, Exit::SweepIncomplete);
    assert!(stderr(&run).contains("2 of 2 cells to run, 1 at a time"), "{}", stderr(&run));
    let ended = |at: usize| {
        let id = workplace.id("s", at);
        let command = fs::read(workplace.cell_file("s", &id, "run/env.json")).ok();
        let command =
            command.map(|text| serde_json::from_slice::<Json>(&text).expect("JSON")["command"][0].clone());
        (workplace.result("s", &id), command)
    };
    let ((on_cpu, command), (on_gpu, nothing)) = (ended(0), ended(1));
    assert_eq!((&on_cpu["state"], &on_cpu["exit"]), (&"finished".into(), &0.into()));
    assert!(
        command.is_some_and(|command| command.as_str().is_some_and(|name| name.ends_with("bin/xray-train")))
    );
    assert_eq!(on_gpu["exit"], Exit::CannotRunHere.code());
    assert!(on_gpu["reason"].as_str().is_some_and(|reason| reason.contains("backend `wgpu`")), "{on_gpu}");
    assert!(nothing.is_none(), "it did not train");
}

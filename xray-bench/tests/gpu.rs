//! `xray-bench gpu` on programs that stand in for ours and for PyTorch: what is compared, what is left out, what is written.
#![cfg(unix)]

use assert_cmd::Command;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Prints a line for each pass: 100 images/s in float32, 4 with burn's own operations (40 of DenseNet-121 in the software form);
/// other precisions are not there, or fail.
const OURS: &str = r#"
rate=100
case "$*" in
*"--precision tf32"* | *"--precision bf16"*) echo "error: there is no such precision" >&2; exit 78 ;;
*"--precision f16"*) echo "error: the device is lost" >&2; exit 1 ;;
*wgpu-burn*) rate=4 ;;
esac
case "$*" in *densenet-121*wgpu-burn*) rate=40 ;; esac
for pass in train infer; do
  echo "{\"pass\": \"$pass\", \"images_per_second\": $rate, \"first_step_seconds\": 1.25, \"device\": \"a GPU\",
    \"work\": {\"launches\": 1038, \"work_groups\": 9, \"multiply_adds\": 500000000, \"bytes\": 2000000},
    \"versions\": {\"xray-model\": \"0.1.0\"}}" | tr -d '\n'
  echo
done
"#;

const TORCH: &str = r#"
for setting in float32 contiguous channels_last autocast; do
  for pass in train infer; do
    case $setting in float32) rate=50 ;; contiguous) rate=200 ;; *) rate=400 ;; esac
    echo "{\"setting\": \"$setting\", \"pass\": \"$pass\", \"images_per_second\": $rate, \"versions\": {\"torch\": \"2\"}}"
  done
done
"#;

const TILES: &str = r#"
tr -d '\n' << 'END'
{"shape": "forward", "precision": "f32", "table": {"ms": 3, "teraflops": 6},
  "tiles": [{"tile": "64x64", "ms": 2, "teraflops": 9}]}
END
"#;

/// A folder with programs, and where the report goes.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new(programs: &[(&str, &str)]) -> Self {
        let bench = Bench(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir(bench.path("examples")).expect("writable");
        for (name, script) in programs {
            fs::write(bench.path(name), format!("#!/bin/sh\n{script}")).expect("writable");
            fs::set_permissions(bench.path(name), fs::Permissions::from_mode(0o755)).expect("ours");
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Whether it went well, and what it said on stderr.
    fn run(&self, more: &[&str]) -> (bool, String) {
        let mut bench = Command::cargo_bin("xray-bench").expect("it is built");
        bench.args(["gpu", "--binaries"]).arg(self.0.path()).arg("--out").arg(self.path("out")).args(more);
        let output = bench.output().expect("it starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn written(&self, name: &str) -> String {
        fs::read_to_string(Path::new(&self.path("out")).join(name)).expect("written")
    }
}

#[test]
fn sides_are_compared_within_their_class_and_what_is_absent_is_said_once() {
    let bench = Bench::new(&[("examples/steps", OURS), ("examples/tiles", TILES), ("python", TORCH)]);
    let python = bench.path("python").display().to_string();
    let (went_well, said) = bench.run(&["--rounds", "2", "--python", &python]);
    assert!(went_well, "{said}");
    let text = bench.written("gpu.md");
    let lines = |part: &str| text.lines().filter(|line| line.contains(part)).collect::<Vec<_>>();
    // Float32 against float32; PyTorch is faster in TF32, and no other precision of ours is there.
    let expected = "| train | small-cnn | 2.00× | – | – | 0.25× |";
    assert_eq!(lines("| train | small-cnn |"), [expected], "{text}");
    assert_eq!(
        lines("small-cnn 128 px, batch 64")[0],
        "| small-cnn 128 px, batch 64 | 100 | 4.00 | 50.0 | 200 | 400 | 400 |"
    );
    assert_eq!(lines("ours in tf32"), ["- ours in tf32: there is no such precision"]);
    // What fails once may go well another time.
    assert_eq!(lines("ours in f16").len(), 12, "{text}");
    assert!(text.contains("- resnet-50 of ours in f16, round 2: the device is lost\n"), "{text}");
    assert!(
        text.contains("small-cnn 1.2 s")
            && text.contains("| forward | f32 | 3.000 ms, 6.0 | 64x64: 2.000 ms, 9.0 | 1.50× |"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&bench.written("gpu.json")).expect("JSON");
    // Six networks, two passes, two rounds; ours, burn's and four of PyTorch's.
    assert_eq!(json["measured"].as_array().map(Vec::len), Some(6 * 2 * 2 * 6));
    assert_eq!(json["tiles"][0]["table"]["ms"], 3.0);
}

#[test]
fn what_a_machine_lacks_is_listed() {
    let bench = Bench::new(&[("examples/steps", "echo 'error: no GPU through wgpu: none' >&2\nexit 78")]);
    let (went_well, said) = bench.run(&["--short"]);
    assert!(went_well, "{said}");
    let text = bench.written("gpu.md");
    for unseen in ["PyTorch: no --python", "ours in f32: no GPU through wgpu: none", "tiles: there is no "] {
        assert_eq!(text.matches(&format!("\n- {unseen}")).count(), 1, "{unseen} in\n{text}");
    }
}

#[test]
fn the_software_form_fails_where_ours_is_too_slow() {
    let bench = Bench::new(&[("examples/steps", OURS)]);
    let (went_well, said) = bench.run(&["--software"]);
    assert!(!went_well && said.contains("as it must be: densenet-121\n"), "{said}");
    let text = bench.written("gpu-software.md");
    let expected = "| train small-cnn 128 px, batch 8 | 1,038 | 9 | 1.00 | 2.0 | 3.5 | 25.00 |";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("| 3.0 | 2.50: too slow |"), "{text}");

    let (went_well, said) = bench.run(&["--software", "--only", "resnet", "--reference", "wgpu"]);
    assert!(!went_well && said.contains("as it must be: resnet-18\n"), "{said}");
}

//! What stands in notebooks/ and examples/ reads the example sweep in results/.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

#[path = "../examples/explore.rs"]
#[expect(dead_code, reason = "its `main` is for people")]
mod explore;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_rust_example_reads_the_example_sweep() {
    let text = explore::summary(&root().join("results/example-sweep")).expect("readable tables");
    assert!(text.starts_with("65 of 65 cells done\n"), "{text}");
    assert_eq!(text.lines().count(), 2 + 13, "{text}");
    let full = text.lines().last().expect("a row");
    assert_eq!(full.split_whitespace().take(3).collect::<Vec<_>>(), ["1", "5", "5727"], "{full}");
}

/// Runs every cell of the notebook, and compares what it prints with what is committed.
const EXECUTE: &str = "
import nbclient, nbformat, sys
notebook = nbformat.read(sys.argv[1], 4)
said = lambda: [
    output['data']['text/plain']
    for cell in notebook.cells
    for output in cell.get('outputs', [])
    if 'text/plain' in output.get('data', {}) and '<Figure' not in output['data']['text/plain']
]
before = said()
nbclient.NotebookClient(notebook, timeout=300, kernel_name='python3').execute(cwd=sys.argv[2])
after = said()
assert len(before) > 4, 'the notebook was committed without its outputs'
for old, new in zip(before, after, strict=True):
    assert old == new, f'committed:\\n{old}\\nnow:\\n{new}'
";

#[test]
fn the_notebook_runs_and_says_what_is_committed() {
    let Some(python) = std::env::var_os("XRAY_PYTHON") else {
        eprintln!("skipped: XRAY_PYTHON names no Python with Jupyter");
        return;
    };
    let folder = fs::canonicalize(root().join("notebooks")).expect("notebooks");
    let mut command = Command::new(python);
    command.args(["-c", EXECUTE]).arg(folder.join("explore-sweep.ipynb")).arg(&folder);
    let output = command.env_remove("XRAY_SWEEP").output().expect("XRAY_PYTHON runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

//! `xray-train --logits`: the network at work for another program.

use crate::workplace::{Workplace, assert_exit};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use xray_artifacts::Exit;
use xray_bundle::Bundle;
use xray_train::logits::{FORMAT, Greeting};

/// What it answers to `input`.
fn asked(workplace: &Workplace, folder: &str, input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xray-train"))
        .args(["--logits", folder, "--backend", "cpu"])
        .current_dir(workplace.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // One that has ended takes nothing more.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("it ends")
}

#[test]
fn batches_are_answered_with_the_models_logits_in_their_order() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("run", &[]), Exit::Ok);
    let bundle = Bundle::open(&workplace.path("run/model")).expect("just written");
    let size = bundle.card.preprocessing.size as usize;
    let pixels = |seed: usize, images: usize| -> Vec<f32> {
        (0..images * size * size).map(|at| ((at * 7 + seed * 13) % 101) as f32 / 50.0 - 1.0).collect()
    };
    let (mut input, mut expected) = (Vec::new(), Vec::new());
    for (seed, images) in [(1, 3), (2, 1), (3, 0), (4, 2)] {
        let pixels = pixels(seed, images);
        input.extend((images as u32).to_le_bytes());
        input.extend(pixels.iter().flat_map(|value| value.to_le_bytes()));
        if images > 0 {
            expected.extend(bundle.begin(&pixels).and_then(|begun| Ok(begun.outputs()?)).expect("the CPU"));
        }
    }
    let last = expected.len() - 2 * bundle.card.labels.len();
    let read = |output: &Output| -> Vec<f32> {
        let end = output.stdout.iter().position(|byte| *byte == b'\n').expect("a line");
        let greeting: Greeting = serde_json::from_slice(&output.stdout[..end]).expect("a greeting");
        assert_eq!((greeting.logits_format, greeting.backend.name()), (FORMAT, "cpu"));
        output.stdout[end + 1..].as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let output = asked(&workplace, "run/model", &input);
    assert_exit(&output, Exit::Ok);
    assert_eq!(read(&output), expected[..last], "the last one waits for another");
    let output = asked(&workplace, "run/model", &[&input[..], &[0; 4]].concat());
    assert_eq!(read(&output), expected);

    let cut = asked(&workplace, "run/model", &input[..input.len() - 5]);
    assert_exit(&cut, Exit::Unexpected);
    assert_exit(&asked(&workplace, "run/model", &[255; 4]), Exit::Usage);
    let absent = asked(&workplace, "run", &[]);
    assert!(!absent.status.success() && absent.stdout.is_empty());
}

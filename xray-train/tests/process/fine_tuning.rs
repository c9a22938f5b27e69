//! `--init`: runs that start from the weights of another.

use crate::workplace::{Workplace, assert_exit, stderr};
use xray_artifacts::Exit;
use xray_model::StateDict;

const INIT: [&str; 2] = ["--init", "first/model/model.safetensors"];

#[test]
fn a_run_starts_from_the_weights_of_another() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("first", &[]), Exit::Ok);
    // One step of no length, with everything but the last layer frozen, leaves the weights as they were.
    let still = ["--freeze", "backbone", "--steps", "1", "--set", "schedule.learning_rate=1e-38"];
    let second = workplace.run("second", &[&INIT[..], &still].concat());
    assert_exit(&second, Exit::Ok);
    let said = stderr(&second);
    assert!(said.contains("first weights from first/model/model.safetensors: 22 of 22 tensors"), "{said}");
    let weights =
        |run: &str| std::fs::read(workplace.path(run).join("model/model.safetensors")).expect("a bundle");
    assert!(weights("first") == weights("second"), "the weights changed");

    // Thawed after half an epoch, they learn again.
    let thawed = ["--freeze", "backbone", "--epochs-frozen", "0.5"];
    assert_exit(&workplace.run("third", &[&INIT[..], &thawed].concat()), Exit::Ok);
    assert!(weights("first") != weights("third"), "nothing learned");
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("first", &[]), Exit::Ok);
    let check = |more: &[&str], exit: Exit, parts: &[&str]| {
        let output = workplace.run("second", &[more, &["--overwrite"]].concat());
        assert_exit(&output, exit);
        let said = stderr(&output);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    };
    let wider = [&INIT[..], &["--set", "model.width=8"]].concat();
    check(
        &wider,
        Exit::ModelMismatch,
        &["first/model/model.safetensors: tensor `classifier.weight` has shape", "hint: "],
    );
    let other = [&INIT[..], &["--model", "resnet-18"]].concat();
    check(
        &other,
        Exit::ModelMismatch,
        &["is missing from the weights", "the weights are those of small-cnn", "--model small-cnn"],
    );
    check(
        &["--init", "first/config.toml"],
        Exit::ModelMismatch,
        &["first/config.toml is not a readable weights file", "hint: "],
    );
    check(&["--init", "absent.pth"], Exit::Unexpected, &["absent.pth"]);
    check(
        &["--freeze", "backbone"],
        Exit::Usage,
        &["fine_tuning.frozen without fine_tuning.weights", "hint: "],
    );
    let often = [&INIT[..], &["--set", "fine_tuning.frozen=often"]].concat();
    check(&often, Exit::Usage, &["fine_tuning.frozen: `often` is not a length such as `5 epochs`"]);
}

#[test]
fn of_several_networks_the_run_says_which_it_took() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("first", &["--model", "SmallCNN"]), Exit::Ok);
    let config = std::fs::read_to_string(workplace.path("first/config.toml")).expect("written");
    assert!(config.contains("architecture = \"small-cnn\""), "{config}");
    let weights = StateDict::load(&workplace.path("first/model/model.safetensors")).expect("a bundle");
    let mut both = StateDict::default();
    both.extend_prefixed("encoder_k.", weights.clone());
    let first = &mut both.tensors.get_mut("encoder_k.features.0.conv.weight").expect("is there").values[0];
    *first += 0.5;
    both.extend_prefixed("encoder_q.", weights.clone());
    both.save(&workplace.path("both.safetensors"), &[]).expect("writable");
    let said = "the file holds several networks: `encoder_q` is taken, not its copy in `encoder_k`";
    for (run, more, part) in
        [("query", &[][..], "encoder_q"), ("key", &["--init-part", "encoder_k"][..], "encoder_k")]
    {
        let output = workplace.run(run, &[&["--init", "both.safetensors"], more].concat());
        assert_exit(&output, Exit::Ok);
        assert_eq!(stderr(&output).contains(said), part == "encoder_q", "{}", stderr(&output));
        let card = workplace.json(&format!("{run}/model/model.json"));
        assert_eq!(card["provenance"]["first_weights"], format!("both.safetensors, {part}"));
        let warnings = workplace.json(&format!("{run}/result.json"))["warnings"].to_string();
        assert_eq!(warnings.contains(said), part == "encoder_q", "{warnings}");
    }
    let refused = |arguments: &[&str], message: &str| {
        let output = workplace.run("refused", &[arguments, &["--overwrite"]].concat());
        assert_exit(&output, Exit::ModelMismatch);
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    };
    refused(
        &["--init", "both.safetensors", "--init-part", "teacher"],
        "no network `teacher`, but `encoder_k`, `encoder_q`",
    );
    let mut broken = weights;
    broken.tensors.get_mut("features.1.norm.running_mean").expect("is there").values[0] = f32::NAN;
    broken.save(&workplace.path("broken.safetensors"), &[]).expect("writable");
    let message =
        "broken.safetensors: tensor `features.1.norm.running_mean` holds values that are NaN or infinite";
    refused(&["--init", "broken.safetensors"], message);
}

#[test]
fn a_batch_in_parts_takes_the_same_steps() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("whole", &[]), Exit::Ok);
    assert_exit(&workplace.run("one-part", &["--set", "training.micro_batch=64"]), Exit::Ok);
    workplace.fingerprint("one-part").assert_equals(&workplace.fingerprint("whole"), "one part is the whole");
    assert_exit(&workplace.run("parts", &["--set", "training.micro_batch=5"]), Exit::Ok);
    let steps = |run: &str| workplace.json(&format!("{run}/result.json"))["training"].clone();
    assert_eq!(steps("parts")["examples"], steps("whole")["examples"]);
    assert_ne!(steps("parts")["last_loss"], steps("whole")["last_loss"], "batch norm saw other batches");
}

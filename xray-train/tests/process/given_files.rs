//! Files that settings name: where they are looked for, and what is known of those whose names say what they hold.

use crate::workplace::{Workplace, assert_exit, stderr};
use std::fs;
use xray_artifacts::{ContentName, Exit};

const FIRST: &str = "first/model/model.safetensors";

/// A finished run, and a copy of its weights in `bin/` under the name of what it holds; that name.
fn trained() -> (Workplace, String) {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("first", &[]), Exit::Ok);
    let name = ContentName::of(&workplace.path(FIRST)).expect("a bundle").0.to_string();
    fs::create_dir(workplace.path("bin")).expect("writable");
    fs::copy(workplace.path(FIRST), workplace.path("bin").join(&name)).expect("writable");
    (workplace, name)
}

#[test]
fn a_relative_file_is_below_the_folder_of_files() {
    let (workplace, name) = trained();
    assert_exit(&workplace.run("path", &["--init", FIRST]), Exit::Ok);
    let named = workplace.run("named", &["--init", &name, "--files", "bin"]);
    assert_exit(&named, Exit::Ok);
    workplace.fingerprint("named").assert_equals(&workplace.fingerprint("path"), "the same weights");
    // Wherever it was found, it is called the same.
    let card = workplace.json("named/model/model.json");
    assert_eq!(card["provenance"]["first_weights"], *name);

    let absent = workplace.run("absent", &["--init", &name]);
    assert_exit(&absent, Exit::Usage);
    let said = stderr(&absent);
    assert!(said.contains(&format!("fine_tuning.weights: there is no file {name}")), "{said}");
    assert!(said.contains("hint: `--files DIR` names the folder"), "{said}");
}

#[test]
fn no_file_is_none() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("run", &["--checkpoint-exit-every", "1ms"]), Exit::Checkpointed);
    assert_exit(&workplace.run("run", &["--init", "none", "--set", "data.patients=none"]), Exit::Ok);
}

#[test]
fn half_a_file_is_an_end_of_its_own_and_the_whole_one_goes_on() {
    let (workplace, name) = trained();
    let path = workplace.path("bin").join(&name);
    let whole = fs::read(&path).expect("copied");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let init = ["--init", &name, "--files", "bin"];
    for content in [&whole[..whole.len() / 2], &flipped, b""] {
        fs::write(&path, content).expect("writable");
        let refused = workplace.run("run", &init);
        assert_exit(&refused, Exit::DamagedFile);
        let said = stderr(&refused);
        let expected = format!(
            "fine_tuning.weights: bin/{name} is not the file that was planned: it holds {} bytes of other content",
            content.len()
        );
        assert!(said.contains(&expected) && said.contains("hint: plan the sweep again"), "{said}");
        let result = workplace.json("run/result.json");
        assert_eq!((&result["state"], &result["exit"]), (&"failed".into(), &Exit::DamagedFile.code().into()));
        assert_eq!(result["reason"], expected);
    }
    fs::write(&path, &whole).expect("writable");
    assert_exit(
        &workplace.run("run", &[&init[..], &["--checkpoint-exit-every", "1ms"]].concat()),
        Exit::Checkpointed,
    );
    // What was begun needs the file no more.
    fs::write(&path, b"").expect("writable");
    assert_exit(&workplace.run("run", &init), Exit::Ok);
    fs::write(&path, &whole).expect("writable");
    assert_exit(&workplace.run("again", &init), Exit::Ok);
    workplace.fingerprint("run").assert_equals(&workplace.fingerprint("again"), "in parts");
}

/// As sweeps of earlier versions planned them.
#[test]
fn a_run_from_an_absolute_path_goes_on_where_the_file_is_gone() {
    let (workplace, _) = trained();
    let absolute = workplace.path(FIRST).display().to_string();
    let init = ["--init", absolute.as_str()];
    assert_exit(
        &workplace.run("run", &[&init[..], &["--checkpoint-exit-every", "1ms"]].concat()),
        Exit::Checkpointed,
    );
    fs::rename(workplace.path(FIRST), workplace.path("moved")).expect("writable");
    let other = workplace.run("run", &["--init", "moved"]);
    assert_exit(&other, Exit::ModelMismatch);
    let said = stderr(&other);
    assert!(said.contains("run holds another run: fine_tuning.weights is \"/"), "{said}");
    assert_exit(&workplace.run("run", &[&init[..], &["--files", "elsewhere"]].concat()), Exit::Ok);
}

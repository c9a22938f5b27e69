//! Puts the commit, the target and the compiler into the binary, for `env.json`.

use std::process::Command;

pub(crate) fn name() {
    println!("cargo::rerun-if-changed=../.git/HEAD");
    println!("cargo::rerun-if-changed=../.git/index");
    let commit = output("git", &["describe", "--always", "--exclude=*", "--dirty", "--abbrev=12"]);
    let commit = commit.map_or(String::new(), |commit| format!(" ({commit})"));
    println!("cargo::rustc-env=XRAY_COMMIT={commit}");
    println!("cargo::rustc-env=XRAY_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    println!("cargo::rustc-env=XRAY_RUSTC={}", output(&rustc, &["--version"]).unwrap_or_default());
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

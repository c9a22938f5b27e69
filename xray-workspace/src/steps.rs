//! Steps of a command: other programs that are run, with a line before that says which, and how long it took.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().expect("every package is a folder of the workspace").to_owned()
}

/// The folder that cargo builds into.
pub fn target_folder() -> Result<PathBuf> {
    let metadata = output(&mut cargo(["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(folder.into())
}

/// The variable from which programs learn their commit while they are compiled; `xray_cli::build!` reads it.
const STAMP: &str = "XRAY_STAMP";

/// The file of this program, as it was called when this was asked first. To be asked before anything is built: a build
/// may put another file in its place, and the system then says that this one is deleted.
pub fn this_program() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| std::env::current_exe().ok());
    program.as_deref().context("the system does not say where this program lies")
}

/// A cargo command in the workspace. What it builds knows its commit.
pub fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments);
    if let Some(commit) = commit() {
        cargo.env(STAMP, commit);
    }
    cargo
}

/// What the variable says already, or else the commit that is checked out, with `-dirty` where files are changed. Git is
/// asked once per process.
fn commit() -> Option<&'static str> {
    static COMMIT: OnceLock<Option<String>> = OnceLock::new();
    let describe = || {
        output(command("git").args(["describe", "--always", "--exclude=*", "--dirty", "--abbrev=12"])).ok()
    };
    let commit = COMMIT.get_or_init(|| std::env::var(STAMP).ok().or_else(describe));
    commit.as_deref().map(str::trim)
}

/// Any program, in the folder of the workspace, without a keyboard: nothing may wait for an answer.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Says what is run, runs it with its output on the terminal, and fails when it does.
pub fn run(command: &mut Command) -> Result<()> {
    eprintln!("+ {}", line(command));
    let status = command.status().with_context(|| format!("cannot start {}", program(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", program(command));
    }
    Ok(())
}

/// Runs a command on the terminal; its exit code, or 128 and the signal that ended it, as shells count.
pub fn execute(command: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::ExitStatusExt;
    let status = command
        .stdin(Stdio::inherit())
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// Whether a program is there and does what it is asked, without a word on the terminal.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// What a program prints to stdout. What it says on stderr is shown when it fails.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", program(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}\n{}", line(command), output.status, said.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} prints no text", program(command)))
}

/// A command as one would type it.
pub fn line(command: &Command) -> String {
    let words = command.get_args().map(|word| quoted(&word.to_string_lossy()));
    [program(command)].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

fn program(command: &Command) -> String {
    let program = Path::new(command.get_program());
    // Cargo's own path is long and says nothing.
    let is_cargo = program.file_stem().is_some_and(|name| name == "cargo");
    if is_cargo { "cargo".to_owned() } else { program.display().to_string() }
}

fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains([' ', '"', '$', ';', '*']) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}

/// `45 s`, `2 min 5 s`, `1 h 2 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_to_read() {
        let check = |milliseconds, expected| {
            assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
        };
        check(12, "12 ms");
        check(59_400, "59 s");
        check(59_600, "1 min 0 s");
        check(3_725_000, "1 h 2 min");
    }

    #[test]
    fn a_command_can_be_typed_again() {
        let command = |words: &[&str]| line(&cargo(words));
        assert_eq!(command(&["build", "--release"]), "cargo build --release");
        assert_eq!(command(&["nextest", "-E", "test(a b)"]), "cargo nextest -E 'test(a b)'");
    }

    #[test]
    fn cargo_is_told_the_commit_where_there_is_one() {
        let told = |command: &Command| command.get_envs().any(|(name, _)| name == STAMP);
        assert_eq!(told(&cargo(["build"])), commit().is_some());
        assert!(!told(&command("git")));
    }

    #[test]
    fn a_program_that_fails_or_is_absent_is_an_error() {
        let message = |command: &mut Command| run(command).expect_err("must fail").to_string();
        assert!(message(&mut cargo(["no-such-command"])).starts_with("cargo ended with "));
        assert_eq!(message(&mut command("no-such-program")), "cannot start no-such-program");
        assert!(!succeeds(&mut command("no-such-program")));
        assert!(!succeeds(&mut cargo(["no-such-command"])));
        assert!(output(&mut cargo(["--version"])).expect("cargo runs").starts_with("cargo "));
    }

    #[test]
    fn the_exit_code_of_a_command_is_kept() {
        let code = |script| execute(Command::new("sh").args(["-c", script])).expect("sh runs");
        assert_eq!(code("exit 0"), ExitCode::SUCCESS);
        assert_eq!(code("exit 7"), ExitCode::from(7));
        assert_eq!(code("kill -9 $$"), ExitCode::from(137));
        let absent = execute(&mut Command::new("no-such-program")).expect_err("must fail");
        assert_eq!(absent.to_string(), "cannot start no-such-program");
    }
}

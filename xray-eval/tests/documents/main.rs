//! The commands of README.md and docs/, run by the real programs on stand-ins for the user's data, page by page and in
//! order. What cannot run here stands in one list with its reason, and is parsed by the program it calls. A command that is
//! neither fails.
#![expect(clippy::print_stderr, reason = "says what is skipped, and what each page takes")]

mod help;
mod page;
mod prose;
mod stand_ins;

use page::{Page, pages};
use stand_ins::StandIns;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::Instant;

/// Why a command is not run: the first row whose words it contains.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo ", "builds or packages programs, or measures them"),
    ("condor_submit", "takes an HTCondor pool"),
    ("--launcher condor", "takes an HTCondor pool"),
    ("sbatch ", "takes a Slurm cluster"),
    ("--launcher slurm", "takes a Slurm cluster"),
    ("xray-sweep retry ", "its sweep ran on a pool"),
    ("--sizes-from ", "its sweep ran here, with as many threads as this machine has for each cell"),
    ("tensorboard ", "another program, which serves until it is stopped"),
    ("xray-serve --", "serves until it is stopped"),
    ("curl ", "takes a server"),
    ("podman ", "takes a container runtime"),
    ("docker ", "takes a container runtime"),
    ("sam ", "takes an account of AWS"),
    ("systemctl ", "takes systemd"),
    ("systemd-analyze ", "takes systemd"),
    ("journalctl ", "takes systemd"),
    ("sudo ", "changes the system"),
    ("useradd ", "changes the system"),
    ("/etc/", "changes the system"),
    ("/usr/local/", "changes the system"),
    ("/var/lib/", "changes the system"),
    ("openssl ", "another program"),
    ("check-health", "takes a server"),
    ("kill ", "takes a server"),
    ("caddy ", "another program"),
    ("nginx ", "another program"),
    ("xray-eval import ", "takes a published model's file"),
    (" xrv", "takes a published model's file"),
    ("--gpus 1", "takes xray-train-gpu"),
    ("sweeps/gpu", "takes xray-train-gpu"),
    ("xray-sweep logs ", "names a cell by its id"),
];

/// How commands begin that are run: whatever else a page says is not done to the machine that tests it.
const RUN: &[&str] = &[
    "xray-data ",
    "xray-train ",
    "xray-eval ",
    "xray-sweep ",
    "xray-serve ",
    "export PATH=",
    "printf ",
    "chmod ",
];

/// Where the programs are that were built with this one; none where one is missing.
fn programs() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_BIN_EXE_xray-eval")).parent()?.to_owned();
    let names = ["xray-data", "xray-train", "xray-eval", "xray-sweep", "xray-serve", "xtask"];
    let missing = names.iter().find(|name| !folder.join(name).is_file());
    if let Some(name) = missing {
        eprintln!("skipped: {name} was not built");
    }
    missing.is_none().then_some(folder)
}

fn shell(folder: &Path, programs: &Path, command: &str) -> Output {
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", command]).current_dir(folder).env("PATH", path);
    shell.output().expect("there is a shell")
}

/// Runs a command, or has it parsed by the program that it calls; what is wrong, where something is.
fn tried(folder: &Path, programs: &Path, command: &str) -> Result<(), String> {
    let reason = NOT_RUN.iter().find(|(words, _)| command.contains(words));
    let run = match reason {
        None if !RUN.iter().any(|first| command.starts_with(first)) => {
            return Err(format!(
                "{command}\n  begins with nothing that this test runs, and has no reason in NOT_RUN"
            ));
        }
        None => command.to_owned(),
        Some(_) => match parsed(command) {
            Some(command) => command,
            None => return Ok(()),
        },
    };
    let output = shell(folder, programs, &run);
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{run}\n  {}: {}", output.status, said.trim_end().replace('\n', "\n  ")))
}

/// The same command as one that only parses; none of programs that are not ours.
fn parsed(command: &str) -> Option<String> {
    let command = page::without_comment(command);
    let own = |command: &str| Some(format!("{command} --help"));
    match command.split(' ').next()? {
        "cargo" => own(command.strip_prefix("cargo ")?).filter(|command| command.starts_with("xtask ")),
        "xray-data" | "xray-train" | "xray-eval" | "xray-sweep" | "xray-serve" => own(&command),
        _ => None,
    }
}

#[test]
fn every_command_runs() {
    let Some(programs) = programs() else { return };
    let stand_ins = StandIns::make(|folder, command| {
        let output = shell(folder, &programs, command);
        assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    });
    let left = Mutex::new(pages());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(page) = next(&left) {
                    let (clock, folder) = (Instant::now(), stand_ins.copy(&page));
                    for (line, command) in &page.commands {
                        if let Err(why) = tried(folder.path(), &programs, command) {
                            let mut failed = failed.lock().expect("no thread panics");
                            failed.push(format!("{}:{line}: {why}", page.name));
                        }
                    }
                    let seconds = clock.elapsed().as_secs_f64();
                    eprintln!("{}: {} commands in {seconds:.1} s", page.name, page.commands.len());
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no thread panics");
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

fn next(pages: &Mutex<Vec<Page>>) -> Option<Page> {
    pages.lock().expect("no thread panics").pop()
}

#[test]
fn pages_have_commands() {
    let pages = pages();
    let commands: usize = pages.iter().map(|page| page.commands.len()).sum();
    assert!(pages.len() >= 12 && commands > 100, "{} pages, {commands} commands", pages.len());
}

#[test]
fn what_is_not_run_is_parsed() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let check = |command: &str, is_good: bool| {
        assert_eq!(tried(folder.path(), &programs, command).is_ok(), is_good, "{command}");
    };
    check("cargo xtask test   # the tests", true);
    check("cargo xtask tset", false);
    check("xray-serve --model RUN", true);
    check("xray-serve --mdoel RUN", false);
    check("condor_submit sweep.sub", true);
    check("xray-unheard-of program", false);
}

/// A line that is too long is broken where a reader who copies it would not expect it.
#[test]
fn examples_of_help_are_whole_commands() {
    const OTHERS: [&str; 4] = ["cd ", "condor_submit ", "sbatch ", "curl "];
    let Some(programs) = programs() else { return };
    let names = ["xray-data", "xray-train", "xray-eval", "xray-sweep", "xray-serve"];
    let helps: Vec<_> = names.iter().flat_map(|name| help::helps(&programs, name)).collect();
    let (mut examples, mut failed) = (0, Vec::new());
    for help in &helps {
        failed.extend(help.short_lines().iter().map(|line| format!("{} --help: {line}", help.name)));
        for example in help.examples() {
            examples += 1;
            for command in example.split(" && ") {
                let output = parsed(command).map(|command| shell(Path::new("."), &programs, &command));
                let is_good = output.as_ref().map_or_else(
                    || OTHERS.iter().any(|other| command.starts_with(other)),
                    |output| output.status.success(),
                );
                if !is_good {
                    let said = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
                    failed.push(format!("{} --help: {command}\n{}", help.name, said.unwrap_or_default()));
                }
            }
        }
    }
    assert!(helps.len() > 30 && examples > 40, "{} helps, {examples} examples", helps.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What a page links to is there.
#[test]
fn links_lead_somewhere() {
    // Written at the same time as the other pages.
    const ELSEWHERE: &str = "docs/serving.md";
    let root = page::root();
    let mut names: Vec<String> = pages().into_iter().map(|page| page.name).collect();
    names.extend(["CONTRIBUTING.md", "ARCHITECTURE.md"].map(str::to_owned));
    for name in names {
        let text = std::fs::read_to_string(root.join(&name)).expect("a page");
        for target in page::links(&text) {
            let target = target.split('#').next().unwrap_or_default();
            let path = Path::new(&name).parent().expect("below the root").join(target);
            let is_there = root.join(&path).exists() || path == Path::new(ELSEWHERE);
            assert!(is_there, "{name} links to {target}");
        }
    }
}

#[test]
fn the_citation_names_this_version() {
    let text = std::fs::read_to_string(page::root().join("CITATION.cff")).expect("CITATION.cff");
    let version = format!("version: {}", env!("CARGO_PKG_VERSION"));
    assert!(text.lines().any(|line| line == version), "{version} is not in CITATION.cff");
}

//! `cargo xtask slurm`: a real Slurm on this machine, for tests and for trying a sweep.

use crate::condor::Unavailable;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use xray_workspace::steps::{self, command, execute, output, succeeds};

/// A real Slurm on this machine, for tests
///
/// `up` starts Slurm's own daemons below target/slurm as the user that calls it: a controller, two machines named old and
/// new with two cores each, a third apart from them with a card that is not there, and munge. Debian's slurmctld, slurmd,
/// slurm-client and munge must be installed.
#[derive(Debug, Subcommand)]
pub(crate) enum Slurm {
    /// Start it and wait for its machines
    Up,
    /// Stop it; its queue and its jobs are gone
    Down,
    Run(RunArguments),
}

/// Run a command that finds this Slurm
///
/// The command's exit code becomes that of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<OsString>,
}

const CONFIGURATION: &str = include_str!("slurm.conf");
const MACHINES: [&str; 3] = ["old", "new", "apart"];

pub(crate) fn run(slurm: &Slurm) -> Result<ExitCode> {
    let cluster = Cluster { folder: steps::target_folder()?.join("slurm") };
    match slurm {
        Slurm::Up => {
            cluster.up()?;
            execute(&mut cluster.command("sinfo"))
        }
        Slurm::Down => cluster.down().map(|()| ExitCode::SUCCESS),
        Slurm::Run(arguments) => {
            if !cluster.path("slurm.conf").is_file() {
                return Err(
                    Unavailable::new("Slurm", "none is up", "start it with `cargo xtask slurm up`").into()
                );
            }
            let (program, rest) = arguments.command.split_first().expect("clap requires a command");
            execute(cluster.command(program).args(rest))
        }
    }
}

/// A Slurm of our own that stops when this is dropped.
pub(crate) struct TestCluster(Cluster);

/// Starts one for tests.
pub(crate) fn for_tests() -> Result<TestCluster> {
    let cluster = Cluster { folder: steps::target_folder()?.join("slurm") };
    cluster.up()?;
    Ok(TestCluster(cluster))
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        let _ = self.0.down();
    }
}

/// Whether Slurm's programs are installed. They are not asked: without a configuration each waits for a minute.
pub(crate) fn is_installed() -> bool {
    PROGRAMS.iter().all(|program| Path::new(program).is_file())
}

const PROGRAMS: [&str; 4] =
    ["/usr/sbin/munged", "/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/bin/sbatch"];

struct Cluster {
    folder: PathBuf,
}

impl Cluster {
    fn up(&self) -> Result<()> {
        if self.answers() {
            return Ok(());
        }
        if !is_installed() {
            let hint = "apt-get install slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge";
            return Err(Unavailable::new("Slurm", "it is not installed", hint).into());
        }
        self.down()?;
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir_all(self.path("munge"))?;
        fs::create_dir_all(self.path("state"))?;
        let text = |name: &str, flag: &str| {
            Ok::<_, anyhow::Error>(output(command(name).arg(flag))?.trim().to_owned())
        };
        let configuration = CONFIGURATION
            .replace("{host}", &text("hostname", "-s")?)
            .replace("{user}", &text("id", "-un")?)
            .replace("{folder}", &self.folder.display().to_string());
        fs::write(self.path("slurm.conf"), configuration)?;
        // Any file of a device will do: it is only counted.
        fs::write(self.path("gres.conf"), "NodeName=apart Name=gpu File=/dev/null\n")?;
        let mut key =
            File::options().write(true).create_new(true).mode(0o400).open(self.path("munge/key"))?;
        let mut bytes = [0; 1024];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        key.write_all(&bytes)?;
        let began = Instant::now();
        let mut munge = self.daemon("munged");
        for (option, file) in [
            ("key-file", "key"),
            ("socket", "socket"),
            ("pid-file", "pid"),
            ("log-file", "log"),
            ("seed-file", "seed"),
        ] {
            munge.arg(format!("--{option}={}", self.path("munge").join(file).display()));
        }
        steps::run(munge.arg("--force"))?;
        steps::run(&mut self.daemon("slurmctld"))?;
        for machine in MACHINES {
            steps::run(self.daemon("slurmd").args(["-N", machine]))?;
        }
        let patience = Duration::from_secs(60);
        while !self.answers() {
            if began.elapsed() > patience {
                bail!("Slurm's machines do not come up; see {}/*.log", self.folder.display());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        eprintln!("Slurm is up after {}", steps::duration(began.elapsed()));
        Ok(())
    }

    /// Whether all machines are there.
    fn answers(&self) -> bool {
        if !self.path("slurm.conf").is_file() {
            return false;
        }
        let states = output(self.command("sinfo").args(["--noheader", "--Node", "--format=%N %T"]));
        states.is_ok_and(|states| {
            let is_good = |state: &str| ["idle", "mixed", "allocated", "completing"].contains(&state);
            // A line for each partition that a machine is in.
            MACHINES.iter().all(|machine| {
                let state =
                    |line: &str| Some(line.split_once(' ').filter(|(name, _)| name == machine)?.1.to_owned());
                states.lines().find_map(state).is_some_and(|state| is_good(&state))
            })
        })
    }

    fn down(&self) -> Result<()> {
        let machines = MACHINES.map(|machine| format!("slurmd-{machine}.pid"));
        let files = machines.iter().map(String::as_str).chain(["slurmctld.pid", "munge/pid"]);
        if self.answers() {
            let _ = output(self.command("scancel").arg("--state=PENDING"));
            let _ = output(self.command("scancel").arg("--state=RUNNING"));
        }
        for file in files {
            let Ok(pid) = fs::read_to_string(self.path(file)) else { continue };
            let pid = pid.trim().to_owned();
            let lives = || Path::new("/proc").join(&pid).exists();
            // It fails where the daemon has ended.
            let _ = succeeds(command("kill").arg(&pid));
            let began = Instant::now();
            while lives() && began.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = fs::remove_file(self.path(file));
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn daemon(&self, name: &str) -> Command {
        self.command(Path::new("/usr/sbin").join(name))
    }

    /// A command that finds this Slurm, and not one of a job that it is called in.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.path("slurm.conf"));
        command
    }
}

//! The machine that the pool runs on: this one's kernel with processes, mounts and a network of its own.

use super::{Unavailable, execute, root};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use xray_workspace::steps;

const CONFIGURATION: &str = include_str!("pool.conf");
const BOOT_TIMEOUT: Duration = Duration::from_secs(60);

/// A pool that is up.
#[derive(Debug)]
pub(super) struct Machine {
    /// Its first process, as this machine counts them.
    pid: u32,
    /// What it sees as `/`.
    mnt: PathBuf,
}

impl Machine {
    /// The pool below `folder`, installed and started where it is not. Calls at the same time start one pool.
    pub(super) fn up(folder: &Path) -> Result<Self> {
        let _lock = lock(folder)?;
        if let Some(machine) = Self::find(folder) {
            return Ok(machine);
        }
        can_start()?;
        let root = root::built(folder)?;
        let began = Instant::now();
        let machine = boot(folder, &root)?;
        machine.wait_for_slots(folder)?;
        eprintln!("the pool is up after {}", steps::duration(began.elapsed()));
        Ok(machine)
    }

    /// The pool below `folder`, which must be up.
    pub(super) fn running(folder: &Path) -> Result<Self> {
        let down =
            || Unavailable::new("HTCondor pool", "none is up", "start it with `cargo xtask condor up`");
        Ok(Self::find(folder).ok_or_else(down)?)
    }

    /// Ends the pool below `folder`, if there is one, with all its jobs.
    pub(super) fn down(folder: &Path) -> Result<()> {
        let _lock = lock(folder)?;
        let Some(machine) = Self::find(folder) else {
            return Ok(());
        };
        let pid = machine.pid.to_string();
        steps::succeeds(&mut machine.enter("root", Path::new("/"), &["condor_off", "-fast", "-master"]));
        let ended = || Self::find(folder).is_none();
        // Its first process takes every other with it.
        if !waited(Duration::from_secs(10), ended) {
            steps::run(steps::command("kill").args(["-KILL", &pid]))?;
        }
        if !waited(Duration::from_secs(10), ended) {
            bail!("process {pid} of the pool does not end");
        }
        Ok(())
    }

    /// Runs a command inside on the terminal, in `folder` of this machine, or in the home of the user.
    pub(super) fn run(&self, folder: Option<&Path>, command: &[impl AsRef<str>]) -> Result<ExitCode> {
        let folder = match folder {
            Some(folder) => self.bind(folder, true)?,
            None => Path::new("/home").join(root::USER),
        };
        execute(&mut self.enter(root::USER, &folder, command))
    }

    /// Shows a folder of this machine at the same path inside, and gives it to the user there when `writable`.
    /// Returns its full path.
    pub(super) fn bind(&self, folder: &Path, writable: bool) -> Result<PathBuf> {
        let absent = || format!("cannot show {} to the pool", folder.display());
        let folder = fs::canonicalize(folder).with_context(absent)?;
        if writable {
            hand_over(&folder)?;
        }
        if !self.sees(&folder) || writable && !self.may_write(&folder) {
            let options = if writable { "bind" } else { "bind,ro" };
            let script = r#"mkdir -p "$2" && mount -o "$3" "$1" "$2""#;
            let mut mount = self.among_its_mounts(&["sh", "-c", script, "sh"]);
            steps::output(mount.arg(&folder).arg(below(&self.mnt, &folder)).arg(options))?;
        }
        Ok(folder)
    }

    /// Whether a path inside is the same folder as here.
    fn sees(&self, folder: &Path) -> bool {
        let inside = Path::new("/proc").join(self.pid.to_string()).join("root");
        let inside = below(&below(&inside, &self.mnt), folder);
        let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
        identity(folder).is_some() && identity(folder) == identity(&inside)
    }

    /// Whether a folder that is seen inside was not shown read-only.
    fn may_write(&self, folder: &Path) -> bool {
        steps::succeeds(self.among_its_mounts(&["test", "-w"]).arg(below(&self.mnt, folder)))
    }

    /// A command of this machine that sees the mounts of the pool.
    fn among_its_mounts(&self, command: &[&str]) -> Command {
        let mut enter = steps::command("nsenter");
        enter.args(["--mount", "--target", &self.pid.to_string()]).args(command);
        enter
    }

    fn enter(&self, user: &str, folder: &Path, command: &[impl AsRef<str>]) -> Command {
        let home = if user == "root" { "/root".to_owned() } else { format!("/home/{user}") };
        let mut enter = steps::command("nsenter");
        enter
            .args(["--mount", "--pid", "--net", "--ipc", "--target", &self.pid.to_string(), "chroot"])
            .args(["--groups=", &format!("--userspec={user}")])
            .arg(&self.mnt)
            .args(["/bin/sh", "-c", r#"cd "$1" && shift && exec "$@""#, "sh"])
            .arg(folder)
            .args(command.iter().map(AsRef::as_ref))
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .envs([("HOME", home.as_str()), ("USER", user), ("LOGNAME", user), ("LANG", "C.UTF-8")]);
        enter
    }

    fn wait_for_slots(&self, folder: &Path) -> Result<()> {
        let wanted = CONFIGURATION.lines().filter(|line| line.starts_with("NUM_SLOTS_TYPE_")).count();
        let ask = |command: &[&str]| steps::output(&mut self.enter("root", Path::new("/"), command));
        let ready = || {
            ask(&["condor_status", "-af", "Name"]).is_ok_and(|slots| slots.lines().count() >= wanted)
                && ask(&["condor_q", "-allusers", "-totals"]).is_ok()
        };
        if waited(BOOT_TIMEOUT, ready) {
            return Ok(());
        }
        let state = folder.join("state");
        bail!(
            "the pool's {wanted} machines do not come up; see {0}/boot.log and {0}/upper/var/log/condor",
            state.display()
        )
    }

    /// The pool whose process number was written, if that process still is the pool: it alone has our mount.
    fn find(folder: &Path) -> Option<Self> {
        let mnt = folder.join("state/mnt");
        let pid: u32 = fs::read_to_string(folder.join("state/pid")).ok()?.trim().parse().ok()?;
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?;
        has_mount(&mounts, &mnt).then_some(Self { pid, mnt })
    }
}

/// Whether a mount point is among those of a `mountinfo`.
fn has_mount(mountinfo: &str, point: &Path) -> bool {
    mountinfo.lines().any(|line| line.split(' ').nth(4).is_some_and(|found| Path::new(found) == point))
}

fn can_start() -> Result<()> {
    let install = "install HTCondor, or run this as root on a machine that allows mounts";
    if !steps::succeeds(steps::command("sh").args(["-c", r#"[ "$(id -u)" = 0 ]"#])) {
        return Err(Unavailable::new("HTCondor pool", "only root can start one", install).into());
    }
    let mut unshare = steps::command("unshare");
    if !steps::succeeds(unshare.args([
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--net",
        "--ipc",
        "true",
    ])) {
        return Err(Unavailable::new(
            "HTCondor pool",
            "this machine allows no namespaces (unshare failed)",
            install,
        )
        .into());
    }
    Ok(())
}

/// Starts the machine with a new state: an empty queue, no history.
fn boot(folder: &Path, root: &Path) -> Result<Machine> {
    let state = folder.join("state");
    steps::output(steps::command("rm").args(["-rf", "--one-file-system"]).arg(&state))?;
    for name in ["upper", "work", "mnt"] {
        fs::create_dir_all(state.join(name)).with_context(|| format!("cannot create {}", state.display()))?;
    }
    let write = |name: &str, text: &str| -> Result<PathBuf> {
        let path = state.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    let configuration = write("pool.conf", CONFIGURATION)?;
    let wrapper = write("job-wrapper", include_str!("job-wrapper.sh"))?;
    let plugin = write("osdf-plugin", include_str!("osdf-plugin.sh"))?;
    let log = File::create(state.join("boot.log"))?;
    // Not in a process group of its own: setsid would then fork and seem to have ended.
    let mut started = steps::command("setsid")
        .args(["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--net", "--ipc"])
        .args(["--kill-child=KILL", "bash", "-c", include_str!("boot.sh"), "boot"])
        .args([root, &state, &configuration, &wrapper, &plugin])
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start unshare")?;
    let up = waited(BOOT_TIMEOUT, || {
        Machine::find(folder).is_some() || started.try_wait().is_ok_and(|ended| ended.is_some())
    });
    match Machine::find(folder) {
        Some(machine) if up => Ok(machine),
        _ => {
            let said = fs::read_to_string(state.join("boot.log")).unwrap_or_default();
            bail!("the pool does not start: {}", said.trim_end())
        }
    }
}

/// Gives a folder and all in it to the user inside.
fn hand_over(folder: &Path) -> Result<()> {
    if folder.join(".git").exists() || folder.parent().is_none() {
        bail!("{} would be given away to the pool; name a folder of its own", folder.display());
    }
    let owner = format!("{0}:{0}", root::UID);
    steps::output(steps::command("chown").args(["--recursive", "--no-dereference", &owner]).arg(folder))
        .map(drop)
}

/// Only one process at a time starts or stops the pool; given back when the file is closed.
fn lock(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// `/a` below `/top` is `/top/a`.
fn below(top: &Path, path: &Path) -> PathBuf {
    top.join(path.strip_prefix("/").unwrap_or(path))
}

/// Asks until the answer is yes; false when the time is over.
fn waited(limit: Duration, mut answer: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !answer() {
        if began.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_the_old_number_is_not_the_pool() {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir_all(folder.path().join("state/mnt")).expect("folder");
        assert!(Machine::find(folder.path()).is_none());
        fs::write(folder.path().join("state/pid"), std::process::id().to_string()).expect("pid");
        assert!(Machine::find(folder.path()).is_none());
        let error = Machine::running(folder.path()).expect_err("none is up");
        assert!(error.downcast_ref::<Unavailable>().is_some());
        Machine::down(folder.path()).expect("nothing to do");
    }

    #[test]
    fn a_mount_is_found_by_its_whole_path() {
        let mounts = "23 1 0:21 / /proc rw - proc proc rw\n42 1 0:30 / /t/state/mnt rw,relatime - overlay overlay rw\n";
        let check = |point, expected| assert_eq!(has_mount(mounts, Path::new(point)), expected, "{point}");
        check("/t/state/mnt", true);
        check("/t/state", false);
        check("/state/mnt", false);
        check("/", false);
    }

    #[test]
    fn a_repository_is_not_given_away() {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join(".git")).expect("folder");
        assert!(hand_over(folder.path()).is_err());
        assert!(hand_over(Path::new("/")).is_err());
    }

    #[test]
    fn one_folder_lies_below_another() {
        assert_eq!(below(Path::new("/t/mnt"), Path::new("/data/x")), Path::new("/t/mnt/data/x"));
    }
}

//! System packages that some tests need, installed with apt-get where that is allowed.

use super::TestArguments;
use crate::condor;
use crate::page;
use crate::slurm;
use anyhow::Result;
use std::fs;
use std::process::Command;
use xray_workspace::steps::{self, command, succeeds};

/// Something a test needs from the system.
struct Need {
    packages: &'static [&'static str],
    what: &'static str,
    is_there: fn() -> bool,
}

const VULKAN: Need = Need {
    packages: &["libvulkan1", "mesa-vulkan-drivers"],
    what: "no Vulkan driver for the tests of the GPU backend",
    is_there: has_vulkan_driver,
};

const PYTHON: Need = Need {
    packages: &["python3", "python3-venv"],
    what: "no Python that can make virtual environments",
    is_there: has_python,
};

const OLD_PROCESSOR: Need = Need {
    packages: &["qemu-user-static"],
    what: "no qemu-x86_64-static to run the worker on an old processor",
    is_there: has_old_processor,
};

/// What the pool is made with, where no HTCondor is installed.
const POOL: Need = Need {
    packages: &["debootstrap"],
    what: "no debootstrap to make an HTCondor pool with",
    is_there: has_pool_or_its_maker,
};

const SLURM: Need = Need {
    packages: &["slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "munge"],
    what: "no Slurm to run sweeps on",
    is_there: slurm::is_installed,
};

const BROWSER: Need = Need {
    packages: &["chromium", "fonts-dejavu-core"],
    what: "no Chromium to look at pages with",
    is_there: has_browser,
};

const PROXIES: Need = Need {
    packages: &["nginx-light", "caddy", "haproxy"],
    what: "not all of nginx, Caddy and haproxy to put before the server",
    is_there: has_proxies,
};

/// Installs what is missing, and says what is missing still.
pub(super) fn prepare(arguments: &TestArguments) -> Vec<String> {
    let wanted = [
        (VULKAN, true),
        (PYTHON, !arguments.no_python),
        (OLD_PROCESSOR, !arguments.no_worker),
        (POOL, !arguments.no_pool),
        (SLURM, !arguments.no_pool),
        (BROWSER, true),
        (PROXIES, true),
    ];
    let needs = wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(need, _)| need);
    // Elsewhere GPUs come with the system, and there is no apt-get.
    if cfg!(not(target_os = "linux")) {
        return Vec::new();
    }
    let missing: Vec<_> = needs.filter(|need| !(need.is_there)()).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let packages: Vec<_> = missing.iter().flat_map(|need| need.packages).copied().collect();
    let reason = if !arguments.no_apt { install(&packages).err() } else { Some("--no-apt".to_owned()) };
    let still = missing.iter().filter(|need| !(need.is_there)());
    still.map(|need| sentence(need, reason.as_deref())).collect()
}

fn sentence(need: &Need, reason: Option<&str>) -> String {
    let packages = need.packages.join(" ");
    match reason {
        Some(reason) => format!("{}; not installed: {reason} (apt-get install {packages})", need.what),
        None => format!("{}, although {packages} are installed", need.what),
    }
}

/// The error is the reason in a few words.
fn install(packages: &[&str]) -> Result<(), String> {
    if !succeeds(command("apt-get").arg("--version")) {
        return Err("there is no apt-get".to_owned());
    }
    let as_root = as_root().ok_or("neither root nor a sudo without password")?;
    eprintln!("installing {} (--no-apt leaves it out)", packages.join(" "));
    // A package list that cannot be fetched may still be good enough.
    let _ = steps::run(apt_get(as_root).args(["-qq", "update"]));
    let arguments = ["-qq", "install", "--yes", "--no-install-recommends"];
    steps::run(apt_get(as_root).args(arguments).args(packages)).map_err(|error| format!("{error:#}"))
}

/// What to put before a command so that it runs as root; none where that is impossible.
fn as_root() -> Option<&'static [&'static str]> {
    let is_root = steps::output(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if is_root {
        Some(&[])
    } else {
        succeeds(command("sudo").args(["-n", "true"])).then_some(&["sudo", "-n"])
    }
}

/// Without a network it gives up in seconds, and it never asks.
fn apt_get(as_root: &[&str]) -> Command {
    let words = [as_root, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]].concat();
    let mut command = command(words[0]);
    command.args(&words[1..]).args(["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20"]);
    command
}

/// Drivers announce themselves by a file; a loader comes with each of them.
fn has_vulkan_driver() -> bool {
    ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"]
        .iter()
        .any(|folder| fs::read_dir(folder).is_ok_and(|files| files.count() > 0))
}

fn has_python() -> bool {
    succeeds(command("python3").args(["-c", "import venv, ensurepip"]))
}

fn has_old_processor() -> bool {
    succeeds(command("qemu-x86_64-static").arg("--version"))
}

fn has_pool_or_its_maker() -> bool {
    condor::installed::answers() || succeeds(command("debootstrap").arg("--version"))
}

fn has_proxies() -> bool {
    [("nginx", "-v"), ("caddy", "version"), ("haproxy", "-v")]
        .iter()
        .all(|(program, version)| succeeds(command(program).arg(version)))
}

fn has_browser() -> bool {
    page::installed().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_the_way_out() {
        assert_eq!(
            sentence(&VULKAN, Some("--no-apt")),
            "no Vulkan driver for the tests of the GPU backend; not installed: --no-apt \
             (apt-get install libvulkan1 mesa-vulkan-drivers)"
        );
        assert_eq!(
            sentence(&PYTHON, None),
            "no Python that can make virtual environments, although python3 python3-venv are installed"
        );
    }
}

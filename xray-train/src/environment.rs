//! What `env.json` says of this process and machine.

use crate::events::{Event, Observer};
use std::fs;
use xray_artifacts::{Environment, FileError, microarch, time_of_day};
use xray_model::{DeviceInfo, DeviceWork};

/// Version and commit, for `--version`, the names of cells, results and bundles.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("XRAY_COMMIT"));

/// Looks at this process.
pub fn environment(threads: usize, device: &DeviceInfo) -> Environment {
    let system = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    Environment {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git: Some(env!("XRAY_COMMIT").trim_matches([' ', '(', ')']).to_owned()).filter(|git| !git.is_empty()),
        build: format!("{} {}", env!("XRAY_TARGET"), env!("XRAY_RUSTC")),
        command: std::env::args().collect(),
        host: text(system.nodename()),
        system: format!("{} {}", text(system.sysname()), text(system.release())),
        cpu: cpu_name(),
        microarch: microarch().map(str::to_owned),
        threads,
        backend: device.backend.name().to_owned(),
        device: device.full_name(),
        precision: Some(device.precision.name().to_owned()),
        device_choice: device.choice.clone(),
        started: now(),
    }
}

/// What a step asks of a device, as people read it.
pub(crate) fn work_of_step(work: DeviceWork) -> String {
    format!("a step takes {work} moved at the least")
}

/// Says which device was chosen and what to know of it.
///
/// # Errors
/// Those of the observer.
pub fn announce(device: &DeviceInfo, observer: &mut dyn Observer) -> Result<(), FileError> {
    if let Some(choice) = &device.choice {
        observer.observe(&Event::Note(choice))?;
    }
    match &device.warning {
        Some(warning) => observer.observe(&Event::Warning(warning)),
        None => Ok(()),
    }
}

/// The present moment, RFC 3339.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(time_of_day()).to_string()
}

/// Highest resident memory of this process so far, in bytes, where the system tells.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn cpu_name() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

//! Which machine was measured, when, and which version of this project.

use serde_json::{Value, json};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};
use xray_display::counted;
use xray_workspace::steps::{command, output};

/// What a figure's reader must know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: Option<u64>,
    pub(crate) system: String,
    /// YYYY-MM-DD, UTC.
    pub(crate) date: String,
    /// Commit, with `-dirty` where the tree has changes.
    pub(crate) commit: String,
}

impl Machine {
    /// This one, now.
    pub(crate) fn here() -> Machine {
        let unknown = || "unknown".to_owned();
        let today = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() / 86_400);
        Machine {
            cpu: cpu().unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_gib(&text)),
            system: line_of("uname", &["-sr"]).unwrap_or_else(|| std::env::consts::OS.to_owned()),
            date: date(today),
            commit: stamped()
                .or_else(|| line_of("git", &["describe", "--always", "--dirty"]))
                .unwrap_or_else(unknown),
        }
    }

    /// For `data.json`.
    pub(crate) fn json(&self) -> Value {
        let Machine { cpu, cores, memory_gib, system, date, commit } = self;
        json!({ "cpu": cpu, "cores": cores, "memory_gib": memory_gib, "system": system, "date": date, "commit": commit })
    }

    /// `AMD EPYC 9B14, 2 cores, 23 GiB, Linux 6.1.0`
    pub(crate) fn sentence(&self) -> String {
        let memory = self.memory_gib.map_or(String::new(), |gib| format!(", {gib} GiB"));
        let cores = counted(self.cores, "core");
        format!("{}, {cores}{memory}, {}", self.cpu, self.system)
    }
}

/// Said by whoever took the built programs to a machine without the repository.
fn stamped() -> Option<String> {
    std::env::var("XRAY_STAMP").ok().filter(|commit| !commit.is_empty())
}

fn cpu() -> Option<String> {
    let linux = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| field(&text, "model name"));
    linux.or_else(|| line_of("sysctl", &["-n", "machdep.cpu.brand_string"]))
}

/// The first `NAME : VALUE` of a file such as /proc/cpuinfo.
fn field(text: &str, name: &str) -> Option<String> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn memory_gib(meminfo: &str) -> Option<u64> {
    let total = field(meminfo, "MemTotal")?;
    let kib: f64 = total.strip_suffix(" kB")?.trim().parse().ok()?;
    Some((kib / f64::from(1 << 20)).round() as u64)
}

fn line_of(program: &str, arguments: &[&str]) -> Option<String> {
    let printed = output(command(program).args(arguments)).ok()?;
    Some(printed.trim().to_owned()).filter(|line| !line.is_empty())
}

/// The day that is `days` after 1970-01-01, in the Gregorian calendar: Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`, for days after that one.
fn date(days: u64) -> String {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        // By GNU date: date -u -d @$((86400 * DAYS)) +%F
        for (days, expected) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_780, "2026-11-23"),
            (20_818, "2026-12-31"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn a_machine_is_told_from_the_files_of_linux() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nprocessor\t: 1\nmodel name\t: another\n";
        assert_eq!(field(cpuinfo, "model name").as_deref(), Some("AMD EPYC"));
        assert_eq!(field(cpuinfo, "cpu MHz"), None);
        assert_eq!(memory_gib("MemTotal:       24118140 kB\nMemFree: 1 kB\n"), Some(23));
        assert_eq!(memory_gib("MemTotal: unknown\n"), None);
    }
}

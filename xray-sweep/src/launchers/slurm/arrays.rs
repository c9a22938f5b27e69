//! What is asked of Slurm for an array of cells, and the list that says which cell each of its tasks runs.

use crate::cell::Request;
use crate::spec::Slurm;
use crate::sweep_dir::SweepDir;
use std::path::Path;
use std::process::Command;
use xray_artifacts::{Exit, Failure, FileError, write_bytes};

/// Tasks of one array.
pub(super) struct Array<'a> {
    /// The list of cells, below the sweep directory.
    pub(super) list: &'a str,
    /// The row of the list that task 0 runs.
    pub(super) first: usize,
    /// The tasks, as Slurm writes them.
    pub(super) tasks: String,
    /// Memory of each.
    pub(super) memory_mib: u64,
    /// What else each asks for.
    pub(super) request: Request,
    /// Machines that are not to be used.
    pub(super) exclude: Vec<String>,
}

impl Array<'_> {
    /// Submits them with the script of the sweep in `dir`, which is absolute.
    pub(super) fn command(&self, dir: &Path, slurm: &Slurm, is_dry: bool) -> Command {
        let mut command = sbatch();
        if is_dry {
            command.arg("--test-only");
        }
        let throttle = slurm.max_running.map_or(String::new(), |most| format!("%{most}"));
        command.arg(format!("--array={}{throttle}", self.tasks));
        command.arg(format!("--chdir={}", dir.display()));
        command.arg(format!("--comment={}", comment(self.list, self.first)));
        command.args(lines(&Request { memory_mib: self.memory_mib, ..self.request }, slurm));
        if !self.exclude.is_empty() {
            command.arg(format!("--exclude={}", self.exclude.join(",")));
        }
        command.arg(dir.join("sweep.sbatch")).arg(self.list).arg(self.first.to_string());
        command
    }
}

/// `sbatch`, which says the job's number.
pub(super) fn sbatch() -> Command {
    let mut command = Command::new("sbatch");
    // Inside a job Slurm's own variables describe that job, and not the next.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SLURM_") && name != "SLURM_CONF" {
            command.env_remove(name);
        }
    }
    command.arg("--parsable");
    command
}

/// Where the jobs of a sweep in `folder` write what they say, in a file of this pattern. Slurm looks for patterns in all of a
/// path, in the folder before a relative one too.
pub(crate) fn output_path(folder: &str, pattern: &str) -> String {
    format!("{}/slurm/{pattern}.txt", folder.replace('%', "%%"))
}

/// What an array says of itself in the queue.
pub(crate) fn comment(list: &str, first: usize) -> String {
    format!("{list}+{first}")
}

/// What [`comment`] said: the list, and its row for task 0.
pub(super) fn of_comment(comment: &str) -> Option<(&str, usize)> {
    let (list, first) = comment.rsplit_once('+')?;
    Some((list, first.parse().ok()?))
}

/// Options for what a cell asks of a machine, and those of the sweep, which win.
pub(crate) fn lines(request: &Request, slurm: &Slurm) -> Vec<String> {
    let mut lines =
        vec![format!("--cpus-per-task={}", request.cpus), format!("--mem={}M", request.memory_mib)];
    if request.gpus > 0 {
        lines.push(format!("--gres=gpu:{}", request.gpus));
    }
    lines.extend(request.minutes.map(|minutes| format!("--time={minutes}")));
    lines.extend(slurm.options.iter().cloned());
    lines
}

/// The time limit among options of `sbatch`, as it is written there; of several the last counts.
pub(crate) fn limit_option(options: &[String]) -> Option<&str> {
    options.iter().rev().find_map(|option| option.strip_prefix("--time="))
}

/// That limit in seconds; none where there is none, such as `UNLIMITED`.
pub(super) fn time_limit(options: &[String]) -> Option<u64> {
    seconds(limit_option(options)?.trim())
}

/// `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`, `days-hours:minutes` and
/// `days-hours:minutes:seconds`; none of anything else, such as `UNLIMITED`.
fn seconds(text: &str) -> Option<u64> {
    let (days, rest) = text.split_once('-').map_or((None, text), |(days, rest)| (Some(days), rest));
    let days: u64 = days.map_or(Some(0), |days| days.parse().ok())?;
    let parts: Vec<u64> = rest.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let clock = match (text.contains('-'), parts.as_slice()) {
        (false, &[minutes]) => [0, minutes, 0],
        (false, &[minutes, seconds]) => [0, minutes, seconds],
        (true, &[hours]) => [hours, 0, 0],
        (true, &[hours, minutes]) => [hours, minutes, 0],
        (_, &[hours, minutes, seconds]) => [hours, minutes, seconds],
        _ => return None,
    };
    [days, clock[0], clock[1], clock[2]]
        .into_iter()
        .zip([86_400, 3600, 60, 1])
        .try_fold(0_u64, |sum, (count, unit)| sum.checked_add(count.checked_mul(unit)?))
}

/// Options of `sbatch` that the plan itself gives, and by what else they are said.
const OWN: [(&str, &str); 12] = [
    ("--array", "--max-running limits how many run at a time"),
    ("--chdir", "jobs run in the sweep directory"),
    ("--comment", "it says which cells an array runs"),
    ("--output", "slurm/ below the sweep directory has it"),
    ("--error", "slurm/ below the sweep directory has it"),
    ("--mem", "--memory says it"),
    ("--cpus-per-task", "--cpus says it"),
    ("--requeue", "jobs are always requeued"),
    ("--no-requeue", "jobs are always requeued"),
    ("--dependency", "the jobs of a rung depend on each other"),
    ("--wrap", "the plan writes the script"),
    ("--parsable", "its number is read"),
];

/// # Errors
/// When an option is not of the form `--name` or `--name=value`, or is one that the plan itself gives.
pub(crate) fn check_options(slurm: &Slurm) -> Result<(), Failure> {
    for option in &slurm.options {
        let name = option.split('=').next().unwrap_or_default();
        let refused = |why: &str| Failure::new(Exit::Usage, format!("--sbatch {option:?} {why}"));
        let is_name = name.strip_prefix("--").is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
        if !is_name || option.chars().any(char::is_control) {
            return Err(refused("is not a long option of sbatch").hint("such as --sbatch=--partition=short"));
        }
        if let Some((_, why)) = OWN.iter().find(|(own, _)| *own == name) {
            return Err(refused("is set by the plan").hint(*why));
        }
    }
    if slurm.max_running == Some(0) {
        return Err(Failure::new(Exit::Usage, "--max-running is 0, so nothing would ever run"));
    }
    Ok(())
}

/// Writes a list of cells below the sweep directory, under a name that its content gives it: what an array was submitted
/// with stays what it was, whatever is planned later. Returns its name.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_list(dir: &SweepDir, kind: &str, ids: &[&str]) -> Result<String, Failure> {
    let text: String = ids.iter().flat_map(|id| [id, "\n"]).collect();
    let name = format!("slurm/{kind}-{}.txt", &blake3::hash(text.as_bytes()).to_hex()[..16]);
    let path = dir.slurm();
    std::fs::create_dir_all(&path).map_err(|source| FileError::Io { path, action: "create", source })?;
    write_bytes(&dir.path().join(&name), text.as_bytes())?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(option: &str) -> String {
        let slurm = Slurm { options: vec![option.to_owned()], max_running: None };
        check_options(&slurm).map_or_else(|failure| failure.message, |()| String::new())
    }

    #[test]
    fn options_are_one_line_each_and_not_the_plans_own() {
        for option in ["--partition=short", "--time=1-00:00:00", "--account=a b", "--exclusive"] {
            assert_eq!(refused(option), "", "{option}");
        }
        for option in ["-p short", "partition=short", "--", "", "--a b", "--partition=a\n#SBATCH --wrap=x"] {
            assert!(refused(option).ends_with("is not a long option of sbatch"), "{option:?}");
        }
        for (option, _) in OWN {
            assert!(refused(&format!("{option}=1")).ends_with("is set by the plan"), "{option}");
        }
        let none = Slurm { max_running: Some(0), ..Slurm::default() };
        assert!(check_options(&none).is_err());
    }

    #[test]
    fn the_last_time_limit_counts_in_every_form_that_slurm_takes() {
        let check = |text: &str, expected| {
            let options = ["--time=1".to_owned(), "--partition=a".to_owned(), format!("--time={text}")];
            assert_eq!(time_limit(&options), expected, "{text}");
        };
        check("90", Some(5400));
        check("1:30", Some(90));
        check("4:00:00", Some(14_400));
        check("2-12", Some(216_000));
        check("2-12:30", Some(217_800));
        check("2-12:30:15", Some(217_815));
        for none in ["UNLIMITED", "", "1:2:3:4", "a-1", "99999999999999999999", "213503982334602-0"] {
            check(none, None);
        }
        assert_eq!(time_limit(&["--partition=a".to_owned()]), None);
    }

    #[test]
    fn an_array_says_which_rows_it_runs() {
        assert_eq!(of_comment(&comment("slurm/run-0f.txt", 1000)), Some(("slurm/run-0f.txt", 1000)));
        for other in ["", "radiology", "a+b", "+", "(null)"] {
            assert_eq!(of_comment(other), None, "{other}");
        }
    }
}

//! What `squeue` says of a sweep. An array says in its comment which list of cells it runs.

use super::arrays::of_comment;
use super::decider::COMMENT;
use crate::job_log::JobState;
use crate::queue::{Content, Dag, Places, Queue, QueuedJob, stamp};
use crate::sweep_dir::SweepDir;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

/// Between the fields of a line: no path or comment holds it.
const SEPARATOR: char = '\u{1f}';

/// The array's number, the task's, the state, its reason, the comment, the folder.
const FIELDS: [&str; 6] = ["%F", "%K", "%T", "%r", "%k", "%Z"];

/// Where Slurm's programs look for their configuration: for a minute, where there is none.
const CONFIGURATIONS: [&str; 3] =
    ["/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf", "/run/slurm/conf/slurm.conf"];

/// Asks for the jobs of all users: whoever may see a sweep may see its jobs. A sweep that shows no sign of Slurm waits a
/// moment for the answer, and not at all where no Slurm is set up.
pub(super) fn ask(dir: &SweepDir) -> Queue {
    const PATIENCE: Duration = Duration::from_secs(60);
    const A_MOMENT: Duration = Duration::from_secs(5);
    let is_known = is_known(dir);
    let is_set_up = || CONFIGURATIONS.iter().any(|path| Path::new(path).exists());
    if !is_known && std::env::var_os("SLURM_CONF").is_none() && !is_set_up() {
        return Queue::Silent("no Slurm is set up here".to_owned());
    }
    let asked = SystemTime::now() - Duration::from_secs(1);
    match answer(if is_known { PATIENCE } else { A_MOMENT }) {
        Ok(text) => Queue::Holds(parse(dir, asked, &text)),
        Err(why) => Queue::Silent(why),
    }
}

/// Whether cells were given to Slurm: jobs leave files beside the list that planning makes.
fn is_known(dir: &SweepDir) -> bool {
    let files = std::fs::read_dir(dir.slurm()).into_iter().flatten().flatten();
    files.into_iter().any(|file| !file.file_name().to_string_lossy().starts_with("cells-"))
}

/// What `squeue` prints, or why it does not.
fn answer(patience: Duration) -> Result<String, String> {
    let format = FIELDS.join(&SEPARATOR.to_string());
    let mut command = Command::new("squeue");
    // One line a task, of all partitions, in whatever format the user likes for himself.
    command.args(["--array", "--all", "--noheader", "--format", &format]);
    for name in ["SQUEUE_FORMAT", "SQUEUE_FORMAT2", "SQUEUE_STATES", "SQUEUE_USERS", "SQUEUE_PARTITION"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| format!("squeue: {error}"))?;
    let number = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let output = match receiver.recv_timeout(patience) {
        Ok(output) => output.map_err(|error| format!("squeue: {error}"))?,
        Err(_) => {
            // The thread still waits for it, so that its number is its own.
            let _ = number.map(|number| kill_process(number, Signal::KILL));
            return Err(format!("squeue does not answer within {} s", patience.as_secs()));
        }
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("squeue failed");
    Err(line.to_owned())
}

fn parse(dir: &SweepDir, asked: SystemTime, text: &str) -> Content {
    let mut places = Places::new(dir);
    let mut lists = HashMap::new();
    let (mut jobs, mut dags) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let fields: Vec<&str> = line.split(SEPARATOR).map(str::trim).collect();
        let &[array, task, state, reason, comment, folder] = fields.as_slice() else { continue };
        if comment == COMMENT && places.is_here(Path::new(folder)) {
            dags.extend(leader(array, state, reason, asked));
            continue;
        }
        let Some(((list, first), task)) = of_comment(comment).zip(task.parse::<usize>().ok()) else {
            continue;
        };
        if !places.is_here(Path::new(folder)) {
            continue;
        }
        let rows = lists.entry(list.to_owned()).or_insert_with(|| read_list(dir, list));
        let cell = first.checked_add(task).and_then(|row| rows.get(row));
        if let Some((state, cell)) = state_of(state, reason).zip(cell) {
            let reason = (state == JobState::Held).then(|| reason.to_owned());
            let id = format!("{array}_{task}");
            jobs.push(QueuedJob { id, cell: cell.clone(), state, reason, is_ours: true });
        }
    }
    Content { asked: stamp(asked), jobs, dags, ..Content::default() }
}

/// A job that decides rungs leads the others as DAGMan does.
fn leader(id: &str, state: &str, reason: &str, asked: SystemTime) -> Option<Dag> {
    let state = state_of(state, reason)?;
    let held = (state == JobState::Held).then(|| reason.to_owned());
    Some(Dag { id: id.to_owned(), submitted: stamp(asked), held })
}

/// The cells of a list; none where it is gone or is none.
pub(super) fn read_list(dir: &SweepDir, list: &str) -> Vec<String> {
    let is_name = list.strip_prefix("slurm/").is_some_and(|name| !name.contains('/'));
    let text = is_name.then(|| std::fs::read_to_string(dir.path().join(list)).ok()).flatten();
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Where a job stands; none for one that has ended. What waits for something that does not come by itself is held.
fn state_of(state: &str, reason: &str) -> Option<JobState> {
    const NEVER_BY_ITSELF: [&str; 8] = [
        "BadConstraints",
        "DependencyNeverSatisfied",
        "InvalidAccount",
        "InvalidQOS",
        "AccountNotAllowed",
        "QOSNotAllowed",
        "PartitionTimeLimit",
        "PartitionNodeLimit",
    ];
    let is_held = || reason.to_ascii_lowercase().contains("held") || NEVER_BY_ITSELF.contains(&reason);
    match state {
        "PENDING" | "REQUEUED" | "REQUEUE_FED" if is_held() => Some(JobState::Held),
        "PENDING" | "REQUEUED" | "REQUEUE_FED" => Some(JobState::Queued),
        "REQUEUE_HOLD" | "SPECIAL_EXIT" => Some(JobState::Held),
        "RUNNING" | "CONFIGURING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "SIGNALING" | "STAGE_OUT"
        | "RESIZING" => Some(JobState::Running),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn tasks_of_the_sweeps_own_arrays_are_picked_out() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = SweepDir::new(folder.path().join("s"));
        std::fs::create_dir_all(dir.slurm()).expect("writable");
        std::fs::create_dir_all(folder.path().join("other")).expect("writable");
        std::fs::write(dir.path().join("slurm/run-1.txt"), "a\nb\nc\n").expect("writable");
        let line = |id: &str, task: &str, state: &str, reason: &str, comment: &str, sweep: &str| {
            let folder = folder.path().join(sweep).display().to_string();
            [id, task, state, reason, comment, &folder].join(&SEPARATOR.to_string()) + "\n"
        };
        let text = [
            line("7", "0", "RUNNING", "None", "slurm/run-1.txt+1", "s"),
            line("7", "1", "PENDING", "Resources", "slurm/run-1.txt+1", "s"),
            line("7", "2", "PENDING", "Resources", "slurm/run-1.txt+1", "s"),
            line("8", "0", "PENDING", "JobHeldUser", "slurm/run-1.txt+0", "s"),
            line("9", "0", "PENDING", "job requeued in held state", "slurm/run-1.txt+0", "s"),
            line("10", "0", "RUNNING", "None", "slurm/run-1.txt+0", "other"),
            line("11", "N/A", "RUNNING", "None", "slurm/run-1.txt+0", "s"),
            line("12", "0", "RUNNING", "None", "../s/slurm/run-1.txt+0", "s"),
            line("13", "0", "COMPLETED", "None", "slurm/run-1.txt+0", "s"),
            line("14", "0", "PENDING", "BadConstraints", "slurm/run-1.txt+0", "s"),
            line("15", "N/A", "PENDING", "Dependency", COMMENT, "s"),
            line("16", "N/A", "PENDING", "Dependency", COMMENT, "other"),
            "nonsense\n".to_owned(),
        ];
        let found = parse(&dir, UNIX_EPOCH, &text.concat());
        let seen: Vec<_> =
            found.jobs.iter().map(|job| (job.id.as_str(), job.cell.as_str(), job.state)).collect();
        let expected = [
            ("7_0", "b", JobState::Running),
            ("7_1", "c", JobState::Queued),
            ("8_0", "a", JobState::Held),
            ("9_0", "a", JobState::Held),
            ("14_0", "a", JobState::Held),
        ];
        assert_eq!(seen, expected);
        assert_eq!(found.dags.iter().map(|dag| dag.id.as_str()).collect::<Vec<_>>(), ["15"], "it decides");
        assert_eq!(found.jobs[2].reason.as_deref(), Some("JobHeldUser"));
    }
}

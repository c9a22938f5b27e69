//! The job that decides a rung. It waits in the queue until the cells' jobs have ended, decides, submits who goes on, and
//! then its own successor: nothing has to stay on the login node. Where a job was replaced by another meanwhile, it
//! submits itself again behind that one.

use super::arrays::{output_path, sbatch};
use super::{absolute, lines, submit, taken};
use crate::cell::{Cell, Request};
use crate::launchers::queues;
use crate::plan::this_program;
use crate::queue::Queue;
use crate::rungs::{Advance, advance};
use crate::selection::Selection;
use crate::spec::Spec;
use crate::state::look;
use crate::sweep_dir::SweepDir;
use std::collections::BTreeSet;
use std::time::Duration;
use xray_artifacts::{Exit, Failure};
use xray_cli::say;
use xray_cli::shell;
use xray_display::counted;

/// What such a job says of itself in the queue.
pub(super) const COMMENT: &str = "xray-sweep rung";

/// It reads the cells' results.
const REQUEST: Request = Request { cpus: 1, memory_mib: 500, disk_mib: 0, gpus: 0, minutes: None };

/// Submits a job that decides the open rung when all jobs of the sweep that the queue holds now have ended; none where one
/// is there already, or no rung is open. Returns its number.
///
/// # Errors
/// When Slurm cannot be asked or does not take it.
pub fn lead(dir: &SweepDir) -> Result<Option<String>, Failure> {
    let content = match queues::ask(dir).slurm {
        Queue::Holds(content) => content,
        Queue::Silent(why) => {
            return Err(Failure::new(
                Exit::Unexpected,
                format!("no job that decides rungs was submitted: {why}"),
            )
            .hint("`xray-sweep run --launcher slurm` does it once Slurm answers"));
        }
    };
    // This may be the one that is there, at its end.
    let own = std::env::var("SLURM_JOB_ID").ok();
    if content.dags.iter().any(|dag| Some(&dag.id) != own.as_ref()) {
        return Ok(None);
    }
    let arrays: BTreeSet<&str> =
        content.jobs.iter().filter_map(|job| Some(job.id.split_once('_')?.0)).collect();
    let path = absolute(dir.path());
    let spec = Spec::read(&dir.spec())?;
    let mut command = sbatch();
    if !arrays.is_empty() {
        let after: Vec<&str> = arrays.into_iter().collect();
        command.arg(format!("--dependency=afterany:{}", after.join(":")));
    }
    command.arg("--job-name=rung").arg(format!("--comment={COMMENT}"));
    command.arg(format!("--chdir={}", path.display()));
    command
        .arg(format!("--output={}", output_path(&path.display().to_string(), "%j")))
        .arg("--open-mode=append");
    command.args(lines(&REQUEST, &spec.slurm));
    let folder = shell::path(&path);
    command.arg(format!("--wrap=exec {} rung {folder} --launcher slurm", this_program()));
    taken(&mut command).map(Some)
}

/// What such a job does.
///
/// # Errors
/// When the rung cannot be decided, or Slurm does not take what follows.
pub fn decide(dir: &SweepDir) -> Result<Exit, Failure> {
    // Jobs that have ended are seen in the queue for a moment.
    const PAUSES: u32 = 15;
    for _ in 0..PAUSES {
        let reports = look(dir, &queues::ask(dir))?.cells;
        match advance(dir, &reports)? {
            Advance::NoRung => return start(dir),
            Advance::Decided(decision) => {
                say(decision.text());
                return start(dir);
            }
            Advance::Open { busy: 0, rung, idle } => return Err(stuck(rung, &idle)),
            Advance::Open { .. } => std::thread::sleep(Duration::from_secs(2)),
        }
    }
    let next = lead(dir)?;
    say(format_args!(
        "the rung is not complete: jobs were replaced by others; {}",
        followed(next.as_deref())
    ));
    Ok(Exit::Ok)
}

/// Submits who goes on, and who decides next.
fn start(dir: &SweepDir) -> Result<Exit, Failure> {
    let reports = look(dir, &queues::ask(dir))?.cells;
    let chosen = Selection::default().choose(&reports)?;
    let cells: Vec<&Cell> = chosen.iter().map(|report| &report.cell).collect();
    for submission in submit(dir, &cells, false)? {
        say(format_args!("submitted {} as {}", counted(submission.jobs, "job"), submission.name));
    }
    if reports.iter().any(|report| report.climb.stop_at.is_some()) {
        say(followed(lead(dir)?.as_deref()));
    }
    Ok(Exit::Ok)
}

fn followed(next: Option<&str>) -> String {
    match next {
        Some(number) => format!("the next rung is decided by job {number}"),
        None => "another job decides the next rung".to_owned(),
    }
}

/// A rung that waits for a person.
pub(crate) fn stuck(rung: usize, idle: &[String]) -> Failure {
    let some = idle.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    let more = if idle.len() > 3 { format!("; and {} more", idle.len() - 3) } else { String::new() };
    let message = format!("rung {rung} cannot be decided: no result from {some}{more}");
    Failure::new(Exit::SweepIncomplete, message)
        .hint("`xray-sweep run` starts them again and continues the rung")
}

//! `xray-sweep run`.

use super::Sweep;
use super::progress::Table;
use crate::attempt::{Attempt, Launcher};
use crate::cell::Cell;
use crate::cell_result::CellResult;
use crate::data::Data;
use crate::launchers::local::{self, LocalOptions};
use crate::launchers::queues::{self, QueueWatch};
use crate::launchers::{Submission, condor, slurm};
use crate::lock::Lock;
use crate::plan::{Plan, check_binaries, check_files, mend, read_plan};
use crate::queue::{Content, Queue};
use crate::reset::reset;
use crate::rungs::{Advance, advance};
use crate::selection::Selection;
use crate::state::{CellReport, CellState, Survey, look};
use crate::status::clipped;
use crate::sweep_dir::SweepDir;
use crate::tally::Tally;
use clap::Args;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use xray_artifacts::{Exit, Failure};
use xray_cli::{print, say, shell};
use xray_display::counted;

/// Run the cells that have no result yet, on this machine, a pool or a cluster
///
/// Ctrl-C saves running cells and stops; the same command continues.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    sweep: Sweep,
    #[command(flatten)]
    selection: SelectionArguments,
    /// Where to run
    #[arg(long, value_enum, default_value = "local")]
    launcher: Launcher,
    /// Runs at a time on this machine; its cores are divided among them [default: one per two cores, one where a cell uses
    /// a GPU]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// Threads of each run on this machine [default: cores divided by jobs]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Submit and return, instead of following jobs until all have ended
    #[arg(long)]
    detach: bool,
    /// List what would run, and do nothing; a pool also checks what would be submitted
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct SelectionArguments {
    /// Also run failed cells again, from the start; what they left is moved aside
    #[arg(long)]
    failed: bool,
    /// Also run cells again whose folder holds a result of other data or code; it is moved aside
    #[arg(long)]
    stale: bool,
    /// Only this cell, by the beginning of its id; may be given several times
    #[arg(long = "cell", value_name = "ID")]
    cells: Vec<String>,
}

pub(super) fn run(arguments: &RunArguments) -> Result<Exit, Failure> {
    let dir = arguments.sweep.dir();
    let plan = read_plan(&dir)?;
    let _lock = Lock::take(&dir, "run")?;
    let selection = &arguments.selection;
    let selection = Selection {
        failed: selection.failed,
        stale: selection.stale,
        only: selection.cells.clone(),
        is_led: false,
    };
    same_data(&plan)?;
    match arguments.launcher {
        Launcher::Local => run_here(arguments, &dir, &plan, &selection),
        Launcher::Condor | Launcher::Slurm => {
            check_binaries(&dir, &plan)?;
            run_on_pool(arguments, &dir, &selection)
        }
    }
}

/// A cell of changed data would be another cell.
fn same_data(plan: &Plan) -> Result<(), Failure> {
    let data = Data::open(&plan.data)?;
    if data.id == plan.dataset {
        return Ok(());
    }
    Err(Failure::new(Exit::BadData, format!("{} changed since the sweep was planned", plan.data.display()))
        .hint("restore the old shards, or plan another sweep directory"))
}

fn run_here(
    arguments: &RunArguments,
    dir: &SweepDir,
    plan: &Plan,
    selection: &Selection,
) -> Result<Exit, Failure> {
    let mut watch = QueueWatch::new(dir);
    if arguments.dry_run {
        let survey = look(dir, watch.queues())?;
        warn(&survey);
        print(&listed(&selection.choose(&survey.cells)?, "would be run here"))?;
        return Ok(Exit::Ok);
    }
    let mut stopped = None;
    // Once, and once more for every rung that is decided.
    while stopped.is_none() {
        stopped = run_once(arguments, dir, plan, selection, &mut watch)?;
        if stopped.is_some() || !decided(dir, &mut watch)? {
            break;
        }
    }
    let exit = summary(dir, &mut watch)?;
    if let Some(stopped) = stopped {
        say("stopped; the same command continues");
        return Ok(stopped);
    }
    Ok(exit)
}

/// Runs the cells that can be run now; returns whether a signal ended it early.
fn run_once(
    arguments: &RunArguments,
    dir: &SweepDir,
    plan: &Plan,
    selection: &Selection,
    watch: &mut QueueWatch<'_>,
) -> Result<Option<Exit>, Failure> {
    wait_for_orphans(dir, watch)?;
    let survey = ready(dir, watch, selection)?;
    let reports = survey.cells;
    let chosen = Selection { is_led: survey.is_led, ..selection.clone() }.choose(&reports)?;
    prepare(dir, &chosen)?;
    let cells: Vec<&Cell> = chosen.iter().map(|report| &report.cell).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let at_a_time = if cells.iter().any(|cell| cell.request.gpus > 0) { 1 } else { cores / 2 };
    let jobs = arguments.jobs.unwrap_or(at_a_time).clamp(1, cells.len().max(1));
    let mut options = LocalOptions::for_jobs(jobs);
    options.threads = arguments.threads.unwrap_or(options.threads);
    say(format_args!(
        "{} of {} to run, {jobs} at a time, {} each",
        cells.len(),
        counted(reports.len(), "cell"),
        counted(options.threads, "thread")
    ));
    let mut table = Table::new(dir, cells.len());
    let stopped = local::run(dir, plan, &cells, &options, |event| table.observe(&event))?;
    table.finish();
    Ok(stopped)
}

/// A look at the sweep before anything is started, with the rung decided to which all cells have come. Failed cells that
/// are to be started again may still come to it.
fn ready(dir: &SweepDir, watch: &mut QueueWatch<'_>, selection: &Selection) -> Result<Survey, Failure> {
    let survey = settled(dir, watch)?;
    if selection.failed || !tell(advance(dir, &survey.cells)?) {
        return Ok(survey);
    }
    ready(dir, watch, selection)
}

/// Decides the open rung, if all cells have come to it; whether it did.
fn decided(dir: &SweepDir, watch: &mut QueueWatch<'_>) -> Result<bool, Failure> {
    watch.forget();
    let reports = look(dir, watch.queues())?.cells;
    Ok(tell(advance(dir, &reports)?))
}

/// Says what was decided, if anything was.
fn tell(advance: Advance) -> bool {
    let Advance::Decided(decision) = advance else { return false };
    say(decision.text());
    true
}

/// A launcher that was killed leaves its runs at work. They are not disturbed, and none is started twice.
fn wait_for_orphans(dir: &SweepDir, watch: &mut QueueWatch<'_>) -> Result<(), Failure> {
    let mut told = false;
    loop {
        let reports = look(dir, watch.queues())?.cells;
        let is_local = |attempt: &&Attempt| attempt.launcher == Launcher::Local;
        let at_work = |report: &&CellReport| {
            report.state == CellState::Running && report.attempts.last().as_ref().is_some_and(is_local)
        };
        let count = reports.iter().filter(at_work).count();
        if count == 0 {
            return Ok(());
        }
        if !told {
            say(format_args!("waiting for {} of an earlier launcher", counted(count, "run")));
        }
        told = true;
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn run_on_pool(arguments: &RunArguments, dir: &SweepDir, selection: &Selection) -> Result<Exit, Failure> {
    let mut watch = QueueWatch::new(dir);
    let mut selection = selection.clone();
    loop {
        let exit = submit_and_follow(arguments, dir, &selection, &mut watch)?;
        if arguments.dry_run || arguments.detach {
            return Ok(exit);
        }
        let starving = starving(dir, &selection, &mut watch)?;
        if !starving.is_empty() {
            say(format_args!("again with more memory: {}", counted(starving.len(), "cell")));
            selection = Selection { only: starving, ..selection };
            continue;
        }
        // Whoever leads the sweep through its rungs may have died.
        if !decided(dir, &mut watch)? {
            return Ok(exit);
        }
    }
}

/// The chosen cells whose jobs Slurm killed as a whole for their memory, so that nothing was left to submit them again.
fn starving(
    dir: &SweepDir,
    selection: &Selection,
    watch: &mut QueueWatch<'_>,
) -> Result<Vec<String>, Failure> {
    watch.forget();
    let reports = look(dir, watch.queues())?.cells;
    let is_chosen =
        |id: &str| selection.only.is_empty() || selection.only.iter().any(|only| id.starts_with(only));
    let starves = |report: &&CellReport| {
        report.state == CellState::Lost && is_chosen(&report.cell.id) && slurm::starves(&report.attempts)
    };
    Ok(reports.iter().filter(starves).map(|report| report.cell.id.clone()).collect())
}

fn submit_and_follow(
    arguments: &RunArguments,
    dir: &SweepDir,
    selection: &Selection,
    watch: &mut QueueWatch<'_>,
) -> Result<Exit, Failure> {
    let survey = if arguments.dry_run { look(dir, watch.queues())? } else { ready(dir, watch, selection)? };
    let reports = &survey.cells;
    let has_rungs = reports.iter().any(|report| !report.cell.rungs.is_empty());
    let by_dag = has_rungs && arguments.launcher == Launcher::Condor;
    if by_dag && !selection.only.is_empty() {
        let message =
            "--cell does not work for a sweep with rungs on a pool: sweep.dag starts the cells that continue";
        return Err(Failure::new(Exit::Usage, message).hint("leave --cell out, or use --launcher local"));
    }
    let selection = Selection { is_led: survey.is_led, ..selection.clone() };
    let chosen = if by_dag && survey.is_led { Vec::new() } else { selection.choose(reports)? };
    let cells: Vec<&Cell> = chosen.iter().map(|report| &report.cell).collect();
    let submit = || match by_dag {
        true => condor::submit_dag(dir, &cells, arguments.dry_run),
        false => submit(arguments.launcher, dir, &cells, arguments.dry_run),
    };
    if arguments.dry_run {
        warn(&survey);
        print(&listed(&chosen, "would be submitted"))?;
        submit()?;
        return Ok(Exit::Ok);
    }
    if !cells.is_empty() {
        prepare(dir, &chosen)?;
        for Submission { name, jobs } in submit()? {
            say(format_args!("submitted {} as {name}", counted(jobs, "job")));
        }
        watch.forget();
    }
    if cells.is_empty() {
        say("nothing to submit");
    }
    let is_busy = |report: &CellReport| matches!(report.state, CellState::Running | CellState::Queued);
    let comes_to_a_rung = |report: &CellReport| report.climb.stop_at.is_some();
    if arguments.launcher == Launcher::Slurm
        && reports.iter().any(comes_to_a_rung)
        && (!cells.is_empty() || reports.iter().any(is_busy))
        && let Some(number) = slurm::lead(dir)?
    {
        say(format_args!(
            "job {number} decides the rung once they reach it, and submits the cells that continue"
        ));
        watch.forget();
    }
    if arguments.detach {
        return Ok(Exit::Ok);
    }
    say("following them; Ctrl-C leaves the jobs in the queue");
    follow(dir, cells.len(), watch)
}

fn submit(
    launcher: Launcher,
    dir: &SweepDir,
    cells: &[&Cell],
    is_dry: bool,
) -> Result<Vec<Submission>, Failure> {
    match launcher {
        Launcher::Slurm => slurm::submit(dir, cells, is_dry),
        Launcher::Condor | Launcher::Local => condor::submit(dir, cells, is_dry),
    }
}

/// Says what a person should know of a look.
pub(super) fn warn(survey: &Survey) {
    survey.notes.iter().for_each(|note| say(format_args!("warning: {note}")));
}

/// A look at the sweep before anything is started. What the queue need not hold any more is taken out of it, so that
/// no second job of a cell overwrites what the first has found; and the rows of submissions that it does not hold
/// any more are forgotten.
pub(super) fn settled(dir: &SweepDir, watch: &mut QueueWatch<'_>) -> Result<Survey, Failure> {
    watch.forget();
    let survey = look(dir, watch.queues())?;
    warn(&survey);
    remove_surplus(dir, &survey, watch)?;
    let queues = watch.queues();
    if let Queue::Holds(content) = &queues.condor {
        forget_submissions(dir, content);
    }
    slurm::forget(dir, &queues.slurm);
    Ok(survey)
}

fn remove_surplus(dir: &SweepDir, survey: &Survey, watch: &mut QueueWatch<'_>) -> Result<(), Failure> {
    if survey.surplus.is_empty() {
        return Ok(());
    }
    // It may have left the queue by itself since that was asked.
    watch.forget();
    let surplus = look(dir, watch.queues())?.surplus;
    if surplus.is_empty() {
        return Ok(());
    }
    watch.forget();
    match queues::remove(&surplus) {
        Ok(()) => {
            let jobs = surplus.join(" ");
            say(format_args!("removed from the queue, because their cells are done: jobs {jobs}"));
        }
        Err(failure) => say(format_args!("warning: {}", failure.message)),
    }
    Ok(())
}

fn forget_submissions(dir: &SweepDir, content: &Content) {
    for entry in std::fs::read_dir(dir.submissions()).into_iter().flatten().flatten() {
        let path = entry.path();
        let cluster = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !content.has_cluster(&cluster) {
            // One that stays is forgotten next time.
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// Until no job of the sweep waits or runs. Held jobs wait for a person, so they do not count, once the submit file's
/// policy has had the time to let them go. A job of a finished cell has as long to write down how it ended.
fn follow(dir: &SweepDir, jobs: usize, watch: &mut QueueWatch<'_>) -> Result<Exit, Failure> {
    // HTCondor looks at its policies once a minute.
    const LET_GO: Duration = Duration::from_secs(75);
    let (mut last, mut changed) = (String::new(), Instant::now());
    // Until the first event of the submission has reached the log.
    let mut patience = if jobs > 0 { 20 } else { 0 };
    let mut is_sure = false;
    loop {
        let survey = look(dir, watch.queues())?;
        remove_surplus(dir, &survey, watch)?;
        let mut counts: BTreeMap<CellState, usize> = BTreeMap::new();
        for report in &survey.cells {
            *counts.entry(report.state).or_default() += 1;
        }
        let line = counts
            .iter()
            .map(|(state, count)| format!("{count} {}", state.name()))
            .collect::<Vec<_>>()
            .join(" · ");
        if line != last {
            say(&line);
            changed = Instant::now();
        }
        last = line;
        let busy = |state| counts.get(&state).copied().unwrap_or(0) > 0;
        let is_led = survey.is_led && busy(CellState::Waiting);
        if busy(CellState::Running) || busy(CellState::Queued) || is_led {
            (patience, is_sure) = (0, false);
        } else if patience > 0 {
            patience -= 1;
        } else if (busy(CellState::Held) || survey.is_ending) && changed.elapsed() < LET_GO {
            is_sure = false;
        } else if is_sure {
            return summary(dir, watch);
        } else {
            // The queue may hold rows of which no job was made when it was asked.
            is_sure = true;
            watch.forget();
            continue;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Makes removed folders again, and moves aside what must not be continued from. An unfinished run keeps its checkpoint.
fn prepare(dir: &SweepDir, chosen: &[&CellReport]) -> Result<(), Failure> {
    check_files(dir, chosen.iter().map(|report| &report.cell))?;
    for note in mend(dir, &read_plan(dir)?, chosen.iter().map(|report| &report.cell))? {
        say(format_args!("warning: {note}"));
    }
    for report in chosen {
        let folder = dir.cell(&report.cell.id);
        match CellResult::read(&report.cell, &folder)? {
            CellResult::Failed(_) | CellResult::Stale(_) | CellResult::Damaged(_) => {
                reset(&folder, &report.attempts)?;
            }
            CellResult::Absent if report.state == CellState::Failed || !folder.run().exists() => {
                reset(&folder, &report.attempts)?;
            }
            CellResult::Absent | CellResult::Unfinished(_) | CellResult::Stopped(_) | CellResult::Done(_) => {
            }
        }
    }
    Ok(())
}

fn listed(chosen: &[&CellReport], what: &str) -> String {
    let line = |report: &&CellReport| {
        let reason = report.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        format!("  {} {}{reason}\n", report.state.name(), report.cell.name())
    };
    format!("{} {what}\n", counted(chosen.len(), "cell")) + &chosen.iter().map(line).collect::<String>()
}

fn summary(dir: &SweepDir, watch: &mut QueueWatch<'_>) -> Result<Exit, Failure> {
    let reports = look(dir, watch.queues())?.cells;
    let tally = Tally::of(reports.iter().map(|report| report.state));
    let left = match tally.count(CellState::Stopped) {
        0 => String::new(),
        left => format!(", {left} stopped at a rung"),
    };
    say(format_args!("{} of {} done{left}", tally.done(), counted(reports.len(), "cell")));
    let open: Vec<_> = reports.iter().filter(|report| !report.state.is_final()).collect();
    for report in open.iter().take(10) {
        let reason =
            report.reason.as_deref().map_or(String::new(), |reason| format!(": {}", clipped(reason)));
        say(format_args!("  {} {}{reason}", report.state.name(), report.cell.name()));
    }
    if open.len() > 10 {
        say(format_args!("  and {} more; `xray-sweep status {}`", open.len() - 10, shell::path(dir.path())));
    }
    Ok(if open.is_empty() { Exit::Ok } else { Exit::SweepIncomplete })
}

//! `xray-sweep run` and `retry`.

use super::Sweep;
use crate::attempt::{Attempt, Launcher};
use crate::cell::Cell;
use crate::cell_result::CellResult;
use crate::data::Data;
use crate::launchers::local::{self, Event, LocalOptions};
use crate::launchers::queues::{self, QueueWatch};
use crate::launchers::{Submission, condor, slurm};
use crate::lock::Lock;
use crate::plan::{Plan, check_binaries, check_files, mend, read_plan};
use crate::queue::{Content, Queue};
use crate::reset::reset;
use crate::selection::{Selection, find};
use crate::state::{CellReport, CellState, Survey, look};
use crate::status::clipped;
use crate::sweep_dir::SweepDir;
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};
use xray_artifacts::{Exit, Failure, Status, read_json};
use xray_cli::{print, say, shell};
use xray_display::counted;

/// Run the cells that have no result yet, here, on a pool or on a cluster
///
/// Ctrl-C stops cleanly: what runs is saved, and the same command goes on from there.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    sweep: Sweep,
    #[command(flatten)]
    selection: SelectionArguments,
    /// Where
    #[arg(long, value_enum, default_value = "local")]
    launcher: Launcher,
    /// Runs at a time on this machine; its cores are divided among them [default: one per two cores, one where a cell uses
    /// a GPU]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// Threads of each run on this machine [default: cores divided by jobs]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Submit and return; otherwise jobs are followed until all have ended
    #[arg(long)]
    detach: bool,
    /// List what would be run, and do nothing; with a pool, have it check what would be submitted
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct SelectionArguments {
    /// Cells that failed, too, from their start; what they left is moved aside
    #[arg(long)]
    failed: bool,
    /// Cells whose folder holds a result of other data or code, too; it is moved aside
    #[arg(long)]
    stale: bool,
    /// Only this cell, by the beginning of its id; may be given several times
    #[arg(long = "cell", value_name = "ID")]
    cells: Vec<String>,
}

/// Release held jobs and make failed cells ready to be run again
#[derive(Debug, Args)]
pub(super) struct RetryArguments {
    #[command(flatten)]
    sweep: Sweep,
    /// Only this cell, by the beginning of its id; may be given several times
    #[arg(long = "cell", value_name = "ID")]
    cells: Vec<String>,
}

pub(super) fn run(arguments: &RunArguments) -> Result<Exit, Failure> {
    let dir = arguments.sweep.dir();
    let plan = read_plan(&dir)?;
    let _lock = Lock::take(&dir, "run")?;
    let selection = &arguments.selection;
    let selection =
        Selection { failed: selection.failed, stale: selection.stale, only: selection.cells.clone() };
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
        .hint("bring the old shards back, or plan another sweep directory"))
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
    wait_for_orphans(dir, &mut watch)?;
    let reports = settled(dir, &mut watch)?.cells;
    let chosen = selection.choose(&reports)?;
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
    let exit = summary(dir, &mut watch)?;
    if let Some(stopped) = stopped {
        say("stopped; the same command goes on from here");
        return Ok(stopped);
    }
    Ok(exit)
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
    let survey = if arguments.dry_run { look(dir, watch.queues())? } else { settled(dir, &mut watch)? };
    let reports = &survey.cells;
    let chosen = selection.choose(reports)?;
    let cells: Vec<&Cell> = chosen.iter().map(|report| &report.cell).collect();
    if arguments.dry_run {
        warn(&survey);
        print(&listed(&chosen, "would be submitted"))?;
        submit(arguments.launcher, dir, &cells, true)?;
        return Ok(Exit::Ok);
    }
    if !cells.is_empty() {
        prepare(dir, &chosen)?;
        for Submission { name, jobs } in submit(arguments.launcher, dir, &cells, false)? {
            say(format_args!("submitted {} as {name}", counted(jobs, "job")));
        }
        watch.forget();
    }
    if cells.is_empty() {
        say("nothing to submit");
    }
    if arguments.detach {
        return Ok(Exit::Ok);
    }
    say("following them; Ctrl-C leaves the jobs in the queue");
    follow(dir, cells.len(), &mut watch)
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
fn settled(dir: &SweepDir, watch: &mut QueueWatch<'_>) -> Result<Survey, Failure> {
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
/// policy has had the time to let them go.
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
        if busy(CellState::Running) || busy(CellState::Queued) {
            (patience, is_sure) = (0, false);
        } else if patience > 0 {
            patience -= 1;
        } else if busy(CellState::Held) && changed.elapsed() < LET_GO {
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
            CellResult::Absent | CellResult::Unfinished(_) | CellResult::Done(_) => {}
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
    let open: Vec<_> = reports.iter().filter(|report| report.state != CellState::Done).collect();
    say(format_args!("{} of {} done", reports.len() - open.len(), counted(reports.len(), "cell")));
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

pub(super) fn retry(arguments: &RetryArguments) -> Result<Exit, Failure> {
    let dir = arguments.sweep.dir();
    read_plan(&dir)?;
    let _lock = Lock::take(&dir, "retry")?;
    let survey = settled(&dir, &mut QueueWatch::new(&dir))?;
    let reports = &survey.cells;
    let mut only = HashSet::new();
    for prefix in &arguments.cells {
        only.insert(find(reports, prefix)?.cell.id.clone());
    }
    let is_chosen = |id: &String| only.is_empty() || only.contains(id);
    let held = survey.held.iter().filter(|(cell, _)| is_chosen(cell)).flat_map(|(_, jobs)| jobs.clone());
    let held: Vec<String> = held.collect::<BTreeSet<_>>().into_iter().collect();
    if !held.is_empty() {
        queues::release(&held)?;
    }
    let is_failed = |report: &&CellReport| report.state == CellState::Failed && is_chosen(&report.cell.id);
    let failed: Vec<_> = reports.iter().filter(is_failed).collect();
    for report in &failed {
        reset(&dir.cell(&report.cell.id), &report.attempts)?;
    }
    print(&format!("{} held jobs released, {} failed cells made ready\n", held.len(), failed.len()))?;
    if !failed.is_empty() {
        print(&format!("Next: xray-sweep run {} --launcher local|condor|slurm\n", shell::path(dir.path())))?;
    }
    Ok(if held.is_empty() && failed.is_empty() { Exit::NothingMatches } else { Exit::Ok })
}

/// On a terminal one line per run at work, above a bar over all; elsewhere a line per run that ended.
struct Table<'a> {
    dir: &'a SweepDir,
    screen: MultiProgress,
    total: ProgressBar,
    lines: BTreeMap<String, ProgressBar>,
}

impl<'a> Table<'a> {
    fn new(dir: &'a SweepDir, cells: usize) -> Self {
        let screen = MultiProgress::new();
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} runs ended, {elapsed} gone, {eta} to go");
        let total = screen.add(ProgressBar::new(cells as u64).with_style(style.expect("a good template")));
        Table { dir, screen, total, lines: BTreeMap::new() }
    }

    fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Started(cell) => {
                let style = ProgressStyle::with_template("  {bar:20} {pos:>5}/{len:<5} steps  {msg}");
                let line = ProgressBar::new(0).with_style(style.expect("a good template"));
                let line = self.screen.insert_before(&self.total, line);
                line.set_message(cell.name());
                self.lines.insert(cell.id.clone(), line);
            }
            Event::Tick(running) => {
                for cell in *running {
                    let status = read_json::<Status>(&self.dir.cell(&cell.id).status());
                    if let (Ok(status), Some(line)) = (status, self.lines.get(&cell.id)) {
                        line.set_length(status.total_steps);
                        line.set_position(status.step);
                    }
                }
            }
            Event::Ended(cell, attempt) => {
                if let Some(line) = self.lines.remove(&cell.id) {
                    line.finish_and_clear();
                }
                self.total.inc(1);
                self.say(&format!("{}: {}", cell.name(), ending(attempt)));
            }
            Event::Stopping => {
                self.say("stopping: every run saves its checkpoint (again to end them at once)")
            }
        }
    }

    fn say(&self, text: &str) {
        if self.screen.is_hidden() {
            say(text);
        } else {
            let _ = self.screen.println(text);
        }
    }

    fn finish(&self) {
        self.total.finish_and_clear();
    }
}

fn ending(attempt: &Attempt) -> String {
    match (attempt.exit.and_then(Exit::from_code), attempt.exit, attempt.signal) {
        (Some(Exit::Ok), ..) => "done".to_owned(),
        (Some(Exit::Checkpointed), ..) => "saved, goes on".to_owned(),
        (Some(Exit::Interrupted | Exit::Terminated), ..) => "stopped and saved".to_owned(),
        (_, Some(code), _) => format!("failed with exit code {code}"),
        (_, None, Some(signal)) => format!("killed by signal {signal}"),
        (_, None, None) => "ended".to_owned(),
    }
}

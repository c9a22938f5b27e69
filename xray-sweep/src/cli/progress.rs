//! What is seen of runs on this machine while they are at work.

use crate::attempt::Attempt;
use crate::launchers::local::Event;
use crate::sweep_dir::SweepDir;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use xray_artifacts::{Exit, State, Status, read_json};
use xray_cli::say;

/// Progress on a terminal: a line for each running cell above a bar for all; elsewhere a line for each run that ended.
pub(super) struct Table<'a> {
    dir: &'a SweepDir,
    screen: MultiProgress,
    total: ProgressBar,
    lines: BTreeMap<String, ProgressBar>,
}

impl<'a> Table<'a> {
    pub(super) fn new(dir: &'a SweepDir, cells: usize) -> Self {
        let screen = MultiProgress::new();
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} runs ended, {elapsed} elapsed, {eta} left");
        let total = screen.add(ProgressBar::new(cells as u64).with_style(style.expect("a good template")));
        Table { dir, screen, total, lines: BTreeMap::new() }
    }

    pub(super) fn observe(&mut self, event: &Event<'_>) {
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
                let status = read_json::<Status>(&self.dir.cell(&cell.id).status());
                let is_at_rung = status.is_ok_and(|status| status.state == State::Stopped);
                let ending = match attempt.exit {
                    Some(0) if is_at_rung => "reached its rung".to_owned(),
                    _ => ending(attempt),
                };
                self.say(&format!("{}: {ending}", cell.name()));
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

    pub(super) fn finish(&self) {
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

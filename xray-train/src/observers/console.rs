//! The person at the terminal: a bar that moves, or, where nobody watches, one plain line every few seconds.

use crate::events::{Event, Observer, StepReport};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};
use xray_artifacts::FileError;
use xray_display::counted;

/// Between plain lines.
const PERIOD: Duration = Duration::from_secs(5);

/// Writes to stderr.
pub struct Console {
    bar: ProgressBar,
    is_terminal: bool,
    is_quiet: bool,
    total_steps: u64,
    /// When the latest plain line was written.
    spoken: Option<Instant>,
    /// Step and moment of the latest beginning, for the time left.
    begun: (u64, Instant),
    images: u64,
}

impl Console {
    /// For this process's stderr; a quiet one shows warnings only.
    pub fn new(is_quiet: bool) -> Self {
        Console {
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            is_terminal: std::io::stderr().is_terminal(),
            is_quiet,
            total_steps: 0,
            spoken: None,
            begun: (0, Instant::now()),
            images: 0,
        }
    }

    fn say(&self, text: &str) {
        // Nobody to tell is not a reason to stop training.
        self.bar.suspend(|| drop(writeln!(std::io::stderr(), "{text}")));
    }

    fn show_bar(&mut self, length: u64, template: &str) {
        if self.is_terminal && !self.is_quiet {
            self.bar = ProgressBar::new(length);
            self.bar.set_style(ProgressStyle::with_template(template).expect("a constant template"));
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    fn step(&mut self, report: &StepReport) {
        self.images += report.images as u64;
        let speed = self.images as f64 / self.begun.1.elapsed().as_secs_f64().max(1e-9);
        if self.is_terminal {
            self.bar.set_position(report.step);
            self.bar.set_message(format!("loss {:.4}  {speed:.0} images/s", report.loss));
        } else if !self.is_quiet && self.spoken.is_none_or(|spoken| spoken.elapsed() >= PERIOD) {
            self.spoken = Some(Instant::now());
            let StepReport { step, epoch, loss, .. } = report;
            let left = self.time_left(*step);
            self.say(&format!(
                "step {step}/{} · epoch {epoch:.2} · loss {loss:.4} · {speed:.0} images/s · {left} left",
                self.total_steps
            ));
        }
    }

    fn time_left(&self, step: u64) -> String {
        let (first, moment) = self.begun;
        let per_step = moment.elapsed().as_secs_f64() / (step - first).max(1) as f64;
        let seconds = per_step * self.total_steps.saturating_sub(step) as f64;
        humantime::format_duration(Duration::from_secs(seconds.round() as u64)).to_string()
    }
}

impl Observer for Console {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), FileError> {
        match event {
            Event::Begin { step, total_steps } => {
                self.total_steps = *total_steps;
                self.begun = (*step, Instant::now());
                self.images = 0;
                self.show_bar(*total_steps, "{bar:30} {pos}/{len} steps  {msg}  {eta} left");
            }
            Event::Step(report) => self.step(report),
            Event::End { .. } => self.bar.finish_and_clear(),
            _ => {}
        }
        match (event, sentence(event)) {
            (Event::Begin { .. } | Event::Saved { .. }, _) | (_, None) => {}
            (Event::Warning(_), Some(text)) => self.say(&text),
            (_, Some(text)) if !self.is_quiet => self.say(&text),
            _ => {}
        }
        Ok(())
    }
}

/// An event in one line, where it is worth one.
pub(super) fn sentence(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Note(text) => Some((*text).to_owned()),
        Event::Warning(text) => Some(format!("warning: {text}")),
        Event::Begin { step: 0, total_steps } => {
            Some(format!("training for {}", counted(*total_steps, "step")))
        }
        Event::Begin { step, total_steps } => Some(format!("training from step {step} to {total_steps}")),
        Event::Evaluated { split, step, evaluation, is_best } => {
            let macro_auc = evaluation.macro_auc.map_or("undefined".to_owned(), |auc| format!("{auc:.4}"));
            let loss = evaluation.macro_log_loss.map_or("undefined".to_owned(), |loss| format!("{loss:.4}"));
            let best = if *is_best { " (best so far)" } else { "" };
            Some(format!("step {step}: {split} macro-AUC {macro_auc}, log loss {loss}{best}"))
        }
        Event::Saved { step, .. } => Some(format!("saved a checkpoint at step {step}")),
        Event::Step(_) | Event::EvaluationBegins { .. } | Event::EvaluationAdvances | Event::End { .. } => {
            None
        }
    }
}

//! Ours and another in turn, round after round.

use crate::competitor::{Competitor, Reading};
use crate::spread::Spread;
use anyhow::Result;

/// A task, and who does it.
#[derive(Clone, Debug)]
pub(crate) struct Contest {
    /// What is measured, such as `load 768 → 224 px`.
    pub(crate) task: String,
    /// Of the rate, such as `images/s`.
    pub(crate) unit: &'static str,
    pub(crate) threads: usize,
    pub(crate) ours: Competitor,
    /// None where only ours is measured.
    pub(crate) theirs: Option<Competitor>,
}

/// One round.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Round {
    pub(crate) ours: Reading,
    pub(crate) theirs: Option<Reading>,
}

/// All rounds of a contest.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) contest: Contest,
    pub(crate) rounds: Vec<Round>,
}

impl Contest {
    /// Ours, theirs, ours, theirs: a slow minute of the machine meets both.
    pub(crate) fn hold(self, rounds: usize) -> Result<Outcome> {
        let against =
            self.theirs.as_ref().map_or(String::new(), |theirs| format!(" against {}", theirs.name));
        eprintln!("{}{against}, rounds: {rounds}", self.task);
        let rounds = (1..=rounds).map(|number| self.round(number)).collect::<Result<_>>()?;
        Ok(Outcome { contest: self, rounds })
    }

    fn round(&self, number: usize) -> Result<Round> {
        let ours = self.ours.run()?;
        let theirs = self.theirs.as_ref().map(Competitor::run).transpose()?;
        let said = theirs.as_ref().map_or(String::new(), |theirs| {
            format!(", theirs {:.2}, ratio {:.2}", theirs.rate, ours.rate / theirs.rate)
        });
        eprintln!("  round {number}: ours {:.2} {}{said}", ours.rate, self.unit);
        Ok(Round { ours, theirs })
    }
}

impl Outcome {
    pub(crate) fn ours(&self) -> Option<Spread> {
        Spread::of(self.rounds.iter().map(|round| round.ours.rate))
    }

    pub(crate) fn theirs(&self) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| Some(round.theirs.as_ref()?.rate)))
    }

    /// Ours by theirs: above 1 where ours is faster.
    pub(crate) fn ratio(&self) -> Option<Spread> {
        let pairs = self.rounds.iter().filter_map(|r| Some((r.ours.rate, r.theirs.as_ref()?.rate)));
        Spread::of_ratios(pairs)
    }

    /// Of the median round: GFLOP/s, and the most that the machine does.
    pub(crate) fn our_arithmetic(&self) -> Option<(f64, f64)> {
        let all = self.rounds.iter().filter_map(|round| round.ours.arithmetic);
        let (speeds, peaks): (Vec<_>, Vec<_>) = all.unzip();
        Some((Spread::of(speeds)?.median, Spread::of(peaks)?.median))
    }

    /// The highest of all rounds, in MiB.
    pub(crate) fn our_peak(&self) -> Option<f64> {
        highest(self.rounds.iter().map(|round| round.ours.peak_mib))
    }

    /// As [`our_peak`](Self::our_peak).
    pub(crate) fn their_peak(&self) -> Option<f64> {
        highest(self.rounds.iter().map(|round| round.theirs.as_ref()?.peak_mib))
    }
}

fn highest(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    values.flatten().max_by(f64::total_cmp)
}

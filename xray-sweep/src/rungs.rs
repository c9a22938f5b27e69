//! Halving in rungs (successive halving, Jamieson and Talwalkar 2016): every point trains to the first rung, the better
//! part of them goes on to the next from its checkpoints, until the last rung, which is the whole training. A cell's
//! settings are those of the whole training whatever becomes of it, so that one which goes on to the end comes to the bits
//! of a run that never stopped. Only validation decides.

mod advance;
mod climb;
mod decision;

pub use advance::{Advance, advance};
pub(crate) use advance::{comes_through, has_work};
pub use climb::{Climb, Rest};
pub use decision::{Decision, Ranked};

use crate::cell::Cell;
use crate::present;
use crate::spec::Spec;
use crate::sweep_dir::SweepDir;
use xray_artifacts::{Exit, Failure, FileError, Length};
use xray_display::counted;

/// The configuration key of the length that the last rung is.
pub(crate) const DURATION: &str = "training.duration";

/// Refuses what is not halving.
///
/// # Errors
/// Rungs that do not rise, another length of training beside the last, more than one fraction, a share that keeps all.
pub(crate) fn check(spec: &Spec) -> Result<(), Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let Some(last) = spec.rungs.last() else { return Ok(()) };
    let text = list(&spec.rungs);
    if spec.rungs.len() == 1 {
        return Err(usage(format!("--rungs {text} is one rung, so nothing is compared"))
            .hint("name the lengths before it too, such as --rungs 1,3,9"));
    }
    if spec.rungs.iter().any(|rung| rung.unit() != last.unit()) {
        return Err(
            usage(format!("--rungs {text} counts in different units")).hint("give all in one of them")
        );
    }
    if spec.rungs.windows(2).any(|pair| pair[0].count() >= pair[1].count()) {
        return Err(usage(format!("--rungs {text} must rise from each to the next")));
    }
    if !(spec.keep > 0.0 && spec.keep < 1.0) {
        return Err(usage(format!("--keep is {}, it must be above 0 and below 1", spec.keep))
            .hint("0.33 lets the best third of the points pass each rung"));
    }
    if spec.axes.contains_key(DURATION) {
        return Err(usage(format!(
            "`{DURATION}` is an axis, but --rungs {text} sets the length of training"
        ))
        .hint("leave one of them out"));
    }
    if let Some((_, set)) = spec.settings().into_iter().find(|(key, _)| key == DURATION)
        && set.as_str().and_then(|text| text.parse().ok()) != Some(*last)
    {
        return Err(usage(format!("--rungs end at {last}, but {DURATION} is {set}"))
            .hint(format!("leave {DURATION} out: the last rung is the length of training")));
    }
    let fractions = spec.fractions.values().len();
    if fractions != 1 {
        return Err(usage(format!(
            "--rungs compares points on the same data, but there are {fractions} fractions"
        ))
        .hint("give one: --fractions 1"));
    }
    Ok(())
}

fn list(rungs: &[Length]) -> String {
    rungs.iter().map(Length::to_string).collect::<Vec<_>>().join(",")
}

/// That what was decided stays true: no cell comes to a rung that others have left, and none is told to stop elsewhere.
///
/// # Errors
/// When `cells` differ from those `before` in what a decision was about.
pub(crate) fn stay(dir: &SweepDir, before: &[Cell], cells: &[Cell]) -> Result<(), Failure> {
    let decided = decisions(dir)?.len();
    if decided == 0 {
        return Ok(());
    }
    let refuse = |what: String| {
        let rungs = counted(decided, "rung");
        let message = format!("{}: {what}, and {rungs} decided already", dir.path().display());
        Err(Failure::new(Exit::Usage, message).hint("plan another sweep directory"))
    };
    let known = |cell: &Cell| before.iter().find(|old| old.id == cell.id);
    let new = cells.iter().filter(|cell| known(cell).is_none()).count();
    if new > 0 {
        return refuse(format!("{} would be new", counted(new, "cell")));
    }
    if cells.iter().any(|cell| known(cell).is_some_and(|old| old.rungs != cell.rungs)) {
        return refuse("the rungs would be others".to_owned());
    }
    Ok(())
}

/// What was decided, rung by rung from the first.
///
/// # Errors
/// When a decision cannot be read, is damaged, or is gone while a later one is there: who went on must not be guessed.
pub fn decisions(dir: &SweepDir) -> Result<Vec<Decision>, FileError> {
    let mut numbers: Vec<usize> = present::entries(&dir.rungs())?
        .iter()
        .filter_map(|entry| entry.path().file_name()?.to_str()?.strip_suffix(".json")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let last = numbers.last().copied().unwrap_or(0);
    (1..=last).map(|number| xray_artifacts::read_json(&dir.rung(number))).collect()
}

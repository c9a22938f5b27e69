//! Fraction × trial: one letter a cell.

use crate::state::{CellReport, CellState};
use std::collections::{BTreeMap, BTreeSet};

/// Rows of fractions (and the values of other axes), a letter for every trial, and what the letters mean.
/// Trials that do not fit into `width` columns go on in the line below.
pub(super) fn text(reports: &[CellReport], width: usize, color: bool) -> String {
    let mut rows: BTreeMap<(String, u64), (f64, BTreeMap<u32, CellState>)> = BTreeMap::new();
    for CellReport { cell, state, .. } in reports {
        // Fractions are positive: the order of their bits is theirs.
        let row = rows.entry((cell.axes_text(), cell.fraction.to_bits())).or_default();
        row.0 = cell.fraction;
        row.1.insert(cell.trial, *state);
    }
    let trials: BTreeSet<u32> = reports.iter().map(|report| report.cell.trial).collect();
    let label = |axes: &str, fraction: f64| match axes {
        "" => fraction.to_string(),
        axes => format!("{fraction}  {axes}"),
    };
    let labels = rows.iter().map(|((axes, _), (fraction, _))| label(axes, *fraction).chars().count());
    // Half a narrow terminal is for the letters.
    let indent = labels.chain(["fraction".len()]).max().unwrap_or(0).min(width / 2) + 2;
    let per_line = (width.saturating_sub(indent) / 2).max(1);

    let mut text = format!("{:indent$}{}\n", "fraction", trials_text(&trials));
    for ((axes, _), (fraction, states)) in &rows {
        let label = label(axes, *fraction);
        text.push_str(&label);
        if label.chars().count() + 2 > indent {
            text.push_str(&format!("\n{:indent$}", ""));
        } else {
            text.push_str(&" ".repeat(indent - label.chars().count()));
        }
        let letters: Vec<String> =
            trials.iter().map(|trial| states.get(trial).map_or(" ".into(), |s| letter(*s, color))).collect();
        let lines: Vec<String> = letters.chunks(per_line).map(|chunk| chunk.join(" ")).collect();
        text.push_str(&lines.join(&format!("\n{:indent$}", "")));
        text.push('\n');
    }
    text + &legend(reports, width, color)
}

fn trials_text(trials: &BTreeSet<u32>) -> String {
    match (trials.first(), trials.last()) {
        (Some(first), Some(last)) if first == last => format!("trial {first}"),
        (Some(first), Some(last)) => format!("trials {first} to {last}"),
        _ => String::new(),
    }
}

/// The letters that occur, several a line.
fn legend(reports: &[CellReport], width: usize, color: bool) -> String {
    let present: BTreeSet<CellState> = reports.iter().map(|report| report.state).collect();
    let mut text = String::new();
    let mut column = 0;
    for state in present {
        let length = 2 + state.name().len() + 2;
        if column > 0 && column + length > width {
            text = text.trim_end().to_owned() + "\n";
            column = 0;
        }
        text.push_str(&format!("{} {}  ", letter(state, color), state.name()));
        column += length;
    }
    text.trim_end().to_owned() + "\n"
}

fn letter(state: CellState, color: bool) -> String {
    let (letter, code) = match state {
        CellState::Done => ("D", "32"),
        CellState::Stopped => ("-", "2;32"),
        CellState::Waiting => ("W", "36"),
        CellState::Running => ("R", "36"),
        CellState::Queued => ("Q", "34"),
        CellState::Held => ("H", "33"),
        CellState::Failed => ("F", "1;31"),
        CellState::Lost => ("L", "35"),
        CellState::Missing => (".", "2"),
        CellState::Stale => ("S", "2;33"),
    };
    if color { format!("\x1b[{code}m{letter}\x1b[0m") } else { letter.to_owned() }
}

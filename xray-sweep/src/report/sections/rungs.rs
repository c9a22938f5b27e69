//! Halving: which points went on from which rung, and what that saved.

use crate::budget::Budget;
use crate::report::document::{Section, Table, Value};
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use crate::rungs::{Decision, Ranked};
use crate::state::CellState;
use xray_artifacts::LengthUnit;
use xray_display::{counted, number, percent};

/// Number of rows shown; the rest stands in `rungs/`.
const MAX_ROWS: usize = 200;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("rungs", "Halving in rungs");
    let Some(last) = sweep.decisions.last() else { return section };
    section.text(format!(
        "Points were compared by the validation macro-AUC of the weights that a training of that length keeps, the \
         mean over their trials, and {} of them passed each rung. {}Cells that were stopped at a rung appear only in \
         these figures.",
        percent(last.keep),
        saved(sweep).unwrap_or_default()
    ));
    section.table("rungs", rungs(&sweep.decisions));
    section.table("points-at-rungs", points(&sweep.decisions));
    section
}

/// What was trained, of what the whole grid would have taken.
fn saved(sweep: &Sweep) -> Option<String> {
    let spec = sweep.spec.as_ref()?;
    let last = spec.rungs.last()?;
    let unit = last.unit();
    if unit == LengthUnit::Epochs && spec.budget == Budget::Steps && spec.fractions.values() != [1.0] {
        return None;
    }
    let of = |run: &Run| match unit {
        LengthUnit::Epochs => run.row.epochs,
        LengthUnit::Steps => run.row.steps.map(|steps| steps as f64),
        LengthUnit::Examples => run.row.examples.map(|examples| examples as f64),
    };
    let trained: f64 = sweep.runs.iter().filter_map(of).sum();
    let whole = last.count() * sweep.runs.len() as f64;
    let stopped = sweep.runs.iter().filter(|run| run.row.state == CellState::Stopped).count();
    let decimals = usize::from(unit == LengthUnit::Epochs && trained.fract() != 0.0);
    Some(format!(
        "{} of {} stopped at a rung: {} of the {} {} that all cells would take were trained, {} less.  ",
        stopped,
        counted(sweep.runs.len(), "cell"),
        number(Some(trained), decimals),
        number(Some(whole), usize::from(whole.fract() != 0.0)),
        unit.name(),
        percent((100.0 * (1.0 - trained / whole)).max(0.0).round() / 100.0)
    ))
}

fn rungs(decisions: &[Decision]) -> Table {
    let mut table = Table::new(
        "What was decided",
        &[
            ("rung", ">rung"),
            ("at", "after"),
            ("points", ">points"),
            ("went_on", ">went on"),
            ("best", ">best"),
            ("last_kept", ">last that passed"),
            ("first_left", ">first that did not"),
        ],
    );
    for decision in decisions {
        let score = |point: Option<&Ranked>| Value::number(point.and_then(|point| point.score), 3);
        let going = || decision.points.iter().filter(|point| point.goes_on);
        table.row(vec![
            Value::count(decision.rung as i64),
            Value::text(decision.at.to_string()),
            Value::count(decision.points.len() as i64),
            Value::count(going().count() as i64),
            score(decision.points.first()),
            score(going().next_back()),
            score(decision.points.iter().find(|point| !point.goes_on)),
        ]);
    }
    table
}

fn points(decisions: &[Decision]) -> Table {
    let mut table = Table::new(
        "Points at each rung",
        &[
            ("rung", ">rung"),
            ("place", ">place"),
            ("axes", "axes"),
            ("score", ">validation macro-AUC"),
            ("goes_on", "goes on"),
        ],
    );
    let all = decisions.iter().flat_map(|decision| (1..).zip(&decision.points).map(|at| (decision.rung, at)));
    for (rung, (place, point)) in all.take(MAX_ROWS) {
        table.row(vec![
            Value::count(rung as i64),
            Value::count(place),
            Value::text(point.axes_text()),
            Value::number(point.score, 3),
            Value { text: if point.goes_on { "yes" } else { "no" }.into(), json: point.goes_on.into() },
        ]);
    }
    let rows: usize = decisions.iter().map(|decision| decision.points.len()).sum();
    if rows > MAX_ROWS {
        table.notes.push(format!("{} more stand in rungs/.", rows - MAX_ROWS));
    }
    table
}

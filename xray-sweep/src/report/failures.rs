//! Which cells are not done, and why.

use super::fractions::percent;
use super::markdown::Table;
use super::runs::Run;

/// A table of the cells that are not done; nothing if all are.
pub(super) fn section(runs: &[Run]) -> String {
    let mut table = Table::new(&[
        "cell",
        ">fraction",
        ">trial",
        "axes",
        "state",
        "reason",
        "host",
        "ended with",
        ">starts",
    ]);
    for run in runs.iter().filter(|run| !run.done()) {
        table.row(&[
            run.cell.clone(),
            percent(run.fraction),
            run.trial.to_string(),
            run.combination.clone(),
            run.state.clone(),
            run.reason.clone().unwrap_or_default(),
            run.host.clone().unwrap_or_default(),
            ending(run),
            run.attempts.to_string(),
        ]);
    }
    match table.text() {
        empty if empty.is_empty() => empty,
        text => format!("## Cells that are not done\n\n{text}"),
    }
}

fn ending(run: &Run) -> String {
    match (run.signal, run.exit) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(exit)) => format!("exit {exit}"),
        (None, None) => String::new(),
    }
}

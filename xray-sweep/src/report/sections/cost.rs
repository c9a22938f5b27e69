//! What a score costs in core-hours.

use super::fractions::capitalised;
use crate::report::document::{Section, Table, Value};
use crate::report::groups::{Group, by_combination};
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use xray_display::chart::{Axis, Chart, Scale, Series, Symbol};
use xray_display::number;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("cost", "Cost");
    let groups = sweep.groups();
    let hours: Vec<f64> = sweep.runs.iter().filter_map(|run| run.figure(Run::core_hours)).collect();
    if hours.is_empty() {
        return section;
    }
    section.chart("cost", chart(sweep, &groups));
    let mut table = Table::new(
        "Cost of a run, mean of its trials",
        &[
            ("axes", "axes"),
            ("fraction", ">fraction"),
            ("core_hours", ">core-hours"),
            ("score", ">score"),
            ("peak_memory_mib", ">peak memory (MiB)"),
        ],
    );
    for group in &groups {
        table.row(vec![
            Value::text(group.combination),
            Value::percent(group.fraction),
            Value {
                text: significant(group.mean(Run::core_hours)),
                json: group.mean(Run::core_hours).into(),
            },
            Value::number(group.mean(|run| run.score), 3),
            Value::count(
                group
                    .mean(|run| run.row.peak_memory_mib.map(|size| size as f64))
                    .map(|size| size.round() as i64),
            ),
        ]);
    }
    let total = significant(Some(hours.iter().sum()));
    table
        .notes
        .push(format!("All finished runs together took {total} core-hours: threads × wall-clock time."));
    if let Some(text) = spent_in_vain(sweep) {
        table.notes.push(text);
    }
    section.table("cost", table.without_empty_columns());
    section
}

/// What the cells cost that have no result.
fn spent_in_vain(sweep: &Sweep) -> Option<String> {
    let hours = |run: &Run| {
        sweep.busy_seconds.get(&run.row.cell).map(|it| it * run.row.requested_cpus as f64 / 3600.0)
    };
    let lost: f64 = sweep.runs.iter().filter(|run| !run.done()).filter_map(hours).sum();
    (lost > 0.0).then(|| {
        format!(
            "Cells that are not done took a further {} core-hours: requested cores × time.",
            significant(Some(lost))
        )
    })
}

/// Three significant digits, or as many decimals as that takes.
fn significant(value: Option<f64>) -> String {
    let decimals = |value: f64| {
        if value == 0.0 { 0 } else { (2.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize }
    };
    number(value, value.map_or(0, decimals))
}

fn chart(sweep: &Sweep, groups: &[Group<'_>]) -> Chart {
    let lines = by_combination(groups);
    let point = |run: &Run| Some((run.figure(Run::core_hours)?, run.figure(|run| run.score)?));
    let one = |(at, groups): (usize, &&[Group<'_>])| Series {
        look: at,
        dots: groups.iter().flat_map(|group| group.runs).filter_map(point).collect(),
        line: groups
            .iter()
            .filter_map(|group| Some((group.mean(Run::core_hours)?, group.mean(|run| run.score)?)))
            .collect(),
        ..Series::default()
    };
    let legend = match lines.len() {
        1 => vec![(Symbol::Dot(0), "one run".into()), (Symbol::Line(0), "means of the fractions".into())],
        _ => lines
            .iter()
            .enumerate()
            .map(|(at, line)| (Symbol::DotAndLine(at), line[0].combination.into()))
            .collect(),
    };
    let points: Vec<_> = sweep.runs.iter().filter_map(point).collect();
    Chart {
        title: format!("{} by cost", capitalised(&sweep.score_name())),
        x: Axis::new("core-hours of one run", Scale::of_sizes(points.iter().map(|point| point.0))),
        y: Axis::new(
            format!("test {}", sweep.score_name()),
            Scale::around(points.iter().map(|point| point.1)).of_shares(),
        ),
        series: lines.iter().enumerate().map(one).collect(),
        levels: Vec::new(),
        legend,
        empty: sweep.without_score(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_enough() {
        let check = |value, expected| assert_eq!(significant(Some(value)), expected);
        check(1234.5, "1234");
        check(12.345, "12.3");
        check(0.012_345, "0.0123");
        check(0.0, "0");
    }
}

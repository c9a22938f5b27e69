//! Statistics as aligned text.

use super::{LabelStats, SourceStats, SplitStats, Stats};
use std::fmt::Write;
use xray_display::{Align, Column, TextTable, counted, thousands};

pub(super) fn text(stats: &Stats) -> String {
    let mut text = splits(stats);
    // Writing to a string cannot fail.
    let _ = sources(&mut text, stats);
    let _ = sizes(&mut text, stats);
    let _ = together(&mut text, stats);
    text
}

fn splits(stats: &Stats) -> String {
    let name_width = stats.labels.iter().map(String::len).max().unwrap_or(0).max("No Finding".len());
    let any_unknown = stats.splits.iter().flat_map(|split| &split.labels).any(|label| label.unknown > 0);
    let column = |split: &SplitStats| {
        let title = format!("{:>8}", split.split.name());
        Column::new(&title, Align::Left).at_least(if any_unknown { 27 } else { 16 })
    };
    let names = Column::new("", Align::Left).at_least(name_width);
    let mut table = TextTable::of(std::iter::once(names).chain(stats.splits.iter().map(column)));
    let mut row = |name: &str, cell: &dyn Fn(&SplitStats) -> String| {
        table.row(std::iter::once(name.to_owned()).chain(stats.splits.iter().map(cell)).collect());
    };
    row("images", &|split| format!("{:>8}", thousands(split.images)));
    row("patients", &|split| format!("{:>8}", split.patients.map_or("-".to_owned(), thousands)));
    for (place, label) in stats.labels.iter().enumerate() {
        row(label, &|split| label_cell(&split.labels[place]));
    }
    row("No Finding", &|split| with_share(split.no_finding, share(split.no_finding, split.images)));
    table.text()
}

/// Positives, their share of the known, and the unknown where there are any.
fn label_cell(label: &LabelStats) -> String {
    let cell = with_share(label.positives, label.prevalence);
    match label.unknown {
        0 => cell,
        unknown => format!("{cell} {:>9}?", thousands(unknown)),
    }
}

fn with_share(count: u64, share: Option<f64>) -> String {
    match share {
        Some(share) => format!("{:>8} {:>6.2}%", thousands(count), share * 100.0),
        None => format!("{:>8} {:>7}", thousands(count), "-"),
    }
}

fn share(count: u64, total: u64) -> Option<f64> {
    (total > 0).then(|| count as f64 / total as f64)
}

/// Which source each label's positives come from, a dash where it does not know the label, and what telling the sources
/// apart earns.
fn sources(text: &mut String, stats: &Stats) -> std::fmt::Result {
    if stats.sources.is_empty() {
        return Ok(());
    }
    writeln!(text, "\npositives by source")?;
    let column = |source: &SourceStats| Column::new(&source.source, Align::Right).at_least(8);
    let names = std::iter::once(Column::new("", Align::Left));
    let alone = [Column::new("AUC of the source alone", Align::Right)];
    let mut table = TextTable::of(names.chain(stats.sources.iter().map(column)).chain(alone));
    let mut row = |name: &str, cell: &dyn Fn(&SourceStats) -> String, alone: String| {
        let cells = std::iter::once(name.to_owned()).chain(stats.sources.iter().map(cell));
        table.row(cells.chain([alone]).collect());
    };
    row("images", &|source| thousands(source.images), String::new());
    for (place, (label, alone)) in stats.labels.iter().zip(&stats.source_alone).enumerate() {
        let positives = |source: &SourceStats| match source.known[place] {
            0 => "-".to_owned(),
            _ => thousands(source.positives[place]),
        };
        row(label, &positives, alone.map_or("-".to_owned(), |auc| format!("{auc:.3}")));
    }
    text.push_str(&table.text());
    text.push_str(
        "a network that only recognises the source gets that AUC; `xray-eval run` shows AUCs within each\n",
    );
    Ok(())
}

fn sizes(text: &mut String, stats: &Stats) -> std::fmt::Result {
    const LISTED: usize = 4;
    let listed = stats.sizes.iter().take(LISTED);
    let mut sizes: Vec<String> =
        listed.map(|s| format!("{}x{} ({})", s.width, s.height, counted(s.images, "image"))).collect();
    if stats.sizes.len() > LISTED {
        sizes.push(format!("and {}", counted(stats.sizes.len() - LISTED, "other size")));
    }
    writeln!(text, "\nimage sizes: {}", sizes.join(", "))
}

/// The matrix, its columns numbered like its rows.
fn together(text: &mut String, stats: &Stats) -> std::fmt::Result {
    writeln!(text, "\nimages that show both findings")?;
    let name_width = stats.labels.iter().map(String::len).max().unwrap_or(0);
    let largest = stats.together.iter().flatten().max().copied().unwrap_or(0);
    let width = thousands(largest).len().max(3);
    write!(text, "{:name_width$}   ", "")?;
    for number in 1..=stats.labels.len() {
        write!(text, " {number:>width$}")?;
    }
    writeln!(text)?;
    for (row, (label, counts)) in stats.labels.iter().zip(&stats.together).enumerate() {
        write!(text, "{:>2} {label:<name_width$}", row + 1)?;
        for &count in &counts[..=row] {
            let cell = if count == 0 { "-".to_owned() } else { thousands(count) };
            write!(text, " {cell:>width$}")?;
        }
        writeln!(text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::SizeCount;
    use xray_artifacts::Split;

    #[test]
    fn the_table_is_aligned() {
        let label = |label: &str, positives, unknown, prevalence| LabelStats {
            label: label.to_owned(),
            positives,
            unknown,
            prevalence,
        };
        let split =
            |split, images, patients, labels| SplitStats { split, images, patients, no_finding: 7, labels };
        let stats = Stats {
            labels: vec!["Mass".into(), "Effusion".into()],
            splits: vec![
                split(
                    Split::Train,
                    1200,
                    Some(31),
                    vec![label("Mass", 12, 0, Some(0.01)), label("Effusion", 1000, 0, Some(0.8333))],
                ),
                split(
                    Split::Test,
                    9,
                    None,
                    vec![label("Mass", 0, 0, Some(0.0)), label("Effusion", 0, 9, None)],
                ),
            ],
            sizes: vec![SizeCount { width: 64, height: 48, images: 1209 }],
            sources: Vec::new(),
            source_alone: Vec::new(),
            together: vec![vec![12, 3], vec![3, 1000]],
            warnings: Vec::new(),
        };
        insta::assert_snapshot!(text(&stats), @r"
                   train                         test
    images         1,200                            9
    patients          31                            -
    Mass              12   1.00%                    0   0.00%
    Effusion       1,000  83.33%                    0       -         9?
    No Finding         7   0.58%                    7  77.78%

    image sizes: 64x48 (1,209 images)

    images that show both findings
                    1     2
     1 Mass        12
     2 Effusion     3 1,000
    ");
    }
}

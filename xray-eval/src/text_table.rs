//! Tables for a terminal: columns as wide as what stands in them, numbers to the right.

use std::fmt::Write;

/// A table that grows row by row. The first column is text, the others are numbers.
pub(crate) struct TextTable {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl TextTable {
    pub(crate) fn new(header: &[&str]) -> Self {
        TextTable { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn text(&self) -> String {
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let widths: Vec<usize> = (0..self.header.len())
            .map(|at| lines().filter_map(|line| Some(line.get(at)?.chars().count())).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for line in lines() {
            let cells = line.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| match at {
                0 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            });
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        text
    }
}

/// Three digits, or a dash where nothing is defined.
pub(crate) fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.3}"))
}

/// `0.812 (0.790–0.833)`, with a dash for what is not defined.
pub(crate) fn with_interval(value: Option<f64>, interval: Option<[f64; 2]>) -> String {
    match (value, interval) {
        (Some(value), Some([low, high])) => format!("{value:.3} ({low:.3}–{high:.3})"),
        (value, _) => number(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = TextTable::new(&["label", "n"]);
        table.row(vec!["Ödem".into(), "1200".into()]);
        table.row(vec!["a".into(), number(None)]);
        assert_eq!(table.text(), "label     n\nÖdem   1200\na         –\n");
    }

    #[test]
    fn intervals_stand_behind_their_figure() {
        assert_eq!(with_interval(Some(0.8), Some([0.75, 0.849_6])), "0.800 (0.750–0.850)");
        assert_eq!(with_interval(Some(0.8), None), "0.800");
        assert_eq!(with_interval(None, None), "–");
    }
}

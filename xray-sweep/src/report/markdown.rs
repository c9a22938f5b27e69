//! Markdown tables whose columns also line up as plain text.

/// A table; columns whose title begins with `>` stand right-aligned.
pub(super) struct Table {
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(titles: &[&str]) -> Self {
        let right = titles.iter().map(|title| title.starts_with('>')).collect();
        let titles = titles.iter().map(|title| title.trim_start_matches('>').to_owned()).collect();
        Table { right, rows: vec![titles] }
    }

    pub(super) fn row(&mut self, values: &[String]) {
        debug_assert_eq!(values.len(), self.right.len());
        self.rows.push(values.iter().map(|value| escape(value)).collect());
    }

    /// The table and an empty line; nothing if it has no row.
    pub(super) fn text(&self) -> String {
        if self.rows.len() == 1 {
            return String::new();
        }
        let widths: Vec<_> = (0..self.right.len()).map(|at| self.width(at)).collect();
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut lines: Vec<_> = self.rows.iter().map(|row| line(self.padded(row, &widths))).collect();
        let rule = |(&width, &right): (&usize, &bool)| match right {
            true => format!("{}:", "-".repeat(width - 1)),
            false => "-".repeat(width),
        };
        lines.insert(1, line(widths.iter().zip(&self.right).map(rule).collect()));
        lines.concat() + "\n"
    }

    fn width(&self, column: usize) -> usize {
        self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3)
    }

    fn padded(&self, row: &[String], widths: &[usize]) -> Vec<String> {
        let pad = |at: usize| match self.right[at] {
            true => format!("{:>1$}", row[at], widths[at]),
            false => format!("{:<1$}", row[at], widths[at]),
        };
        (0..row.len()).map(pad).collect()
    }
}

/// Text that can stand in a table's cell: one line, and no character that markdown takes for its own.
pub(super) fn escape(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let special = |c: char| if "|*_`<[\\".contains(c) { format!("\\{c}") } else { c.to_string() };
    line.chars().map(special).collect()
}

/// A number with so many decimals; a dash for what is not defined.
pub(super) fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_does_not_break_a_table() {
        let mut table = Table::new(&["cell", ">n"]);
        table.row(&["a|b\nc_d".into(), "7".into()]);
        let expected = "| cell      |   n |\n| --------- | --: |\n| a\\|b c\\_d |   7 |\n\n";
        assert_eq!(table.text(), expected);
        assert_eq!(Table::new(&["cell"]).text(), "");
    }
}

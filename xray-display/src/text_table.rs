//! Tables for a terminal: columns as wide as what stands in them, two blanks apart.

use std::fmt::Write;

/// A table that grows row by row.
#[derive(Clone, Debug)]
pub struct TextTable {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A column: its title, and how what stands in it is aligned.
#[derive(Clone, Debug)]
pub struct Column {
    title: String,
    align: Align,
    least_width: usize,
}

/// Where a text stands in a column that is wider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// To the left, as words do.
    Left,
    /// To the right, as numbers do.
    Right,
    /// In the middle.
    Centre,
}

impl Align {
    /// The text with blanks around it, so many characters wide.
    pub fn pad(self, text: &str, width: usize) -> String {
        match self {
            Align::Left => format!("{text:<width$}"),
            Align::Right => format!("{text:>width$}"),
            Align::Centre => format!("{text:^width$}"),
        }
    }
}

impl Column {
    /// A column as wide as its title, or as the widest text in it.
    pub fn new(title: &str, align: Align) -> Column {
        Column { title: title.to_owned(), align, least_width: 0 }
    }

    /// So many characters wide at least.
    #[must_use]
    pub fn at_least(self, least_width: usize) -> Column {
        Column { least_width, ..self }
    }
}

impl TextTable {
    /// The first column is text, the others are numbers.
    pub fn new(titles: &[&str]) -> TextTable {
        let align = |at| if at == 0 { Align::Left } else { Align::Right };
        TextTable::of(titles.iter().enumerate().map(|(at, title)| Column::new(title, align(at))))
    }

    /// All columns are text.
    pub fn of_text(titles: &[&str]) -> TextTable {
        TextTable::of(titles.iter().map(|title| Column::new(title, Align::Left)))
    }

    /// A table without rows.
    pub fn of(columns: impl IntoIterator<Item = Column>) -> TextTable {
        TextTable { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row, a text for each column.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table, a line for the titles and one for each row, without blanks at their ends.
    pub fn text(&self) -> String {
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.clone()).collect();
        let lines = || std::iter::once(&titles).chain(&self.rows);
        let width = |(at, column): (usize, &Column)| {
            let widest = lines().filter_map(|line| Some(line.get(at)?.chars().count())).max();
            widest.unwrap_or(0).max(column.least_width)
        };
        let widths: Vec<usize> = self.columns.iter().enumerate().map(width).collect();
        let mut text = String::new();
        for line in lines() {
            let columns = self.columns.iter().zip(&widths);
            let cells =
                line.iter().zip(columns).map(|(cell, (column, &width))| column.align.pad(cell, width));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mut table: TextTable, rows: &[&[&str]], expected: &str) {
        rows.iter().for_each(|row| table.row(row.iter().map(|&cell| cell.to_owned()).collect()));
        assert_eq!(table.text(), expected);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = TextTable::new(&["label", "n"]);
        check(table, &[&["Ödem", "1200"], &["a", "–"]], "label     n\nÖdem   1200\na         –\n");
        let table = TextTable::of_text(&["n", "what"]);
        check(table, &[&["1", "größer"], &["1000", "x"]], "n     what\n1     größer\n1000  x\n");
    }

    #[test]
    fn a_column_may_be_wider_and_hold_its_text_in_the_middle() {
        let columns = [
            Column::new("", Align::Left),
            Column::new("AUC", Align::Right).at_least(6),
            Column::new("95 % interval", Align::Centre),
            Column::new("", Align::Left),
        ];
        let rows: [&[&str]; 2] = [&["a", "0.812", "0.790–0.833", "note"], &["b", "–", "–", ""]];
        let expected = "      AUC  95 % interval\na   0.812   0.790–0.833   note\nb       –        –\n";
        check(TextTable::of(columns), &rows, expected);
    }
}

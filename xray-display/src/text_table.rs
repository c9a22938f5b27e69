//! Tables for a terminal: columns as wide as what stands in them, two blanks apart. A table of numbers that is wider than
//! a terminal goes on below itself, with its first column again, unless the command line asked for [`wide_tables`].

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// A table of numbers is not wider, in characters.
const WIDTH: usize = 100;
/// Between columns.
const GAP: usize = 2;

static WIDE: AtomicBool = AtomicBool::new(false);

/// From now on, tables of numbers are as wide as their columns, for this process: `--wide`.
pub fn wide_tables() {
    WIDE.store(true, Ordering::Relaxed);
}

/// A table that grows row by row.
#[derive(Clone, Debug)]
pub struct TextTable {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// A table of words is read across, whatever its width.
    breaks: bool,
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
        let columns = titles.iter().enumerate().map(|(at, title)| Column::new(title, align(at)));
        TextTable { breaks: true, ..TextTable::of(columns) }
    }

    /// All columns are text.
    pub fn of_text(titles: &[&str]) -> TextTable {
        TextTable::of(titles.iter().map(|title| Column::new(title, Align::Left)))
    }

    /// A table without rows.
    pub fn of(columns: impl IntoIterator<Item = Column>) -> TextTable {
        TextTable { columns: columns.into_iter().collect(), rows: Vec::new(), breaks: false }
    }

    /// Adds a row, a text for each column.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table, a line for the titles and one for each row, without blanks at their ends; several such blocks where it
    /// breaks.
    pub fn text(&self) -> String {
        self.within(if self.breaks && !WIDE.load(Ordering::Relaxed) { WIDTH } else { usize::MAX })
    }

    fn within(&self, most: usize) -> String {
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.clone()).collect();
        let lines = || std::iter::once(&titles).chain(&self.rows);
        let width = |(at, column): (usize, &Column)| {
            let widest = lines().filter_map(|line| Some(line.get(at)?.chars().count())).max();
            widest.unwrap_or(0).max(column.least_width)
        };
        let widths: Vec<usize> = self.columns.iter().enumerate().map(width).collect();
        let block = |shown: Vec<usize>| {
            let mut text = String::new();
            for line in lines() {
                let cell = |&at: &usize| Some(self.columns[at].align.pad(line.get(at)?, widths[at]));
                // Writing to a string cannot fail.
                let _ = writeln!(
                    text,
                    "{}",
                    shown.iter().filter_map(cell).collect::<Vec<_>>().join("  ").trim_end()
                );
            }
            text
        };
        blocks(&widths, most).into_iter().map(block).collect::<Vec<_>>().join("\n")
    }
}

/// The columns of each block: the first in all of them, and of the others as many as have room, at least one.
fn blocks(widths: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut blocks = vec![Vec::from_iter((!widths.is_empty()).then_some(0))];
    let mut taken = widths.first().copied().unwrap_or(0);
    for (at, width) in widths.iter().enumerate().skip(1) {
        let last = blocks.len() - 1;
        if blocks[last].len() > 1 && taken + GAP + width > most {
            blocks.push(vec![0, at]);
            taken = widths[0] + GAP + width;
        } else {
            blocks[last].push(at);
            taken += GAP + width;
        }
    }
    blocks
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
    fn a_table_of_numbers_goes_on_below_itself() {
        let mut table = TextTable::new(&["label", "aa", "bbb", "c"]);
        table.row(["Mass", "1", "2", "3"].map(str::to_owned).to_vec());
        assert_eq!(table.within(19), "label  aa  bbb  c\nMass    1    2  3\n");
        assert_eq!(table.within(14), "label  aa  bbb\nMass    1    2\n\nlabel  c\nMass   3\n");
        assert_eq!(table.within(1), "label  aa\nMass    1\n\nlabel  bbb\nMass     2\n\nlabel  c\nMass   3\n");
        assert_eq!(blocks(&[], 9), [[0; 0]; 1]);
        assert_eq!(blocks(&[50, 46, 2], 100), [vec![0, 1], vec![0, 2]]);
        assert_eq!(blocks(&[50, 44, 2], 100), [[0, 1, 2]]);
    }

    #[test]
    fn a_line_of_numbers_has_100_characters_at_most() {
        let blocks = |width: usize| {
            let mut table = TextTable::new(&["label", "n", "m"]);
            table.row(vec!["a".to_owned(), "1".repeat(width), "2".to_owned()]);
            table.text().split("\n\n").count()
        };
        // The first column has 5 characters, the last one, and 4 lie between them.
        assert_eq!([blocks(90), blocks(91)], [1, 2]);
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

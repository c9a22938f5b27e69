//! The document as markdown whose tables also line up as plain text, with its large charts as files. Charts of
//! single findings stand in the page only.

use super::document::{Block, Document, Table};
use std::fmt::Write;
use xray_display::Align;

/// `report.md`.
pub(super) fn text(document: &Document) -> String {
    let mut text = format!("# {}\n", escape(&document.title));
    // Writing to a string cannot fail.
    for section in &document.sections {
        let _ = write!(text, "\n## {}\n", escape(&section.title));
        for block in &section.blocks {
            let _ = match block {
                Block::Text(paragraph) => writeln!(text, "\n{}", sentence(paragraph)),
                Block::Warning(paragraph) => writeln!(text, "\n> **Note.** {}", sentence(paragraph)),
                Block::Cards(cards) => {
                    text.push('\n');
                    for card in cards {
                        let (name, value) = (escape(&card.name), escape(&card.value.text));
                        let _ = writeln!(text, "- **{name}: {value}** {}", sentence(&card.detail));
                    }
                    Ok(())
                }
                Block::Chart(chart) => {
                    writeln!(text, "\n![{}]({}.svg)", escape(&chart.what.title), chart.name)
                }
                Block::Multiples(charts) => writeln!(text, "\n{} charts stand in report.html.", charts.len()),
                Block::Table(named) => write!(text, "\n{}", table(&named.what)),
                Block::Code(code) => {
                    let fence = fence(code);
                    writeln!(text, "\n{fence}\n{code}\n{fence}")
                }
            };
        }
    }
    text
}

/// The charts that [`text`] shows: file name and content.
pub(super) fn charts(document: &Document) -> Vec<(String, String)> {
    let blocks = document.sections.iter().flat_map(|section| &section.blocks);
    let charts = blocks.filter_map(|block| match block {
        Block::Chart(chart) => Some((format!("{}.svg", chart.name), chart.what.file())),
        _ => None,
    });
    charts.collect()
}

fn table(table: &Table) -> String {
    let shown = table.shown_columns();
    let cells = |row: &Vec<super::document::Value>| shown.iter().map(|&at| escape(&row[at].text)).collect();
    let titles: Vec<String> = shown.iter().map(|&at| escape(&table.columns[at].title)).collect();
    let lines: Vec<Vec<String>> = std::iter::once(titles).chain(table.rows.iter().map(cells)).collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..shown.len()).map(width).collect();
    let is_number = |at: usize| table.columns[shown[at]].number;
    let padded = |line: &Vec<String>| {
        let cell = |(at, text): (usize, &String)| {
            let align = if is_number(at) { Align::Right } else { Align::Left };
            align.pad(text, widths[at])
        };
        format!("| {} |\n", line.iter().enumerate().map(cell).collect::<Vec<_>>().join(" | "))
    };
    let rule = |(at, &width): (usize, &usize)| match is_number(at) {
        true => format!("{}:", "-".repeat(width - 1)),
        false => "-".repeat(width),
    };
    let rule = widths.iter().enumerate().map(rule).collect::<Vec<_>>().join(" | ");
    let mut text = format!("{}:\n\n{}| {rule} |\n", escape(&table.title), padded(&lines[0]));
    text.extend(lines[1..].iter().map(padded));
    for note in &table.notes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{}", sentence(note));
    }
    text
}

/// Longer than any run of backquotes in the text.
fn fence(code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(3.max(longest + 1))
}

/// Text that can stand in a table's cell: one line, and no character that markdown takes for its own.
fn escape(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let special = |c: char| if "|*_`<[\\".contains(c) { format!("\\{c}") } else { c.to_string() };
    line.chars().map(special).collect()
}

/// A sentence of our own, in which backquotes mean code.
fn sentence(text: &str) -> String {
    let code = text.split('`').enumerate();
    code.map(|(at, part)| if at % 2 == 1 { format!("`{part}`") } else { escape_spaced(part) }).collect()
}

fn escape_spaced(text: &str) -> String {
    let special = |c: char| if "|*_<[\\".contains(c) { format!("\\{c}") } else { c.to_string() };
    text.chars().map(special).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::document::Value;

    #[test]
    fn text_of_others_does_not_break_a_table() {
        let mut found = Table::new("Cells", &[("cell", "cell"), ("n", ">n")]);
        found.row(vec![Value::text("a|b\nc_d"), Value::count(7)]);
        let expected = "Cells:\n\n| cell      |   n |\n| --------- | --: |\n| a\\|b c\\_d |   7 |\n";
        assert_eq!(table(&found), expected);
    }

    #[test]
    fn code_in_a_sentence_stays_as_it_is() {
        assert_eq!(sentence("see `a_b` of x_y"), "see `a_b` of x\\_y");
        assert_eq!((fence("a `b`"), fence("a ``` b")), ("```".to_owned(), "````".to_owned()));
    }
}

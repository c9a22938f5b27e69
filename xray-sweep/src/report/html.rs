//! The document as one page. Each chart is there three times, for wide, medium and narrow screens, and the style sheet shows
//! one of them.

use super::document::{Block, Card, Document, Section, Table, Value};
use std::fmt::Write;
use xray_display::chart::{Chart, MEDIUM, NARROW, SMALL, WIDE};
use xray_display::counted;
use xray_display::page::{Page, PageColumn, PageSection, escape, html_table, sentence};

/// Longer tables are folded.
const OPEN_ROWS: usize = 40;

/// `report.html`.
pub(super) fn page(document: &Document) -> String {
    let section = |section: &Section| PageSection {
        id: section.id.to_owned(),
        title: section.title.clone(),
        body: section.blocks.iter().map(block).collect(),
    };
    let sections: Vec<PageSection> = document.sections.iter().map(section).collect();
    Page { title: &document.title, style: "", sections: &sections, has_pictures: false }.html()
}

fn block(block: &Block) -> String {
    match block {
        Block::Text(text) => format!("<p>{}</p>\n", sentence(text)),
        Block::Warning(text) => format!("<p class=\"warning\">{}</p>\n", sentence(text)),
        Block::Cards(cards) => {
            format!("<div class=\"cards\">\n{}</div>\n", cards.iter().map(card).collect::<String>())
        }
        Block::Chart(chart) => figure(&chart.what),
        Block::Multiples(charts) => {
            let charts: String = charts.iter().map(|chart| chart.what.svg(SMALL)).collect();
            format!("<div class=\"multiples\">\n{charts}</div>\n")
        }
        Block::Table(named) => table(&named.what),
        Block::Code(code) => format!("<pre tabindex=\"0\"><code>{}</code></pre>\n", escape(code)),
    }
}

fn card(card: &Card) -> String {
    // The figure large, what stands in brackets behind it small.
    let value = card.value.text.as_str();
    let (figure, rest) = value.split_once(" (").unwrap_or((value, ""));
    let rest = rest.trim_end_matches(')');
    let interval = if rest.is_empty() { String::new() } else { format!(" <span>{}</span>", escape(rest)) };
    format!(
        "<div class=\"card\"><h3>{}</h3><p class=\"value\">{}{interval}</p><p>{}</p></div>\n",
        escape(&card.name),
        escape(figure),
        sentence(&card.detail)
    )
}

fn figure(chart: &Chart) -> String {
    format!(
        "<figure>\n<div class=\"wide\">{}</div>\n<div class=\"medium\">{}</div>\n<div class=\"narrow\">{}</div>\n</figure>\n",
        chart.svg(WIDE),
        chart.svg(MEDIUM),
        chart.svg(NARROW)
    )
}

fn table(table: &Table) -> String {
    let shown = table.shown_columns();
    let column = |&at: &usize| PageColumn {
        title: &table.columns[at].title,
        is_number: table.columns[at].number,
        is_long: is_long(table, at),
    };
    let columns: Vec<PageColumn<'_>> = shown.iter().map(column).collect();
    let row = |row: &Vec<Value>| shown.iter().map(|&at| row[at].text.clone()).collect();
    let rows: Vec<Vec<String>> = table.rows.iter().map(row).collect();
    let mut text = html_table(&table.title, &columns, &rows);
    for note in &table.notes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "<p class=\"note\">{}</p>", sentence(note));
    }
    let title = escape(&table.title);
    if table.rows.len() > OPEN_ROWS {
        format!(
            "<details><summary>{title} ({})</summary>\n{text}</details>\n",
            counted(table.rows.len(), "row")
        )
    } else {
        format!("<h3>{title}</h3>\n{text}")
    }
}

/// Only long texts may break into lines.
fn is_long(table: &Table, column: usize) -> bool {
    const LONG: usize = 30;
    table.rows.iter().any(|row| row[column].text.chars().count() > LONG)
}

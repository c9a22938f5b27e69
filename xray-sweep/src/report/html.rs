//! The document as one page: style and charts inside it, no scripts, nothing to fetch. Each chart is there twice,
//! for wide and for narrow screens, and the style sheet shows one of them.

use super::document::{Block, Card, Document, Section, Table};
use std::fmt::Write;
use xray_display::chart::{Chart, NARROW, SMALL, STYLE, WIDE};
use xray_display::counted;

/// Longer tables are folded.
const OPEN_ROWS: usize = 40;

/// `report.html`.
pub(super) fn page(document: &Document) -> String {
    let title = escape(&document.title);
    let links: String = document
        .sections
        .iter()
        .map(|s| format!("<li><a href=\"#{}\">{}</a></li>\n", s.id, escape(&s.title)))
        .collect();
    let sections: String = document.sections.iter().map(section).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{page}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         <nav aria-label=\"Contents\"><ul>\n{links}</ul></nav>\n{sections}</main>\n</body>\n</html>\n",
        page = include_str!("page.css")
    )
}

fn section(section: &Section) -> String {
    let blocks: String = section.blocks.iter().map(block).collect();
    format!("<section id=\"{}\">\n<h2>{}</h2>\n{blocks}</section>\n", section.id, escape(&section.title))
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
        "<figure>\n<div class=\"wide\">{}</div>\n<div class=\"narrow\">{}</div>\n</figure>\n",
        chart.svg(WIDE),
        chart.svg(NARROW)
    )
}

fn table(table: &Table) -> String {
    let title = escape(&table.title);
    let mut text = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table>\n<thead><tr>"
    );
    // Writing to a string cannot fail.
    let shown: Vec<(usize, &str)> =
        table.shown_columns().into_iter().map(|at| (at, class(table, at))).collect();
    for (at, class) in &shown {
        let _ = write!(text, "<th scope=\"col\"{class}>{}</th>", escape(&table.columns[*at].title));
    }
    text += "</tr></thead>\n<tbody>\n";
    for row in &table.rows {
        text += "<tr>";
        for (at, class) in &shown {
            let _ = write!(text, "<td{class}>{}</td>", escape(&row[*at].text));
        }
        text += "</tr>\n";
    }
    text += "</tbody>\n</table></div>\n";
    for note in &table.notes {
        let _ = writeln!(text, "<p class=\"note\">{}</p>", sentence(note));
    }
    if table.rows.len() > OPEN_ROWS {
        format!(
            "<details><summary>{title} ({})</summary>\n{text}</details>\n",
            counted(table.rows.len(), "row")
        )
    } else {
        format!("<h3>{title}</h3>\n{text}")
    }
}

/// Numbers stand to the right; only long texts may break into lines.
fn class(table: &Table, column: usize) -> &'static str {
    const LONG: usize = 30;
    let long = || table.rows.iter().any(|row| row[column].text.chars().count() > LONG);
    match table.columns[column].number {
        true => " class=\"number\"",
        false if long() => " class=\"long\"",
        false => "",
    }
}

/// A sentence of our own, in which backquotes mean code.
fn sentence(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(at, part)| if at % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) })
        .collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

//! Pages for people: one HTML file with its style inside, without scripts, and nothing to fetch.

use crate::chart;
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");

/// A page.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Stands above it.
    pub title: &'a str,
    /// Rules of its own, behind those that all pages have.
    pub style: &'a str,
    /// Its parts, in order.
    pub sections: &'a [PageSection],
    /// Whether it holds pictures, as addresses that begin with `data:`.
    pub has_pictures: bool,
}

/// A part with a heading.
#[derive(Clone, Debug)]
pub struct PageSection {
    /// Names it in links.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// HTML.
    pub body: String,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct PageColumn<'a> {
    /// Its title.
    pub title: &'a str,
    /// Numbers stand to the right.
    pub is_number: bool,
    /// Long texts may break into lines.
    pub is_long: bool,
}

impl Page<'_> {
    /// The file.
    pub fn html(&self) -> String {
        let title = escape(self.title);
        let link = |section: &PageSection| {
            format!("<li><a href=\"#{}\">{}</a></li>\n", escape(&section.id), escape(&section.title))
        };
        let links: String = self.sections.iter().map(link).collect();
        let section = |section: &PageSection| {
            let (id, title) = (escape(&section.id), escape(&section.title));
            format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{}</section>\n", section.body)
        };
        let sections: String = self.sections.iter().map(section).collect();
        let pictures = if self.has_pictures { "; img-src data:" } else { "" };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'{pictures}\">\n\
             <title>{title}</title>\n<style>\n{chart}{STYLE}{own}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
             <nav aria-label=\"Contents\"><ul>\n{links}</ul></nav>\n{sections}</main>\n</body>\n</html>\n",
            chart = chart::STYLE,
            own = self.style,
        )
    }
}

/// Tables with more columns are printed in small letters.
const MANY_COLUMNS: usize = 8;

/// A table that scrolls by itself where the screen is narrow. Cells are text.
pub fn html_table(title: &str, columns: &[PageColumn<'_>], rows: &[Vec<String>]) -> String {
    let title = escape(title);
    let class = if columns.len() > MANY_COLUMNS { " class=\"many\"" } else { "" };
    let mut text = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table{class}>\n<thead><tr>"
    );
    // Writing to a string cannot fail.
    for column in columns {
        let _ = write!(text, "<th scope=\"col\"{}>{}</th>", column.class(), escape(column.title));
    }
    text += "</tr></thead>\n<tbody>\n";
    for row in rows {
        text += "<tr>";
        for (column, cell) in columns.iter().zip(row) {
            let _ = write!(text, "<td{}>{}</td>", column.class(), escape(cell));
        }
        text += "</tr>\n";
    }
    text + "</tbody>\n</table></div>\n"
}

impl PageColumn<'_> {
    fn class(&self) -> &'static str {
        match (self.is_number, self.is_long) {
            (true, _) => " class=\"number\"",
            (false, true) => " class=\"long\"",
            (false, false) => "",
        }
    }
}

/// A sentence of our own, in which backquotes mean code.
pub fn sentence(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(at, part)| if at % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) })
        .collect()
}

/// Text as it stands in HTML, in attributes too.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_wherever_it_stands() {
        let evil = "<b>\"&";
        let sections = [PageSection { id: "a".into(), title: evil.into(), body: sentence("say `<i>`") }];
        let page = Page { title: evil, style: "", sections: &sections, has_pictures: false };
        let html = page.html();
        assert!(html.contains("<h1>&lt;b&gt;&quot;&amp;</h1>"), "{html}");
        assert!(
            html.contains("<h2>&lt;b&gt;&quot;&amp;</h2>\nsay <code>&lt;i&gt;</code></section>"),
            "{html}"
        );
        assert!(!html.contains(evil) && !html.contains("img-src"), "{html}");
        let html = Page { has_pictures: true, ..page }.html();
        assert!(html.contains("default-src 'none'; style-src 'unsafe-inline'; img-src data:\""), "{html}");
        let column = PageColumn { title: evil, is_number: true, is_long: false };
        let table = html_table("t", &[column], &[vec![evil.into()]]);
        assert!(table.contains("<td class=\"number\">&lt;b&gt;&quot;&amp;</td>"), "{table}");
    }
}

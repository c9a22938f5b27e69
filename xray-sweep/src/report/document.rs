//! What a report says, before it is HTML, markdown or JSON.

use serde_json::{Value as Json, json};
use xray_display::chart::Chart;
use xray_display::{DASH, duration, number, percent, thousands, with_interval};

/// A report.
pub(super) struct Document {
    pub(super) title: String,
    pub(super) sections: Vec<Section>,
}

/// A part with a heading.
pub(super) struct Section {
    /// Names it in links and in JSON.
    pub(super) id: &'static str,
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

/// What a section is made of.
pub(super) enum Block {
    /// A paragraph.
    Text(String),
    /// A paragraph that must not be missed.
    Warning(String),
    /// Figures that answer the reader's first questions.
    Cards(Vec<Card>),
    /// A chart of the page's width.
    Chart(Named<Chart>),
    /// Charts of one kind side by side.
    Multiples(Vec<Named<Chart>>),
    /// Rows and columns.
    Table(Named<Table>),
    /// Commands to type.
    Code(String),
}

/// A chart or table with the name of its file or of its key in JSON.
pub(super) struct Named<T> {
    pub(super) name: String,
    pub(super) what: T,
}

/// One figure, its name, and what to know of it.
pub(super) struct Card {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) detail: String,
}

/// Rows and columns.
pub(super) struct Table {
    pub(super) title: String,
    pub(super) columns: Vec<ColumnTitle>,
    pub(super) rows: Vec<Vec<Value>>,
    /// What a reader should know of it.
    pub(super) notes: Vec<String>,
    /// People are not shown the columns in which no row says anything.
    hides_empty_columns: bool,
}

/// A column: its key in JSON, its title for people.
#[derive(Clone)]
pub(super) struct ColumnTitle {
    pub(super) key: &'static str,
    pub(super) title: String,
    /// Numbers stand to the right.
    pub(super) number: bool,
}

/// A cell of a table: for people, and exact.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) json: Json,
}

impl Section {
    pub(super) fn new(id: &'static str, title: impl Into<String>) -> Section {
        Section { id, title: title.into(), blocks: Vec::new() }
    }

    pub(super) fn text(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Text(text.into()));
    }

    pub(super) fn warning(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Warning(text.into()));
    }

    pub(super) fn chart(&mut self, name: impl Into<String>, chart: Chart) {
        self.blocks.push(Block::Chart(Named { name: name.into(), what: chart }));
    }

    /// Nothing without charts.
    pub(super) fn multiples(&mut self, charts: Vec<Named<Chart>>) {
        if !charts.is_empty() {
            self.blocks.push(Block::Multiples(charts));
        }
    }

    /// Nothing without rows.
    pub(super) fn table(&mut self, name: impl Into<String>, table: Table) {
        if !table.rows.is_empty() {
            self.blocks.push(Block::Table(Named { name: name.into(), what: table }));
        }
    }
}

impl Table {
    /// Columns as `(key, title)`; a title that begins with `>` is that of numbers.
    pub(super) fn new(title: impl Into<String>, columns: &[(&'static str, &str)]) -> Table {
        let column = |&(key, title): &(&'static str, &str)| ColumnTitle {
            key,
            title: title.trim_start_matches('>').to_owned(),
            number: title.starts_with('>'),
        };
        let columns = columns.iter().map(column).collect();
        Table {
            title: title.into(),
            columns,
            rows: Vec::new(),
            notes: Vec::new(),
            hides_empty_columns: false,
        }
    }

    pub(super) fn row(&mut self, values: Vec<Value>) {
        debug_assert_eq!(values.len(), self.columns.len());
        self.rows.push(values);
    }

    /// Shown to people without the columns in which no row says anything.
    pub(super) fn without_empty_columns(self) -> Table {
        Table { hides_empty_columns: true, ..self }
    }

    /// The columns that people are shown.
    pub(super) fn shown_columns(&self) -> Vec<usize> {
        let says = |at: usize| self.rows.iter().any(|row| !matches!(row[at].text.as_str(), "" | DASH));
        (0..self.columns.len()).filter(|&at| !self.hides_empty_columns || says(at)).collect()
    }
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Value {
        let text = text.into();
        Value { json: json!(text), text }
    }

    pub(super) fn count(count: impl Into<Option<i64>>) -> Value {
        let count = count.into();
        Value { text: count.map_or(DASH.into(), thousands), json: json!(count) }
    }

    /// A number with so many decimals; a dash for what is not defined.
    pub(super) fn number(value: Option<f64>, decimals: usize) -> Value {
        Value { text: number(value, decimals), json: json!(value) }
    }

    /// A signed number; see [`Self::number`].
    pub(super) fn signed(value: Option<f64>, decimals: usize) -> Value {
        let text = value.map_or(DASH.into(), |value| format!("{value:+.decimals$}"));
        Value { text, json: json!(value) }
    }

    /// `0.712–0.734`.
    pub(super) fn interval(interval: Option<[f64; 2]>, decimals: usize) -> Value {
        let text =
            interval.map_or(DASH.into(), |[low, high]| format!("{low:.decimals$} to {high:.decimals$}"));
        Value { text, json: json!(interval) }
    }

    /// A number with the interval around it.
    pub(super) fn estimate(value: Option<f64>, interval: Option<[f64; 2]>, decimals: usize) -> Value {
        let text = with_interval(value, interval, decimals, " to ");
        Value { text, json: json!({ "value": value, "interval": interval }) }
    }

    /// A signed number with its interval; see [`Self::estimate`].
    pub(super) fn signed_estimate(value: Option<f64>, interval: Option<[f64; 2]>, decimals: usize) -> Value {
        let mut text = Self::signed(value, decimals).text;
        if let Some([low, high]) = interval {
            text += &format!(" ({low:+.decimals$} to {high:+.decimals$})");
        }
        Value { text, json: json!({ "value": value, "interval": interval }) }
    }

    /// A p-value.
    pub(super) fn p(p: Option<f64>) -> Value {
        let text = match p {
            Some(p) if p < 0.001 => "<0.001".to_owned(),
            other => number(other, 3),
        };
        Value { text, json: json!(p) }
    }

    /// Nothing to say.
    pub(super) fn none() -> Value {
        Value { text: DASH.into(), json: Json::Null }
    }

    /// A share as percent.
    pub(super) fn percent(share: f64) -> Value {
        Value { text: percent(share), json: json!(share) }
    }

    /// Seconds.
    pub(super) fn duration(seconds: Option<f64>) -> Value {
        Value { text: duration(seconds), json: json!(seconds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_say_nothing_are_not_shown() {
        let mut table = Table::new("t", &[("a", "a"), ("b", ">b"), ("c", ">c")]);
        table.row(vec![Value::text(""), Value::number(None, 1), Value::number(Some(0.25), 1)]);
        assert_eq!(table.shown_columns(), [0, 1, 2]);
        assert_eq!(table.without_empty_columns().shown_columns(), [2]);
    }
}

//! The cells of a row, and what is counted of them for a person to know.

use super::columns::{Columns, quoted_few};
use super::{Blank, file_name, split_cell};
use crate::error::Result;
use crate::labels::{is_finding, is_no_finding, plain};
use crate::schema::Label;
use crate::sources::findings::{self, Lists};
use crate::sources::label_columns::{LabelColumns, Places};
use crate::sources::table::{Row, is_blank, patient_name};
use crate::sources::{ImageRow, Listed, SourceProblem, parse_age, separator};
use std::collections::{BTreeMap, HashSet};
use xray_display::counted;

/// Reads rows.
pub(super) struct Reader<'a> {
    columns: &'a Columns,
    truth: &'a LabelColumns,
    lists: Option<Lists<'a>>,
    blank: Blank,
    counts: &'a mut Counts,
}

/// What a person should know of the cells.
#[derive(Default)]
pub(super) struct Counts {
    rows: u64,
    blank: u64,
    uncertain: u64,
    all_unknown: u64,
    devices: u64,
    /// Patients as `75.0`.
    decimal_patients: u64,
    /// Ages and sexes that say nothing, and the first of each.
    unread: BTreeMap<&'static str, (u64, String)>,
    /// Findings that are not labels.
    left_out: BTreeMap<String, u64>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        columns: &'a Columns,
        truth: &'a LabelColumns,
        blank: Blank,
        counts: &'a mut Counts,
    ) -> Self {
        let lists = match &truth.places {
            Places::Lists { column, separator, offer } => {
                Some(Lists::new(*column, *separator, &truth.labels).chosen(truth.chosen).offer(offer.clone()))
            }
            Places::Columns(_) => None,
        };
        Reader { columns, truth, lists, blank, counts }
    }

    pub(super) fn read(&mut self, row: Row<'_>) -> Result<Listed> {
        let file = row.filled(self.columns.path)?.to_owned();
        let image_id = file_name(&file).to_owned();
        let (labels, no_finding) = self.labels(row, &image_id)?;
        self.counts.rows += 1;
        self.counts.all_unknown +=
            u64::from(!labels.is_empty() && !labels.iter().any(|label| label.is_known()));
        let Columns { patient, split, view, lateral, sex, age, .. } = *self.columns;
        let is_lateral = row.optional(lateral).filter(|value| value.eq_ignore_ascii_case("lateral"));
        let listed = ImageRow {
            patient_id: row.optional(patient).map(|id| self.patient(id)),
            labels,
            no_finding,
            split: split.map(|column| split_cell(row, column)).transpose()?,
            view: row.optional(view).map(str::to_owned).or_else(|| is_lateral.map(|_| "LATERAL".to_owned())),
            sex: row.optional(sex).and_then(|text| self.read_or_count("sex", text, findings::sex)),
            age: row.optional(age).and_then(|text| self.read_or_count("age", text, parse_age)),
            source: None,
            image_id,
        };
        Ok(Listed { row: listed, file, table: 0, line: row.line })
    }

    fn patient(&mut self, cell: &str) -> String {
        let name = patient_name(cell);
        self.counts.decimal_patients += u64::from(name != cell);
        name.to_owned()
    }

    fn read_or_count<T>(
        &mut self,
        what: &'static str,
        text: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(text);
        if value.is_none() {
            self.counts.unread.entry(what).or_insert_with(|| (0, crate::sources::problem::short(text))).0 +=
                1;
        }
        value
    }

    /// The labels, and what is said of there being none; nothing where that follows from the labels.
    fn labels(&mut self, row: Row<'_>, image_id: &str) -> Result<(Vec<Label>, Option<Label>)> {
        let (mut labels, mut no_finding) = match (&self.lists, &self.truth.places) {
            (Some(lists), _) => {
                let said = lists.read(row, image_id, &mut self.counts.left_out)?;
                (said.labels, Some(said.no_finding))
            }
            (None, Places::Columns(places)) => {
                let labels =
                    places.iter().map(|&column| findings::cell(row, column)).collect::<Result<Vec<_>>>()?;
                (labels, self.truth.no_finding.map(|column| findings::cell(row, column)).transpose()?)
            }
            (None, Places::Lists { .. }) => unreachable!("lists have a reader"),
        };
        self.counts.blank += labels.iter().filter(|label| **label == Label::Unknown).count() as u64;
        self.counts.uncertain += labels.iter().filter(|label| **label == Label::Uncertain).count() as u64;
        if self.blank == Blank::Negative {
            let cells = labels.iter_mut().chain(&mut no_finding);
            cells.filter(|label| **label == Label::Unknown).for_each(|label| *label = Label::Negative);
        }
        self.refuse_contradiction(row, image_id, &labels, no_finding)?;
        // An image may show what a column says that is not read: that it shows nothing is not known then.
        let other = |&column: &usize| findings::value(row.field(column)) == Some(Label::Positive);
        if no_finding.is_none() && self.truth.others.iter().any(other) {
            no_finding = Some(Label::Unknown);
        }
        Ok((labels, no_finding))
    }

    fn refuse_contradiction(
        &mut self,
        row: Row<'_>,
        image_id: &str,
        labels: &[Label],
        no_finding: Option<Label>,
    ) -> Result<()> {
        let names = &self.truth.labels;
        let own = names.iter().position(|name| is_no_finding(name)).map(|place| labels[place]);
        let positive = |accept: fn(&str) -> bool| {
            names.iter().zip(labels).find(|(name, label)| **label == Label::Positive && accept(name))
        };
        if no_finding == Some(Label::Positive) || own == Some(Label::Positive) {
            if let Some((finding, _)) = positive(is_finding) {
                let (image_id, finding) = (image_id.to_owned(), finding.clone());
                return Err(row.problem(SourceProblem::Contradiction { image_id, finding }));
            }
            self.counts.devices +=
                u64::from(positive(|name| !is_finding(name) && !is_no_finding(name)).is_some());
        }
        let Some((column, separator)) = self.truth.twin else { return Ok(()) };
        let cell = row.field(column);
        if is_blank(cell) {
            return Ok(());
        }
        let listed: HashSet<String> = separator::findings(cell, separator).into_iter().map(plain).collect();
        for (name, label) in names.iter().zip(labels).filter(|(name, _)| !is_no_finding(name)) {
            let is_listed = listed.contains(&plain(name));
            if (is_listed && *label == Label::Negative) || (!is_listed && *label == Label::Positive) {
                let (list, finding) = (row.header(column).to_owned(), name.clone());
                return Err(row.problem(SourceProblem::TwoTruths { finding, list, is_listed }));
            }
        }
        Ok(())
    }
}

impl Counts {
    pub(super) fn notes(&self, truth: &LabelColumns, blank: Blank) -> Vec<String> {
        let mut notes = Vec::new();
        let cells = self.rows * truth.labels.len() as u64;
        if self.blank > 0 {
            let taken = match blank {
                Blank::Unknown => "unknown (--blank negative takes them for negative)",
                Blank::Negative => "negative",
            };
            notes.push(format!("{} of {cells} label cells are blank: taken for {taken}", self.blank));
        }
        if self.uncertain > 0 {
            notes.push(format!("{} of {cells} label cells are -1: kept as uncertain", self.uncertain));
        }
        if self.all_unknown > 0 && blank == Blank::Unknown {
            notes.push(format!("rows of which no label is known: {} of {}", self.all_unknown, self.rows));
        }
        if self.devices > 0 {
            notes.push(format!(
                "rows with `No Finding` and a device, which is not a finding: {}",
                self.devices
            ));
        }
        if self.decimal_patients > 0 {
            notes.push(format!(
                "patients as `75.0` are taken for `75`: {}",
                counted(self.decimal_patients, "row")
            ));
        }
        for (what, (rows, first)) in &self.unread {
            notes.push(format!("rows whose {what} cannot be read, as `{first}`, and is left out: {rows}"));
        }
        if !self.left_out.is_empty() {
            let names = quoted_few(self.left_out.keys().map(String::as_str));
            notes.push(format!("findings that are not labels and are left out: {names}"));
        }
        notes
    }
}

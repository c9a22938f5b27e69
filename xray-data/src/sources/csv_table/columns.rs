//! Which column is what, labels apart, and what is said of those that are not used.

use super::{AGE, CsvColumns, LATERAL, PATH, PATIENT, SEX, SPLIT, VIEW, split_name};
use crate::error::Result;
use crate::sources::label_columns::{LabelColumns, Places};
use crate::sources::table::Row;
use crate::sources::{SourceProblem, Table, separator};
use std::collections::{BTreeSet, HashMap};

/// The columns that are not labels.
pub(super) struct Columns {
    pub(super) path: usize,
    pub(super) patient: Option<usize>,
    pub(super) split: Option<usize>,
    pub(super) view: Option<usize>,
    pub(super) lateral: Option<usize>,
    pub(super) sex: Option<usize>,
    pub(super) age: Option<usize>,
}

impl Columns {
    pub(super) fn find(table: &Table, columns: &CsvColumns) -> Result<Columns> {
        let named_or_usual = |named: &Option<String>, usual| match named {
            Some(name) => table.named(name).map(Some),
            None => table.agreed(usual),
        };
        let path = match &columns.path {
            Some(name) => table.named(name)?,
            None => table.require(PATH)?,
        };
        let mut split = named_or_usual(&columns.split, SPLIT)?;
        if columns.other_splits {
            let says = |column: &usize| table.rows().all(|row| split_name(row.field(*column)).is_some());
            split = split.filter(says);
        }
        let patient = named_or_usual(&columns.patient, PATIENT)?;
        if let (None, Some(patient)) = (&columns.patient, patient) {
            refuse_other_patients(table, patient)?;
        }
        Ok(Columns {
            path,
            patient,
            split,
            view: table.agreed(VIEW)?,
            lateral: table.agreed(LATERAL)?,
            sex: table.agreed(SEX)?,
            age: table.agreed(AGE)?,
        })
    }

    /// Says that columns which nobody named hold splits and nothing else, where no column is used as such.
    pub(super) fn overlooked_splits(&self, table: &Table, truth: &LabelColumns) -> Option<String> {
        let taken = self.taken();
        let is_label = |column: &usize| match &truth.places {
            Places::Lists { column: of, .. } => of == column,
            Places::Columns(places) => places.contains(column),
        };
        let holds_splits = |column: &usize| {
            let mut found = BTreeSet::new();
            let says =
                |row: Row<'_>| split_name(row.field(*column)).map(|split| found.insert(split)).is_some();
            table.rows().all(says) && found.len() > 1
        };
        let headers: Vec<&str> = table.headers().collect();
        let mut unused = (0..headers.len()).filter(|column| !taken.contains(column) && !is_label(column));
        let column = headers[unused.find(holds_splits).filter(|_| self.split.is_none())?];
        let option = crate::sources::problem::short(column);
        Some(format!("column `{option}` holds splits and is not used: --split-column '{option}' keeps them"))
    }

    fn uses(&self) -> [(&'static str, Option<usize>); 7] {
        [
            ("path", Some(self.path)),
            ("patient", self.patient),
            ("split", self.split),
            ("view", self.view),
            ("view", self.lateral),
            ("sex", self.sex),
            ("age", self.age),
        ]
    }

    pub(super) fn taken(&self) -> BTreeSet<usize> {
        self.uses().into_iter().filter_map(|(_, column)| column).collect()
    }
}

/// Two columns that may name the patient have to tell the same patients apart.
fn refuse_other_patients(table: &Table, patient: usize) -> Result<()> {
    let others: BTreeSet<usize> = PATIENT.iter().filter_map(|name| table.column(&[name])).collect();
    for other in others.into_iter().filter(|other| *other != patient) {
        let (mut there, mut back) = (HashMap::new(), HashMap::new());
        for row in table.rows() {
            let (a, b) = (row.field(patient), row.field(other));
            if *there.entry(a).or_insert(b) != b || *back.entry(b).or_insert(a) != a {
                let [first, second] = [patient, other].map(|column| row.header(column).to_owned());
                return Err(row.problem(SourceProblem::PatientColumns { first, second }));
            }
        }
    }
    Ok(())
}

/// What is used as what, and what is not used, columns that look like labels first.
pub(super) fn described(table: &Table, columns: &Columns, truth: &LabelColumns) -> String {
    let headers: Vec<&str> = table.headers().collect();
    let quoted = |columns: &[usize]| quoted_few(columns.iter().map(|&column| headers[column]));
    let mut used: BTreeSet<usize> = columns.taken();
    let mut uses: Vec<String> = columns
        .uses()
        .into_iter()
        .filter_map(|(what, column)| Some(format!("{what} {}", quoted(&[column?]))))
        .collect();
    match &truth.places {
        Places::Lists { column, separator, .. } => {
            used.insert(*column);
            uses.push(format!("findings {} ({})", quoted(&[*column]), separator::style(*separator)));
        }
        Places::Columns(places) if places.is_empty() => {}
        Places::Columns(places) => {
            used.extend(places);
            uses.push(format!("labels {}", quoted(places)));
        }
    }
    used.extend(truth.twin.map(|(column, _)| column));
    used.extend(truth.no_finding);
    uses.extend(truth.no_finding.map(|column| format!("no finding {}", quoted(&[column]))));
    let mut text = format!("columns used: {}", uses.join(", "));
    if !truth.others.is_empty() {
        text += &format!("; not used, though they look like labels: {}", quoted(&truth.others));
    }
    let rest = |column: &usize| {
        !used.contains(column) && !truth.others.contains(column) && !headers[*column].is_empty()
    };
    let rest: Vec<usize> = (0..headers.len()).filter(rest).collect();
    if !rest.is_empty() {
        text += &format!("; not used: {}", quoted(&rest));
    }
    text
}

/// At most forty names; a table may have thousands.
pub(in crate::sources) fn quoted_few<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names
        .iter()
        .take(40)
        .map(|name| format!("`{}`", crate::sources::problem::short(name)))
        .collect::<Vec<_>>();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

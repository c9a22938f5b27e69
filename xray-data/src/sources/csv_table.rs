//! Any table with one image per row: a path, a patient and labels, the labels either in one column each, or as
//! lists in one column. What the table offers and is not used is named.

use crate::error::Result;
use crate::labels::{is_finding, is_no_finding, plain};
use crate::schema::Label;
use crate::sources::findings::{self, Lists};
use crate::sources::join::{self, Join};
use crate::sources::label_columns::{self, LabelColumns, Places};
use crate::sources::table::{Row, is_blank, patient_name};
use crate::sources::{ImageRow, Listed, Listing, SourceProblem, Table, parse_age, separator};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use xray_artifacts::Split;

pub(crate) const PATH: &[&str] =
    &["path", "image_path", "file", "filename", "file_name", "image", "image_id", "Image Index"];
pub(crate) const PATIENT: &[&str] = &["patient_id", "patient", "subject_id", "Patient ID"];
pub(crate) const VIEW: &[&str] = &["view", "view_position", "ViewPosition", "AP/PA"];
pub(crate) const SEX: &[&str] = &["sex", "gender", "Patient Gender", "Patient Sex"];
pub(crate) const AGE: &[&str] = &["age", "Patient Age"];
/// CheXpert's: what `AP/PA` leaves blank is lateral.
const LATERAL: &[&str] = &["Frontal/Lateral"];
const SPLIT: &[&str] = &["split"];

/// Which columns mean what, and how their cells are read. A column that is named must be there; for the others the
/// usual names are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvColumns {
    /// Path of the image, from the folder of images.
    pub path: Option<String>,
    /// The patient; without one the split is drawn by image and may leak.
    pub patient: Option<String>,
    /// `train`, `val` or `test`; a column `split` is read without being named.
    pub split: Option<String>,
    /// Read `split` only where it says nothing but splits: others are given anyway.
    pub other_splits: bool,
    /// Lists of findings.
    pub findings: Option<String>,
    /// The findings to keep, in this order. Where empty: the columns named like one of the fourteen, if no other
    /// column looks like labels, or all fourteen for a column of lists.
    pub labels: Vec<String>,
    /// Between columns; where none, as the header line shows.
    pub separator: Option<char>,
    /// What a blank label cell says.
    pub blank: Blank,
    /// How several rows of an image become one; where none, they are refused.
    pub join: Option<Join>,
    /// Keep labels that no image shows.
    pub allow_empty: bool,
}

/// What a blank label cell says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blank {
    /// Nothing: no loss is computed and no score counts it.
    #[default]
    Unknown,
    /// That the finding is absent, as papers on CheXpert take it: it was not mentioned.
    Negative,
}

/// Reads a table of any layout.
///
/// # Errors
/// [`Source`](crate::Error::Source) naming the line: a cell that cannot be read, columns or rows that contradict each
/// other, columns that look like labels and that nobody named, a label without a positive.
pub fn read(table: &Path, columns: &CsvColumns) -> Result<Listing> {
    let mut table = Table::read_separated(table, columns.separator)?;
    let places = Columns::find(&table, columns)?;
    let truth = label_columns::find(&table, columns, &places.taken())?;
    if let (Places::Lists { .. }, Some(Join::Majority | Join::All)) = (&truth.places, columns.join) {
        return Err(table.problem(1, SourceProblem::JoinLists));
    }
    let mut counts = Counts::default();
    let mut reader = Reader::new(&places, &truth, columns.blank, &mut counts);
    let rows = table.rows().map(|row| reader.read(row)).collect::<Result<Vec<_>>>()?;
    let mut notes = std::mem::take(&mut table.notes);
    let note = Some(described(&table, &places, &truth));
    let mut rows = rows;
    notes.extend(patients_by_path(&mut rows));
    name_by_path_if_needed(&mut rows);
    notes.extend(counts.notes(&truth, columns.blank));
    if let Some(rule) = columns.join {
        let before = rows.len();
        rows = join::join(rows, rule, &truth.labels, &table)?;
        if rows.len() < before {
            notes.push(format!("{before} rows of {} images are joined: {}", rows.len(), rule.describe()));
        }
    }
    let LabelColumns { labels, chosen, .. } = truth;
    let listing = Listing { rows, table: table.path, kind: "csv", labels, note, warnings: notes }.unique()?;
    if chosen && !columns.allow_empty { listing.refuse_empty_labels() } else { Ok(listing) }
}

/// The columns that are no labels.
struct Columns {
    path: usize,
    patient: Option<usize>,
    split: Option<usize>,
    view: Option<usize>,
    lateral: Option<usize>,
    sex: Option<usize>,
    age: Option<usize>,
}

impl Columns {
    fn find(table: &Table, columns: &CsvColumns) -> Result<Columns> {
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

    fn taken(&self) -> BTreeSet<usize> {
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
fn described(table: &Table, columns: &Columns, truth: &LabelColumns) -> String {
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
pub(super) fn quoted_few<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown =
        names.iter().take(40).map(|name| format!("`{}`", super::problem::short(name))).collect::<Vec<_>>();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Reads rows.
struct Reader<'a> {
    columns: &'a Columns,
    truth: &'a LabelColumns,
    lists: Option<Lists<'a>>,
    blank: Blank,
    counts: &'a mut Counts,
}

/// What a person should know of the cells.
#[derive(Default)]
struct Counts {
    rows: u64,
    blank: u64,
    uncertain: u64,
    all_unknown: u64,
    devices: u64,
    /// Patients as `75.0`.
    decimal_patients: u64,
    /// Ages and sexes that say nothing, and the first of each.
    unread: BTreeMap<&'static str, (u64, String)>,
    /// Findings that are no label.
    left_out: BTreeMap<String, u64>,
}

impl<'a> Reader<'a> {
    fn new(columns: &'a Columns, truth: &'a LabelColumns, blank: Blank, counts: &'a mut Counts) -> Self {
        let lists = match &truth.places {
            Places::Lists { column, separator, offer } => {
                Some(Lists::new(*column, *separator, &truth.labels).chosen(truth.chosen).offer(offer.clone()))
            }
            Places::Columns(_) => None,
        };
        Reader { columns, truth, lists, blank, counts }
    }

    fn read(&mut self, row: Row<'_>) -> Result<Listed> {
        let file = row.filled(self.columns.path)?.to_owned();
        let image_id = file_name(&file).to_owned();
        let (labels, no_finding) = self.labels(row, &image_id)?;
        self.counts.rows += 1;
        self.counts.all_unknown += u64::from(!labels.iter().any(|label| label.is_known()));
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
            image_id,
        };
        Ok(Listed { row: listed, file, line: row.line })
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
            self.counts.unread.entry(what).or_insert_with(|| (0, super::problem::short(text))).0 += 1;
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
    fn notes(&self, truth: &LabelColumns, blank: Blank) -> Vec<String> {
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
            notes.push(format!("rows with `No Finding` and a device, which is no finding: {}", self.devices));
        }
        if self.decimal_patients > 0 {
            notes.push(format!("patients as `75.0` are taken for `75`: {} rows", self.decimal_patients));
        }
        for (what, (rows, first)) in &self.unread {
            notes.push(format!("rows whose {what} cannot be read, as `{first}`, and is left out: {rows}"));
        }
        if !self.left_out.is_empty() {
            let names = quoted_few(self.left_out.keys().map(String::as_str));
            notes.push(format!("findings that are no label and are left out: {names}"));
        }
        notes
    }
}

/// CheXpert has no column of patients: they are a folder of the path, `patient00001`. Taken where every path has one.
fn patients_by_path(rows: &mut [Listed]) -> Option<String> {
    fn patient(path: &str) -> Option<&str> {
        let digits = |part: &&str| {
            let number = part.strip_prefix("patient").unwrap_or_default();
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let mut folders = path.split(['/', '\\']).filter(digits);
        folders.next().filter(|_| folders.next().is_none())
    }
    let has_one = |listed: &Listed| listed.row.patient_id.is_none() && patient(&listed.file).is_some();
    if rows.is_empty() || !rows.iter().all(has_one) {
        return None;
    }
    for Listed { row, file, .. } in rows.iter_mut() {
        row.patient_id = patient(file).map(str::to_owned);
    }
    Some(format!(
        "patients are taken from the paths, as `{}`",
        rows[0].row.patient_id.as_deref().unwrap_or_default()
    ))
}

/// An image is named by its file name; where folders hold files of one name, as `view1.jpg` per patient, all
/// are named by their paths, `_` between the folders.
fn name_by_path_if_needed(rows: &mut [Listed]) {
    let distinct: HashSet<&str> = rows.iter().map(|listed| listed.row.image_id.as_str()).collect();
    let paths: HashSet<&str> = rows.iter().map(|listed| listed.file.as_str()).collect();
    if distinct.len() < paths.len() {
        for Listed { row, file, .. } in rows {
            row.image_id = file.trim_start_matches("./").replace(['/', '\\'], "_");
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn split_cell(row: Row<'_>, column: usize) -> Result<Split> {
    let value = row.filled(column)?;
    split_name(value).ok_or_else(|| {
        let (column, value) = (row.header(column).to_owned(), value.to_owned());
        row.problem(SourceProblem::SplitName { column, value })
    })
}

/// `train`, `val` (also `valid`, `validation`, `dev`) or `test`, in any case.
pub(crate) fn split_name(value: &str) -> Option<Split> {
    match plain(value).as_str() {
        "train" | "training" => Some(Split::Train),
        "val" | "valid" | "validation" | "dev" => Some(Split::Val),
        "test" | "testing" => Some(Split::Test),
        _ => None,
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Join;
    use Label::{Negative, Positive, Uncertain, Unknown};
    use std::fs;
    use xray_artifacts::one_line;

    fn read_text(text: &str, columns: &CsvColumns) -> Result<Listing> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("rows.csv");
        fs::write(&path, text).expect("writable");
        read(&path, columns)
    }

    fn check_refused(text: &str, columns: &CsvColumns, expected: &str) {
        let message = one_line(&read_text(text, columns).expect_err(expected));
        assert!(message.ends_with(expected), "{message}");
    }

    #[test]
    fn label_cells_are_read_in_every_spelling() {
        let text =
            "path,patient,Mass,Effusion,Nodule\na.png,1,1,0,-1\nb.png,1,true,FALSE,\nc.png,2,1.0,0.0,-1.0\n";
        let columns = CsvColumns { allow_empty: true, ..CsvColumns::default() };
        let listing = read_text(text, &columns).expect("a good table");
        assert_eq!(listing.labels, ["Effusion", "Mass", "Nodule"]); // the usual order, not the table's
        for listed in &listing.rows {
            let last = if listed.file == "b.png" { Unknown } else { Uncertain };
            assert_eq!(listed.row.labels, [Negative, Positive, last], "{}", listed.file);
        }
    }

    #[test]
    fn named_columns_and_a_joined_one_are_read() {
        let columns = CsvColumns {
            path: Some("where".into()),
            findings: Some("what".into()),
            split: Some("split".into()),
            labels: vec!["Fracture".into(), "Mass".into()],
            ..CsvColumns::default()
        };
        let text = "where,what,subject_id,split\nx/a.png,Mass|Fracture,7,valid\nb.png,Hernia,7,val\n";
        let listing = read_text(text, &columns).expect("a good table");
        assert_eq!(listing.rows[0].row.labels, [Positive, Positive]);
        assert_eq!(listing.rows[1].row.labels, [Negative, Negative]); // known, but not asked for
        assert_eq!(listing.rows[0].row.split, Some(Split::Val));
        assert_eq!(listing.rows[0].row.patient_id.as_deref(), Some("7"));
    }

    #[test]
    fn images_are_named_by_file_or_else_by_path() {
        let check = |paths: [&str; 2], expected: [&str; 2]| {
            let text = format!("path,Mass\n{},1\n{},1\n", paths[0], paths[1]);
            let listing = read_text(&text, &CsvColumns::default()).expect("a good table");
            let ids: Vec<_> = listing.rows.iter().map(|listed| listed.row.image_id.as_str()).collect();
            assert_eq!(ids, expected);
        };
        check(["x/a.png", "x/b.png"], ["a.png", "b.png"]);
        check(["p1/view.jpg", "./p2/view.jpg"], ["p1_view.jpg", "p2_view.jpg"]);
    }

    #[test]
    fn a_bad_cell_or_column_is_named() {
        let usual = CsvColumns::default();
        check_refused("path,Mass\na.png,2\n", &usual, "line 2: `2` in column `Mass` is no label");
        let split = CsvColumns { split: Some("split".into()), ..CsvColumns::default() };
        check_refused(
            "path,Mass,split\na.png,1,trian\n",
            &split,
            "line 2: `trian` in column `split` is no split",
        );
        check_refused("path,Massive\na.png,heavy\n", &usual, "line 1: no column holds labels");
        let effusion = CsvColumns { labels: vec!["Efusion".into()], ..CsvColumns::default() };
        check_refused(
            "path,Effusion\na.png,1\n",
            &effusion,
            "line 1: no column `Efusion`; nearest is `Effusion`",
        );
    }

    fn text_of(result: &Result<Listing>) -> String {
        match result {
            Ok(Listing { note, warnings, .. }) => [note.as_slice(), warnings].concat().join("\n"),
            Err(error) => format!("{}\n{}", one_line(error), error.hint().unwrap_or_default()),
        }
    }

    /// `change` is done to the usual columns; `expected` are parts of what is said.
    fn check(text: &str, change: impl FnOnce(&mut CsvColumns), expected: &[&str]) -> Option<Listing> {
        let mut columns = CsvColumns::default();
        change(&mut columns);
        let result = read_text(text, &columns);
        let said = text_of(&result);
        for part in expected {
            assert!(said.contains(part), "`{part}` in: {said}");
        }
        result.ok()
    }

    fn labels(names: &[&str]) -> impl FnOnce(&mut CsvColumns) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        move |columns| columns.labels = names
    }

    #[test]
    fn columns_that_look_like_labels_are_asked_about() {
        let refused = |text, parts: &[&str]| assert!(check(text, |_| (), parts).is_none(), "{text}");
        refused(
            "path,Mass,Covid\na,1,0\nb,0,1\n",
            &["beside those of ChestX-ray14: `Covid`", "--labels Mass,Covid"],
        );
        refused("path,TB\na,1\nb,0\n", &["`TB`", "take them with --labels TB"]);
        refused("path,\"Nodule, calcified\"\na,1\nb,0\n", &["--labels '\"Nodule, calcified\"'"]);
        refused(
            "path,Mass,Lung Opacity,Fracture,Other\na,1,yes,,0\nb,0,no,,\n",
            &["--labels 'Mass,Lung Opacity'", "`Other`, `Fracture`"],
        );
        refused("path,Good\na,0\nb,0\n", &["--labels Good --allow-empty-labels"]);
        refused("path,labels,Covid\na,free text,1\n", &["`Covid`"]);
        let listing =
            check("path,Mass,Covid\na,1,0\nb,0,1\n", labels(&["Covid", "Mass"]), &[]).expect("named");
        assert_eq!(
            (listing.labels, &listing.rows[1].row.labels),
            (vec!["Covid".into(), "Mass".into()], &vec![Positive, Negative])
        );
        // What is not kept is named, and an image that shows it is not healthy.
        let listing = check(
            "path,Mass,Covid,note\na,1,0,x\nb,0,1,y\nc,0,0,z\n",
            labels(&["Mass"]),
            &["look like labels: `Covid`; not used: `note`"],
        )
        .expect("named");
        assert_eq!(
            listing.rows.iter().map(|l| l.row.no_finding).collect::<Vec<_>>(),
            [None, Some(Unknown), None]
        );
    }

    #[test]
    fn labels_that_no_row_shows_are_refused_unless_allowed() {
        let text = "path,Mass,Covid\na,1,0\nb,0,-1\n";
        assert!(
            check(
                text,
                labels(&["Mass", "Covid"]),
                &["no row is positive for `Covid`", "--allow-empty-labels"]
            )
            .is_none()
        );
        let all = |columns: &mut CsvColumns| {
            labels(&["Mass", "Covid"])(columns);
            columns.allow_empty = true;
        };
        assert!(check(text, all, &["1 of 4 label cells are -1"]).is_some());
        let lists = "path,findings\na,Mass\n";
        assert!(check(lists, |_| (), &[]).is_some(), "the fourteen are nobody's choice");
        assert!(check(lists, labels(&["Mass", "Hernia"]), &["no row is positive for `Hernia`"]).is_none());
    }

    #[test]
    fn no_finding_is_what_the_table_says() {
        let text = "path,Mass,Support Devices,No Finding\na,1,0,0\nb,,1,1\nc,,,\nd,,,1\n";
        let listing = check(
            text,
            labels(&["Mass", "Support Devices"]),
            &["no finding `No Finding`", "a device, which is no finding: 1"],
        );
        let said = |listing: Listing| listing.rows.iter().map(|l| l.row.no_finding).collect::<Vec<_>>();
        assert_eq!(said(listing.expect("a good table")), [Negative, Positive, Unknown, Positive].map(Some));
        let lists = check(
            "path,findings\na,Mass\nb,No Finding\nc,Hernia\nd,\n",
            labels(&["Mass"]),
            &["left out: `Hernia`"],
        );
        assert_eq!(said(lists.expect("a good table")), [Negative, Positive, Negative, Unknown].map(Some));
        for text in [
            "path,Mass,No finding\na,1,1\n",
            "path,findings\na,Mass|No Finding\n",
            "path,findings\na,\"['mass', 'normal']\"\n",
        ] {
            assert!(check(text, |_| (), &["image `a` has `No Finding` and `"]).is_none(), "{text}");
        }
        // As a label of its own.
        let own = check("path,Mass,No Finding\na,1,0\nb,0,1\n", labels(&["No Finding", "Mass"]), &[])
            .expect("named");
        assert_eq!(own.rows[1].row.labels, [Positive, Negative]);
    }

    #[test]
    fn blanks_have_a_policy() {
        let text = "path,Mass,Edema\na,1,\nb,NaN,1\nc,,\n";
        let listing = check(
            text,
            |_| (),
            &["4 of 6 label cells are blank: taken for unknown", "no label is known: 1 of 3"],
        );
        assert_eq!(listing.expect("a good table").rows[0].row.labels, [Positive, Unknown]);
        let listing = check(
            text,
            |columns| columns.blank = Blank::Negative,
            &["4 of 6 label cells are blank: taken for negative"],
        );
        assert_eq!(listing.expect("a good table").rows[2].row.labels, [Negative, Negative]);
    }

    #[test]
    fn a_split_column_is_kept() {
        let text = "path,Mass,Split\na,1,TRAIN\nb,0,valid\nc,0,Testing\nd,0,dev\n";
        let listing = check(text, |_| (), &["split `Split`"]).expect("a good table");
        let splits: Vec<_> = listing.rows.iter().filter_map(|listed| listed.row.split).collect();
        assert_eq!(splits, [Split::Train, Split::Val, Split::Test, Split::Val]);
        let fold = "path,Mass,split\na,1,train\nb,0,fold 2\n";
        assert!(
            check(fold, |_| (), &["line 3: `fold 2` in column `split` is no split", "--redraw-splits"])
                .is_none()
        );
        let listing =
            check(fold, |columns| columns.other_splits = true, &["not used: `split`"]).expect("redrawn");
        assert_eq!(listing.rows[0].row.split, None);
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |text, parts: &[&str]| assert!(check(text, |_| (), parts).is_none(), "{text}");
        refused(
            "path,Mass,mass\na,1,1\nb,1,0\n",
            &["line 3: column 2, `Mass`, says `1` and column 3, `mass`, says `0`"],
        );
        refused("path,patient_id,Patient ID,Mass\na,1,2,1\n", &["column 2, `patient_id`, says `1`"]);
        refused(
            "path,patient_id,subject_id,Mass\na,1,x,1\nb,1,y,1\n",
            &["line 3: `patient_id` and `subject_id` tell different patients apart", "--patient-column"],
        );
        refused("path,Path,Mass\na,b,1\n", &["column 1, `path`"]);
        refused(
            "path,Mass\na,1\na,1\n",
            &["image `a` is listed a second time, first on line 2", "--rows any"],
        );
        refused(
            "path,Mass,Finding Labels\na,1,Effusion\n",
            &["`Finding Labels` does not list `Mass` and the column `Mass` says 1"],
        );
        refused("path,Mass,Finding Labels\na,1,Mass\nb,0,Mass\n", &["line 3: `Finding Labels` lists `Mass`"]);
        assert!(check("path,Mass,mass\na,1,1\nb,0,0\n", |_| (), &[]).is_some(), "they agree");
        assert!(
            check("path,Mass,findings\na,1,A dense lesion.\n", |_| (), &["not used: `findings`"]).is_some(),
            "a report"
        );
        assert!(
            check("path,Mass\na,1\n", labels(&["Mass", "mass"]), &["the label `mass` is named twice"])
                .is_none()
        );
        assert!(
            check("path,image_id\na,1\n", labels(&["image_id"]), &["`image_id` cannot be a label"]).is_none()
        );
    }

    #[test]
    fn rows_of_an_image_are_joined_by_a_rule() {
        let text = "image_id,rad_id,Mass,Effusion,No finding\na,R1,1,0,0\na,R2,0,0,1\na,R3,1,0,0\nb,R1,0,0,1\nb,R2,0,1,0\n";
        let join = |rule, text| {
            let listing = check(
                text,
                |columns| (columns.join, columns.allow_empty) = (Some(rule), true),
                &["5 rows of 2 images are joined"],
            );
            let rows = listing.expect("a good table").rows;
            rows.into_iter().map(|listed| (listed.row.labels, listed.row.no_finding)).collect::<Vec<_>>()
        };
        let (no, yes) = (Some(Negative), Some(Positive));
        // Effusion comes first, as in the fourteen.
        assert_eq!(join(Join::Any, text), [(vec![Negative, Positive], no), (vec![Positive, Negative], no)]);
        assert_eq!(
            join(Join::Majority, text),
            [(vec![Negative, Positive], no), (vec![Uncertain, Negative], Some(Uncertain))]
        );
        assert_eq!(join(Join::All, text), [(vec![Negative, Negative], yes), (vec![Negative, Negative], yes)]);
        let lists = "image_id,class_name\na,Mass\na,Hernia\n";
        let any = check(
            lists,
            |columns| (columns.findings, columns.join) = (Some("class_name".into()), Some(Join::Any)),
            &[],
        );
        assert_eq!(any.expect("a good table").rows.len(), 1);
        let all = |columns: &mut CsvColumns| {
            (columns.findings, columns.join) = (Some("class_name".into()), Some(Join::All))
        };
        assert!(check(lists, all, &["can only be joined with --rows any"]).is_none());
        let two = "image_id,patient,Mass\na,1,1\na,2,0\n";
        assert!(
            check(
                two,
                |columns| columns.join = Some(Join::Any),
                &["line 3: image `a`: its patient is `2` here and `1` on line 2"]
            )
            .is_none()
        );
    }

    #[test]
    fn lists_are_read_however_they_are_joined() {
        let lists = |cells: &str| format!("path,Labels\na,{cells}\nb,No Finding\n");
        for cells in ["Mass|Effusion", "Mass;Effusion", "\"Mass, Effusion\"", "\"['mass', 'effusion']\""] {
            let listing = check(&lists(cells), |_| (), &[]).expect("a good table");
            assert_eq!(
                listing.rows[0].row.labels.iter().filter(|label| **label == Positive).count(),
                2,
                "{cells}"
            );
        }
        let padchest = lists("\"['pleural effusion', 'nodule']\"");
        assert!(
            check(
                &padchest,
                |_| (),
                &["unknown finding `pleural effusion`", "Python", "--labels 'pleural effusion,nodule'"]
            )
            .is_none()
        );
        assert!(check(&padchest, labels(&["pleural effusion"]), &["left out: `nodule`"]).is_some());
        assert!(
            check(&lists("Efusion|Mass"), labels(&["Effusion", "Mass"]), &["nearest is `Effusion`"])
                .is_none()
        );
        assert!(check(&lists("Mass/Covid"), |_| (), &["joined by `|`"]).is_none());
    }

    #[test]
    fn patients_of_one_number_are_one() {
        let listing =
            check("path,patient_id,Mass\na,1.0,1\nb,1,0\nc,001,0\nd,nan,0\ne,1.50,0\n", |_| (), &["1 rows"])
                .expect("good");
        let patients: Vec<_> = listing.rows.iter().map(|listed| listed.row.patient_id.as_deref()).collect();
        assert_eq!(patients, [Some("1"), Some("1"), Some("001"), None, Some("1.50")]);
        let text =
            "Path,Mass\nd/train/patient00001/study1/view1.jpg,1\nd/train/patient00002/study1/view1.jpg,0\n";
        let listing = check(text, |_| (), &["taken from the paths, as `patient00001`"]).expect("good");
        assert_eq!(listing.rows[1].row.patient_id.as_deref(), Some("patient00002"));
        let listing = check("Path,Mass\npatient1/a.jpg,1\nb.jpg,0\n", |_| (), &[]).expect("good");
        assert_eq!(listing.rows[0].row.patient_id, None);
    }

    #[test]
    fn ages_views_and_sexes_are_read_or_counted() {
        let text = "path,Age,Sex,AP/PA,Frontal/Lateral,Mass\na,018M,Male,AP,Frontal,1\nb,411,2,,Lateral,0\n";
        let listing = check(
            text,
            |_| (),
            &[
                "rows whose age cannot be read, as `411`, and is left out: 1",
                "whose sex cannot be read, as `2`",
            ],
        );
        let rows = listing.expect("good").rows;
        let said = |place: usize| {
            (rows[place].row.age, rows[place].row.sex.as_deref(), rows[place].row.view.as_deref())
        };
        assert_eq!((said(0), said(1)), ((Some(1), Some("M"), Some("AP")), (None, None, Some("LATERAL"))));
    }

    #[test]
    fn thousands_of_columns_take_linear_time_and_are_no_labels() {
        let names: Vec<String> = (0..20_000).map(|number| format!("c{number}")).collect();
        let row = |cell: &str| format!("a{cell},{}\n", vec![cell; names.len()].join(","));
        let text = format!("path,{}\n{}{}", names.join(","), row("1"), row("0"));
        let start = std::time::Instant::now();
        check(&text, |_| (), &["`c0`, `c1`", "and 19960 more", "name those to keep with --labels"]);
        let all = names.clone();
        check(&text, |columns| columns.labels = all, &["20000 labels, at most 1000 are possible"]);
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    /// Hundreds of tables, each damaged in a few places: no panic, and of what is read every row that is not blank
    /// is there.
    #[test]
    fn damaged_tables_are_refused_or_read_whole() {
        let good = "path,patient_id,age,Mass,Effusion,split,note\n".to_owned()
            + &(0..12)
                .map(|n| format!("p{n}/v.png,{n}.0,{n}M,{},{},train,\"x, {n}\"\n", n % 2, (n + 1) % 2))
                .collect::<String>();
        let pieces = [
            "\"",
            ",",
            ";",
            "\n",
            "\r",
            "\t",
            "|",
            "\u{feff}",
            "\0",
            "-1",
            "NaN",
            "1.000000",
            "Mass",
            "path",
            "[",
            "]",
            "'",
            "train",
            "test",
            "\u{e9}",
            "\u{1}",
            "../",
            "\\",
            "No Finding",
            ",,,,,,\n",
            "\"\"",
            "999999999999999999999",
            "sep=;\n",
        ];
        let mut state = 7u64;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        let (mut read, mut refused) = (0, 0);
        for _ in 0..1500 {
            let mut bytes = good.clone().into_bytes();
            for _ in 0..=draw(3) {
                let at = draw(bytes.len().max(1)).min(bytes.len());
                match draw(4) {
                    0 if at < bytes.len() => bytes[at] = draw(256) as u8,
                    1 => drop(bytes.splice(at..at, pieces[draw(pieces.len())].bytes()).count()),
                    2 => drop(bytes.drain(at..(at + draw(40)).min(bytes.len()))),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let dir = tempfile::tempdir().expect("a temporary folder");
            let path = dir.path().join("rows.csv");
            fs::write(&path, &bytes).expect("writable");
            let join = [None, Some(Join::Any)][draw(2)];
            match super::read(&path, &CsvColumns { join, allow_empty: true, ..CsvColumns::default() }) {
                Err(error) => {
                    assert!(one_line(&error).contains("rows.csv"), "{error}");
                    refused += 1;
                }
                Ok(listing) => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let lines = text
                        .lines()
                        .flat_map(|line| line.split('\r'))
                        .filter(|line| !line.trim_matches(|c: char| !c.is_alphanumeric()).is_empty());
                    // Two stray quotes make one cell of the lines between them, which is said.
                    let inside = join.is_some()
                        || listing.warnings.iter().any(|note| note.contains("line breaks in quotes"));
                    assert!(
                        inside
                            || listing.rows.len() + 1 + usize::from(text.starts_with("sep="))
                                >= lines.count(),
                        "{text}"
                    );
                    read += 1;
                }
            }
        }
        assert!(read > 50 && refused > 300, "{read} {refused}");
    }
}

//! Which columns of a table hold labels. What looks like labels is taken, or asked about: left out in silence, images
//! with a finding of a person's own would become healthy.

use crate::error::Result;
use crate::labels::{MAX_LABELS, NIH_14, check_names, is_no_finding, labels_option, nih_14, plain};
use crate::schema::Label;
use crate::sources::csv_table::CsvColumns;
use crate::sources::table::is_blank;
use crate::sources::{SourceProblem, Table, findings, separator};
use std::collections::BTreeSet;

/// Usual names of a column of lists.
const LISTS: &[&str] = &["Finding Labels", "findings", "labels"];

/// Columns of known tables that may happen to hold 0 and 1 only.
const NO_LABELS: [&str; 5] = ["followup", "classid", "index", "unnamed0", "study"];

/// Where a table keeps its labels.
#[derive(Debug)]
pub(super) struct LabelColumns {
    /// Their names, in order.
    pub(super) labels: Vec<String>,
    pub(super) places: Places,
    /// Whether a person, or the table by its columns, said which labels there are.
    pub(super) chosen: bool,
    /// The column that says that there is no finding.
    pub(super) no_finding: Option<usize>,
    /// Columns that look like labels and are not read.
    pub(super) others: Vec<usize>,
    /// A column of lists beside one column per label, which has to say the same.
    pub(super) twin: Option<(usize, char)>,
}

#[derive(Debug)]
pub(super) enum Places {
    /// Lists of findings in one column, with what is between them and what could be asked for instead.
    Lists { column: usize, separator: char, offer: Option<String> },
    /// One column per label.
    Columns(Vec<usize>),
}

impl LabelColumns {
    /// Columns of a table whose labels are not wanted.
    pub(super) fn none() -> Self {
        LabelColumns {
            labels: Vec::new(),
            places: Places::Columns(Vec::new()),
            chosen: false,
            no_finding: None,
            others: Vec::new(),
            twin: None,
        }
    }
}

/// Finds them. A column of lists that was named wins, then one column per label, then a column of lists with a
/// usual name. `taken` are columns that mean something else.
pub(super) fn find(table: &Table, columns: &CsvColumns, taken: &BTreeSet<usize>) -> Result<LabelColumns> {
    check_names(&columns.labels).map_err(|problem| table.problem(1, problem.into()))?;
    let shapes = shapes(table);
    let like: Vec<usize> =
        (0..shapes.len()).filter(|c| shapes[*c].looks_like_labels(table, *c, taken)).collect();
    let lists = |column, labels| lists(table, column, labels, columns, &like);
    if let Some(name) = &columns.findings {
        return lists(table.named(name)?, wanted(columns));
    }
    let usual = table.agreed(LISTS)?.filter(|column| !taken.contains(column) && !like.contains(column));
    let labels = wanted(columns);
    let found =
        labels.iter().any(|label| table.column(&[label]).is_some_and(|column| !taken.contains(&column)));
    match usual {
        Some(column)
            if !found && (like.is_empty() || !columns.labels.is_empty() || is_known(table, column)) =>
        {
            lists(column, labels)
        }
        _ if !columns.labels.is_empty() => {
            let places = labels.iter().map(|label| table.require(&[label])).collect::<Result<Vec<_>>>()?;
            of_columns(table, labels, places, usual, &like)
        }
        _ => {
            let pairs = labels.into_iter().filter(|label| table.column(&[label]).is_some());
            let labels: Vec<String> = pairs.collect();
            let places = labels.iter().map(|label| table.require(&[label])).collect::<Result<Vec<_>>>()?;
            refuse_own(table, &shapes, &places, &like)?;
            if places.is_empty() {
                let columns = table.headers().map(str::to_owned).collect();
                return Err(table.problem(1, SourceProblem::NoLabels { columns }));
            }
            of_columns(table, labels, places, usual, &like)
        }
    }
}

fn wanted(columns: &CsvColumns) -> Vec<String> {
    if columns.labels.is_empty() { nih_14() } else { columns.labels.clone() }
}

fn of_columns(
    table: &Table,
    labels: Vec<String>,
    places: Vec<usize>,
    usual: Option<usize>,
    like: &[usize],
) -> Result<LabelColumns> {
    let header = |column: usize| table.headers().nth(column).unwrap_or_default();
    let spare = |column: &&usize| !places.contains(column);
    let no_finding = like.iter().filter(spare).find(|&&column| is_no_finding(header(column)));
    let no_finding = no_finding.map(|&column| table.require(&[header(column)])).transpose()?;
    let others =
        like.iter().filter(spare).filter(|&&column| !is_no_finding(header(column))).copied().collect();
    let twin = usual.filter(|&column| is_known_beside(table, column, &labels));
    let twin = twin.map(|column| (column, separator_of(table, column)));
    Ok(LabelColumns { labels, places: Places::Columns(places), chosen: true, no_finding, others, twin })
}

fn lists(
    table: &Table,
    column: usize,
    labels: Vec<String>,
    columns: &CsvColumns,
    like: &[usize],
) -> Result<LabelColumns> {
    let separator = separator_of(table, column);
    let mut names: Vec<&str> = Vec::new();
    let mut seen = BTreeSet::new();
    for name in table.rows().flat_map(|row| separator::findings(row.field(column), separator)) {
        if !is_no_finding(name) && !is_blank(name) && seen.insert(plain(name)) && names.len() <= MAX_LABELS {
            names.push(name);
        }
    }
    let offer = (names.len() <= MAX_LABELS).then(|| labels_option(names));
    Ok(LabelColumns {
        labels,
        places: Places::Lists { column, separator, offer },
        chosen: !columns.labels.is_empty(),
        no_finding: None,
        others: like.to_vec(),
        twin: None,
    })
}

fn separator_of(table: &Table, column: usize) -> char {
    separator::of_findings(table.rows().map(|row| row.field(column)))
}

/// Whether a column lists findings of the fourteen and nothing else.
fn is_known(table: &Table, column: usize) -> bool {
    is_known_beside(table, column, &[])
}

fn is_known_beside(table: &Table, column: usize, labels: &[String]) -> bool {
    let known: BTreeSet<String> =
        NIH_14.iter().map(|l| plain(l)).chain(labels.iter().map(|l| plain(l))).collect();
    let separator = separator_of(table, column);
    let mut names = table.rows().flat_map(|row| separator::findings(row.field(column), separator));
    names.all(|name| is_no_finding(name) || is_blank(name) || known.contains(&plain(name)))
}

/// What the cells of a column have in common.
#[derive(Clone, Debug, Default)]
struct Shape {
    filled: u64,
    positives: u64,
    /// A cell that is not a label.
    something_else: bool,
}

impl Shape {
    fn looks_like_labels(&self, table: &Table, column: usize, taken: &BTreeSet<usize>) -> bool {
        let name = plain(table.headers().nth(column).unwrap_or_default());
        !self.something_else
            && self.filled > 0
            && !taken.contains(&column)
            && !name.is_empty()
            && !NO_LABELS.contains(&&*name)
    }
}

fn shapes(table: &Table) -> Vec<Shape> {
    let mut shapes = vec![Shape::default(); table.headers().count()];
    for row in table.rows() {
        for (column, shape) in shapes.iter_mut().enumerate().filter(|(_, shape)| !shape.something_else) {
            let text = row.field(column);
            match findings::value(text) {
                Some(label) => {
                    shape.filled += u64::from(!is_blank(text));
                    shape.positives += u64::from(label == Label::Positive);
                }
                None => shape.something_else = true,
            }
        }
    }
    shapes
}

/// Refuses columns that look like labels and are none of the fourteen, with the option that takes them.
fn refuse_own(table: &Table, shapes: &[Shape], known: &[usize], like: &[usize]) -> Result<()> {
    let headers: Vec<&str> = table.headers().collect();
    let known: BTreeSet<usize> = known.iter().copied().collect();
    let mut names = BTreeSet::new();
    let mut like = like.to_vec();
    // Of two columns of a name one is enough; that they agree is looked at when they are read.
    like.retain(|&column| !is_no_finding(headers[column]) && names.insert(plain(headers[column])));
    let owned =
        |columns: &[usize]| columns.iter().map(|&column| headers[column].to_owned()).collect::<Vec<_>>();
    let own: Vec<usize> = like.iter().filter(|column| !known.contains(column)).copied().collect();
    if own.is_empty() {
        return Ok(());
    }
    let is_blank = |column: &usize| {
        let shape = &shapes[*column];
        !shape.something_else && shape.filled == 0 && !headers[*column].is_empty()
    };
    let (some, none): (Vec<usize>, Vec<usize>) =
        like.iter().partition(|&&column| shapes[column].positives > 0);
    let blank: Vec<usize> = (0..shapes.len()).filter(is_blank).collect();
    let offer = match some.len() {
        0 => Some(format!(
            "{} --allow-empty-labels",
            labels_option(like.iter().map(|&column| headers[column]))
        )),
        1..=MAX_LABELS => Some(labels_option(some.iter().map(|&column| headers[column]))),
        _ => None,
    };
    let without_positive = if some.is_empty() { blank } else { [none, blank].concat() };
    let problem =
        SourceProblem::OwnLabels { own: owned(&own), offer, without_positive: owned(&without_positive) };
    Err(table.problem(1, problem))
}

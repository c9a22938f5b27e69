//! One column per label, as several published data sets have it.

use super::Known;
use crate::error::Result;
use crate::labels::is_finding;
use crate::schema::Label;
use crate::sources::csv_table::Blank;
use crate::sources::table::Row;
use crate::sources::{SourceProblem, findings};

/// Where a table keeps its labels, and what is counted of them.
pub(super) struct LabelCells {
    columns: Vec<usize>,
    no_finding: Option<usize>,
    blank: Blank,
}

/// Counts over all rows that were read.
#[derive(Default)]
pub(super) struct Counts {
    cells: u64,
    blank: u64,
    uncertain: u64,
}

impl LabelCells {
    /// The columns of all these labels, each of which has to be there.
    pub(super) fn find(
        known: &mut Known,
        labels: &[&str],
        no_finding: &[&str],
        blank: Blank,
    ) -> Result<Self> {
        let columns = labels.iter().map(|label| known.need(&[label], "label")).collect::<Result<Vec<_>>>()?;
        let no_finding = match no_finding {
            [] => None,
            names => Some(known.need(names, "no finding")?),
        };
        Ok(LabelCells { columns, no_finding, blank })
    }

    /// The labels of a row, and whether it says that there is no finding.
    pub(super) fn read(
        &self,
        row: Row<'_>,
        image_id: &str,
        counts: &mut Counts,
    ) -> Result<(Vec<Label>, Label)> {
        let mut labels =
            self.columns.iter().map(|&column| findings::cell(row, column)).collect::<Result<Vec<_>>>()?;
        counts.cells += labels.len() as u64;
        counts.blank += labels.iter().filter(|label| **label == Label::Unknown).count() as u64;
        counts.uncertain += labels.iter().filter(|label| **label == Label::Uncertain).count() as u64;
        let said = self.no_finding.map(|column| findings::cell(row, column)).transpose()?;
        let mut no_finding = said.unwrap_or_else(|| match labels.contains(&Label::Positive) {
            true => Label::Negative,
            false => Label::Unknown, // nothing of these, and what else is not told
        });
        if no_finding == Label::Positive {
            let shown = self
                .columns
                .iter()
                .zip(&labels)
                .find(|(column, label)| **label == Label::Positive && is_finding(row.header(**column)));
            if let Some((&column, _)) = shown {
                let (image_id, finding) = (image_id.to_owned(), row.header(column).to_owned());
                return Err(row.problem(SourceProblem::Contradiction { image_id, finding }));
            }
        }
        if self.blank == Blank::Negative {
            let cells = labels.iter_mut().chain(self.no_finding.map(|_| &mut no_finding));
            cells.filter(|label| **label == Label::Unknown).for_each(|label| *label = Label::Negative);
        }
        Ok((labels, no_finding))
    }
}

impl Counts {
    /// What a person should know, and the manifest keeps.
    pub(super) fn notes(&self, blank: Blank) -> Vec<String> {
        let Counts { cells, .. } = self;
        let taken = match blank {
            Blank::Unknown => "unknown (--blank negative takes them for negative)",
            Blank::Negative => "negative, as --blank asks",
        };
        let mut notes = Vec::new();
        if self.blank > 0 {
            notes.push(format!("{} of {cells} label cells are blank: taken for {taken}", self.blank));
        }
        if self.uncertain > 0 {
            notes.push(format!("{} of {cells} label cells are -1: kept as uncertain", self.uncertain));
        }
        notes
    }
}

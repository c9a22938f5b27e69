//! Mistakes for a terminal.

use super::Errors;
use super::by_finding::COLUMNS;
use xray_display::{TextTable, counted, number};

/// Number of suspected labels shown in a terminal; the page has more.
const SHOWN: usize = 10;

impl Errors {
    /// For a terminal.
    pub fn text(&self) -> String {
        let notes: String = self.notes.iter().map(|note| format!("note: {note}\n")).collect();
        format!(
            "{notes}{} that the model was not trained on, called at thresholds by {}\n\n{}\n{}{}: the worst of each \
             with their maps\n",
            counted(self.records, "record"),
            self.rule,
            self.by_label(),
            self.likely_wrong(),
            self.out.display()
        )
    }

    fn by_label(&self) -> String {
        let mut table = TextTable::new(&COLUMNS);
        self.labels.iter().for_each(|label| table.row(label.row()));
        table.text()
    }

    fn likely_wrong(&self) -> String {
        if self.suspects.is_empty() {
            return "no label is suspected to be wrong\n".to_owned();
        }
        let mut table = TextTable::of_text(&["likely wrong", "finding", "label", "probability", "margin"]);
        for suspect in self.suspects.iter().take(SHOWN) {
            table.row(vec![
                suspect.id.clone(),
                suspect.label.clone(),
                if suspect.labelled { "yes" } else { "no" }.to_owned(),
                number(Some(suspect.probability), 3),
                number(Some(suspect.margin), 3),
            ]);
        }
        table.text() + "\n"
    }
}

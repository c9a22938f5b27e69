//! What a person is told of a range test: a table, and what follows from it.

use super::{Conclusion, Ending, Findings, Smoothed};
use xray_display::{TextTable, number};

/// Lines of the table.
const ROWS: usize = 13;

impl Findings {
    /// For a terminal.
    pub fn text(&self) -> String {
        format!("\n{}\n{}", self.table(), self.verdict())
    }

    fn table(&self) -> String {
        let mut table = TextTable::new(&["learning rate", "loss", "by first weights", "difference"]);
        let apart = self.smoothed.len().div_ceil(ROWS).max(1);
        let mut rows: Vec<&Smoothed> = self.smoothed.iter().rev().step_by(apart).collect();
        rows.reverse();
        for &Smoothed { rate, loss, difference } in rows {
            let loss_of = |loss: f64| number(Some(loss), 5);
            let difference_said = format!("{difference:+.5}");
            table.row(vec![short(rate), loss_of(loss), loss_of(loss - difference), difference_said]);
        }
        table.text()
    }

    fn verdict(&self) -> String {
        let [low, high] = [self.course.rates().low, self.course.rates().high].map(short);
        let (lower, of) = (self.evidence.lower, self.evidence.of);
        let none = |why: &str, what: &str| format!("no learning rate is suggested: {why}\n hint: {what}\n");
        match self.conclusion {
            Conclusion::Suggested { rate, fall } => format!(
                "suggested learning rate: {} (schedule.learning_rate is {})\n  the loss is lowest there, {fall:.5} \
                 below that of the first weights, and higher above\n  in {lower} of {of} batches in a row it is \
                 lower than by the first weights\n",
                short(rate),
                short(self.configured),
            ),
            Conclusion::NothingLearnt if self.ending == Ending::Completed => none(
                &format!(
                    "nothing was learned beyond the scatter of batches (of {of} in a row at most {lower} have a \
                     lower loss than by the first weights)"
                ),
                &format!("take more steps, larger batches or more data, or go beyond {high} by --rates"),
            ),
            Conclusion::NothingLearnt => none(
                "the loss grew before anything was learned beyond the scatter of batches",
                &format!("take more steps or larger batches, or begin below {low} by --rates"),
            ),
            Conclusion::AtTheLowEnd => none(
                "the loss changes at once, at the lowest rates, so a better one may lie below",
                &format!("begin below {low} by --rates"),
            ),
            Conclusion::AtTheHighEnd => none(
                "the loss falls to the highest rates, so a better one may lie above",
                &format!("go beyond {high} by --rates"),
            ),
        }
    }
}

/// A rate in two digits: `0.0016`, `1.6e-5`.
pub(super) fn short(rate: f64) -> String {
    let text = format!("{rate:.1e}");
    let rounded: f64 = text.parse().expect("a number that was just written");
    if (1e-4..1e4).contains(&rounded) { rounded.to_string() } else { text.replace(".0e", "e") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_as_people_write_them() {
        let texts = [1e-6, 8.43e-5, 9.96e-5, 1.64e-3, 0.3, 1.0, 12.4, 2e4].map(short);
        assert_eq!(texts, ["1e-6", "8.4e-5", "0.0001", "0.0016", "0.3", "1", "12", "2e4"]);
    }
}

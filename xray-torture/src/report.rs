//! What was tried and what came of it.

use crate::verdict::{Good, Verdict};
use xray_display::{TextTable, number, thousands};
use xray_workspace::list_faults;

/// Trials of one name.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) verdicts: Vec<&'a Verdict>,
}

/// A row for each name, then how often each thing happened that must not, with the first numbers that did it.
pub(crate) fn table(tallies: &[Tally]) -> String {
    let titles = ["kind", "what", "tried", "kills", "whole", "refused", "slowest s", "failures"];
    let mut table = TextTable::new(&titles);
    tallies.iter().for_each(|tally| table.row(tally.row()));
    let mut text = table.text();
    for tally in tallies {
        let heading = format!("{}, {}", tally.kind, tally.name);
        let faults =
            tally.verdicts.iter().filter_map(|verdict| Some((verdict.number, verdict.came.as_ref().err()?)));
        text += &list_faults(&heading, faults);
    }
    text
}

impl Tally<'_> {
    fn row(&self) -> Vec<String> {
        let count = |is: &dyn Fn(&Verdict) -> bool| {
            thousands(self.verdicts.iter().filter(|verdict| is(verdict)).count() as u64)
        };
        let slowest = self.verdicts.iter().map(|verdict| verdict.time).max().unwrap_or_default();
        vec![
            self.kind.to_owned(),
            self.name.clone(),
            thousands(self.verdicts.len() as u64),
            thousands(self.verdicts.iter().map(|verdict| verdict.kills).sum::<u64>()),
            count(&|verdict| verdict.came == Ok(Good::Whole)),
            count(&|verdict| verdict.came == Ok(Good::Refused)),
            number(Some(slowest.as_secs_f64()), 2),
            count(&|verdict| verdict.came.is_err()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Fault, What};
    use std::time::Duration;

    #[test]
    fn what_came_is_counted_and_failures_are_shown() {
        let verdict = |number, came| Verdict {
            number,
            did: String::new(),
            kills: 2,
            time: Duration::from_millis(500),
            came,
        };
        let lost = Err(Fault::new(What::Lost, "dataset.json"));
        let all = [verdict(1, Ok(Good::Whole)), verdict(2, Ok(Good::Refused)), verdict(7, lost)];
        let tally = Tally { kind: "starved", name: "build".into(), verdicts: all.iter().collect() };
        let text = table(&[tally]);
        let row: Vec<_> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(row, ["starved", "build", "3", "6", "1", "1", "0.50", "1"]);
        assert!(text.contains("starved, build: 1 x lost\n  7: dataset.json\n"), "{text}");
    }
}

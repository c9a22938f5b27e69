//! What was tried and what came of it.

use crate::verdict::{Good, Verdict};
use std::collections::BTreeMap;
use xray_display::{TextTable, number, thousands};

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
        let mut by_what: BTreeMap<_, Vec<(u64, &str)>> = BTreeMap::new();
        for verdict in &tally.verdicts {
            if let Err(fault) = &verdict.came {
                by_what.entry(fault.what).or_default().push((verdict.number, &fault.said));
            }
        }
        for (what, failures) in by_what {
            text += &format!("\n{}, {}: {} x {}\n", tally.kind, tally.name, failures.len(), what.name());
            for (number, said) in failures.iter().take(SHOWN) {
                text += &format!("  {number}: {}\n", said.chars().take(LONGEST).collect::<String>());
            }
        }
    }
    text
}

/// Failures of one thing that are shown, and letters of each.
const SHOWN: usize = 4;
const LONGEST: usize = 600;

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

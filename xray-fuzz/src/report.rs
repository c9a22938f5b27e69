//! What was tried and what came of it.

use crate::archive;
use crate::corpus::Kind;
use crate::fault::Fault;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xray_display::{TextTable, number, thousands};
use xray_workspace::list_faults;

/// What came of one attack.
#[derive(Debug)]
pub(crate) struct Tally {
    kind: Kind,
    /// The program, and what it does.
    attack: &'static str,
    tried: u64,
    accepted: u64,
    refused: u64,
    slowest: Duration,
    most_mib: f64,
    failures: Vec<(u64, Fault)>,
    /// Inputs of which it is not known which one failed.
    pub(crate) unexplained: u64,
}

impl Tally {
    /// Of an attack with so many inputs.
    pub(crate) fn new(kind: Kind, attack: &'static str, inputs: usize) -> Tally {
        Tally {
            kind,
            attack,
            tried: inputs as u64,
            accepted: 0,
            refused: 0,
            slowest: Duration::ZERO,
            most_mib: 0.0,
            failures: Vec::new(),
            unexplained: 0,
        }
    }

    /// An input that came to an end as it should.
    pub(crate) fn good(&mut self, accepted: bool) {
        *(if accepted { &mut self.accepted } else { &mut self.refused }) += 1;
    }

    pub(crate) fn took(&mut self, time: Duration, memory_mib: f64) {
        self.slowest = self.slowest.max(time);
        self.most_mib = self.most_mib.max(memory_mib);
    }

    /// An input that did not.
    pub(crate) fn fail(&mut self, number: u64, fault: Fault) {
        self.failures.push((number, fault));
    }

    pub(crate) fn failed(&self) -> usize {
        self.failures.len()
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.kind.name().to_owned(),
            self.attack.to_owned(),
            thousands(self.tried),
            thousands(self.accepted),
            thousands(self.refused),
            number((!self.slowest.is_zero()).then_some(self.slowest.as_secs_f64()), 2),
            number(Some(self.most_mib), 0),
            thousands(self.failures.len() as u64),
        ]
    }
}

/// A row for each attack, then how often each thing happened that must not, then the first inputs that did it.
pub(crate) fn table(tallies: &[Tally]) -> String {
    let titles = ["kind", "attack", "tried", "accepted", "refused", "slowest s", "most MiB", "failures"];
    let mut table = TextTable::new(&titles);
    tallies.iter().for_each(|tally| table.row(tally.row()));
    let mut text = table.text();
    for tally in tallies {
        let heading = format!("{}, {}", tally.kind.name(), tally.attack);
        text += &list_faults(&heading, tally.failures.iter().map(|(number, fault)| (*number, fault)));
        if tally.unexplained > 0 {
            text += &format!("\n{heading}: {} inputs were not tried one by one\n", tally.unexplained);
        }
    }
    text
}

/// Whether nothing happened that must not.
pub(crate) fn all_is_well(tallies: &[Tally]) -> bool {
    tallies.iter().all(|tally| tally.failures.is_empty() && tally.unexplained == 0)
}

/// Where inputs that failed are kept.
pub(crate) struct Saved {
    pub(crate) folder: PathBuf,
    /// What follows `cargo xtask fuzz` to make them again.
    pub(crate) seed: u64,
}

impl Saved {
    /// Writes the input, and beside it what happened and what makes it happen again.
    pub(crate) fn save(&self, kind: Kind, number: u64, bytes: &[u8], why: &str) -> Result<PathBuf> {
        let name = kind.name();
        let path = self.folder.join(format!("{name}-{number}.{}", extension(kind, bytes)));
        let said = format!("{why}\ncargo xtask fuzz --seed {} --kind {name} --only {number}\n", self.seed);
        let write = |path: &Path, bytes: &[u8]| {
            fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
        };
        fs::create_dir_all(&self.folder)?;
        write(&path, bytes)?;
        write(&path.with_extension("txt"), said.as_bytes())?;
        Ok(path)
    }
}

/// As files of the kind are called.
pub(crate) fn extension(kind: Kind, bytes: &[u8]) -> &'static str {
    match kind {
        Kind::Dicom => "dcm",
        Kind::Image if bytes.starts_with(b"\xFF\xD8") => "jpg",
        Kind::Image => "png",
        Kind::Table => "csv",
        Kind::Http => "http",
        Kind::Archive => archive::extension(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::What;

    #[test]
    fn what_happened_is_counted_and_shown() {
        let mut tally = Tally::new(Kind::Dicom, "serve", 9);
        tally.good(true);
        tally.good(false);
        tally.took(Duration::from_millis(1230), 41.6);
        assert!(all_is_well(std::slice::from_ref(&tally)));
        (0..7).for_each(|number| tally.fail(number, Fault::new(What::Death, "signal 6")));
        let text = table(std::slice::from_ref(&tally));
        let row: Vec<_> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(row, ["dicom", "serve", "9", "1", "1", "1.23", "42", "7"]);
        assert!(text.contains("dicom, serve: 7 x death\n  0: signal 6\n"), "{text}");
        assert!(!all_is_well(&[tally]));
    }
}

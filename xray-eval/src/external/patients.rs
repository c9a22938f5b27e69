//! Whether a patient is in both sets: then what is called external is not.

use crate::run_data;
use crate::subject::Subject;
use std::collections::BTreeSet;
use std::path::Path;
use xray_artifacts::{Exit, Failure, Split};
use xray_bundle::Card;
use xray_data::Draw;
use xray_display::counted;

/// The patients that a model knows: those that it learned from, and those that chose and reported.
#[derive(Debug, Default)]
pub(super) struct Known {
    patients: BTreeSet<String>,
    /// What could not be looked at.
    pub(super) notes: Vec<String>,
}

impl Known {
    /// Patients of a run, as far as its data are available.
    pub(super) fn of_run(run: &Path, subject: &Subject, card: &Card) -> Known {
        let scored = subject.val.iter().chain([&subject.test]).flat_map(|predictions| &predictions.patients);
        let mut known = Known { patients: scored.cloned().collect(), notes: Vec::new() };
        if let Err(failure) = known.add_training(run, card) {
            known.notes.push(format!(
                "the model's training patients are not known here, so only its validation and test patients were \
                 checked against the new data: {}",
                failure.message
            ));
        } else if known.patients.is_empty() {
            known.notes.push(NO_PATIENTS.to_owned());
        }
        known
    }

    /// Patients of a bundle, which names none.
    pub(super) fn of_bundle() -> Known {
        let note = "a bundle does not name its training patients, so a patient may be in both sets";
        Known { notes: vec![note.to_owned()], ..Known::default() }
    }

    fn add_training(&mut self, run: &Path, card: &Card) -> Result<(), Failure> {
        let config = run_data::config(run, None)?;
        let rescoring = run_data::open(&config, card)?;
        let dataset = rescoring.dataset();
        let data = &config.data;
        let draw = Draw { fraction: data.fraction, offset: data.fraction_offset, seed: config.seed };
        for id in dataset.select(Split::Train, &draw)? {
            // A record that cannot be read taught nothing.
            self.patients.extend(dataset.peek(id).ok().and_then(|sample| sample.patient_id));
            dataset.release(id);
        }
        Ok(())
    }

    /// Fails if one of `patients` is known.
    pub(super) fn refuse<'a>(&self, patients: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
        let all: BTreeSet<&str> = patients.collect();
        let shared: Vec<&str> = all.into_iter().filter(|patient| self.patients.contains(*patient)).collect();
        let Some(first) = shared.first() else { return Ok(()) };
        let message = format!("{} in both sets, such as `{first}`", is_or_are(shared.len()));
        Err(Failure::new(Exit::BadData, message).hint(
            "leave their images out; or, where the two sets come from places that number their patients each on its \
             own, say so with --other-patients",
        ))
    }
}

const NO_PATIENTS: &str = "the model's own data name no patients, so a patient may be in both sets";

fn is_or_are(patients: usize) -> String {
    format!("{} {}", counted(patients, "patient"), if patients == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_in_both_sets_is_named() {
        let known = Known { patients: ["7", "8"].map(str::to_owned).into(), notes: Vec::new() };
        known.refuse(["9", "10"].into_iter()).expect("others");
        let failure = known.refuse(["9", "8", "8"].into_iter()).expect_err("one of them");
        assert_eq!(failure.message, "1 patient is in both sets, such as `8`");
        assert_eq!(failure.exit, Exit::BadData);
    }
}

//! The members of an ensemble, with the same records in the same order.

use super::subject;
use crate::carried::Carried;
use crate::run_model::card;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, Predictions};
use xray_bundle::Card;
use xray_metrics::probability::sigmoid;
use xray_metrics::{Method, Rule};

/// A member's scores.
pub(super) struct Member {
    pub(super) path: PathBuf,
    pub(super) val: Predictions,
    pub(super) test: Predictions,
    /// Share of positives per label in its training records.
    pub(super) train_prevalence: Vec<f64>,
    /// How its logits are calibrated.
    pub(super) carried: Carried,
    /// Calibrated, one for each logit.
    probabilities: [Vec<f64>; 2],
    /// What a reader should know of it.
    notes: Vec<String>,
}

impl Member {
    /// Reads two or more and brings their records into the order of the first one's.
    pub(super) fn read(paths: &[PathBuf], calibration: Method) -> Result<Vec<Member>, Failure> {
        let mut places = HashSet::new();
        let twice = paths.iter().find(|path| !places.insert(path.canonicalize().unwrap_or((*path).clone())));
        if let Some(path) = twice {
            return Err(Failure::new(Exit::Usage, format!("{} is named twice", path.display()))
                .hint("each member counts once"));
        }
        if paths.len() < 2 {
            return Err(Failure::new(Exit::Usage, "an ensemble needs two members or more")
                .hint("name several run directories, or tables of scores"));
        }
        let mut members: Vec<Member> = Vec::new();
        for path in paths {
            let mut member = Member::of(path, calibration)?;
            if let Some(first) = members.first_mut() {
                member.put_beside(first)?;
            }
            members.push(member);
        }
        // Whose records they are, any of them may know.
        let known = members.iter().find(|member| !member.test.patients.is_empty());
        let known = known.map(|member| [member.val.patients.clone(), member.test.patients.clone()]);
        if let Some([val, test]) = known.filter(|_| members[0].test.patients.is_empty()) {
            (members[0].val.patients, members[0].test.patients) = (val, test);
        }
        Ok(members)
    }

    fn of(path: &Path, method: Method) -> Result<Member, Failure> {
        let subject = subject(path)?;
        let (val, test) = (subject.val.expect("looked for"), subject.test);
        let train_prevalence = subject.train_prevalence;
        if val.labels != test.labels {
            let message = format!("{} has other labels on validation than on test", path.display());
            return Err(Failure::new(Exit::BadData, message));
        }
        // The rule says nothing of calibrations.
        let carried = Carried::of_validation(&val, Rule::Youden, method)?;
        let mut notes = subject.notes;
        notes.extend(subject.beyond_ranks);
        for (label, carried) in val.labels.iter().zip(&carried.labels) {
            if let Err(why) = &carried.calibration {
                notes.push(format!(
                    "{label} is not calibrated: {why}; its probability is the sigmoid of the logit"
                ));
            }
        }
        let probabilities = [&val, &test].map(|predictions| {
            let of = |(at, &logit): (usize, &f64)| match &carried.labels[at % predictions.labels.len()]
                .calibration
            {
                Ok(fitted) => fitted.calibrator.probability(logit),
                Err(_) => sigmoid(logit),
            };
            predictions.logits.iter().enumerate().map(of).collect()
        });
        Ok(Member { path: path.to_owned(), val, test, train_prevalence, carried, probabilities, notes })
    }

    /// The folder of its bundle, and the card.
    ///
    /// # Errors
    /// If it is a table, or the bundle is of other labels than the predictions.
    pub(super) fn bundle(&self) -> Result<(PathBuf, Card), Failure> {
        if !self.path.is_dir() {
            let message = format!("{} is a table of scores, which has no network", self.path.display());
            return Err(Failure::new(Exit::Usage, message)
                .hint("a bundle is made of run directories; leave --bundle out for a table of the means"));
        }
        let (path, card) = card(&self.path)?;
        if card.labels != self.val.labels {
            let message = format!("{} has other labels than the predictions beside it", path.display());
            return Err(Failure::new(Exit::ModelMismatch, message)
                .hint("the bundle and the predictions come from different runs; train again"));
        }
        Ok((path.parent().expect("a card lies in a folder").to_owned(), card))
    }

    pub(super) fn val(&self) -> (&Predictions, &[f64]) {
        (&self.val, &self.probabilities[0])
    }

    pub(super) fn test(&self) -> (&Predictions, &[f64]) {
        (&self.test, &self.probabilities[1])
    }

    /// Brings its records into the order of those of `first`.
    fn put_beside(&mut self, first: &Member) -> Result<(), Failure> {
        let of_both = |failure: Failure| Failure {
            message: format!("{} and {}: {}", first.path.display(), self.path.display(), failure.message),
            ..failure
        };
        // The probabilities go with the logits, which they are put in place of for this.
        let ordered = |own: &Predictions, probabilities: &[f64], of: &Predictions| {
            let carrier = Predictions { logits: probabilities.to_vec(), ..own.clone() };
            let (own, carrier) = (own.in_order_of(of)?, carrier.in_order_of(of)?);
            same_truth(of, &own)?;
            Ok((own, carrier.logits))
        };
        let (val, of_val) = ordered(&self.val, &self.probabilities[0], &first.val).map_err(of_both)?;
        let (test, of_test) = ordered(&self.test, &self.probabilities[1], &first.test).map_err(of_both)?;
        (self.val, self.test, self.probabilities) = (val, test, [of_val, of_test]);
        Ok(())
    }
}

/// That two tell the same of the same records.
fn same_truth(a: &Predictions, b: &Predictions) -> Result<(), Failure> {
    let same = |(a, b): (&f32, &f32)| a == b || a.is_nan() && b.is_nan();
    if let Some(at) = a.truth.iter().zip(&b.truth).position(|pair| !same(pair)) {
        let (id, label) = (&a.ids[at / a.labels.len()], &a.labels[at % a.labels.len()]);
        return Err(Failure::new(Exit::BadData, format!("they have different labels for {label} of {id}"))
            .hint("members must be trained on the same data: use runs of one data set"));
    }
    let apart = (!a.patients.is_empty() && !b.patients.is_empty())
        .then(|| one_to_one(&a.patients, &b.patients))
        .flatten();
    match apart {
        Some(at) => {
            Err(Failure::new(Exit::BadData, format!("they name different patients for record {}", a.ids[at]))
                .hint("correct the patients of one of them, or leave its column of patients out"))
        }
        None => Ok(()),
    }
}

/// The first record whose patient is another one by the other's names.
fn one_to_one(a: &[String], b: &[String]) -> Option<usize> {
    let mut pairs = std::collections::HashMap::new();
    let mut taken = std::collections::HashMap::new();
    a.iter().zip(b).position(|(a, b)| *pairs.entry(a).or_insert(b) != b || *taken.entry(b).or_insert(a) != a)
}

/// The notes of all members, each once, with whose it is where it is not everybody's.
pub(super) fn one_by_one(members: &[Member]) -> Vec<String> {
    let mut notes: Vec<(String, Vec<String>)> = Vec::new();
    for member in members {
        for note in &member.notes {
            let path = member.path.display().to_string();
            match notes.iter_mut().find(|(known, _)| known == note) {
                Some((_, of)) => of.push(path),
                None => notes.push((note.clone(), vec![path])),
            }
        }
    }
    let said = |(note, of): (String, Vec<String>)| {
        if of.len() == members.len() { note } else { format!("{}: {note}", of.join(", ")) }
    };
    notes.into_iter().map(said).collect()
}

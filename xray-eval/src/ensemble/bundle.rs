//! An ensemble as one bundle: the members' networks and calibrations, and thresholds on the mean of their probabilities.

use super::members::Member;
use crate::AppraiseOptions;
use crate::calibrate::Chosen;
use crate::carried::on_card;
use crate::subject::{Subject, failure, scores};
use std::fs;
use std::path::Path;
use xray_artifacts::{Exit, Failure, FileError, Predictions, Split, Threshold, write_json};
use xray_bundle::{CARD, Card, WEIGHTS, log_odds, prefix, read_weights};
use xray_metrics::probability::sigmoid;
use xray_metrics::{Evaluation, Method, Rule, evaluate};
use xray_model::StateDict;

/// That a bundle can be put there.
///
/// # Errors
/// If something is there already.
pub(super) fn check(folder: &Path, overwrite: bool) -> Result<(), Failure> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    // Also those that an interrupted start left.
    let is_of_a_bundle = |name: &String| [CARD, WEIGHTS].contains(&name.as_str()) || name.ends_with(".tmp");
    let may_go = names.is_empty() || overwrite && names.iter().all(is_of_a_bundle);
    if folder.is_file() || !may_go {
        return Err(Failure::new(Exit::Usage, format!("{} is there already", folder.display()))
            .hint("choose another --bundle, or replace a bundle with --overwrite"));
    }
    Ok(())
}

/// A bundle that is not written yet.
pub(super) struct NewBundle {
    card: Card,
    weights: StateDict,
}

impl NewBundle {
    /// Of these members, which say together what stands in `val` and `test`: mean probabilities.
    ///
    /// # Errors
    /// Members that are tables, that prepare images otherwise, or whose bundles are not of their predictions.
    pub(super) fn of(
        members: &[Member],
        rule: Rule,
        val: &Predictions,
        test: &Predictions,
    ) -> Result<NewBundle, Failure> {
        let mut weights = StateDict::default();
        let mut cards: Vec<Card> = Vec::with_capacity(members.len());
        for (at, member) in members.iter().enumerate() {
            let (folder, card) = member.bundle()?;
            if let Some(first) = cards.first() {
                same_preparation((&members[0], first), (member, &card))?;
            }
            weights.extend_prefixed(&prefix(at), read_weights(&folder, &card)?);
            cards.push(card);
        }
        let of_member = |(member, card): (&Member, &Card)| xray_artifacts::Member {
            model: card.model.clone(),
            calibration: member.carried.labels.iter().map(|label| on_card(&label.calibration)).collect(),
            provenance: card.provenance.clone(),
            weights: card.weights.clone(),
            integers: card.integers.clone(),
        };
        let of_members = members.iter().zip(&cards).map(of_member).collect();
        let prevalence = &members[0].train_prevalence;
        let (val, test) = (with_log_odds(val), with_log_odds(test));
        let card = Card {
            calibration: Vec::new(),
            members: of_members,
            integers: None,
            scores: [(Split::Val, scored(&val, prevalence)?), (Split::Test, scored(&test, prevalence)?)]
                .into(),
            thresholds: thresholds(val, test, prevalence, rule)?,
            ..cards.swap_remove(0)
        };
        Ok(NewBundle { card, weights })
    }

    /// Writes the folder.
    ///
    /// # Errors
    /// What the system refuses.
    pub(super) fn write(self, folder: &Path) -> Result<(), Failure> {
        let cannot = |source| FileError::Io { path: folder.to_owned(), action: "create", source };
        fs::create_dir_all(folder).map_err(cannot)?;
        let weights = self.weights.save(&folder.join(WEIGHTS), &[("format", "pt".to_owned())])?;
        Ok(write_json(&folder.join(CARD), &Card { weights, ..self.card })?)
    }
}

/// An ensemble prepares an image once.
fn same_preparation(first: (&Member, &Card), other: (&Member, &Card)) -> Result<(), Failure> {
    let [a, b] = [first.1, other.1].map(|card| &card.preprocessing);
    if a == b {
        return Ok(());
    }
    let [first, other] = [first.0, other.0].map(|member| member.path.display());
    let message =
        format!("{first} and {other} prepare images in different ways, for {} and {} pixels", a.size, b.size);
    Err(Failure::new(Exit::ModelMismatch, message).hint(
        "a bundle prepares an image once: take runs of equal `preprocessing` on equal data, or leave --bundle out",
    ))
}

/// With the log-odds of the probabilities alone: a bundle makes its calls on them.
fn with_log_odds(of: &Predictions) -> Predictions {
    let logits = of.probabilities.iter().map(|&probability| log_odds(probability)).collect();
    Predictions { logits, probabilities: Vec::new(), ..of.clone() }
}

/// Chosen on validation, with what they do on test.
fn thresholds(
    val: Predictions,
    test: Predictions,
    train_prevalence: &[f64],
    rule: Rule,
) -> Result<Vec<Threshold>, Failure> {
    let subject = Subject {
        test,
        val: Some(val.clone()),
        carried: None,
        train_prevalence: train_prevalence.to_vec(),
        prevalence_of: Split::Train,
        notes: Vec::new(),
        beyond_ranks: Vec::new(),
    };
    let chosen = Chosen::on(&subject, &val, &AppraiseOptions { rule, calibration: Method::Platt })?;
    // What is averaged is calibrated: the mean is not calibrated again.
    let plain =
        |of: Threshold| Threshold { probability: of.logit.map(|logit| sigmoid(f64::from(logit))), ..of };
    Ok(chosen.thresholds.into_iter().map(plain).collect())
}

fn scored(of: &Predictions, train_prevalence: &[f64]) -> Result<Evaluation, Failure> {
    let patients = of.patient_numbers();
    evaluate(&of.labels, scores(of)?, train_prevalence, patients.as_deref())
        .map_err(|error| failure(of.split, &error))
}

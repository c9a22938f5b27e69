//! Cross-validation by patient: train and val are one pool, which is cut into folds anew; one fold is val, the others are
//! train. Test stays what it is.

use super::{Dataset, RecordId};
use crate::error::{Error, Result};
use crate::split::{SplitProblem, hash, person_of};
use std::collections::{BTreeSet, HashMap};
use xray_artifacts::Split;
use xray_display::counted;

/// One fold of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    index: u64,
    of: u64,
}

/// Cuts the folds. It is not a setting: all runs of a cross-validation must see the same cut, whatever their own seeds.
const SEED: u64 = 0;

impl Fold {
    /// Number `index`, from 0, of `of` folds.
    ///
    /// # Errors
    /// [`SplitProblem::NoFold`] where there are fewer than two folds or there is no such one.
    pub fn new(index: u64, of: u64) -> Result<Fold> {
        if of < 2 || index >= of {
            return Err(SplitProblem::NoFold { index, of }.into());
        }
        Ok(Fold { index, of })
    }

    /// Its number, from 0.
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many there are.
    pub fn of(self) -> u64 {
        self.of
    }
}

/// A record of the pool and whom it belongs to.
struct Member {
    id: RecordId,
    person: String,
}

impl Dataset {
    /// The same records with this fold as val and the other folds as train. The patients of the pool are dealt out in an
    /// order that a keyed hash makes, so folds differ by at most one patient. Train comes in an order in which patients
    /// are random and a patient's records adjacent, so that a fraction of it is a prefix, as it is without folds.
    pub(super) fn with_fold(mut self, fold: Fold) -> Result<Dataset> {
        let (members, anonymous) = self.pool()?;
        let place = deal(&members, fold.of);
        if (place.len() as u64) < fold.of {
            let patients = place.len() as u64;
            return Err(SplitProblem::FewPatients { folds: fold.of, patients }.into());
        }
        if anonymous > 0 {
            self.warnings.push(format!(
                "{anonymous} of {} without a patient: one patient may be in two folds, and scores may be too high",
                counted(members.len(), "image")
            ));
        }
        let is_val = |member: &&Member| place[member.person.as_str()] == fold.index;
        let (val, mut train): (Vec<&Member>, Vec<&Member>) = members.iter().partition(is_val);
        train.sort_by_cached_key(|member| (hash(SEED, "order", &member.person), member.id));
        let ids = |members: Vec<&Member>| members.iter().map(|member| member.id).collect();
        let [train, val] = [ids(train), ids(val)];
        self.splits.extend([(Split::Train, train), (Split::Val, val)]);
        Ok(self)
    }

    /// The records of train and val in reading order, and how many of them name no patient.
    fn pool(&self) -> Result<(Vec<Member>, usize)> {
        let both = [Split::Train, Split::Val].into_iter().filter_map(|split| self.splits.get(&split));
        let mut ids: Vec<RecordId> = both.flatten().copied().collect();
        if ids.is_empty() {
            return Err(Error::EmptySplit { path: self.path.clone(), split: Split::Train });
        }
        ids.sort();
        let mut anonymous = 0;
        let mut members = Vec::with_capacity(ids.len());
        for id in ids {
            let (patient, image) = match self.row(id) {
                Some(row) => (row.patient_id.clone(), row.image_id.clone()),
                None => {
                    let sample = self.peek(id)?;
                    (sample.patient_id, sample.image_id)
                }
            };
            anonymous += usize::from(patient.is_none());
            members.push(Member { id, person: person_of(patient.as_deref(), &image).to_owned() });
            self.release(id);
        }
        Ok((members, anonymous))
    }
}

/// Each patient's fold.
fn deal(members: &[Member], folds: u64) -> HashMap<&str, u64> {
    let keyed = |member: &Member| hash(SEED, "fold", &member.person);
    let people: BTreeSet<_> = members.iter().map(|member| (keyed(member), member.person.as_str())).collect();
    people.into_iter().zip((0..folds).cycle()).map(|((_, person), fold)| (person, fold)).collect()
}

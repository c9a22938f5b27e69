//! Which records of a split are used.

use super::{Dataset, RecordId};
use crate::error::{Error, Result};
use crate::split::hash;
use std::collections::BTreeSet;
use xray_artifacts::{Split, first_record, records_of_fraction};

/// A part of the train split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// How much of it, above 0 and at most 1.
    pub fraction: f64,
    /// Where the part begins, at least 0 and below 1; past the end it continues at the start. Trials with
    /// different offsets differ in data as well as in seed.
    pub offset: f64,
    /// Orders the patients of TFRecords that someone else wrote. Our own shards were put in order when they
    /// were built.
    pub seed: u64,
}

impl Default for Draw {
    /// Everything.
    fn default() -> Self {
        Draw { fraction: 1.0, offset: 0.0, seed: 0 }
    }
}

impl Dataset {
    /// The records of a split. Of `train`, the part that `draw` says: records are in an order in which
    /// patients are random and a patient's records adjacent, and a fraction is a prefix of that order, so
    /// that 10 % is within 20 %. `val` and `test` are always whole: a score on part of them is another score.
    ///
    /// # Errors
    /// [`Error::Fraction`], [`Error::Offset`], [`Error::EmptySplit`]; [`Error::Shard`] when a shard that is
    /// needed is absent.
    pub fn select(&self, split: Split, draw: &Draw) -> Result<Vec<RecordId>> {
        if !(draw.fraction > 0.0 && draw.fraction <= 1.0) {
            return Err(Error::Fraction(draw.fraction));
        }
        if !(0.0..1.0).contains(&draw.offset) {
            return Err(Error::Offset(draw.offset));
        }
        let members = self.splits.get(&split).filter(|members| !members.is_empty());
        let members = members.ok_or_else(|| Error::EmptySplit { path: self.path.clone(), split })?;
        let mut selected = members.clone();
        if split == Split::Train {
            self.order_by_patient(&mut selected, draw.seed);
            let total = selected.len() as u64;
            selected.rotate_left(first_record(total, draw.offset) as usize);
            selected.truncate(records_of_fraction(total, draw.fraction) as usize);
        }
        let shards: BTreeSet<u32> = selected.iter().map(|id| id.shard).collect();
        shards.into_iter().try_for_each(|shard| self.shards[shard as usize].require())?;
        Ok(selected)
    }

    /// A seeded order of the patients of a foreign source; our own shards are in order already.
    fn order_by_patient(&self, records: &mut [RecordId], seed: u64) {
        if self.rows.is_empty() {
            return;
        }
        records.sort_by_cached_key(|&id| {
            let row = self.row(id).expect("a foreign source has a row for each record");
            let patient = row.patient_id.as_deref().unwrap_or(&row.image_id);
            (hash(seed, "order", patient), id)
        });
    }
}

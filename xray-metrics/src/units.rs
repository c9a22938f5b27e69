//! Whose records they are. Records of one patient resemble each other: counted as if they were independent they make
//! intervals too narrow, so that is done only where nobody says whose record it is, and [`Unit`] says so.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How often an interval promises to hold the truth, the rest being halved between its two sides.
pub const LEVEL: f64 = 0.95;

/// A label gets an interval or a p-value only if this many units have a positive record and this many a negative one.
/// With fewer an interval would be so wide that it says nothing, and a p-value could hardly be small.
pub const MIN_UNITS: usize = 5;

/// Positive records, and negative ones, that a part of the records needs before an AUC of it is shown. One of ten positives
/// moves the AUC of its group by up to 0.1.
pub const MIN_IN_GROUP: u64 = 10;

/// What counts as independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Patients with all their records.
    Patient,
    /// Single records, because nobody says whose they are: intervals are too narrow if patients recur.
    Record,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unit::Patient => "patient",
            Unit::Record => "record",
        })
    }
}

/// Who the records belong to, numbered from 0 without gaps.
pub(crate) struct Units {
    pub(crate) unit: Unit,
    pub(crate) of_record: Vec<usize>,
    pub(crate) count: usize,
}

impl Units {
    pub(crate) fn new(records: usize, patients: Option<&[u32]>) -> Result<Self> {
        let Some(patients) = patients else {
            return Ok(Units { unit: Unit::Record, of_record: (0..records).collect(), count: records });
        };
        if patients.len() != records {
            return Err(Error::PerRecord { found: patients.len(), expected: records });
        }
        let mut distinct = patients.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        // Each patient's place among those below it.
        let place = |patient: &u32| distinct.partition_point(|other| other < patient);
        Ok(Units {
            unit: Unit::Patient,
            of_record: patients.iter().map(place).collect(),
            count: distinct.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patients_get_numbers_without_gaps() {
        let units = Units::new(4, Some(&[900, 3, 900, 50])).expect("one per record");
        assert_eq!((units.of_record, units.count), (vec![2, 0, 2, 1], 3));
        let error = Units::new(4, Some(&[1, 2])).err();
        assert_eq!(error, Some(Error::PerRecord { found: 2, expected: 4 }));
    }
}

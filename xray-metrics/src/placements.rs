//! What each unit contributes to an AUC: the placements of DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988), with
//! the records of one patient taken together as Obuchowski does (Biometrics 53, 1997). Placements come from ranks, as in
//! Sun and Xu (IEEE Signal Processing Letters 21, 2014), so it takes the time of sorting.

use crate::Scores;
use crate::units::Units;

/// For each known record, the share of the other class that it outranks, a tie counting one half; for negatives, the
/// share that outranks them. Either mean is the AUC.
pub(crate) struct Placements {
    positives: Vec<Placement>,
    negatives: Vec<Placement>,
    units: usize,
    /// Every record has the same score, whatever is on it.
    pub(crate) one_score: bool,
}

struct Placement {
    unit: usize,
    value: f64,
}

/// An AUC, or the difference of two, as a sum over units.
pub(crate) struct Contributions {
    /// The figure itself.
    pub(crate) value: f64,
    /// How far it moves without each unit; of units without a known record, 0.
    pub(crate) of_unit: Vec<f64>,
    /// Obuchowski's variance of the figure; DeLong's where every record is a unit of its own. None with fewer than two
    /// units of a class.
    pub(crate) variance: Option<f64>,
    /// The same by leaving out each unit in turn, which does not fall short where some units have many more records than
    /// others (Efron and Stein, Annals of Statistics 9, 1981): for a mean of labels, whose t has so many degrees of
    /// freedom that it forgives nothing.
    pub(crate) jackknife: Option<f64>,
    /// Units with a positive record.
    pub(crate) positive_units: usize,
    /// Units with a negative record.
    pub(crate) negative_units: usize,
    /// The variance of the figure where a placement's is 1 and those of one unit are the same: 1/n₁ + 1/n₀ of effective
    /// numbers of units (Kish, Survey Sampling, 1965).
    pub(crate) per_placement: f64,
    /// The effective number of units of the class that has fewer.
    pub(crate) effective: f64,
}

impl Contributions {
    /// Units of the rarer class.
    pub(crate) fn rarer(&self) -> usize {
        self.positive_units.min(self.negative_units)
    }

    /// That share of it: as a term of a weighted mean.
    pub(crate) fn weighted(self, weight: f64) -> Contributions {
        let square = weight * weight;
        Contributions {
            value: weight * self.value,
            of_unit: self.of_unit.into_iter().map(|moved| weight * moved).collect(),
            variance: self.variance.map(|variance| square * variance),
            jackknife: self.jackknife.map(|variance| square * variance),
            per_placement: square * self.per_placement,
            effective: self.effective / square,
            ..self
        }
    }

    /// How many units beyond the first the variance was seen from.
    pub(crate) fn freedom(&self) -> f64 {
        self.rarer().saturating_sub(1) as f64
    }
}

impl Placements {
    /// None without a record of either class.
    pub(crate) fn of(scores: Scores<'_>, label: usize, units: &Units) -> Option<Placements> {
        let known = |((score, truth), &unit): ((f64, Option<bool>), &usize)| Some((score, truth?, unit));
        let mut rows: Vec<_> = scores
            .rows_of(label)
            .zip(&units.of_record)
            .enumerate()
            .filter_map(|(at, row)| Some((at, known(row)?)))
            .collect();
        rows.sort_unstable_by(|(_, a), (_, b)| a.0.total_cmp(&b.0));
        let count = |class: bool| rows.iter().filter(|(_, row)| row.1 == class).count() as f64;
        let (num_positives, num_negatives) = (count(true), count(false));
        if num_positives == 0.0 || num_negatives == 0.0 {
            return None;
        }
        let one_score = rows.first().map(|(_, row)| row.0) == rows.last().map(|(_, row)| row.0);
        let (mut below_positives, mut below_negatives) = (0.0, 0.0);
        let (mut positives, mut negatives) = (Vec::new(), Vec::new());
        for tied in rows.chunk_by(|(_, a), (_, b)| a.0 == b.0) {
            let tied_positives = tied.iter().filter(|(_, row)| row.1).count() as f64;
            let tied_negatives = tied.len() as f64 - tied_positives;
            for &(at, (_, positive, unit)) in tied {
                if positive {
                    let value = (below_negatives + tied_negatives / 2.0) / num_negatives;
                    positives.push((at, Placement { unit, value }));
                } else {
                    let value = (num_positives - below_positives - tied_positives / 2.0) / num_positives;
                    negatives.push((at, Placement { unit, value }));
                }
            }
            (below_positives, below_negatives) =
                (below_positives + tied_positives, below_negatives + tied_negatives);
        }
        // In the order of the records, so that two models' placements stand side by side.
        let in_order = |mut placements: Vec<(usize, Placement)>| {
            placements.sort_unstable_by_key(|(at, _)| *at);
            placements.into_iter().map(|(_, placement)| placement).collect()
        };
        Some(Placements {
            positives: in_order(positives),
            negatives: in_order(negatives),
            units: units.count,
            one_score,
        })
    }

    /// The placements of a difference are the differences of the placements.
    pub(crate) fn minus(&self, other: &Placements) -> Placements {
        let minus = |a: &[Placement], b: &[Placement]| {
            let apart =
                |(a, b): (&Placement, &Placement)| Placement { unit: a.unit, value: a.value - b.value };
            a.iter().zip(b).map(apart).collect()
        };
        Placements {
            positives: minus(&self.positives, &other.positives),
            negatives: minus(&self.negatives, &other.negatives),
            units: self.units,
            one_score: self.one_score && other.one_score,
        }
    }

    /// The placements of a mean of AUCs are the means of the placements. None of no model.
    pub(crate) fn mean(models: &[Placements]) -> Option<Placements> {
        let (first, others) = models.split_first()?;
        let mean = |class: fn(&Placements) -> &[Placement]| {
            let sum =
                |at: usize| others.iter().fold(class(first)[at].value, |sum, of| sum + class(of)[at].value);
            let of = |(at, placement): (usize, &Placement)| Placement {
                unit: placement.unit,
                value: sum(at) / models.len() as f64,
            };
            class(first).iter().enumerate().map(of).collect()
        };
        Some(Placements {
            positives: mean(|of| &of.positives),
            negatives: mean(|of| &of.negatives),
            units: first.units,
            one_score: models.iter().all(|of| of.one_score),
        })
    }

    /// Positive records.
    pub(crate) fn positives(&self) -> usize {
        self.positives.len()
    }

    fn auc(&self) -> f64 {
        self.positives.iter().map(|placement| placement.value).sum::<f64>() / self.positives.len() as f64
    }

    /// Sums them by unit.
    pub(crate) fn contributions(&self) -> Contributions {
        let auc = self.auc();
        let of_positives = ClassSums::of(&self.positives, auc, self.units);
        let of_negatives = ClassSums::of(&self.negatives, auc, self.units);
        let both = || of_positives.sums.iter().zip(&of_negatives.sums);
        let units =
            of_positives.counts.iter().zip(&of_negatives.counts).filter(|(a, b)| **a + **b > 0).count()
                as f64;
        let shared = units / (units - 1.0) * both().map(|(a, b)| a * b).sum::<f64>();
        // Rounding may leave less than nothing where all placements are equal.
        let sum =
            |(positives, negatives): (f64, f64), shared: f64| (positives + negatives + 2.0 * shared).max(0.0);
        let variance = of_positives.variance().zip(of_negatives.variance());
        let without = [of_positives.without_each(), of_negatives.without_each()];
        let jackknife = of_positives.jackknife(&without[0]).zip(of_negatives.jackknife(&without[1]));
        let pairs = || without[0].iter().zip(&without[1]);
        Contributions {
            value: auc,
            of_unit: pairs().map(|(a, b)| a + b).collect(),
            variance: variance.map(|parts| sum(parts, shared)),
            jackknife: jackknife.map(|parts| sum(parts, pairs().map(|(a, b)| a * b).sum())),
            positive_units: of_positives.units(),
            negative_units: of_negatives.units(),
            per_placement: of_positives.per_placement() + of_negatives.per_placement(),
            effective: 1.0 / of_positives.per_placement().max(of_negatives.per_placement()),
        }
    }
}

/// One class by unit, divided by the class's records.
struct ClassSums {
    sums: Vec<f64>,
    counts: Vec<u32>,
    records: f64,
}

impl ClassSums {
    fn of(placements: &[Placement], auc: f64, units: usize) -> Self {
        let records = placements.len() as f64;
        let (mut sums, mut counts) = (vec![0.0; units], vec![0; units]);
        for placement in placements {
            sums[placement.unit] += (placement.value - auc) / records;
            counts[placement.unit] += 1;
        }
        ClassSums { sums, counts, records }
    }

    fn units(&self) -> usize {
        self.counts.iter().filter(|&&count| count > 0).count()
    }

    fn variance(&self) -> Option<f64> {
        let units = self.units() as f64;
        let squares: f64 = self.sums.iter().map(|sum| sum * sum).sum();
        (units > 1.0).then(|| units / (units - 1.0) * squares)
    }

    /// How far the mean moves without each unit; 0 of the only one.
    fn without_each(&self) -> Vec<f64> {
        let rest = |count: u32| 1.0 - f64::from(count) / self.records;
        let moved = |(&sum, &count): (&f64, &u32)| if rest(count) > 0.0 { sum / rest(count) } else { 0.0 };
        self.sums.iter().zip(&self.counts).map(moved).collect()
    }

    fn jackknife(&self, without_each: &[f64]) -> Option<f64> {
        let units = self.units() as f64;
        (units > 1.0)
            .then(|| (units - 1.0) / units * without_each.iter().map(|moved| moved * moved).sum::<f64>())
    }

    fn per_placement(&self) -> f64 {
        self.counts.iter().map(|&count| (f64::from(count) / self.records).powi(2)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Obuchowski's formula for the difference of two models, placement by placement from the pairs.
    fn clustered_variance_by_pairs(rows: &[(f64, f64, bool)], patients: &[u32]) -> Option<f64> {
        let psi = |p: f64, n: f64| if p > n { 1.0 } else { f64::from(u8::from(p == n)) / 2.0 };
        let count = |class: bool| rows.iter().filter(|row| row.2 == class).count() as f64;
        let (m, n) = (count(true), count(false));
        let placement = |row: &(f64, f64, bool)| {
            let others = rows.iter().filter(|other| other.2 != row.2);
            let wins = others.map(|other| {
                let (p, n) = if row.2 { (row, other) } else { (other, row) };
                psi(p.0, n.0) - psi(p.1, n.1)
            });
            wins.sum::<f64>() / if row.2 { n } else { m }
        };
        let auc = rows.iter().filter(|row| row.2).map(placement).sum::<f64>() / m;
        let (mut s10, mut s01, mut s11) = (0.0, 0.0, 0.0);
        let (mut with_positive, mut with_negative, mut with_any) = (0.0, 0.0, 0.0);
        for patient in 0..10 {
            let of = |class: bool| {
                let own = rows.iter().zip(patients).filter(|(row, p)| row.2 == class && **p == patient);
                own.map(|(row, _)| placement(row) - auc).collect::<Vec<_>>()
            };
            let (positives, negatives) = (of(true), of(false));
            let (p, q) = (positives.iter().sum::<f64>(), negatives.iter().sum::<f64>());
            (s10, s01, s11) = (s10 + p * p, s01 + q * q, s11 + p * q);
            with_positive += f64::from(u8::from(!positives.is_empty()));
            with_negative += f64::from(u8::from(!negatives.is_empty()));
            with_any += f64::from(u8::from(!positives.is_empty() || !negatives.is_empty()));
        }
        let scaled = |units: f64, sum: f64| units / (units - 1.0) * sum;
        (with_positive >= 2.0 && with_negative >= 2.0).then(|| {
            scaled(with_positive, s10) / (m * m)
                + scaled(with_negative, s01) / (n * n)
                + 2.0 * scaled(with_any, s11) / (m * n)
        })
    }

    proptest! {
        #[test]
        fn patients_of_both_classes_and_two_models_follow_the_formula(
            rows in prop::collection::vec(((-4_i8..4).prop_map(f64::from), (-4_i8..4).prop_map(f64::from), any::<bool>()), 4..30),
            patients in prop::collection::vec(0_u32..10, 30),
        ) {
            let patients = &patients[..rows.len()];
            let expected = clustered_variance_by_pairs(&rows, patients);
            prop_assume!(expected.is_some());
            let truth: Vec<_> = rows.iter().map(|row| f32::from(u8::from(row.2))).collect();
            let (a, b): (Vec<_>, Vec<_>) = rows.iter().map(|row| (row.0, row.1)).unzip();
            let units = Units::new(rows.len(), Some(patients)).expect("one patient per record");
            let of = |values: &[f64]| {
                let scores = Scores::new(values, &truth, 1).expect("valid");
                Placements::of(scores, 0, &units).expect("two of each class")
            };
            let found = of(&a).minus(&of(&b)).contributions();
            let (variance, expected) = (found.variance.expect("two of each class"), expected.expect("assumed"));
            prop_assert!((variance - expected.max(0.0)).abs() < 1e-14, "{variance} is not {expected}");
        }
    }

    /// Patient 1 has three of four positive records: 1 / (9/16 + 1/16) units' worth, and each negative is one.
    #[test]
    fn records_of_one_patient_count_as_one_where_placements_agree() {
        let truth = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0];
        let scores = Scores::new(&[1.0, 2.0, 3.0, 4.0, 0.0, 5.0], &truth, 1).expect("valid");
        let units = Units::new(6, Some(&[1, 1, 1, 2, 3, 4])).expect("one patient per record");
        let found = Placements::of(scores, 0, &units).expect("both classes").contributions();
        assert_eq!((found.positive_units, found.negative_units, found.rarer()), (2, 2, 2));
        assert_eq!(found.per_placement, 10.0 / 16.0 + 0.5);
        assert_eq!((found.value, found.of_unit.iter().sum::<f64>()), (0.5, 0.0));
    }
}

//! Who is X-rayed how often, and with which findings: drawn from the NIH collection's own counts.

use std::sync::LazyLock;
use xray_random::Random;

/// Every combination of findings among the 112,120 images of ChestX-ray14 (Data_Entry_2017_v2020): findings as
/// bits in hexadecimal, the first of the fourteen lowest; images; and how many of these are AP views.
const NIH_COMBINATIONS: &str = include_str!("nih_combinations.csv");

/// Part of the NIH collection's 30,805 patients with fewer images than this: most have one, the mean is 3.6.
const IMAGES_PER_PATIENT: [(f64, f64); 14] = [
    (0.0, 1.0),
    (0.56819, 2.0),
    (0.7017, 3.0),
    (0.76988, 4.0),
    (0.81305, 5.0),
    (0.86905, 7.0),
    (0.90482, 9.0),
    (0.93689, 12.0),
    (0.95575, 15.0),
    (0.97393, 21.0),
    (0.99055, 36.0),
    (0.9951, 51.0),
    (0.9989, 81.0),
    (1.0, 185.0),
];

/// Age at quantiles of the same patients, in years.
const AGE: [(f64, f64); 9] = [
    (0.0, 1.0),
    (0.01, 6.0),
    (0.05, 17.0),
    (0.1, 23.0),
    (0.25, 33.0),
    (0.5, 47.0),
    (0.75, 58.0),
    (0.95, 71.0),
    (1.0, 95.0),
];

/// Part of the same patients that is female.
const FEMALE: f64 = 0.46;

/// How often the next image of a patient carries over the findings instead of drawing them anew. With it 41 %
/// of consecutive images have equal findings, as in the NIH collection (30 % would by chance), while the
/// frequency of every combination stays what it is.
const KEPT: f64 = 0.155;

/// One image to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The patient's number, from 1.
    pub patient: u64,
    /// The patient's images before this one.
    pub follow_up: u64,
    /// Years.
    pub age: u16,
    /// The patient is female, not male.
    pub female: bool,
    /// Findings in the usual order of the fourteen, from Atelectasis to Hernia.
    pub labels: [bool; 14],
    /// The view is AP (lying), not PA (standing).
    pub ap: bool,
}

impl Case {
    /// `PPPPPPPP_FFF.png`, as NIH names its files.
    pub fn image_id(&self) -> String {
        format!("{:08}_{:03}.png", self.patient, self.follow_up)
    }

    /// Eight digits.
    pub fn patient_id(&self) -> String {
        format!("{:08}", self.patient)
    }

    /// `M` or `F`.
    pub fn sex(&self) -> &'static str {
        if self.female { "F" } else { "M" }
    }

    /// `PA` or `AP`.
    pub fn view(&self) -> &'static str {
        if self.ap { "AP" } else { "PA" }
    }
}

/// The endless sequence of cases of one seed.
pub(super) struct Population {
    seed: u64,
    patient: u64,
    /// Images of the current patient that are still to come.
    left: u64,
    last: Option<(Case, &'static Combination)>,
}

impl Population {
    pub(super) fn new(seed: u64) -> Self {
        Population { seed, patient: 0, left: 0, last: None }
    }
}

impl Iterator for Population {
    type Item = Case;

    fn next(&mut self) -> Option<Case> {
        let previous = if self.left == 0 { None } else { self.last.take() };
        let (mut case, mut combination) = match previous {
            Some((case, combination)) => (Case { follow_up: case.follow_up + 1, ..case }, Some(combination)),
            None => (self.next_patient(), None),
        };
        self.left -= 1;
        let mut random = Random::keyed(&[self.seed, 1, case.patient, case.follow_up]);
        let kept = random.unit() < KEPT;
        let drawn = combination.take().filter(|_| kept).unwrap_or_else(|| Combination::draw(&mut random));
        case.labels = std::array::from_fn(|finding| drawn.findings >> finding & 1 == 1);
        case.ap = random.unit() < drawn.ap;
        self.last = Some((case.clone(), drawn));
        Some(case)
    }
}

impl Population {
    fn next_patient(&mut self) -> Case {
        self.patient += 1;
        let mut random = Random::keyed(&[self.seed, 0, self.patient]);
        self.left = quantile(&IMAGES_PER_PATIENT, random.unit()) as u64;
        let age = quantile(&AGE, random.unit()) as u16;
        let female = random.unit() < FEMALE;
        Case { patient: self.patient, follow_up: 0, age, female, labels: [false; 14], ap: false }
    }
}

/// The value at `part` of a distribution given by a few quantiles, straight lines between them.
fn quantile(points: &[(f64, f64)], part: f64) -> f64 {
    let above = points.iter().position(|point| point.0 > part).unwrap_or(points.len() - 1).max(1);
    let ((from, low), (to, high)) = (points[above - 1], points[above]);
    low + (high - low) * ((part - from) / (to - from)).clamp(0.0, 1.0)
}

/// A combination of findings.
#[derive(Debug, PartialEq)]
struct Combination {
    /// Bits, in the order of the fourteen.
    findings: u16,
    /// Part of all images that have this combination or one before it in the table.
    up_to: f64,
    /// Part of its images that are AP views.
    ap: f64,
}

impl Combination {
    fn draw(random: &mut Random) -> &'static Combination {
        static TABLE: LazyLock<Vec<Combination>> = LazyLock::new(combinations);
        let part = random.unit();
        &TABLE[TABLE.partition_point(|combination| combination.up_to <= part).min(TABLE.len() - 1)]
    }
}

fn combinations() -> Vec<Combination> {
    let whole = "the table in this folder has three numbers a line";
    let row = |line: &str| {
        let mut fields = line.split(',');
        let findings = fields.next().and_then(|field| u16::from_str_radix(field, 16).ok()).expect(whole);
        let mut count = || fields.next().and_then(|field| field.parse::<f64>().ok()).expect(whole);
        (findings, count(), count())
    };
    let rows: Vec<_> = NIH_COMBINATIONS.lines().skip(1).map(row).collect();
    let total: f64 = rows.iter().map(|row| row.1).sum();
    let mut sum = 0.0;
    let combination = |(findings, images, ap): (u16, f64, f64)| {
        sum += images;
        Combination { findings, up_to: sum / total, ap: ap / images }
    };
    rows.into_iter().map(combination).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn findings_are_as_frequent_as_in_the_nih_collection() {
        // Counts of the NIH collection as published with it, among 112,120 images.
        let published = [
            11_559, 2_776, 13_317, 19_894, 5_782, 6_331, 1_431, 5_302, 4_667, 2_303, 2_516, 1_686, 3_385, 227,
        ];
        let images = 60_000;
        let cases: Vec<Case> = Population::new(7).take(images).collect();
        for (finding, count) in published.into_iter().enumerate() {
            let expected = f64::from(count) / 112_120.0;
            let drawn = cases.iter().filter(|case| case.labels[finding]).count() as f64 / images as f64;
            // Five standard errors; images of one patient are not independent, hence the factor.
            let error = 5.0 * (1.4 * expected * (1.0 - expected) / images as f64).sqrt();
            assert!((drawn - expected).abs() < error, "finding {finding}: {drawn} not {expected}");
        }
        let normal = cases.iter().filter(|case| !case.labels.contains(&true)).count() as f64 / images as f64;
        assert!((normal - 60_361.0 / 112_120.0).abs() < 0.015, "{normal}");
        let ap = cases.iter().filter(|case| case.ap).count() as f64 / images as f64;
        assert!((ap - 0.3997).abs() < 0.015, "{ap}");
    }

    #[test]
    fn findings_occur_together_as_in_the_nih_collection() {
        // 4,000 NIH images have both effusion and infiltration, 1.69 times what chance would give.
        let images = 60_000;
        let cases: Vec<Case> = Population::new(3).take(images).collect();
        let both = cases.iter().filter(|case| case.labels[2] && case.labels[3]).count() as f64;
        let effusion = cases.iter().filter(|case| case.labels[2]).count() as f64;
        let infiltration = cases.iter().filter(|case| case.labels[3]).count() as f64;
        let lift = both * images as f64 / (effusion * infiltration);
        assert!((1.55..1.85).contains(&lift), "lift {lift}");
    }

    #[test]
    fn patients_return_as_often_as_in_the_nih_collection() {
        let cases: Vec<Case> = Population::new(1).take(60_000).collect();
        let mut images: HashMap<u64, u64> = HashMap::new();
        cases.iter().for_each(|case| *images.entry(case.patient).or_default() += 1);
        let mean = cases.len() as f64 / images.len() as f64;
        assert!((3.3..4.0).contains(&mean), "{mean} images a patient");
        let once = images.values().filter(|&&n| n == 1).count() as f64 / images.len() as f64;
        assert!((once - 0.568).abs() < 0.02, "{once} of the patients come once");
        let pairs = cases.windows(2).filter(|pair| pair[0].patient == pair[1].patient);
        let (equal, all) = pairs.fold((0.0, 0.0), |(equal, all), pair| {
            (equal + f64::from(u8::from(pair[0].labels == pair[1].labels)), all + 1.0)
        });
        let same: f64 = equal / all;
        assert!((same - 0.41).abs() < 0.02, "{same} of the consecutive images have equal findings");
    }

    #[test]
    fn a_patient_stays_the_same_person() {
        for pair in Population::new(5).take(5_000).collect::<Vec<_>>().windows(2) {
            let (a, b) = (&pair[0], &pair[1]);
            if a.patient == b.patient {
                assert_eq!((a.age, a.female, a.follow_up + 1), (b.age, b.female, b.follow_up));
            } else {
                assert_eq!((a.patient + 1, 0), (b.patient, b.follow_up));
            }
        }
    }
}

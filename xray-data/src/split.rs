//! Which images are trained on, which choose settings, and which are reported on. Never a patient on two
//! sides: of ChestX-ray14 split at random by image, 83 % of the test images have their patient in train.

use crate::error::{Error, Result};
use crate::sources::{ImageRow, read_text};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use xray_artifacts::{Split, SplitRule};
use xray_display::counted;

/// How images are given to splits.
#[derive(Clone, Debug)]
pub enum SplitPlan {
    /// A seeded draw over patients. Each patient's place depends on the seed and the patient alone, so nobody
    /// moves when images are added.
    Patients {
        /// Fraction of the patients in val.
        val: f64,
        /// Fraction of the patients in test.
        test: f64,
    },
    /// Test is a published list; val is drawn by patient from the other list.
    Official {
        /// The images that are not for testing.
        train_val: NameList,
        /// The images for testing.
        test: NameList,
        /// Fraction of the patients of `train_val` in val.
        val: f64,
    },
    /// Splits that the source's column names.
    Column,
    /// As the source says where it says anything: by its files' names, its manifest or a feature. What of val
    /// and test it does not have is drawn from its train by patient; where it says nothing, all are.
    Carried {
        /// Fraction of the patients in val.
        val: f64,
        /// Fraction of the patients in test.
        test: f64,
    },
}

/// The outcome of [`assign`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// One per row.
    pub splits: Vec<Split>,
    /// What the manifest records.
    pub rule: SplitRule,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Why images cannot be given to splits.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitProblem {
    /// Fractions that are negative or leave no training images.
    #[error("{val} of the patients for val and {test} for test leave no room for train")]
    Fractions {
        /// For val.
        val: f64,
        /// For test.
        test: f64,
    },
    /// A patient with images in two splits.
    #[error("patient `{patient}` is in {} (image `{}`) and in {} (image `{}`)", first.0, first.1, second.0, second.1)]
    TwoSides {
        /// The patient.
        patient: String,
        /// A split and an image there.
        first: (Split, String),
        /// Another split and an image there.
        second: (Split, String),
    },
    /// An image that neither list names.
    #[error("image `{image_id}` is in neither list{}", and_more(*more))]
    Unlisted {
        /// The image.
        image_id: String,
        /// How many others.
        more: u64,
    },
    /// An image that both lists name.
    #[error("image `{image_id}` is in both lists")]
    TwiceListed {
        /// The image.
        image_id: String,
    },
    /// The files or records of a source say the split of some images only.
    #[error("image `{with}` has a split, {split}; image `{without}` has none{}", and_more(*more))]
    Mixed {
        /// An image with a split.
        with: String,
        /// Its split.
        split: Split,
        /// An image without one.
        without: String,
        /// How many others.
        more: u64,
    },
    /// A file's name and a record in it say different splits.
    #[error("image `{image_id}` is in {of_record} by its record and in {of_file} by the name of {}", file.display())]
    Disagree {
        /// The image.
        image_id: String,
        /// Split by the record.
        of_record: Split,
        /// The file of records.
        file: PathBuf,
        /// Split by the file's name, or by that of its folder.
        of_file: Split,
    },
    /// A fold that a cross-validation does not have.
    #[error("there is no fold {index} of {of}")]
    NoFold {
        /// Its number, from 0.
        index: u64,
        /// How many folds there are.
        of: u64,
    },
    /// More folds than there are patients to deal out.
    #[error("{folds} folds cannot be cut of {patients} patients")]
    FewPatients {
        /// How many folds.
        folds: u64,
        /// How many patients train and val have together.
        patients: u64,
    },
    /// The source has no split for an image.
    #[error("the source names no split for image `{image_id}`{}", and_more(*more))]
    Unsaid {
        /// The image.
        image_id: String,
        /// How many others.
        more: u64,
    },
}

impl SplitProblem {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            SplitProblem::Fractions { .. } => "give --val and --test fractions whose sum is below 1",
            SplitProblem::TwoSides { .. } => {
                "move all images of a patient to one split, or let the split be drawn by patient \
                 (xray-data build --redraw-splits)"
            }
            SplitProblem::Mixed { .. } => {
                "name each file, or its folder, for train, val or test, or redraw all splits (xray-data build \
                 --redraw-splits)"
            }
            SplitProblem::Disagree { .. } => "rename the file, or its folder: no word is preferred over another",
            SplitProblem::NoFold { .. } => "folds are two or more, and numbered from 0",
            SplitProblem::FewPatients { .. } => {
                "ask for fewer folds: a patient's images lie in one fold, and no fold is empty"
            }
            SplitProblem::Unlisted { .. } => "check that the lists belong to these images",
            SplitProblem::TwiceListed { .. } => "remove it from one of the lists",
            SplitProblem::Unsaid { .. } => "fill the split column, or let the split be drawn by patient",
        }
        .to_owned()
    }
}

fn and_more(more: u64) -> String {
    if more == 0 { String::new() } else { format!(", nor are {more} more") }
}

/// Names of images, one per line, compared without folder and extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameList(HashSet<String>);

impl NameList {
    /// Reads a list such as `test_list.txt` (or `.txt.gz`) of ChestX-ray14.
    pub fn read(path: &Path) -> Result<NameList> {
        let text = read_text(path)?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).collect())
    }

    /// Whether the list names this image.
    pub fn contains(&self, image_id: &str) -> bool {
        self.0.contains(stem(image_id))
    }
}

impl<'a> FromIterator<&'a str> for NameList {
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        NameList(names.into_iter().map(|name| stem(name).to_owned()).collect())
    }
}

/// Gives every row a split and proves that no patient is on two sides. Where the source names no patient, an
/// image counts as a patient of its own, with a warning: such a split may leak.
///
/// # Errors
/// [`Error::Split`] naming the patient or image.
pub fn assign(rows: &[&ImageRow], plan: &SplitPlan, seed: u64) -> Result<Assigned> {
    let anonymous = rows.iter().filter(|row| row.patient_id.is_none()).count();
    let by_patient = if anonymous == 0 { SplitRule::Patient } else { SplitRule::Image };
    let mut warnings = Vec::new();
    let (splits, rule) = match plan {
        SplitPlan::Patients { val, test } => (draw(rows, *val, *test, seed)?, by_patient),
        SplitPlan::Carried { val, test } => of_each_source(rows, &mut warnings, |rows, warnings| {
            kept_or_drawn(rows, *val, *test, seed, warnings)
        })?,
        SplitPlan::Official { train_val, test, val } => {
            of_each_source(rows, &mut warnings, |rows, warnings| {
                let listed =
                    |row: &&ImageRow| train_val.contains(own_name(row)) || test.contains(own_name(row));
                // The lists of one data set say nothing of another.
                match rows.iter().any(|row| row.source.is_some()) && !rows.iter().any(listed) {
                    true => kept_or_drawn(rows, *val, 0.0, seed, warnings),
                    false => Ok((official(rows, train_val, test, *val, seed)?, SplitRule::Official)),
                }
            })?
        }
        SplitPlan::Column => (column(rows)?, SplitRule::Column),
    };
    refuse_two_sides(rows, &splits)?;
    warnings.extend(moved(rows.iter().map(|row| row.split).zip(splits.iter().copied())));
    if anonymous > 0 {
        warnings.push(format!(
            "{anonymous} of {} without a patient: one patient may be in two splits, and scores may be too high",
            counted(rows.len(), "image")
        ));
    }
    warnings.extend(empty_splits(&splits));
    Ok(Assigned { splits, rule, warnings })
}

/// Splits each of several sources by what it says, whatever the others say.
fn of_each_source(
    rows: &[&ImageRow],
    warnings: &mut Vec<String>,
    split: impl Fn(&[&ImageRow], &mut Vec<String>) -> Result<(Vec<Split>, SplitRule)>,
) -> Result<(Vec<Split>, SplitRule)> {
    let mut sources: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        sources.entry(row.source.as_deref()).or_default().push(place);
    }
    let (mut splits, mut rules) = (vec![Split::Train; rows.len()], Vec::new());
    for (source, places) in sources {
        let of_source: Vec<&ImageRow> = places.iter().map(|&place| rows[place]).collect();
        let mut said = Vec::new();
        let (given, rule) = split(&of_source, &mut said)?;
        places.iter().zip(given).for_each(|(&place, split)| splits[place] = split);
        rules.push(rule);
        warnings.extend(said.into_iter().map(|text| match source {
            Some(source) => format!("{source}: {text}"),
            None => text,
        }));
    }
    // What may leak, or was drawn, is said of the whole.
    let first = [SplitRule::Image, SplitRule::Patient, SplitRule::Official, SplitRule::Column];
    let rule = first.into_iter().find(|rule| rules.contains(rule)).unwrap_or(SplitRule::Patient);
    Ok((splits, rule))
}

/// [`SplitPlan::Carried`] of one source.
fn kept_or_drawn(
    rows: &[&ImageRow],
    val: f64,
    test: f64,
    seed: u64,
    warnings: &mut Vec<String>,
) -> Result<(Vec<Split>, SplitRule)> {
    let has_patients = rows.iter().all(|row| row.patient_id.is_some());
    let by_patient = if has_patients { SplitRule::Patient } else { SplitRule::Image };
    if rows.iter().all(|row| row.split.is_none()) {
        return Ok((draw(rows, val, test, seed)?, by_patient));
    }
    let (splits, drawn) = carried(rows, val, test, seed)?;
    warnings.push(kept(&splits, drawn, has_patients));
    let rule = match drawn {
        Drawn::Nothing => SplitRule::Column,
        Drawn::Val => SplitRule::Official,
        Drawn::Test | Drawn::Both => by_patient,
    };
    Ok((splits, rule))
}

/// The image's name in its own source.
fn own_name(row: &ImageRow) -> &str {
    let source = row.source.as_deref().unwrap_or_default();
    row.image_id.strip_prefix(source).and_then(|rest| rest.strip_prefix(':')).unwrap_or(&row.image_id)
}

fn draw(rows: &[&ImageRow], val: f64, test: f64, seed: u64) -> Result<Vec<Split>> {
    check_fractions(val, test)?;
    // Test first: another --val moves nobody into or out of test.
    Ok(split_each(rows, |row| match uniform(seed, "split", person(row)) {
        u if u < test => Split::Test,
        u if u < test + val => Split::Val,
        _ => Split::Train,
    }))
}

fn official(
    rows: &[&ImageRow],
    train_val: &NameList,
    test: &NameList,
    val: f64,
    seed: u64,
) -> Result<Vec<Split>> {
    check_fractions(val, 0.0)?;
    refuse(
        rows,
        |row| !train_val.contains(own_name(row)) && !test.contains(own_name(row)),
        |image_id, more| SplitProblem::Unlisted { image_id, more },
    )?;
    refuse(
        rows,
        |row| train_val.contains(own_name(row)) && test.contains(own_name(row)),
        |image_id, _| SplitProblem::TwiceListed { image_id },
    )?;
    Ok(split_each(rows, |row| match test.contains(own_name(row)) {
        true => Split::Test,
        false if uniform(seed, "split", person(row)) < val => Split::Val,
        false => Split::Train,
    }))
}

fn column(rows: &[&ImageRow]) -> Result<Vec<Split>> {
    refuse(rows, |row| row.split.is_none(), |image_id, more| SplitProblem::Unsaid { image_id, more })?;
    Ok(rows.iter().filter_map(|row| row.split).collect())
}

/// What a source has no images for, and train gives up.
#[derive(Clone, Copy)]
enum Drawn {
    Nothing,
    Val,
    Test,
    Both,
}

/// Keeps what the source says. Without train there is nothing to draw from, so nothing is.
fn carried(rows: &[&ImageRow], val: f64, test: f64, seed: u64) -> Result<(Vec<Split>, Drawn)> {
    if let Some((with, split)) = rows.iter().find_map(|row| Some((row.image_id.clone(), row.split?))) {
        refuse(
            rows,
            |row| row.split.is_none(),
            |without, more| SplitProblem::Mixed { with: with.clone(), split, without, more },
        )?;
    }
    let said: Vec<Split> = rows.iter().filter_map(|row| row.split).collect();
    let has = |split| said.contains(&split);
    let (drawn, val, test) = match (has(Split::Train), has(Split::Val), has(Split::Test)) {
        (false, ..) | (true, true, true) => return Ok((said, Drawn::Nothing)),
        (true, false, true) => (Drawn::Val, val, 0.0),
        (true, true, false) => (Drawn::Test, 0.0, test),
        (true, false, false) => (Drawn::Both, val, test),
    };
    let fresh = draw(rows, val, test, seed)?;
    let of_train = |(said, fresh)| if said == Split::Train { fresh } else { said };
    Ok((said.into_iter().zip(fresh).map(of_train).collect(), drawn))
}

fn kept(splits: &[Split], drawn: Drawn, by_patient: bool) -> String {
    let by = if by_patient { "patient" } else { "image" };
    let drawn = match drawn {
        Drawn::Nothing => String::new(),
        Drawn::Val => format!(", and val is drawn from train by {by}"),
        Drawn::Test => format!(", and test is drawn from train by {by}"),
        Drawn::Both => format!(", and val and test are drawn from train by {by}"),
    };
    let counts =
        Split::ALL.map(|split| format!("{} {split}", splits.iter().filter(|&&of| of == split).count()));
    format!("the source assigns patients to splits: kept{drawn} ({})", counts.join(", "))
}

/// Test images of the source, of pairs of what it says and what is done, that are elsewhere now.
pub(crate) fn moved(pairs: impl Iterator<Item = (Option<Split>, Split)>) -> Option<String> {
    let tests: Vec<Split> =
        pairs.filter(|(said, _)| *said == Some(Split::Test)).map(|(_, done)| done).collect();
    let moved = tests.iter().filter(|split| **split != Split::Test).count();
    let of = tests.len();
    (moved > 0).then(|| {
        format!(
            "{moved} of {of} test images of the source are not in test any more: scores are not comparable"
        )
    })
}

fn split_each(rows: &[&ImageRow], split: impl Fn(&ImageRow) -> Split) -> Vec<Split> {
    rows.iter().map(|row| split(row)).collect()
}

/// Names the first row that is bad and counts the others.
fn refuse(
    rows: &[&ImageRow],
    bad: impl Fn(&ImageRow) -> bool,
    problem: impl Fn(String, u64) -> SplitProblem,
) -> Result<()> {
    let mut found = rows.iter().filter(|row| bad(row));
    match found.next() {
        None => Ok(()),
        Some(first) => Err(Error::Split(problem(first.image_id.clone(), found.count() as u64))),
    }
}

fn check_fractions(val: f64, test: f64) -> Result<()> {
    // Written so that NaN fails too.
    if val >= 0.0 && test >= 0.0 && val + test < 1.0 {
        return Ok(());
    }
    Err(Error::Split(SplitProblem::Fractions { val, test }))
}

fn refuse_two_sides(rows: &[&ImageRow], splits: &[Split]) -> Result<()> {
    let mut seen: HashMap<&str, (Split, &str)> = HashMap::new();
    for (row, &split) in rows.iter().zip(splits) {
        let Some(patient) = &row.patient_id else { continue };
        let (first, image) = *seen.entry(patient).or_insert((split, &row.image_id));
        if first != split {
            return Err(Error::Split(SplitProblem::TwoSides {
                patient: patient.clone(),
                first: (first, image.to_owned()),
                second: (split, row.image_id.clone()),
            }));
        }
    }
    Ok(())
}

fn empty_splits(splits: &[Split]) -> impl Iterator<Item = String> {
    let empty = Split::ALL.into_iter().filter(|split| !splits.contains(split));
    empty.map(|split| format!("{split} is empty"))
}

/// The patient of an image, or the image itself where none is named.
pub(crate) fn person(row: &ImageRow) -> &str {
    person_of(row.patient_id.as_deref(), &row.image_id)
}

pub(crate) fn person_of<'a>(patient_id: Option<&'a str>, image_id: &'a str) -> &'a str {
    patient_id.unwrap_or_else(|| stem(image_id))
}

/// A file name without folder and extension.
fn stem(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    crate::sources::without_extension(file)
}

/// A number in [0, 1) that depends on its arguments only.
pub(crate) fn uniform(seed: u64, purpose: &str, key: &str) -> f64 {
    (hash(seed, purpose, key) >> 11) as f64 / (1u64 << 53) as f64
}

/// 64 bits that depend on the arguments only.
pub(crate) fn hash(seed: u64, purpose: &str, key: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(purpose.as_bytes()).update(&[0]).update(key.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests;

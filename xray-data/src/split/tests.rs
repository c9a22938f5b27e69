use super::*;

fn row(image_id: &str, patient: Option<&str>, split: Option<Split>) -> ImageRow {
    let patient_id = patient.map(str::to_owned);
    ImageRow {
        image_id: image_id.into(),
        patient_id,
        labels: Vec::new(),
        no_finding: None,
        split,
        view: None,
        sex: None,
        age: None,
        source: None,
    }
}

/// `patients` patients with three images each.
fn population(patients: usize) -> Vec<ImageRow> {
    let images = (0..patients).flat_map(|p| (0..3).map(move |i| (p, i)));
    images.map(|(p, i)| row(&format!("{p}_{i}.png"), Some(&p.to_string()), None)).collect()
}

fn splits(rows: &[ImageRow], plan: &SplitPlan, seed: u64) -> Vec<Split> {
    assign(&rows.iter().collect::<Vec<_>>(), plan, seed).expect("a good plan").splits
}

fn check_refused(rows: &[ImageRow], plan: &SplitPlan, expected: &str) {
    let error = assign(&rows.iter().collect::<Vec<_>>(), plan, 0).expect_err(expected);
    assert!(error.to_string().contains(expected), "{error}");
}

const USUAL: SplitPlan = SplitPlan::Patients { val: 0.1, test: 0.2 };

#[test]
fn the_draw_is_near_its_fractions_and_keeps_patients_whole() {
    let rows = population(4000);
    let drawn = splits(&rows, &USUAL, 7);
    for (split, fraction) in [(Split::Train, 0.7), (Split::Val, 0.1), (Split::Test, 0.2)] {
        let share = drawn.iter().filter(|&&s| s == split).count() as f64 / drawn.len() as f64;
        // Four standard deviations of a share of 4000 draws.
        assert!((share - fraction).abs() < 4.0 * (fraction * (1.0 - fraction) / 4000.0).sqrt(), "{share}");
    }
    assert!(drawn.chunks(3).all(|patient| patient.iter().all(|s| *s == patient[0])));
    assert_ne!(drawn, splits(&rows, &USUAL, 8));
}

#[test]
fn nobody_moves_when_images_are_added_or_val_changes() {
    let (few, many) = (population(100), population(200));
    let (before, after) = (splits(&few, &USUAL, 0), splits(&many, &USUAL, 0));
    assert_eq!(before, after[..before.len()]);
    let wider = splits(&few, &SplitPlan::Patients { val: 0.3, test: 0.2 }, 0);
    let tests = |s: &[Split]| s.iter().map(|&s| s == Split::Test).collect::<Vec<_>>();
    assert_eq!(tests(&before), tests(&wider));
}

#[test]
fn official_lists_are_followed_and_checked() {
    let rows = population(300);
    let names: Vec<String> = rows.iter().map(|r| r.image_id.replace("png", "jpg")).collect();
    let list = |range: std::ops::Range<usize>| names[range].iter().map(String::as_str).collect();
    let plan = |a, b| SplitPlan::Official { train_val: list(a), test: list(b), val: 0.25 };
    let drawn = splits(&rows, &plan(0..600, 600..900), 0);
    assert!(drawn[600..].iter().all(|&s| s == Split::Test));
    let val = drawn[..600].iter().filter(|&&s| s == Split::Val).count();
    assert!((100..200).contains(&val), "{val}");
    check_refused(&rows, &plan(0..601, 601..900), "patient `200` is in ");
    check_refused(&rows, &plan(0..600, 603..900), "image `200_0.png` is in neither list, nor are 2 more");
    check_refused(&rows, &plan(0..600, 597..900), "image `199_0.png` is in both lists");
}

#[test]
fn a_column_is_followed_and_checked() {
    let (train, test) = (Some(Split::Train), Some(Split::Test));
    let good = [row("a", Some("1"), train), row("b", Some("2"), test)];
    assert_eq!(splits(&good, &SplitPlan::Column, 0), [Split::Train, Split::Test]);
    let leaking = [row("a", Some("1"), train), row("b", Some("1"), test)];
    check_refused(
        &leaking,
        &SplitPlan::Column,
        "patient `1` is in train (image `a`) and in test (image `b`)",
    );
    check_refused(&[row("a", None, None)], &SplitPlan::Column, "no split for image `a`");
}

#[test]
fn what_a_source_carries_is_kept_and_the_rest_drawn_from_its_train() {
    const PLAN: SplitPlan = SplitPlan::Carried { val: 0.3, test: 0.3 };
    let check = |said: [Option<Split>; 3], expected: [bool; 3], rule, note: &str| {
        let mut rows = population(100);
        for (place, row) in rows.iter_mut().enumerate() {
            row.split = said[place / 100]; // 33 patients each, and one on the border
        }
        let rows: Vec<_> = rows
            .iter()
            .filter(|row| !row.image_id.starts_with("33_") && !row.image_id.starts_with("66_"))
            .collect();
        let assigned = assign(&rows, &PLAN, 0).expect("a good split");
        for (row, split) in rows.iter().zip(&assigned.splits) {
            assert!(row.split.is_none_or(|said| said == Split::Train || said == *split), "{row:?}");
        }
        assert_eq!(Split::ALL.map(|split| assigned.splits.contains(&split)), expected, "{said:?}");
        assert_eq!(assigned.rule, rule, "{said:?}");
        assert!(assigned.warnings.iter().any(|said| said.contains(note)) || note.is_empty());
    };
    let [train, val, test] = Split::ALL.map(Some);
    check([train, val, test], [true; 3], SplitRule::Column, "kept (99 train, 96 val, 99 test)");
    check([train, train, test], [true; 3], SplitRule::Official, "val is drawn from train by patient");
    check([train, train, val], [true; 3], SplitRule::Patient, "test is drawn from train by patient");
    check([train; 3], [true; 3], SplitRule::Patient, "val and test are drawn from train by patient");
    check([test; 3], [false, false, true], SplitRule::Column, "train is empty");
    check([None; 3], [true; 3], SplitRule::Patient, "");
    check_refused(
        &[row("a", Some("1"), test), row("b", Some("2"), None)],
        &PLAN,
        "image `a` has a split, test; image `b` has none",
    );
    check_refused(
        &[row("a", Some("1"), test), row("b", Some("1"), train)],
        &PLAN,
        "patient `1` is in test (image `a`) and in train (image `b`)",
    );
}

#[test]
fn test_images_that_move_are_counted() {
    let mut rows = population(100);
    rows.iter_mut().for_each(|row| row.split = Some(Split::Test));
    let assigned = assign(&rows.iter().collect::<Vec<_>>(), &USUAL, 0).expect("a good plan");
    let moved = assigned.splits.iter().filter(|&&split| split != Split::Test).count();
    let expected = format!("{moved} of 300 test images of the source are not in test any more");
    assert!(assigned.warnings[0].starts_with(&expected), "{:?}", assigned.warnings);
}

#[test]
fn images_without_a_patient_are_split_with_a_warning() {
    let rows: Vec<ImageRow> = (0..50).map(|i| row(&i.to_string(), None, None)).collect();
    let assigned = assign(&rows.iter().collect::<Vec<_>>(), &USUAL, 0).expect("a good plan");
    assert_eq!(assigned.rule, SplitRule::Image);
    assert!(assigned.warnings[0].starts_with("50 of 50 images without a patient"), "{:?}", assigned.warnings);
}

#[test]
fn fractions_that_leave_no_train_are_refused() {
    for (val, test) in [(0.5, 0.5), (-0.1, 0.2), (0.1, f64::NAN)] {
        check_refused(&[row("a", None, None)], &SplitPlan::Patients { val, test }, "leave no room for train");
    }
}

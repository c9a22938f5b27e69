//! DeLong's variances and paired test against pROC (Debian's r-cran-proc), where Rscript has it.
#![expect(clippy::print_stderr, reason = "says why nothing is compared")]

use std::fmt::Write;
use std::process::Command;
use xray_metrics::{Scores, compare, delong};
use xray_random::Random;

fn has_proc() -> bool {
    let asked = Command::new("Rscript").args(["-e", "library(pROC)"]).output();
    asked.is_ok_and(|output| output.status.success())
}

/// Areas of both models, their standard errors, and z of the difference.
fn by_proc(rows: &[[f64; 3]]) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("rows.csv");
    let mut text = String::from("truth,a,b\n");
    for [truth, a, b] in rows {
        writeln!(text, "{truth},{a},{b}").expect("a string takes all");
    }
    std::fs::write(&file, text).expect("writable");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proc.R");
    let output = Command::new("Rscript").arg(script).arg(&file).output().expect("it answered before");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("numbers");
    printed.split_whitespace().map(|figure| figure.parse().expect("a number")).collect()
}

#[test]
fn areas_errors_and_the_paired_test_are_procs() {
    if !has_proc() {
        eprintln!("skipped: Rscript has no pROC (Debian: r-cran-proc)");
        return;
    }
    // Few and many records, rare and common findings, all scores distinct and many tied.
    for (at, (records, one_in, steps)) in
        [(60, 6, 0.0), (400, 3, 0.0), (400, 20, 0.0), (300, 4, 2.0), (200, 2, 0.7)].into_iter().enumerate()
    {
        let mut random = Random::keyed(&[at as u64]);
        let rounded = |score: f64| if steps > 0.0 { (score * steps).round() / steps } else { score };
        let rows: Vec<[f64; 3]> = (0..records)
            .map(|record| {
                let truth = f64::from(u8::from(record % one_in == 0));
                let common = random.normal();
                let mut score = |ahead: f64| rounded(truth * ahead + common + random.normal());
                [truth, score(1.5), score(0.8)]
            })
            .collect();
        let column = |place: usize| rows.iter().map(|row| row[place]).collect::<Vec<_>>();
        let truth: Vec<_> = column(0).into_iter().map(|truth| truth as f32).collect();
        let (a, b) = (column(1), column(2));
        let of = |values| Scores::new(values, &truth, 1).expect("valid");
        let alone = |values| delong(of(values), 0, None).expect("no patients").expect("two of each class");
        let [of_a, of_b] = [&a, &b].map(|values| alone(values));
        let apart = compare(of(&a), of(&b), None).expect("same records").labels[0];
        let z = apart.difference.expect("both classes") / apart.standard_error.expect("they differ");
        let found = [of_a.auc, of_b.auc, of_a.standard_error, of_b.standard_error, z];
        let expected = by_proc(&rows);
        assert_eq!(expected.len(), found.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-9, "case {at}: {found} is not pROC's {expected}");
        }
    }
}

//! An appraisal as text for a terminal.

use crate::appraisal::{Appraisal, MissingInterval, NO_VALIDATION, OperatingPoints};
use crate::comparison::{p_value, signed_with_interval};
use crate::figures::{number, with_interval};
use crate::subject::whose;
use crate::{by_source, net_benefit, subgroups};
use std::fmt::Write;
use xray_artifacts::Split;
use xray_display::{TextTable, counted};
use xray_metrics::units::Unit;
use xray_metrics::{CalibrationError, Difference, NoInterval, OperatingPoint, Proportion};

impl Appraisal {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        let whose = match self.test_patients {
            Some(1) => " of one patient".to_owned(),
            Some(patients) => format!(" of {}", counted(patients, "patient")),
            None => "; patients unknown, so records are taken as independent".to_owned(),
        };
        let shown = self.test.labels.iter().any(|label| label.auc_interval.is_some());
        let of = if self.test_patients.is_some() { "patients" } else { "records" };
        let intervals = match shown {
            true => format!(", 95 % intervals (Wilson's, of the effective number of {of})"),
            false => String::new(),
        };
        let records = counted(self.test.records, "record");
        let _ = writeln!(text, "\nDiscrimination on test{intervals}; {records}{whose}\n");
        text += &self.discrimination();
        if let Some(found) = &self.by_source {
            text += "\nSources of test: findings or sources?\n\n";
            text += &by_source::text(found);
        }
        text += &self.fitted_text();
        if !self.subgroups.is_empty() {
            let _ = writeln!(text, "\nSubgroups of test\n");
            text += &subgroups::table(&self.subgroups);
        }
        text
    }

    /// Operating points and calibrations.
    pub(crate) fn fitted_text(&self) -> String {
        let mut text = String::new();
        match &self.operating_points {
            Some(points) => {
                let _ =
                    writeln!(text, "\nOperating points: {} on validation, reported on test\n", points.rule);
                text += &points.table();
            }
            None => {
                text += "\nNo operating points and no calibration: there are no validation records to fit them on.\n"
            }
        }
        text += &self.calibration();
        if let Some(labels) = &self.net_benefit {
            text += "\nNet benefit per 1,000 test records of acting on a calibrated probability: true positives − \
                     false positives × odds of the threshold (in brackets: treat all; treat none is 0)\n\n";
            text += &net_benefit::table(labels);
        }
        text
    }

    fn discrimination(&self) -> String {
        let test = &self.test;
        let of_constant = format!("of {} prevalence", whose(self.prevalence_of));
        // A baseline stands beside what it is the baseline of, where no table breaks between them.
        let mut header = vec!["label", "positives", "AUC"];
        if self.beside_metadata.is_some() {
            header.extend(["sex, age, view", "AUC − baseline"]);
        }
        header.extend(["AP", "test prevalence", "Brier", &of_constant]);
        let mut table = TextTable::new(&header);
        for (at, label) in test.labels.iter().enumerate() {
            let mut row = vec![label.label.clone(), label.positives.to_string(), self.auc(at)];
            row.extend(
                self.beside_metadata.as_ref().map(|beside| beside_it(&beside.labels[at])).unwrap_or_default(),
            );
            row.extend(
                [label.average_precision, label.prevalence, label.brier, label.brier_baseline].map(number),
            );
            table.row(row);
        }
        let mut row =
            vec!["macro".to_owned(), String::new(), with_interval(test.macro_auc, test.macro_auc_interval)];
        row.extend(
            self.beside_metadata.as_ref().map(|beside| beside_it(&beside.macro_auc)).unwrap_or_default(),
        );
        let figures = [
            test.macro_average_precision,
            test.macro_average_precision_baseline,
            test.macro_brier,
            test.macro_brier_baseline,
        ];
        row.extend(figures.map(number));
        table.row(row);
        let mut row =
            vec!["prevalence baseline".to_owned(), String::new(), number(test.macro_auc.map(|_| 0.5))];
        row.extend(self.beside_metadata.iter().flat_map(|_| [String::new(), String::new()]));
        row.extend([
            number(test.macro_average_precision_baseline),
            String::new(),
            number(test.macro_brier_baseline),
            String::new(),
        ]);
        table.row(row);
        let mut text = table.text();
        text += &self.why_without_intervals();
        text += &self.metadata_sentence();
        let _ = writeln!(
            text,
            "micro-AUC {}; the prevalence baseline, which ignores the image, gets {}",
            number(test.micro_auc),
            number(test.micro_auc_baseline)
        );
        let same = |label: &&String| !self.is_missing(label, |why| why == NoInterval::SameScore);
        let nearly: Vec<&str> = test.collapsed_labels.iter().filter(same).map(String::as_str).collect();
        if !nearly.is_empty() {
            let _ = writeln!(text, "nearly the same score for every image: {}", nearly.join(", "));
        }
        text
    }

    fn is_missing(&self, label: &str, wanted: impl Fn(NoInterval) -> bool) -> bool {
        self.missing_intervals.iter().any(|missing| missing.label == label && wanted(missing.why))
    }

    /// A label's AUC and its interval.
    fn auc(&self, at: usize) -> String {
        let label = &self.test.labels[at];
        if self.is_missing(&label.label, |why| why == NoInterval::SameScore) {
            return format!("{} {}", number(label.auc), NoInterval::SameScore);
        }
        with_interval(label.auc, label.auc_interval)
    }

    /// Each reason once, with the labels it is of.
    fn why_without_intervals(&self) -> String {
        let mut text = String::new();
        let mut said: Vec<NoInterval> = Vec::new();
        for MissingInterval { why, .. } in &self.missing_intervals {
            // What stands in the table already needs no second word.
            if said.contains(why) || *why == NoInterval::SameScore {
                continue;
            }
            said.push(*why);
            let of = self.missing_intervals.iter().filter(|missing| missing.why == *why);
            let labels = of.map(|missing| missing.label.as_str()).collect::<Vec<_>>().join(", ");
            let what = if *why == NoInterval::NoAuc { "AUC" } else { "interval" };
            let _ = writeln!(text, "no {what} for {labels}: {why}");
        }
        if let Some(why) = self.missing_macro_interval.filter(|_| self.test.macro_auc.is_some()) {
            let _ = writeln!(text, "no interval for the macro-AUC: {why}");
        }
        let dominant = &self.test.macro_auc_dominated_by;
        if !dominant.is_empty() {
            let _ = writeln!(
                text,
                "more than half of the macro-AUC's variance comes from {}: too few positive or negative {}s",
                dominant.join(", "),
                self.test.intervals.map_or(Unit::Record, |intervals| intervals.unit)
            );
        }
        text
    }

    fn metadata_sentence(&self) -> String {
        let Some((baseline, beside)) = self.metadata_baseline.as_ref().zip(self.beside_metadata.as_ref())
        else {
            return String::new();
        };
        let both = beside.labels.iter().filter(|label| label.difference.is_some()).count();
        let found = &beside.macro_auc;
        format!(
            "sex, age and view alone, by logistic regressions fitted on {}, get a macro-AUC of {} \
             on the {both} of {} labels that both define; there the model gets {}: {}, p {}\n",
            counted(baseline.fitted_on, "validation record"),
            number(found.b),
            beside.labels.len(),
            number(found.a),
            signed_with_interval(found),
            p_value(found.p_value),
        )
    }

    /// ECE and Brier score, as it is and calibrated, beside those of a constant and what chance makes of an ECE.
    fn calibration(&self) -> String {
        let calibrated = self.reliability.iter().any(|label| label.ece_calibrated.is_some());
        let mut header = vec!["label", "bins", "ECE", "debiased", "by chance"];
        if calibrated {
            header.extend(["calibrated: ECE", "debiased", "by chance"]);
        }
        header.extend(["constant: ECE", "Brier"]);
        if calibrated {
            header.push("calibrated");
        }
        header.push("constant");
        let mut table = TextTable::new(&header);
        let mut whys = String::new();
        for label in &self.reliability {
            // Said once above, not for every label.
            if let Some(why) = label.uncalibrated.as_ref().filter(|why| *why != NO_VALIDATION) {
                let _ = writeln!(whys, "{}: not calibrated: {why}", label.label);
            }
            if let Some(note) = &label.calibration_note {
                let _ = writeln!(whys, "{}: calibrated by {note}", label.label);
            }
            let error = |error: &Option<CalibrationError>| {
                let of = |figure: fn(&CalibrationError) -> f64| number(error.as_ref().map(figure));
                [of(|error| error.ece), of(|error| error.debiased), of(|error| error.by_chance)]
            };
            let mut row = vec![label.label.clone(), bins(label.error.as_ref())];
            row.extend(error(&label.error));
            if calibrated {
                row.extend(error(&label.error_calibrated));
            }
            row.extend([number(label.constant.map(|it| it.ece)), number(label.brier)]);
            if calibrated {
                row.push(number(label.brier_calibrated));
            }
            row.push(number(label.constant.map(|it| it.brier)));
            table.row(row);
        }
        let what = if calibrated { ", before and after calibration on validation" } else { "" };
        let constant = match self.prevalence_of {
            Split::Test => "the test prevalence itself, whose ECE is 0 by construction".to_owned(),
            other => format!("the {} prevalence", whose(other)),
        };
        format!(
            "\nCalibration on test{what}\n\n{}{whys}ECE is the expected calibration error in bins of equal count, \
             with the test records of each; debiased: without the share that the spread within bins adds; by chance: \
             the ECE of perfectly calibrated probabilities on as many records. The constant is {constant} for every \
             image\n",
            table.text()
        )
    }
}

/// `10 of 40`, `10 of 38 to 41`.
fn bins(error: Option<&CalibrationError>) -> String {
    let records = error.map_or(&[][..], |error| &error.records);
    match (records.iter().min(), records.iter().max()) {
        (Some(least), Some(most)) if least == most => format!("{} of {least}", records.len()),
        (Some(least), Some(most)) => format!("{} of {least} to {most}", records.len()),
        _ => "–".to_owned(),
    }
}

/// What metadata get, and how far the model is from it.
fn beside_it(found: &Difference) -> Vec<String> {
    vec![number(found.b), signed_with_interval(found)]
}

impl OperatingPoints {
    fn table(&self) -> String {
        let header = [
            "label",
            "positives",
            "negatives",
            "threshold",
            "sensitivity",
            "specificity",
            "PPV",
            "NPV",
            "F1",
            "accuracy",
            "always no",
        ];
        let mut table = TextTable::new(&header);
        let mut whys = String::new();
        let share = |share: Option<Proportion>| {
            with_interval(share.map(|share| share.value), share.map(|share| share.interval))
        };
        for label in &self.labels {
            if let Some(why) = &label.undefined {
                let _ = writeln!(whys, "{}: {why}", label.label);
            }
            if let Some(warning) = &label.warning {
                let _ = writeln!(whys, "warning: {}: {warning}", label.label);
            }
            let point = label.point.as_ref();
            let value = |figure: fn(&OperatingPoint) -> Option<Proportion>| {
                number(point.and_then(figure).map(|share| share.value))
            };
            table.row(vec![
                label.label.clone(),
                label.positives.to_string(),
                label.negatives.to_string(),
                number(label.threshold),
                share(point.and_then(|point| point.sensitivity)),
                share(point.and_then(|point| point.specificity)),
                value(|point| point.ppv),
                value(|point| point.npv),
                number(point.and_then(|point| point.f1)),
                number(label.accuracy),
                number(label.accuracy_always_no),
            ]);
        }
        // Without a point there is no interval, PPV or NPV to speak of.
        if self.labels.iter().any(|label| label.point.is_some()) {
            whys += match self.unit {
                Unit::Patient => "95 % intervals are Wilson's, by patient",
                Unit::Record => "95 % intervals are Wilson's, over records (patients unknown)",
            };
            whys += "; PPV and NPV hold at the test prevalence\n";
        }
        table.text() + &whys
    }
}

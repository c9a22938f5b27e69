//! What a model is worth on other data, as text for a terminal.

use super::{External, LabelBeside};
use crate::figures::{number, with_interval};
use std::fmt::Write;
use xray_display::{TextTable, counted};
use xray_metrics::{Coefficient, Drift, Unpaired};

impl External {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        text += &self.labels_text();
        let _ = writeln!(
            text,
            "\nDiscrimination: the model's own test records beside {} of {}, 95 % intervals\n",
            counted(self.appraisal.test.records, "record"),
            self.data.display()
        );
        text += &self.discrimination();
        text += &self.carried_text();
        text += "\nOn the new records alone\n";
        text + &self.appraisal.text()
    }

    fn labels_text(&self) -> String {
        let labels = &self.labels;
        let pair = |model: &str, data: &str| {
            if model == data { model.to_owned() } else { format!("{model} (there: {data})") }
        };
        let matched: Vec<_> = labels.matched.iter().map(|label| pair(&label.model, &label.data)).collect();
        let mut text = format!("labels of both: {}\n", matched.join(", "));
        let mut line = |what: &str, names: &[String]| {
            if !names.is_empty() {
                text += &format!("{what}: {}\n", names.join(", "));
            }
        };
        line("only the model's, not evaluated", &labels.model_only);
        line("only the data's, not predicted", &labels.data_only);
        if self.unread > 0 {
            let _ = writeln!(text, "left out: {} that cannot be read", counted(self.unread, "image"));
        }
        text
    }

    fn discrimination(&self) -> String {
        let mut table =
            TextTable::new(&["label", "own AUC", "other AUC", "other − own", "own prevalence", "other"]);
        for label in &self.beside {
            let LabelBeside { auc, prevalence, .. } = label;
            table.row(vec![
                label.label.clone(),
                with_interval(auc.a, auc.a_interval),
                with_interval(auc.b, auc.b_interval),
                difference(auc),
                number(prevalence.a),
                number(prevalence.b),
            ]);
        }
        let whole = &self.macro_auc;
        table.row(vec![
            format!("macro of {}", counted(self.macro_labels, "label")),
            with_interval(whole.a, whole.a_interval),
            with_interval(whole.b, whole.b_interval),
            difference(whole),
            String::new(),
            String::new(),
        ]);
        table.text()
            + "own: the model's own test records; other: the other data. Intervals of differences are for two sets \
               without a common patient (Zou and Donner, 2008)\n"
    }

    fn carried_text(&self) -> String {
        let Some(from) = &self.carried_from else {
            return "\nNo thresholds and no calibrations: the bundle's card has none to carry over (`xray-eval \
                    calibrate`).\n"
                .to_owned() + &self.calibration("as the network gives them");
        };
        let rule = self.appraisal.operating_points.as_ref().map(|points| points.rule.to_string());
        let mut text = format!(
            "\nOperating points carried over from {from} ({}), never fitted on the new records\n\n",
            rule.unwrap_or_default()
        );
        let header =
            ["label", "own sensitivity", "other", "other − own", "own specificity", "other", "other − own"];
        let mut calls = TextTable::new(&header);
        let mut values =
            TextTable::new(&["label", "own PPV", "expected, other", "other PPV", "own NPV", "other NPV"]);
        for label in &self.beside {
            let mut row = vec![label.label.clone()];
            for figure in [&label.sensitivity, &label.specificity] {
                row.extend([
                    number(figure.a),
                    with_interval(figure.b, figure.b_interval),
                    difference(figure),
                ]);
            }
            calls.row(row);
            values.row(vec![
                label.label.clone(),
                number(label.ppv.a),
                number(label.ppv_expected),
                with_interval(label.ppv.b, label.ppv.b_interval),
                number(label.npv.a),
                with_interval(label.npv.b, label.npv.b_interval),
            ]);
        }
        text += &calls.text();
        text += "\nPredictive values at each prevalence\n\n";
        text += &values.text();
        text += "expected: the PPV of the own sensitivity and specificity at the other prevalence\n";
        let how = match self.recalibrated_on {
            Some(split) => format!(
                "RECALIBRATED, as asked, on the {split} split of the other data, whose records are not reported on"
            ),
            None => format!("carried over from {from}"),
        };
        text + &self.calibration(&how)
    }

    fn calibration(&self, how: &str) -> String {
        let mut table = TextTable::new(&[
            "label",
            "own mean",
            "own positives",
            "other mean",
            "other positives",
            "own intercept",
            "other",
            "own slope",
            "other",
        ]);
        let coefficient = |found: Option<Coefficient>| {
            with_interval(found.map(|found| found.value), found.and_then(|found| found.interval))
        };
        for label in &self.beside {
            let (here, there) = (label.own_calibration, label.calibration);
            let of = |found: Option<Drift>, figure: fn(Drift) -> f64| number(found.map(figure));
            table.row(vec![
                label.label.clone(),
                of(here, |drift| drift.expected),
                of(here, |drift| drift.observed),
                of(there, |drift| drift.expected),
                of(there, |drift| drift.observed),
                coefficient(here.and_then(|drift| drift.intercept)),
                coefficient(there.and_then(|drift| drift.intercept)),
                coefficient(here.and_then(|drift| drift.slope)),
                coefficient(there.and_then(|drift| drift.slope)),
            ]);
        }
        format!(
            "\nCalibration drift; probabilities {how}\n\n{}the intercept is the mean error of the log-odds, 0 if \
             there is none; a slope below 1 means that the model is overconfident\n",
            table.text()
        )
    }
}

/// `-0.120 (-0.170 to -0.070)`, with a dash for what is not defined.
fn difference(found: &Unpaired) -> String {
    match (found.difference, found.interval) {
        (Some(difference), Some([low, high])) => format!("{difference:+.3} ({low:+.3} to {high:+.3})"),
        (Some(difference), None) => format!("{difference:+.3}"),
        (None, _) => "–".to_owned(),
    }
}

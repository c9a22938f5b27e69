//! Whether the chosen run's probabilities mean what they say, before and after calibration on validation.

use crate::report::document::{Named, Section, Table, Value};
use crate::report::sweep::Sweep;
use crate::tables::LabelRow;
use serde_json::json;
use xray_artifacts::Split;
use xray_display::chart::{Axis, Chart, Scale, Series};
use xray_metrics::probability::{brier_of_probabilities, sigmoid};
use xray_metrics::{
    Binning, BrierDecomposition, CalibrationError, Column, Method, ReliabilityBin, brier_decomposition,
    calibration_error, reliability,
};

const BINS: u16 = 10;
const METHOD: Method = Method::Platt;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("calibration", "Do the probabilities mean what they say?");
    let Some(Ok(both)) = sweep.chosen.as_ref().map(|chosen| &chosen.predictions) else { return section };
    let test = both.test_scores();
    section.text(format!(
        "Test records of the chosen run in ten bins of equal count. Horizontal: mean predicted probability; vertical: \
         share with the finding. The dashed diagonal is perfect calibration. Dots: the network's own probabilities; \
         squares: after calibration ({METHOD}) on the validation records."
    ));
    let mut table = Table::new(
        "Expected calibration error (ECE) on test, before and after calibration",
        &[
            ("label", "finding"),
            ("bins", "bins"),
            ("ece", ">ECE"),
            ("ece_debiased", ">debiased"),
            ("ece_by_chance", ">by chance"),
            ("ece_calibrated", ">calibrated"),
            ("ece_calibrated_debiased", ">debiased"),
            ("ece_calibrated_by_chance", ">by chance"),
            ("ece_baseline", ">of training prevalence"),
        ],
    );
    let mut scores = Table::new(
        "Brier score on test, before and after calibration, and its parts before",
        &[
            ("label", "finding"),
            ("brier", ">Brier"),
            ("brier_calibrated", ">calibrated"),
            ("brier_baseline", ">of training prevalence"),
            ("reliability", ">reliability (lower is better)"),
            ("resolution", ">resolution (higher is better)"),
            ("uncertainty", ">uncertainty"),
            ("residual", ">within bins"),
        ],
    );
    let fitted = both.calibrations(METHOD);
    let patients = both.test_patients();
    let mut charts = Vec::new();
    let shown = sweep.shown_labels();
    for (at, label) in both.places(&shown) {
        let column = test.column(at);
        let of_known = patients.as_ref().map(|patients| {
            let known = patients.iter().zip(test.truth_of(at)).filter(|(_, truth)| truth.is_some());
            known.map(|(patient, _)| *patient).collect::<Vec<_>>()
        });
        let before = bins(&column, of_known.as_deref(), sigmoid);
        let after = fitted[at]
            .as_ref()
            .ok()
            .and_then(|fit| bins(&column, of_known.as_deref(), |logit| fit.calibrator.probability(logit)));
        let name = label.replace('_', " ");
        match &fitted[at] {
            Err(why) => table.notes.push(format!("{name}: not calibrated: {why}.")),
            Ok(fit) => table.notes.extend(fit.note().map(|note| format!("{name}: calibrated by {note}."))),
        }
        let parts = before.as_ref().and_then(|before| before.parts);
        let collected = sweep.chosen_label(Split::Test, label);
        let error = |of: Option<&Binned>, figure: fn(&CalibrationError) -> f64| {
            Value::number(of.map(|of| figure(&of.error)), 3)
        };
        let (before, after) = (before.as_ref(), after.as_ref());
        let baseline = collected.and_then(LabelRow::brier_of_prevalence);
        scores.row(vec![
            Value::text(name.clone()),
            Value::number(before.and_then(|before| before.score), 4),
            Value::number(after.and_then(|after| after.score), 4),
            Value::number(baseline, 4),
            Value::number(parts.map(|parts| parts.reliability), 4),
            Value::number(parts.map(|parts| parts.resolution), 4),
            Value::number(parts.map(|parts| parts.uncertainty), 4),
            Value::number(parts.map(|parts| parts.residual), 4),
        ]);
        table.row(vec![
            Value::text(name),
            before.map_or_else(Value::none, |before| counts(&before.error.records)),
            error(before, |error| error.ece),
            error(before, |error| error.debiased),
            error(before, |error| error.by_chance),
            error(after, |error| error.ece),
            error(after, |error| error.debiased),
            error(after, |error| error.by_chance),
            Value::number(collected.and_then(LabelRow::ece_of_prevalence), 3),
        ]);
        charts.extend(chart(label, before, after));
    }
    let bars = match (charts.is_empty(), &patients) {
        (true, _) => "",
        (false, Some(_)) => " Bars are Wilson's 95 % intervals, by patient.",
        (false, None) => " Bars are Wilson's 95 % intervals, over records (patients unknown).",
    };
    section.multiples(charts);
    table.notes.push(format!(
        "Debiased: without the share that the spread within bins adds (Kumar, Liang and Ma 2019). By chance: the ECE \
         of perfectly calibrated probabilities with as many records in each bin.{bars}"
    ));
    section.table("calibration", table);
    scores.notes.push(
        "Brier = reliability − resolution + uncertainty + the rest within bins, before calibration."
            .to_owned(),
    );
    section.table("brier", scores);
    section
}

/// How many bins of how many records.
fn counts(records: &[u64]) -> Value {
    let text = match (records.iter().min(), records.iter().max()) {
        (Some(least), Some(most)) if least == most => format!("{} of {least}", records.len()),
        (Some(least), Some(most)) => format!("{} of {least} to {most}", records.len()),
        _ => return Value::none(),
    };
    Value { text, json: json!(records) }
}

struct Binned {
    error: CalibrationError,
    bins: Vec<ReliabilityBin>,
    /// Brier's.
    score: Option<f64>,
    parts: Option<BrierDecomposition>,
}

fn bins(column: &Column, patients: Option<&[u32]>, probability: impl Fn(f64) -> f64) -> Option<Binned> {
    let (probabilities, truth) =
        column.iter().map(|(logit, positive)| (probability(logit), positive)).unzip();
    let column = Column::new(probabilities, truth).ok().filter(|column| !column.is_empty())?;
    let bins = reliability(&column, patients, Binning::EqualCount, BINS).ok()?;
    let error = calibration_error(&column, Binning::EqualCount, BINS).ok()??;
    let parts = brier_decomposition(&column, Binning::EqualCount, BINS).ok().flatten();
    Some(Binned { error, bins, score: brier_of_probabilities(&column), parts })
}

fn chart(label: &str, before: Option<&Binned>, after: Option<&Binned>) -> Option<Named<Chart>> {
    let series = |look, binned: &Binned| Series {
        look,
        dots: binned.bins.iter().map(|bin| (bin.mean_predicted, bin.observed.value)).collect(),
        bars: binned.bins.iter().map(|bin| (bin.mean_predicted, bin.observed.interval)).collect(),
        ..Series::default()
    };
    let drawn: Vec<Series> = [(0, before), (1, after)]
        .into_iter()
        .filter_map(|(look, binned)| Some(series(look, binned?)))
        .collect();
    let highest =
        |values: Vec<f64>| values.into_iter().reduce(f64::max).map(|high| (1.1 * high.max(0.01)).min(1.0));
    let predicted = highest(drawn.iter().flat_map(|series| &series.dots).map(|dot| dot.0).collect())?;
    let observed = highest(drawn.iter().flat_map(|series| &series.bars).map(|bar| bar.1[1]).collect())?;
    let axis = |label: &str, high| Axis::new(label, Scale::Linear { low: 0.0, high });
    let diagonal = Series { look: 6, dashed: vec![(0.0, 0.0), (1.0, 1.0)], ..Series::default() };
    let what = Chart {
        title: label.replace('_', " "),
        x: axis("predicted", predicted),
        y: axis("observed", observed),
        series: [vec![diagonal], drawn].concat(),
        levels: Vec::new(),
        legend: Vec::new(),
        empty: "no records",
    };
    Some(Named { name: format!("reliability-{}", label.to_lowercase()), what })
}

//! Whether the chosen run's probabilities mean what they say, before and after calibration on validation.

use crate::report::document::{Named, Section, Table, Value};
use crate::report::sweep::Sweep;
use crate::tables::LabelRow;
use xray_artifacts::Split;
use xray_display::chart::{Axis, Chart, Scale, Series};
use xray_metrics::probability::{brier_of_probabilities, sigmoid};
use xray_metrics::{
    Binning, BrierDecomposition, Calibrator, Column, Method, ReliabilityBin, brier_decomposition, calibrate,
    ece, reliability,
};

const BINS: u16 = 10;
const METHOD: Method = Method::Platt;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("calibration", "Do the probabilities mean what they say?");
    let Some(Ok(both)) = sweep.chosen.as_ref().map(|chosen| &chosen.predictions) else { return section };
    let test = both.test_scores();
    section.text(format!(
        "Test records of the chosen run in ten bins of equal count: to the right the mean predicted probability, up the \
         share that has the finding. On the dashed diagonal a probability means what it says. Dots are the scores as \
         they are, squares after calibration ({METHOD}) on the validation records."
    ));
    let mut table = Table::new(
        "Expected calibration error (ECE) and Brier score on test, as it is and calibrated",
        &[
            ("label", "finding"),
            ("ece", ">ECE"),
            ("ece_calibrated", ">calibrated"),
            ("brier", ">Brier"),
            ("brier_calibrated", ">calibrated"),
            ("brier_baseline", ">of the training prevalence"),
            ("reliability", ">reliability (less is better)"),
            ("resolution", ">resolution (more is better)"),
            ("uncertainty", ">uncertainty"),
            ("residual", ">within bins"),
        ],
    );
    let fitted = calibrate(both.validation(), METHOD);
    let mut charts = Vec::new();
    let shown = sweep.shown_labels();
    for (at, label) in both.places(&shown) {
        let column = test.column(at);
        let before = bins(&column, sigmoid);
        let after = fitted[at]
            .as_ref()
            .ok()
            .and_then(|fit: &Calibrator| bins(&column, |logit| fit.probability(logit)));
        if let Err(why) = &fitted[at] {
            table.notes.push(format!("{}: not calibrated: {why}.", label.replace('_', " ")));
        }
        let parts = before.as_ref().and_then(|before| before.parts.as_ref());
        let baseline = sweep.chosen_label(Split::Test, label).and_then(LabelRow::brier_of_prevalence);
        table.row(vec![
            Value::text(label.replace('_', " ")),
            Value::number(before.as_ref().and_then(|before| ece(&before.bins)), 3),
            Value::number(after.as_ref().and_then(|after| ece(&after.bins)), 3),
            Value::number(before.as_ref().and_then(|before| before.score), 4),
            Value::number(after.as_ref().and_then(|after| after.score), 4),
            Value::number(baseline, 4),
            Value::number(parts.map(|parts| parts.reliability), 4),
            Value::number(parts.map(|parts| parts.resolution), 4),
            Value::number(parts.map(|parts| parts.uncertainty), 4),
            Value::number(parts.map(|parts| parts.residual), 4),
        ]);
        charts.extend(chart(label, before.as_ref(), after.as_ref()));
    }
    section.multiples(charts);
    table.notes.push(
        "Brier = reliability − resolution + uncertainty + what is left within the bins, of the probabilities as they are. \
         Bars are Wilson's 95 % intervals and count records as independent."
            .to_owned(),
    );
    section.table("calibration", table);
    section
}

struct Binned {
    bins: Vec<ReliabilityBin>,
    /// Brier's.
    score: Option<f64>,
    parts: Option<BrierDecomposition>,
}

fn bins(column: &Column, probability: impl Fn(f64) -> f64) -> Option<Binned> {
    let (probabilities, truth) =
        column.iter().map(|(logit, positive)| (probability(logit), positive)).unzip();
    let column = Column::new(probabilities, truth).ok().filter(|column| !column.is_empty())?;
    let bins = reliability(&column, Binning::EqualCount, BINS).ok()?;
    let parts = brier_decomposition(&column, Binning::EqualCount, BINS).ok().flatten();
    Some(Binned { bins, score: brier_of_probabilities(&column), parts })
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

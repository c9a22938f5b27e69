//! How many images a score takes, or that the data cannot tell.

use super::fractions::capitalised;
use crate::report::document::{Section, Table, Value};
use crate::report::intervals::{SHARE, drawn, within};
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use xray_display::chart::{Axis, Chart, Scale, Series, Symbol};
use xray_display::thousands;
use xray_metrics::learning_curve::REACH;
use xray_metrics::{FittedCurve, ImagesNeeded, NoCurve, Trials, fit_learning_curve};

const DRAWS: u32 = 1000;
const SEED: u64 = 0;
/// The curve is drawn this many times beyond the largest size.
const BEYOND: f64 = 3.0;
const POINTS: u32 = 60;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("learning-curve", "How many images does it take?");
    let trainings = trainings(sweep);
    if trainings.is_empty() {
        return section;
    }
    let trials = if sweep.trials_share_data() { Trials::ShareImages } else { Trials::DrawTheirOwn };
    match fit_learning_curve(&trainings, trials, DRAWS, SEED) {
        Ok(fitted) => {
            section.text(said(&fitted, sweep));
            section.chart("learning-curve", chart(sweep, &trainings, &fitted));
            section.table("images-needed", table(sweep, &fitted));
        }
        Err(why @ (NoCurve::FewSizes(_) | NoCurve::LittleFreedom { .. })) => {
            section.text(format!("Not told here: {why}."))
        }
        Err(why @ NoCurve::NotRising) => section.warning(format!(
            "The data cannot tell: {why}. Train longer, with more trials, or over a wider range of fractions."
        )),
    }
    section
}

/// Images and test score of the finished runs of the chosen combination.
fn trainings(sweep: &Sweep) -> Vec<(f64, f64)> {
    let combination = sweep.chosen.as_ref().map_or("", |chosen| &chosen.run.combination);
    let own = sweep.runs.iter().filter(|run| run.combination == combination);
    own.filter_map(|run| Some((run.row.train_images as f64, run.figure(|run: &Run| run.score)?))).collect()
}

fn said(fitted: &FittedCurve, sweep: &Sweep) -> String {
    let curve = fitted.curve;
    let combination = sweep.chosen.as_ref().map_or("", |chosen| &chosen.run.combination);
    let of = if combination.is_empty() { String::new() } else { format!(" of {combination}") };
    let varied = if sweep.trials_share_data() {
        "other trainings on other images (of one size all trials share theirs, so sizes are drawn, not runs)"
    } else {
        "other trainings on other images"
    };
    let ceiling = if fitted.ceiling_identified {
        ""
    } else {
        " Curves with very different ceilings fit these runs alike, so they do not tell where it ends."
    };
    format!(
        "The runs{of} follow {} = {:.3} − {:.3} · images^−{:.2} (least squares over {} runs). Intervals are 95 % over \
         {varied}, by a wild bootstrap of {DRAWS} draws; they hold for these test patients and this way of \
         training.{ceiling}",
        sweep.score_name(),
        curve.ceiling,
        curve.scale,
        curve.exponent,
        trainings(sweep).len()
    )
}

fn chart(sweep: &Sweep, trainings: &[(f64, f64)], fitted: &FittedCurve) -> Chart {
    let [first, last] = fitted.measured;
    let end = BEYOND * last;
    let at = |step: u32| first * (end / first).powf(f64::from(step) / f64::from(POINTS));
    let places: Vec<f64> = (0..=POINTS).map(at).collect();
    let line = |inside: bool| {
        let points =
            places.iter().copied().filter(|&images| if inside { images <= last } else { images >= last });
        // Both parts meet at the largest size.
        let mut points: Vec<f64> = points.chain([last]).collect();
        points.sort_by(f64::total_cmp);
        points.into_iter().map(|images| (images, fitted.curve.score(images))).collect()
    };
    let (band, bars) = drawn(places.iter().map(|&images| (images, within(fitted.interval(images), SHARE))));
    let (line, dashed) = (line(true), line(false));
    let points = trainings.iter().chain(&line).chain(&dashed);
    let values: Vec<f64> = points.map(|point| point.1).collect();
    let series = vec![Series { dots: trainings.to_vec(), line, dashed, band, bars, ..Series::default() }];
    let score = capitalised(&sweep.score_name());
    Chart {
        title: format!("{score} by training images"),
        x: Axis::new("training images", Scale::Log { low: first / 1.25, high: 1.1 * end }),
        y: Axis::new(format!("test {}", sweep.score_name()), Scale::around_with_bands(&values, &series)),
        series,
        levels: Vec::new(),
        legend: vec![
            (Symbol::Dot(0), "one run".into()),
            (Symbol::Line(0), "fitted curve".into()),
            (Symbol::Dashed(0), "beyond the data".into()),
            (Symbol::Band(0), "95 %".into()),
        ],
        empty: sweep.without_score(),
    }
}

fn table(sweep: &Sweep, fitted: &FittedCurve) -> Table {
    let score = sweep.score_name();
    let mut table = Table::new(
        format!("Images for a {score}"),
        &[("score", ">score"), ("images", ">images"), ("interval", ">95 % interval"), ("answer", "answer")],
    );
    for target in targets(fitted) {
        let needed = fitted.images_for(target);
        let (images, interval, answer) = worded(&needed, fitted);
        let json = serde_json::to_value(needed).expect("numbers");
        table.row(vec![
            Value::number(Some(target), 2),
            Value { text: images, json: json["images"].clone() },
            Value { text: interval, json: json.clone() },
            Value { text: answer, json: json["answer"].clone() },
        ]);
    }
    table
}

/// Round scores, from the worst measured to some way above the best.
fn targets(fitted: &FittedCurve) -> Vec<f64> {
    let [first, last] = fitted.measured.map(|images| fitted.curve.score(images));
    let step = if last - first > 0.12 { 0.05 } else { 0.02 };
    let (from, to) = ((first / step).ceil() as i64, (last / step).ceil() as i64 + 2);
    (from..=to).map(|at| at as f64 * step).filter(|score| *score < 1.0).collect()
}

fn worded(needed: &ImagesNeeded, fitted: &FittedCurve) -> (String, String, String) {
    let images = |images: f64| thousands(rounded(images));
    let limit = images(REACH * fitted.measured[1]);
    match *needed {
        ImagesNeeded::AtMost { images: fewest } => {
            (format!("≤ {}", images(fewest)), String::new(), "reached by the smallest fraction".into())
        }
        ImagesNeeded::About { images: about, low, high } => {
            let high = high.map_or_else(|| format!("more than {limit}"), images);
            // Curves that are steep at their foot reach the score before the first image.
            let interval =
                if rounded(low) < 1 { format!("up to {high}") } else { format!("{} to {high}", images(low)) };
            let answer = match about {
                about if about > fitted.measured[1] => "beyond what was measured",
                about if about < fitted.measured[0] => "fewer than was measured",
                _ => "within what was measured",
            };
            (images(about), interval, answer.into())
        }
        ImagesNeeded::CannotTell { low, highest_ceiling } => {
            let interval =
                low.map_or_else(|| format!("more than {limit}"), |low| format!("{} or more", images(low)));
            let answer = match highest_ceiling {
                ceiling if ceiling < 0.995 => {
                    format!("cannot be told: curves level off at {ceiling:.3} at the latest")
                }
                _ => format!("cannot be told: beyond {REACH} times what was measured"),
            };
            ("–".into(), interval, answer)
        }
    }
}

/// To two significant digits.
fn rounded(images: f64) -> i64 {
    let unit = 10_f64.powf(images.max(1.0).log10().floor() - 1.0).max(1.0);
    ((images / unit).round() * unit) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_told_to_two_digits() {
        assert_eq!([3.2, 57.4, 1_234.0, 98_765.0].map(rounded), [3, 57, 1_200, 99_000]);
    }

    #[test]
    fn what_is_out_of_reach_is_said_so() {
        let law = |images: f64| 0.8 - images.powf(-0.5);
        let sizes = [100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0];
        let runs: Vec<_> = sizes.map(|images| (images, law(images))).to_vec();
        let fitted = fit_learning_curve(&runs, Trials::ShareImages, 50, 0).expect("rising");
        let said = |score| worded(&fitted.images_for(score), &fitted);
        assert_eq!(said(0.75).0, "400");
        assert_eq!(said(0.5).0, "≤ 100");
        assert!(said(0.9).2.starts_with("cannot be told"), "{:?}", said(0.9));
        assert!(targets(&fitted).contains(&0.8), "{:?}", targets(&fitted));
    }
}

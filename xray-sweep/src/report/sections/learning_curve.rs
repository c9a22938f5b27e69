//! How many images a score takes, or that the data cannot tell, and by which form of curve.

use super::fractions::capitalised;
use crate::report::document::{Section, Table, Value};
use crate::report::intervals::drawn;
use crate::report::runs::Run;
use crate::report::sweep::Sweep;
use xray_display::chart::{Axis, Chart, Scale, Series, Symbol};
use xray_display::thousands;
use xray_metrics::learning_curve::{MISFIT, REACH};
use xray_metrics::{FittedCurve, ImagesNeeded, NoCurve, Training, Trials, fit_learning_curve};

/// The curve is drawn this many times beyond the largest size.
const BEYOND: f64 = 3.0;
const POINTS: u32 = 60;

pub(super) fn section(sweep: &Sweep) -> Section {
    let mut section = Section::new("learning-curve", "How many images does it take?");
    let trainings = trainings(sweep);
    if trainings.is_empty() {
        section.text(format!("Not shown: {}.", sweep.without_score()));
        return section;
    }
    match fit_learning_curve(&trainings) {
        Ok(fitted) => {
            section.text(which(&fitted, sweep, trainings.len()));
            match fit(&fitted) {
                (true, text) => section.text(text),
                (false, text) => section.warning(text),
            }
            section.text(ceiling(&fitted));
            section.text(of_what(&fitted));
            section.chart("learning-curve", chart(sweep, &trainings, &fitted));
            section.table("images-needed", table(sweep, &fitted));
            section.table("learning-curve-forms", forms(sweep, &fitted));
        }
        Err(why @ (NoCurve::FewSizes(_) | NoCurve::LittleFreedom { .. })) => {
            section.text(format!("Not shown: {why}."))
        }
        Err(why @ NoCurve::NotRising) => section.warning(format!(
            "The data cannot tell: {why}. Train longer, with more trials, or over a wider range of fractions."
        )),
    }
    section
}

/// The finished runs of the chosen combination.
fn trainings(sweep: &Sweep) -> Vec<Training> {
    let combination = sweep.chosen.as_ref().map_or("", |chosen| &chosen.run.combination);
    let own = sweep.runs.iter().filter(|run| run.combination == combination);
    let training = |run: &Run| {
        Some(Training {
            images: run.row.train_images as f64,
            score: run.figure(|run: &Run| run.score)?,
            start: run.row.fraction_offset,
            share: run.row.fraction,
        })
    };
    own.filter_map(training).collect()
}

/// Which curve is shown, and which others might be.
fn which(fitted: &FittedCurve, sweep: &Sweep, runs: usize) -> String {
    let combination = sweep.chosen.as_ref().map_or("", |chosen| &chosen.run.combination);
    let of = if combination.is_empty() { String::new() } else { format!(" of {combination}") };
    let best = fitted.curve();
    let others: Vec<&str> = fitted.as_good().skip(1).map(|form| form.curve.form.name()).collect();
    let others = match others.as_slice() {
        [] => "no other fits as well".to_owned(),
        [one] => format!("{one} fits as well"),
        [some @ .., last] => format!("{} and {last} fit as well", some.join(", ")),
    };
    format!(
        "Of {} forms of learning curve, {} fits the {runs} runs{of} best: {} = {best}; {others} (Akaike's criterion \
         within 2).",
        fitted.forms.len(),
        best.form.name(),
        sweep.score_name(),
    )
}

/// Whether the form fits, and in words how that is known.
fn fit(fitted: &FittedCurve) -> (bool, String) {
    let name = fitted.curve().form.name();
    let Some(lack) = fitted.best().lack_of_fit else {
        return (true, "Whether it fits is not tested: that needs several trials of a size.".to_owned());
    };
    let p = Value::p(Some(lack.p)).text;
    let p = p.strip_prefix('<').map_or_else(|| format!("p = {p}"), |p| format!("p < {p}"));
    match (lack.p < MISFIT, fitted.trials) {
        (false, _) => (
            true,
            format!("No lack of fit: sizes scatter about the curve no more than their trials explain ({p})."),
        ),
        (true, Trials::ShareImages) => (
            false,
            format!(
                "Sizes scatter about the curve more than their trials ({p}). Trials of a size share their images, so \
                 this is either the luck of those images, which the intervals count, or a form that does not fit: \
                 the runs cannot tell which (`xray-sweep plan --rotate-data` would)."
            ),
        ),
        (true, Trials::DrawTheirOwn) if fitted.no_form_fits() => (
            false,
            format!(
                "No form fits these runs: sizes scatter about {name}, the best, more than their trials explain (lack \
                 of fit, {p}). Intervals treat the misfit as noise between sizes; beyond the data they hold only if \
                 the curve goes on as it does here."
            ),
        ),
        (true, Trials::DrawTheirOwn) => (
            false,
            format!(
                "Lack of fit: sizes scatter about {name} more than their trials explain ({p}), less so about other \
                 forms below."
            ),
        ),
    }
}

fn ceiling(fitted: &FittedCurve) -> String {
    let [low, high] = fitted.ceiling;
    match fitted.curve().ceiling() {
        Some(ceiling) if fitted.ceiling_identified() => {
            format!("The curve levels off at {ceiling:.3} (95 % interval {low:.3} to {high:.3}).")
        }
        _ if low < 1.0 => format!(
            "Ceiling not identified: the runs allow curves that level off at {low:.3} as well as curves that go on \
             to 1."
        ),
        _ => "Ceiling not identified: no curve that the runs allow levels off below 1.".to_owned(),
    }
}

/// What intervals are of.
fn of_what(fitted: &FittedCurve) -> String {
    let independent = match fitted.trials {
        Trials::ShareImages if fitted.best().lack_of_fit.is_none() => "each size has one run",
        Trials::ShareImages => "trials of a size share their images, so its mean counts once",
        Trials::DrawTheirOwn => "trials of a size are trained on different images",
    };
    format!(
        "Intervals are 95 % over other trainings on other images, of all curves that the runs do not reject, \
         whatever their form ({independent}; how far larger and smaller parts, which overlap, share the luck of \
         their images is left open). They hold for these test patients and this way of training."
    )
}

fn chart(sweep: &Sweep, trainings: &[Training], fitted: &FittedCurve) -> Chart {
    let [first, last] = fitted.measured;
    let end = BEYOND * last;
    let at = |step: u32| first * (end / first).powf(f64::from(step) / f64::from(POINTS));
    let places: Vec<f64> = (0..=POINTS).map(at).collect();
    let line = |inside: bool| {
        let points =
            places.iter().copied().filter(|&images| if inside { images < last } else { images > last });
        // Both parts meet at the largest size.
        let mut points: Vec<f64> = points.chain([last]).collect();
        points.sort_by(f64::total_cmp);
        points.into_iter().map(|images| (images, fitted.curve().score(images))).collect()
    };
    let (band, bars) = drawn(places.iter().map(|&images| (images, Some(fitted.interval(images)))));
    let (line, dashed) = (line(true), line(false));
    let dots: Vec<(f64, f64)> = trainings.iter().map(|training| (training.images, training.score)).collect();
    let points = dots.iter().chain(&line).chain(&dashed);
    let values: Vec<f64> = points.map(|point| point.1).collect();
    let series = vec![Series { dots, line, dashed, band, bars, ..Series::default() }];
    let score = capitalised(&sweep.score_name());
    Chart {
        title: format!("{score} by training images"),
        x: Axis::new("training images", Scale::Log { low: first / 1.25, high: 1.1 * end }),
        y: Axis::new(
            format!("test {}", sweep.score_name()),
            Scale::around_with_bands(&values, &series).of_shares(),
        ),
        series,
        levels: Vec::new(),
        legend: vec![
            (Symbol::Dot(0), "one run".into()),
            (Symbol::Line(0), fitted.curve().form.name().into()),
            (Symbol::Dashed(0), "beyond the data".into()),
            (Symbol::Band(0), "95 %, whatever the form".into()),
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
        let (images, interval, answer) = worded(target, &needed, fitted);
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

/// Every form, the best first, and where they disagree.
fn forms(sweep: &Sweep, fitted: &FittedCurve) -> Table {
    let score = sweep.score_name();
    let beyond = first_beyond(fitted);
    let images = format!(">images for {beyond:.2}");
    let mut table = Table::new(
        "Forms compared",
        &[
            ("form", "form"),
            ("curve", score.as_str()),
            ("akaike", ">AIC − best"),
            ("lack_of_fit", ">lack of fit, p"),
            ("ceiling", ">ceiling"),
            ("images", images.as_str()),
        ],
    );
    for form in &fitted.forms {
        let needed = form.curve.images_for(beyond);
        let (text, known) = match needed {
            needed if needed > REACH * fitted.measured[1] => {
                (format!("more than {}", thousands(rounded(REACH * fitted.measured[1]))), None)
            }
            needed => (thousands(rounded(needed)), Some(needed)),
        };
        let ceiling = form.curve.ceiling();
        table.row(vec![
            Value::text(form.curve.form.name()),
            Value::text(form.curve.to_string()),
            Value::number(Some(form.akaike - fitted.best().akaike), 1),
            Value::p(form.lack_of_fit.map(|lack| lack.p)),
            match ceiling.filter(|ceiling| *ceiling < 1.0) {
                Some(ceiling) => Value::number(Some(ceiling), 3),
                None => Value { text: "none below 1".into(), json: serde_json::json!(ceiling) },
            },
            Value { text, json: serde_json::json!(known) },
        ]);
    }
    let untested = fitted.forms.iter().all(|form| form.lack_of_fit.is_none());
    table.notes.push(format!(
        "Least squares under the covariance that suits each best. A form within 2 of the best fits as well.{}",
        if untested { " Lack of fit is not tested: that takes several trials of a size." } else { "" }
    ));
    table.without_empty_columns()
}

/// The first round score that the best curve does not reach within the data.
fn first_beyond(fitted: &FittedCurve) -> f64 {
    let most = fitted.curve().score(fitted.measured[1]);
    let targets = targets(fitted);
    targets.iter().copied().find(|target| *target > most).or(targets.last().copied()).unwrap_or(most)
}

/// Round scores, from the worst measured to some way above the best.
fn targets(fitted: &FittedCurve) -> Vec<f64> {
    let [first, last] = fitted.measured.map(|images| fitted.curve().score(images));
    let step = if last - first > 0.12 { 0.05 } else { 0.02 };
    let (from, to) = ((first / step).ceil() as i64, (last / step).ceil() as i64 + 2);
    (from..=to).map(|at| at as f64 * step).filter(|score| *score < 1.0).collect()
}

fn worded(score: f64, needed: &ImagesNeeded, fitted: &FittedCurve) -> (String, String, String) {
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
                Some(ceiling) if ceiling < score => {
                    format!("not reached: curves level off at {ceiling:.3} at the latest")
                }
                Some(ceiling) => format!("cannot be told: curves level off at {ceiling:.3} at the latest"),
                None => {
                    format!("cannot be told: perhaps more than {REACH} times what was measured, or never")
                }
            };
            ("–".into(), interval, answer)
        }
    }
}

/// A number of images with two significant digits.
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

    /// The fit to one training at each of six sizes, which follow a law and miss it by so much.
    fn fitted(law: impl Fn(f64) -> f64, missed: [f64; 6]) -> FittedCurve {
        let sizes = [100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0];
        let training = |(images, missed): (f64, f64)| Training {
            images,
            score: law(images) + missed,
            start: 0.0,
            share: images / 3200.0,
        };
        let trainings: Vec<_> = sizes.into_iter().zip(missed).map(training).collect();
        fit_learning_curve(&trainings).expect("rising")
    }

    #[test]
    fn what_is_out_of_reach_is_said_so() {
        let fitted = fitted(|images| 0.8 - images.powf(-0.5), [0.0; 6]);
        let said = |score| worded(score, &fitted.images_for(score), &fitted);
        assert_eq!(said(0.75).0, "400");
        assert_eq!(said(0.5).0, "≤ 100");
        assert!(said(0.9).2.starts_with("not reached: curves level off at 0.80"), "{:?}", said(0.9));
        assert!(targets(&fitted).contains(&0.8), "{:?}", targets(&fitted));
        assert!(ceiling(&fitted).starts_with("The curve levels off at 0.80"), "{}", ceiling(&fitted));
    }

    #[test]
    fn a_ceiling_that_is_not_known_is_not_told() {
        let missed = [0.008, -0.006, -0.004, 0.009, -0.008, 0.003];
        let fitted = fitted(|images| 0.3 + 0.05 * images.ln(), missed);
        assert!(ceiling(&fitted).starts_with("Ceiling not identified"), "{}", ceiling(&fitted));
        let said = worded(0.95, &fitted.images_for(0.95), &fitted);
        assert!(said.2.starts_with("cannot be told"), "{said:?}");
    }
}

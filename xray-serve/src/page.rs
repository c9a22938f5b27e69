//! The page as text: a form, and what was found. It works without JavaScript; `page.js` adds what needs it.

use crate::answer::{DISCLAIMER, ImageAnswer};
use crate::problem::Problem;
use crate::samples::Samples;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Environment, Value, context};
use xray_artifacts::Split;
use xray_bundle::{Calibrated, Card, Finding};

/// The templates.
#[derive(Debug)]
pub(crate) struct Pages(Environment<'static>);

/// What surrounds every page.
pub(crate) struct Frame<'a> {
    /// What links begin with.
    pub(crate) root: String,
    /// The model, once there is one.
    pub(crate) card: Option<&'a Card>,
    /// Whether images are looked at with a key only.
    pub(crate) asks_for_key: bool,
}

impl Pages {
    pub(crate) fn new() -> Self {
        let mut templates = Environment::new();
        templates
            .add_template("page.html", include_str!("../templates/page.html"))
            .expect("the template is part of the program");
        Pages(templates)
    }

    pub(crate) fn form(&self, frame: &Frame<'_>) -> String {
        self.page(frame, context! {})
    }

    /// Of the model that the frame names.
    pub(crate) fn findings(&self, frame: &Frame<'_>, name: &str, answer: &ImageAnswer) -> String {
        let card = frame.card.expect("only a model says something about an image");
        let rows: Vec<_> = answer.findings.iter().map(|finding| row(card, finding)).collect();
        let pictures = answer.pictures.as_ref();
        let prepared = pictures.map(|pictures| png(&pictures.prepared));
        let glows: Vec<_> =
            pictures.iter().flat_map(|pictures| &pictures.glows).map(|glow| png(glow)).collect();
        let milliseconds = &answer.milliseconds;
        let time = |value: f64| format!("{value:.1}");
        let found = context! {
            name,
            rows,
            prepared,
            glows,
            warnings => answer.warnings.clone(),
            size => answer.size,
            model_size => card.preprocessing.size,
            striking => answer.striking,
            calibration => calibration(&answer.findings),
            one_sided => one_sided(card),
            milliseconds => context! {
                queue => time(milliseconds.queue),
                decode => time(milliseconds.decode),
                network => time(milliseconds.network),
            },
        };
        self.page(frame, context! { found })
    }

    pub(crate) fn problem(&self, frame: &Frame<'_>, problem: &Problem) -> String {
        let Problem { message, hint, retry_after, request_id, .. } = problem.clone();
        let hint = hint.as_deref().map(begun);
        let problem = context! { message => begun(&message), hint, retry_after, request_id };
        self.page(frame, context! { problem })
    }

    fn page(&self, frame: &Frame<'_>, more: Value) -> String {
        let Frame { root, card, asks_for_key } = frame;
        // Of letters, digits, dots and slashes, none of which means anything to HTML.
        let root = Value::from_safe_string(root.clone());
        let samples: Vec<_> = (1..=Samples::COUNT).collect();
        let model = card.map(model);
        let version = env!("CARGO_PKG_VERSION");
        let values =
            context! { disclaimer => DISCLAIMER, version, samples, model, root, asks_for_key, ..more };
        let page = self.0.get_template("page.html").and_then(|template| template.render(values));
        page.expect("the template and its values are parts of the program")
    }
}

/// With a capital letter first.
fn begun(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

/// An address that holds the picture; none of its characters means anything to HTML.
fn png(bytes: &[u8]) -> Value {
    Value::from_safe_string(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
}

/// A finding as the table shows it.
fn row(card: &Card, finding: &Finding) -> Value {
    let threshold = card.thresholds.get(finding.index);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    context! {
        label => finding.label.replace('_', " "),
        probability => percent(finding.probability),
        // The sentence above the table is about the rest.
        doubt => (finding.calibration != Calibrated::Calibrated).then(|| finding.calibration.words()),
        width => format!("{:.1}", 100.0 * finding.probability),
        threshold => finding.threshold.map(percent),
        mark => finding.threshold.map(|threshold| format!("{:.1}", 100.0 * threshold)),
        positive => finding.positive,
        rule => threshold.map(|threshold| threshold.rule.clone()),
        published => threshold.is_some_and(|threshold| threshold.fitted_on.is_none()),
        sensitivity => threshold.and_then(|threshold| threshold.test_sensitivity).map(percent),
        specificity => threshold.and_then(|threshold| threshold.test_specificity).map(percent),
        why_none => threshold.and_then(|threshold| threshold.undefined.clone()),
    }
}

/// Which probabilities can be read as such.
fn calibration(findings: &[Finding]) -> String {
    let of = |kind: Calibrated| -> Vec<String> {
        let findings = findings.iter().filter(|finding| finding.calibration == kind);
        findings.map(|finding| finding.label.replace('_', " ")).collect()
    };
    let kinds = [
        (Calibrated::Calibrated, "are calibrated on validation images"),
        (
            Calibrated::Shifted,
            "are only right on average, because few validation patients were with or without the finding",
        ),
        (Calibrated::Unknown, "were fitted by an older version that does not say on how many patients"),
        (Calibrated::Uncalibrated, "are not calibrated: the network's own, not to be read as probabilities"),
    ];
    let mut sentences = Vec::new();
    for (kind, what) in kinds {
        let labels = of(kind);
        if labels.len() == findings.len() {
            return format!("All probabilities {what}.");
        }
        if !labels.is_empty() {
            sentences.push(format!("Probabilities of {} {what}.", labels.join(", ")));
        }
    }
    sentences.join(" ")
}

/// Thresholds whose calls say little, and why.
fn one_sided(card: &Card) -> Vec<String> {
    let labels = card.labels.iter().zip(&card.thresholds);
    let said = labels.filter_map(|(label, threshold)| {
        Some(format!("{}: {}", label.replace('_', " "), threshold.warning.as_ref()?))
    });
    said.collect()
}

/// The network, or those of an ensemble, each kind once.
fn architecture(card: &Card) -> String {
    if card.members.is_empty() {
        return card.model.architecture.name().to_owned();
    }
    let mut names: Vec<&str> = card.members.iter().map(|member| member.model.architecture.name()).collect();
    names.dedup();
    format!("the mean of {} networks ({})", card.members.len(), names.join(", "))
}

/// What the page says about the model.
fn model(card: &Card) -> Value {
    let test = card.scores.get(&Split::Test);
    let number = |value: Option<f64>| value.map(|value| format!("{value:.3}"));
    let interval = |value: Option<[f64; 2]>| value.map(|[low, high]| format!("{low:.3}–{high:.3}"));
    let method = test.and_then(|scores| scores.intervals);
    let labels = test.iter().flat_map(|scores| &scores.labels).map(|label| {
        context! {
            label => label.label.replace('_', " "),
            auc => number(label.auc),
            interval => interval(label.auc_interval),
            positives => label.positives,
        }
    });
    context! {
        architecture => architecture(card),
        size => card.preprocessing.size,
        train_images => card.provenance.train_images,
        fraction => card.provenance.fraction,
        trainer => card.provenance.trainer.clone(),
        dataset => card.provenance.dataset.clone(),
        imported => card.provenance.imported.as_ref().map(|imported| context! {
            file => imported.file.clone(),
            preprocessing => imported.preprocessing.clone(),
        }),
        macro_auc => number(test.and_then(|scores| scores.macro_auc)),
        macro_interval => interval(test.and_then(|scores| scores.macro_auc_interval)),
        level => method.map(|method| format!("{:.0} %", 100.0 * method.level)),
        test_images => test.map(|scores| scores.records),
        labels => labels.collect::<Vec<_>>(),
    }
}

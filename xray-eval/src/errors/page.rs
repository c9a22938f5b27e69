//! The page: one file without scripts or network, pictures inside it.

use super::by_finding::COLUMNS;
use super::pictures::Pictures;
use super::{Errors, LabelMistakes, Mistake, Suspect};
use std::fmt::Write;
use xray_display::page::{Page, PageColumn, PageSection, escape, html_table, sentence};
use xray_display::{counted, percent};

const STYLE: &str = include_str!("page.css");

/// `errors.html`.
pub(super) fn page(errors: &Errors, pictures: &Pictures) -> String {
    let mut sections = vec![in_short(errors), suspects(errors, pictures)];
    sections.extend(errors.labels.iter().enumerate().map(|(at, label)| finding(at, label, pictures)));
    sections.retain(|section| !section.body.is_empty());
    let title = match errors.runs.as_slice() {
        [run] => format!("Errors of {}", run.display()),
        runs => format!("Errors of a cross-validation of {} runs", runs.len()),
    };
    Page { title: &title, style: STYLE, sections: &sections, has_pictures: true }.html()
}

fn in_short(errors: &Errors) -> PageSection {
    let of = match errors.runs.len() {
        1 => "the validation records of one run".to_owned(),
        runs => format!(
            "the records of train and validation, each scored by that of {runs} runs which did not train on it"
        ),
    };
    let mut body = paragraph(&format!(
        "{}: {of}. Calls are at thresholds that validation chose by `{}`; test records are not used. A map shows \
         where in the image the score of a finding comes from.",
        counted(errors.records, "record"),
        errors.rule
    ));
    for note in &errors.notes {
        let _ = writeln!(body, "<p class=\"warning\">{}</p>", sentence(note));
    }
    let column = |(at, &title)| PageColumn { title, is_number: at > 0, is_long: false };
    let columns: Vec<PageColumn<'_>> = COLUMNS.iter().enumerate().map(column).collect();
    let row = |label: &LabelMistakes| {
        let mut row = label.row();
        row[0] = spaced(&row[0]);
        row
    };
    let rows: Vec<Vec<String>> = errors.labels.iter().map(row).collect();
    body += &html_table("Mistakes by finding", &columns, &rows);
    PageSection { id: "in-short".into(), title: "In short".into(), body }
}

fn suspects(errors: &Errors, pictures: &Pictures) -> PageSection {
    let mut body = paragraph(
        "By confident learning (Northcutt, Jiang and Chuang 2021), one finding at a time: a label is suspected where \
         the probability reaches the mean of the other class, and the further it lies beyond that than beyond the \
         mean of its own, the earlier it stands. A suspect is a label to look at, not an error that is shown: a \
         model that is wrong for a reason, such as a marker in the image, suspects right labels. Of findings whose \
         AUC may be 0.5 none is suspected: scores that know nothing of a finding know nothing of its labels.",
    );
    if errors.suspects.is_empty() {
        body +=
            &paragraph("No label is suspected: none is contradicted, or too few records have each label.");
    } else {
        body += &gallery(errors.suspects.iter().map(|suspect| {
            let Suspect { place: (record, label), .. } = *suspect;
            let said = format!(
                "labelled {}, model {}",
                if suspect.labelled { "with it" } else { "without it" },
                percent_of(suspect.probability)
            );
            figure(pictures, record, label, &spaced(&suspect.label), &suspect.id, &said)
        }));
    }
    PageSection { id: "labels".into(), title: "Labels that are likely wrong".into(), body }
}

fn finding(at: usize, label: &LabelMistakes, pictures: &Pictures) -> PageSection {
    let title = spaced(&label.label);
    let mut body = String::new();
    for (name, all, worst) in [
        ("False positives", label.false_positives, &label.worst_false_positives),
        ("False negatives", label.false_negatives, &label.worst_false_negatives),
    ] {
        let Some(all) = all.filter(|_| !worst.is_empty()) else { continue };
        let _ = writeln!(body, "<h3>{name}: the worst {} of {all}</h3>", worst.len());
        body += &gallery(worst.iter().map(|mistake: &Mistake| {
            let truth = match mistake.truth.as_slice() {
                [] => "no finding".to_owned(),
                labels => labels.iter().map(|label| spaced(label)).collect::<Vec<_>>().join(", "),
            };
            let said = format!("model {}, labelled {truth}", percent_of(mistake.probability));
            figure(pictures, mistake.record, at, &title, &mistake.id, &said)
        }));
    }
    PageSection { id: format!("finding-{at}"), title, body }
}

fn gallery(figures: impl Iterator<Item = String>) -> String {
    format!("<div class=\"gallery\">\n{}</div>\n", figures.collect::<String>())
}

/// The image, and beside it the same with the map; it is in the page once.
fn figure(pictures: &Pictures, record: usize, label: usize, finding: &str, id: &str, said: &str) -> String {
    let (image, map) = pictures.of(record, label);
    let (id, finding) = (escape(id), escape(finding));
    format!(
        "<figure class=\"xray\" style=\"--image: url({image})\"><div class=\"pair\"><div role=\"img\" \
         aria-label=\"{id}\"></div><div><img src=\"{map}\" alt=\"map of {finding} in \
         {id}\"></div></div><figcaption><b>{finding}</b>: {}<br><span \
         class=\"note\">{id}</span></figcaption></figure>\n",
        escape(said)
    )
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", sentence(text))
}

fn spaced(label: &str) -> String {
    label.replace('_', " ")
}

/// A probability as people say it.
fn percent_of(probability: f64) -> String {
    percent((1000.0 * probability).round() / 1000.0).replace(' ', "\u{a0}")
}

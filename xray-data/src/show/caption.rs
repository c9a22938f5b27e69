//! What stands under an image.

use crate::schema::{Label, Sample};
use xray_artifacts::Split;

/// The image's name; split, view, sex, age, and the patient after `#`; then the findings, with `?` where it is not known. At
/// most `most` lines of `width` characters.
pub(super) fn lines(
    sample: &Sample<'_>,
    split: Split,
    labels: &[String],
    width: usize,
    most: usize,
) -> Vec<String> {
    let patient = sample.patient_id.as_ref().map(|id| format!("#{id}"));
    let person = [sample.view.clone(), sample.sex.clone(), sample.age.map(|age| age.to_string())];
    let facts = std::iter::once(Some(split.to_string())).chain(person).chain([patient]).flatten();
    let mut lines = vec![sample.image_id.clone(), facts.collect::<Vec<_>>().join(" ")];
    lines.extend(wrapped(&findings(sample, labels), width));
    if lines.len() > most {
        lines.truncate(most);
        lines[most - 1].push_str(" ...");
    }
    lines.iter().map(|line| shortened(line, width)).collect()
}

fn findings(sample: &Sample<'_>, labels: &[String]) -> Vec<String> {
    let named = labels.iter().zip(&sample.labels).filter_map(|(label, value)| match value {
        Label::Positive => Some(label.clone()),
        Label::Uncertain | Label::Unknown => Some(format!("{label}?")),
        Label::Negative => None,
    });
    let named: Vec<String> = named.collect();
    if named.is_empty() { vec!["No Finding".to_owned()] } else { named }
}

fn wrapped(words: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 2 + word.len() <= width => {
                line.push_str(", ");
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

/// Sentences in lines of at most so many characters; what of one goes on is indented.
pub(super) fn broken(sentences: &[String], width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for sentence in sentences {
        let mut line = String::new();
        for word in sentence.split(' ') {
            if !line.trim().is_empty() && line.len() + 1 + word.len() > width {
                lines.push(std::mem::replace(&mut line, " ".to_owned()));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// The end of a line that is too long, because names differ at the end.
fn shortened(line: &str, width: usize) -> String {
    let count = line.chars().count();
    if count <= width {
        return line.to_owned();
    }
    let head = width / 2;
    let tail: String = line.chars().skip(count - (width - head - 2)).collect();
    let head: String = line.chars().take(head).collect();
    format!("{head}..{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(labels: &[Label]) -> Sample<'static> {
        Sample {
            no_finding: None,
            image: &[],
            image_id: "00000013_005.png".into(),
            patient_id: Some("13".into()),
            labels: labels.to_vec(),
            view: Some("PA".into()),
            sex: Some("F".into()),
            age: Some(60),
            split: None,
            source: None,
        }
    }

    #[test]
    fn captions_fit_their_tile() {
        let names: Vec<String> = ["Effusion", "Pleural_Thickening", "Mass"].map(str::to_owned).to_vec();
        let check = |labels: [Label; 3], most, expected: &[&str]| {
            assert_eq!(lines(&sample(&labels), Split::Val, &names, 24, most), expected);
        };
        let (yes, no, unknown) = (Label::Positive, Label::Negative, Label::Unknown);
        let head = ["00000013_005.png", "val PA F 60 #13"];
        check([no, no, no], 4, &[head[0], head[1], "No Finding"]);
        check([yes, no, unknown], 4, &[head[0], head[1], "Effusion, Mass?"]);
        check([yes, yes, yes], 4, &[head[0], head[1], "Effusion", "Pleural_Thickening, Mass"]);
        check([yes, yes, yes], 3, &[head[0], head[1], "Effusion ..."]);
    }

    #[test]
    fn sentences_are_broken_between_words() {
        let check = |sentence: &str, width, expected: &[&str]| {
            assert_eq!(broken(&[sentence.to_owned()], width), expected, "{sentence}");
        };
        check("one two", 7, &["one two"]);
        check("one two three", 7, &["one two", "  three"]);
        check("one two three four", 8, &["one two", "  three", "  four"]);
        check("longer than it may be", 5, &["longer", "  than", "  it", "  may", "  be"]);
        assert_eq!(broken(&["one".into(), "two".into()], 9), ["one", "two"]);
    }

    #[test]
    fn long_names_lose_their_middle() {
        let check = |line, width, expected| assert_eq!(shortened(line, width), expected);
        check("abcdefghij", 10, "abcdefghij");
        check("abcdefghijk", 10, "abcde..ijk");
    }
}

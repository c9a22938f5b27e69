//! Which label of a model is which label of another data set: by name, and where names differ by a map.

use serde::Serialize;
use std::path::Path;
use xray_artifacts::{Exit, Failure, read_text};
use xray_data::labels::{nearest, plain, position};

/// A label of the model and the one of the data that means the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedLabel {
    /// The model's.
    pub model: String,
    /// The data's.
    pub data: String,
    /// Its place among the model's labels.
    #[serde(skip)]
    pub(crate) model_place: usize,
    /// Its place among the data's labels.
    #[serde(skip)]
    pub(crate) data_place: usize,
}

/// The labels of both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedLabels {
    /// In the model's order.
    pub matched: Vec<MatchedLabel>,
    /// Labels that the model predicts and the data do not tell.
    pub model_only: Vec<String>,
    /// Labels that the data tell and the model does not predict.
    pub data_only: Vec<String>,
}

/// One line of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    model: String,
    data: String,
    /// Where it stands.
    place: String,
}

/// A map from a model's labels to those of other data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelMap(Vec<Pair>);

impl LabelMap {
    /// Reads `MODEL LABEL=DATA LABEL`, or a CSV file with the columns `model` and `data`, one after the other.
    ///
    /// # Errors
    /// A file that is none of these, by line; a label that is named twice on either side.
    pub fn read(texts: &[String]) -> Result<LabelMap, Failure> {
        let mut pairs: Vec<Pair> = Vec::new();
        for text in texts {
            match text.split_once('=') {
                Some((model, data)) if !Path::new(text).is_file() => {
                    let place = format!("--map '{text}'");
                    pairs.push(Pair { model: model.trim().to_owned(), data: data.trim().to_owned(), place });
                }
                _ => pairs.extend(read_file(Path::new(text))?),
            }
        }
        for (at, pair) in pairs.iter().enumerate() {
            if pair.model.is_empty() || pair.data.is_empty() {
                return Err(bad(pair, "a side of the pair is empty").hint(SHAPE));
            }
            let side = |pair: &Pair| [plain(&pair.model), plain(&pair.data)];
            let twice =
                |side_of: usize| pairs[..at].iter().find(|other| side(other)[side_of] == side(pair)[side_of]);
            for (side_of, name) in [&pair.model, &pair.data].into_iter().enumerate() {
                if let Some(first) = twice(side_of) {
                    let what = format!("`{name}` is named twice, first in {}", first.place);
                    return Err(bad(pair, &what).hint("one label has one counterpart: remove one of the two"));
                }
            }
        }
        Ok(LabelMap(pairs))
    }

    /// Matches labels: those that the map names by the map, the others by their names, whatever their case, blanks and
    /// punctuation.
    ///
    /// # Errors
    /// A name of the map that its side does not have; two labels of the data with a model label's name; nothing that
    /// matches.
    pub fn matched(&self, model: &[String], data: &[String]) -> Result<MatchedLabels, Failure> {
        let find = |pair: &Pair, name: &str, side: &str, labels: &[String]| {
            position(labels, name).ok_or_else(|| {
                let near = nearest(name, labels.iter().map(String::as_str));
                let near = near.map(|near| format!("; nearest is `{near}`")).unwrap_or_default();
                bad(pair, &format!("the {side} has no label `{name}`{near}"))
                    .hint(format!("the labels of the {side} are {}", labels.join(", ")))
            })
        };
        let mut of_model: Vec<Option<usize>> = vec![None; model.len()];
        for pair in &self.0 {
            let place = find(pair, &pair.model, "model", model)?;
            of_model[place] = Some(find(pair, &pair.data, "data", data)?);
        }
        let mapped: Vec<usize> = of_model.iter().flatten().copied().collect();
        for (place, name) in
            model.iter().enumerate().filter(|(place, _)| of_model[*place].is_none()).collect::<Vec<_>>()
        {
            let same = |at: &usize| plain(&data[*at]) == plain(name) && !mapped.contains(at);
            let found: Vec<usize> = (0..data.len()).filter(same).collect();
            if let [first, second, ..] = found[..] {
                let message = format!(
                    "the data have two labels named `{name}`: `{}` and `{}`",
                    data[first], data[second]
                );
                return Err(Failure::new(Exit::BadData, message)
                    .hint(format!("choose one with --map '{name}={}'", data[first])));
            }
            of_model[place] = found.first().copied();
        }
        let matched = of_model.iter().enumerate().filter_map(|(model_place, data_place)| {
            let data_place = (*data_place)?;
            let (model, data) = (model[model_place].clone(), data[data_place].clone());
            Some(MatchedLabel { model, data, model_place, data_place })
        });
        let found = MatchedLabels {
            matched: matched.collect(),
            model_only: (0..model.len())
                .filter(|at| of_model[*at].is_none())
                .map(|at| model[at].clone())
                .collect(),
            data_only: (0..data.len())
                .filter(|at| !of_model.contains(&Some(*at)))
                .map(|at| data[at].clone())
                .collect(),
        };
        if found.matched.is_empty() {
            let message = format!(
                "no label is both the model's ({}) and the data's ({})",
                model.join(", "),
                data.join(", ")
            );
            return Err(Failure::new(Exit::NothingMatches, message)
                .hint("pair them with --map 'MODEL LABEL=DATA LABEL'"));
        }
        Ok(found)
    }
}

const SHAPE: &str = "a map is 'MODEL LABEL=DATA LABEL', or a CSV file with the columns model and data";

fn bad(pair: &Pair, what: &str) -> Failure {
    Failure::new(Exit::BadData, format!("{}: {what}", pair.place))
}

fn read_file(path: &Path) -> Result<Vec<Pair>, Failure> {
    let text = read_text(path)?;
    let bad = |line: u64, what: &str| {
        Failure::new(Exit::BadData, format!("{} line {line}: {what}", path.display())).hint(SHAPE)
    };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| bad(1, &error.to_string()))?.clone();
    let place = |name: &str| header.iter().position(|column| plain(column) == name);
    let other = header.iter().find(|column| !["model", "data"].contains(&plain(column).as_str()));
    if let Some(column) = other {
        return Err(bad(1, &format!("unknown column `{column}`")));
    }
    let (Some(model), Some(data)) = (place("model"), place("data")) else {
        return Err(bad(1, "no columns `model` and `data`"));
    };
    let pair = |record: csv::Result<csv::StringRecord>| {
        let line = |position: Option<&csv::Position>| position.map_or(0, csv::Position::line);
        let record = record.map_err(|error| bad(line(error.position()), &error.to_string()))?;
        let line = line(record.position());
        if record.len() != header.len() {
            return Err(bad(
                line,
                &format!("{} cells where the header line has {}", record.len(), header.len()),
            ));
        }
        let cell = |at: usize| record[at].trim().to_owned();
        Ok(Pair { model: cell(model), data: cell(data), place: format!("{} line {line}", path.display()) })
    };
    reader.records().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn refused(map: &[&str]) -> String {
        let (model, data) = (names(&["Effusion", "Mass"]), names(&["Pleural Effusion", "mass", "Fracture"]));
        let found = LabelMap::read(&names(map)).and_then(|map| map.matched(&model, &data).map(|_| ()));
        found.expect_err("refused").message
    }

    #[test]
    fn labels_are_matched_by_name_and_by_the_map_and_the_others_are_listed() {
        let (model, data) =
            (names(&["Effusion", "Mass", "Hernia"]), names(&["mass", "Fracture", "Pleural Effusion"]));
        let plain = LabelMap::default().matched(&model, &data).expect("one is there");
        assert_eq!(plain.matched.iter().map(|label| &*label.model).collect::<Vec<_>>(), ["Mass"]);
        assert_eq!(plain.model_only, ["Effusion", "Hernia"]);
        assert_eq!(plain.data_only, ["Fracture", "Pleural Effusion"]);
        let map = LabelMap::read(&names(&["effusion = pleural_effusion"])).expect("a pair");
        let mapped = map.matched(&model, &data).expect("two are there");
        let pairs: Vec<_> =
            mapped.matched.iter().map(|label| (label.model_place, label.data_place)).collect();
        assert_eq!(pairs, [(0, 2), (1, 0)]);
        assert_eq!((mapped.model_only, mapped.data_only), (names(&["Hernia"]), names(&["Fracture"])));
    }

    #[test]
    fn a_map_that_cannot_be_is_refused_with_its_place() {
        let said = refused(&["Effusion=Fracture", "Mass=fracture"]);
        assert_eq!(
            said,
            "--map 'Mass=fracture': `fracture` is named twice, first in --map 'Effusion=Fracture'"
        );
        assert_eq!(
            refused(&["Efusion=Fracture"]),
            "--map 'Efusion=Fracture': the model has no label `Efusion`; nearest is `Effusion`"
        );
        assert!(refused(&["Mass=Masses"]).contains("the data has no label `Masses`"));
        assert!(refused(&["Mass="]).ends_with("a side of the pair is empty"));
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("map.csv");
        let file = |text: &str| {
            std::fs::write(&path, text).expect("writable");
            refused(&[&path.to_string_lossy()])
        };
        assert!(
            file("model,data\nMass,mass\nEffusion,Mass\n").contains("map.csv line 3: `Mass` is named twice")
        );
        assert!(file("model,data,why\nMass,mass,x\n").ends_with("line 1: unknown column `why`"));
        assert!(file("model,data\nMass\n").ends_with("line 2: 1 cells where the header line has 2"));
        assert!(file("ours,data\nMass,mass\n").contains("unknown column `ours`"));
        let other = LabelMap::default().matched(&names(&["Mass"]), &names(&["Fracture"]));
        assert_eq!(other.expect_err("none").exit, Exit::NothingMatches);
        let two = LabelMap::default().matched(&names(&["Mass"]), &names(&["mass", "MASS"]));
        assert!(two.expect_err("two").message.contains("two labels named `Mass`"));
    }
}

//! Settings that name files. Such a file is not sent with the jobs, and what it holds is no part of a cell's id.

use super::absolute;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::Path;
use toml::Value;
use xray_artifacts::{Exit, Failure};

/// By key, and by place in a configuration.
const FILES: [(&str, &str); 2] =
    [("fine_tuning.weights", "/fine_tuning/weights"), ("data.patients", "/data/patients")];

/// A setting of a command line: a path is meant from where the command was given, once and for all.
pub(crate) fn absolute_setting((key, value): (String, Value)) -> (String, Value) {
    let value = match value {
        Value::String(path) if is_file_setting(&key) && !path.is_empty() => {
            Value::String(absolute(Path::new(&path)).display().to_string())
        }
        value => value,
    };
    (key, value)
}

/// The same for an axis.
pub(crate) fn absolute_values((key, values): (String, Vec<Value>)) -> (String, Vec<Value>) {
    let values = values.into_iter().map(|value| absolute_setting((key.clone(), value)).1).collect();
    (key, values)
}

fn is_file_setting(key: &str) -> bool {
    FILES.iter().any(|(file, _)| *file == key)
}

/// Makes the paths of resolved configurations absolute; a note for each file.
///
/// # Errors
/// When a file is not there.
pub(super) fn check(configs: &mut [Json]) -> Result<Vec<String>, Failure> {
    let mut known = BTreeSet::new();
    for config in configs {
        for (key, place) in FILES {
            let Some(Json::String(path)) = config.pointer_mut(place) else { continue };
            if path.is_empty() {
                continue;
            }
            *path = absolute(Path::new(&*path)).display().to_string();
            if known.contains(&(key, path.clone())) {
                continue;
            }
            if !Path::new(&*path).is_file() {
                return Err(Failure::new(Exit::Usage, format!("{key}: there is no file {path}"))
                    .hint("a relative path is looked for from where `plan` is started"));
            }
            known.insert((key, path.clone()));
        }
    }
    let note = |(key, path): (&str, String)| {
        format!(
            "{key}: {path} is not sent with the jobs, so every machine must have it at that path; another content \
             under the same name is the same cell"
        )
    };
    Ok(known.into_iter().map(note).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_and_its_path_is_absolute() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("w.safetensors");
        let config = || serde_json::json!({ "fine_tuning": { "weights": file }, "data": { "patients": "" } });
        let refused = check(&mut [config()]).expect_err("absent");
        assert!(refused.message.starts_with("fine_tuning.weights: there is no file /"), "{refused}");
        std::fs::write(&file, "").expect("writable");
        let notes = check(&mut [config(), config()]).expect("there");
        assert!(notes.len() == 1 && notes[0].contains("is not sent with the jobs"), "{notes:?}");
        assert_eq!(check(&mut [serde_json::json!({ "model": {} })]), Ok(vec![]));

        let setting = |key: &str| absolute_setting((key.to_owned(), Value::String("w".to_owned()))).1;
        assert!(setting("fine_tuning.weights").as_str().is_some_and(|path| path.starts_with('/')));
        assert_eq!(setting("model.architecture").as_str(), Some("w"));
    }
}

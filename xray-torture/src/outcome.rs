//! What a folder holds, as far as it must be the same when the same work is done again.

use crate::kinds::{self, Compared};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What counts of each file, by its path in the folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    files: BTreeMap<String, Value>,
    /// Files that should have been removed.
    pub(crate) litter: Vec<String>,
}

/// Keys whose values are times, places and speeds.
const PASSING: [&str; 14] = [
    "seconds",
    "images_per_second",
    "peak_memory_bytes",
    "heartbeat",
    "pid",
    "host",
    "started",
    "ended",
    "command",
    "trainer",
    "threads",
    "time",
    "created",
    // Compared on their own: what a run warns of must not hide its figures.
    "warnings",
];

/// The seal of a file is over its times too, and stands outermost.
const SEAL: &str = "blake3";

/// Reads a folder. A file of an unknown kind is an error.
pub(crate) fn outcome(folder: &Path) -> Result<Outcome> {
    let unknown = files(folder)?.into_iter().find(|path| kinds::of(path).is_none());
    if let Some(path) = unknown {
        bail!("{path} is of an unknown kind: kinds.rs must say what of it is compared");
    }
    glance(folder)
}

/// Reads a folder in which work may have stopped, and what work leaves while it is done may lie.
pub(crate) fn glance(folder: &Path) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for path in files(folder)? {
        let Some(kind) = kinds::of(&path) else { continue };
        match kind.compared {
            Compared::Nothing => {}
            Compared::Litter => outcome.litter.push(path),
            compared => {
                let bytes = fs::read(folder.join(&path)).with_context(|| path.clone())?;
                // A file that cannot be read differs from every one that can.
                let content = content(&bytes, compared, folder)
                    .unwrap_or_else(|error| json!({ "unreadable": error.to_string() }));
                outcome.files.insert(path, content);
            }
        }
    }
    Ok(outcome)
}

/// The files below a folder, in the order of their paths; none where there is no folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        if !next.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder)?.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

impl Outcome {
    /// Without one file.
    pub(crate) fn without(mut self, path: &str) -> Outcome {
        self.files.remove(path);
        self
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether a file is there and holds the same.
    pub(crate) fn same(&self, other: &Outcome, path: &str) -> bool {
        self.files.contains_key(path) && self.files.get(path) == other.files.get(path)
    }

    /// Where another one differs: files, and in them the first few values.
    pub(crate) fn differences(&self, other: &Outcome) -> Vec<String> {
        let mut found = Vec::new();
        for (path, mine) in &self.files {
            match other.files.get(path) {
                None => found.push(format!("{path} is missing")),
                Some(theirs) => {
                    let mut places = Vec::new();
                    compare(mine, theirs, "", &mut places);
                    if !places.is_empty() {
                        places.truncate(3);
                        found.push(format!("{path}: {}", places.join(", ")));
                    }
                }
            }
        }
        let more = other.files.keys().filter(|path| !self.files.contains_key(*path));
        found.extend(more.map(|path| format!("{path} is more")));
        found
    }
}

/// Places, as keys joined by dots, at which values differ.
fn compare(mine: &Value, theirs: &Value, at: &str, places: &mut Vec<String>) {
    match (mine, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            for key in keys {
                let place = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                compare(
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    &place,
                    places,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().for_each(|(i, (a, b))| compare(a, b, &format!("{at}[{i}]"), places));
        }
        _ if mine != theirs => {
            let shown = |value: &Value| value.to_string().chars().take(40).collect::<String>();
            places.push(format!("{at} {} is {}", shown(mine), shown(theirs)));
        }
        _ => {}
    }
}

fn content(bytes: &[u8], compared: Compared, folder: &Path) -> Result<Value> {
    let text = || -> Result<String> { Ok(placed(std::str::from_utf8(bytes)?, folder)) };
    Ok(match compared {
        Compared::Json => json_value(&text()?)?,
        Compared::JsonLines => text()?.lines().map(json_value).collect::<Result<_>>()?,
        Compared::Events => events(bytes)?,
        Compared::Toml => lasting(serde_json::to_value(toml::from_str::<toml::Value>(&text()?)?)?),
        Compared::Tensors => tensors(bytes, folder)?,
        // A folder's own path stands in texts.
        _ => text().map_or_else(|_| hash(bytes), |text| hash(text.as_bytes())),
    })
}

/// A text without the path of the folder, which is another one in each trial.
fn placed(text: &str, folder: &Path) -> String {
    text.replace(&*folder.to_string_lossy(), "FOLDER")
}

/// A JSON text's lasting values, without its seal.
fn json_value(text: &str) -> Result<Value> {
    let mut value = lasting(serde_json::from_str(text)?);
    if let Value::Object(fields) = &mut value {
        fields.remove(SEAL);
    }
    Ok(value)
}

/// What a program printed as JSON, without times; a text where it is none.
pub(crate) fn printed(text: &str, folder: &Path) -> Value {
    let text = placed(text, folder);
    json_value(&text).unwrap_or(Value::String(text))
}

/// Without times and places.
fn lasting(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(key, _)| !PASSING.contains(&key.as_str()) && !key.contains("millis"))
                .map(|(key, value)| (key, lasting(value)))
                .collect(),
        ),
        Value::Array(values) => values.into_iter().map(lasting).collect(),
        other => other,
    }
}

fn hash(bytes: &[u8]) -> Value {
    Value::String(blake3::hash(bytes).to_hex()[..16].to_owned())
}

/// The records of a file of TensorFlow's events, each by its hash without the time, which is the first field. Speeds are of
/// one try, and the settings' records hold times of their own.
fn events(mut rest: &[u8]) -> Result<Value> {
    const TIME: usize = 9;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = rest.first_chunk().context("a record is cut")?;
        let end = 12 + usize::try_from(u64::from_le_bytes(*length))?;
        let payload = rest.get(12 + TIME..end).context("a record is cut")?;
        rest = rest.get(end + 4..).context("a record is cut")?;
        let holds = |name: &[u8]| payload.windows(name.len()).any(|part| part == name);
        if !holds(b"images_per_second") && !holds(b"_hparams_/") {
            found.push(hash(payload));
        }
    }
    Ok(Value::Array(found))
}

/// The tensors of a safetensors file, each by its hash, and what else its header says.
fn tensors(bytes: &[u8], folder: &Path) -> Result<Value> {
    let length = bytes.get(..8).context("no header")?;
    let length = u64::from_le_bytes(length.try_into()?) as usize;
    let header = bytes.get(8..).and_then(|rest| rest.get(..length)).context("the header is cut")?;
    let data = &bytes[8 + length..];
    let fields: Map<String, Value> = serde_json::from_slice(header)?;
    let mut found = Map::new();
    for (name, field) in fields {
        if name == "__metadata__" {
            let texts = field.as_object().context("no metadata")?.iter();
            // Values are texts, some of them JSON.
            let values = texts.filter(|(key, _)| key.as_str() != SEAL).map(|(key, text)| {
                let text = placed(text.as_str().unwrap_or_default(), folder);
                (key.clone(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
            });
            found.insert(name, lasting(Value::Object(values.collect())));
            continue;
        }
        let offset = |at: usize| field["data_offsets"][at].as_u64().context("no offsets");
        let (from, to) = (offset(0)? as usize, offset(1)? as usize);
        let part = data.get(from..to).context("the data are cut")?;
        found.insert(name, json!([field["dtype"], field["shape"], hash(part)]));
    }
    Ok(Value::Object(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, text).expect("written");
        }
        dir
    }

    fn check(mine: &[(&str, &str)], theirs: &[(&str, &str)], expected: &[&str]) {
        let of = |files| outcome(folder(files).path()).expect("readable");
        assert_eq!(of(mine).differences(&of(theirs)), expected);
    }

    #[test]
    fn times_and_seals_do_not_count_and_figures_do() {
        let before = [("run/result.json", r#"{"blake3":"a","loss":0.5,"seconds":{"total":3.0}}"#)];
        check(&before, &[("run/result.json", r#"{"blake3":"b","loss":0.5,"seconds":1}"#)], &[]);
        let other = [("run/result.json", r#"{"blake3":"a","loss":0.25}"#)];
        check(&before, &other, &["run/result.json: loss 0.5 is 0.25"]);
        check(&before, &[], &["run/result.json is missing"]);
        check(&[], &before, &["run/result.json is more"]);
        let cut = [("run/result.json", r#"{"loss":0."#)];
        assert_eq!(outcome(folder(&cut).path()).expect("read").files.len(), 1);
    }

    #[test]
    fn an_unknown_file_is_an_error() {
        let error = outcome(folder(&[("run/new.bin", "")]).path()).expect_err("must fail").to_string();
        assert_eq!(error, "run/new.bin is of an unknown kind: kinds.rs must say what of it is compared");
    }

    #[test]
    fn tensors_are_compared_one_by_one() {
        let file = |value: u8| {
            let header = r#"{"__metadata__":{"progress":"{\"step\":3,\"seconds\":1}"},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
            [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[value]].concat()
        };
        let read = |bytes: &[u8]| tensors(bytes, Path::new("/f")).expect("readable");
        assert_eq!(read(&file(1)), read(&file(1)));
        assert_ne!(read(&file(1))["w"], read(&file(2))["w"]);
        assert_eq!(read(&file(1))["__metadata__"], json!({ "progress": { "step": 3 } }));
        assert!(tensors(&file(1)[..60], Path::new("/f")).is_err());
    }
}

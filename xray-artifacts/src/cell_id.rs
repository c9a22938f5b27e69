//! The name of a planned run. The planner computes it, and the trainer again before it trains, so a result
//! cannot stand under the name of a run that it is not.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// Hash of what decides a run's numbers: the resolved configuration, the data set's id, and version and commit
/// of the trainer. Threads, place and caching of the data, and which files are kept decide none. The first 16 hexadecimal
/// digits of a blake3.
pub fn cell_id(config: &Value, dataset: &str, code: &str) -> String {
    let cell = ("xray cell 1", Deciding { place: Place::Root, value: config }, dataset, code);
    let text = serde_json::to_vec(&cell).expect("keys are strings");
    blake3::hash(&text).to_hex()[..16].to_owned()
}

/// Settings that decide no number, by group and key.
const ASIDE: [(&str, &str); 5] =
    [("", "threads"), ("data", "dir"), ("data", "cache"), ("training", "tensorboard"), ("training", "keep")];

/// A part of a configuration as it is hashed: without what decides no number, and with its keys in order.
struct Deciding<'a> {
    place: Place<'a>,
    value: &'a Value,
}

/// Where that part stands.
#[derive(Clone, Copy)]
enum Place<'a> {
    Root,
    Group(&'a str),
    Deeper,
}

impl<'a> Place<'a> {
    fn below(self, key: &'a str) -> Place<'a> {
        if matches!(self, Place::Root) { Place::Group(key) } else { Place::Deeper }
    }

    fn is_hashed(self, key: &str) -> bool {
        match self {
            Place::Root => !ASIDE.contains(&("", key)),
            Place::Group(group) => !ASIDE.contains(&(group, key)),
            Place::Deeper => true,
        }
    }
}

impl Serialize for Deciding<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = self.place;
        match self.value {
            Value::Object(object) => {
                let mut entries: Vec<_> = object.iter().filter(|(key, _)| place.is_hashed(key)).collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                serializer.collect_map(
                    entries.iter().map(|&(key, value)| (key, Deciding { place: place.below(key), value })),
                )
            }
            Value::Array(values) => {
                serializer.collect_seq(values.iter().map(|value| Deciding { place: Place::Deeper, value }))
            }
            value => value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"seed":1,"threads":2,"data":{"dir":"a","cache":"ram","fraction":0.3},"training":{"tensorboard":true,"keep":"all","log_every":9}}"#;

    fn id_of(config: &str) -> String {
        cell_id(&serde_json::from_str(config).expect("JSON"), "data", "1.0 (abc)")
    }

    #[test]
    fn what_decides_numbers_decides_the_id() {
        let id = id_of(CONFIG);
        assert_eq!(id.len(), 16);
        for (from, to) in
            [("\"seed\":1", "\"seed\":2"), ("0.3", "0.4"), ("\"fraction\"", "\"part\""), (":9", ":8")]
        {
            assert_ne!(id_of(&CONFIG.replace(from, to)), id, "{to}");
        }
        let config: Value = serde_json::from_str(CONFIG).expect("JSON");
        assert_ne!(cell_id(&config, "other", "1.0 (abc)"), id);
        assert_ne!(cell_id(&config, "data", "1.1 (abc)"), id);
    }

    #[test]
    fn how_and_where_it_is_computed_does_not() {
        let id = id_of(CONFIG);
        let moved = CONFIG.replace("\"a\"", "\"/b\"").replace("ram", "none").replace(":2,", ":8,");
        assert_eq!(id_of(&moved), id);
        let files =
            CONFIG.replace("\"tensorboard\":true", "\"tensorboard\":false").replace("\"all\"", "\"result\"");
        assert_eq!(id_of(&files), id);
        assert_eq!(id_of(r#"{"data":{"fraction":0.3},"seed":1,"training":{"log_every":9}}"#), id);
    }
}

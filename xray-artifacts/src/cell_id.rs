//! The name of a planned run. The planner computes it, and the trainer again before it trains, so a result
//! cannot stand under the name of a run that it is not.

use serde_json::{Value, json};

/// Hash of what decides a run's numbers: the resolved configuration, the data set's id, and version and commit
/// of the trainer. Threads, place and caching of the data, and which files are kept decide none. The first 16 hexadecimal
/// digits of a blake3.
pub fn cell_id(config: &Value, dataset: &str, code: &str) -> String {
    let mut config = config.clone();
    if let Some(config) = config.as_object_mut() {
        config.remove("threads");
        if let Some(data) = config.get_mut("data").and_then(Value::as_object_mut) {
            data.remove("dir");
            data.remove("cache");
        }
        if let Some(training) = config.get_mut("training").and_then(Value::as_object_mut) {
            training.remove("tensorboard");
            training.remove("keep");
        }
    }
    let mut cell = json!(["xray cell 1", config, dataset, code]);
    cell.sort_all_objects();
    blake3::hash(cell.to_string().as_bytes()).to_hex()[..16].to_owned()
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

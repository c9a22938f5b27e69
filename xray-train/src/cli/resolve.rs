//! `--resolve`: many sets of settings in, many configurations out, for a program that plans runs and must not
//! link this one. What it plans is then checked by the trainer that will run it.

use crate::config::RunConfig;
use crate::environment::VERSION;
use crate::settings::Settings;
use serde_json::{Map, Value as Json, json};
use std::io::{BufRead, Write};
use toml::Value;
use xray_artifacts::{Exit, Failure};

/// Reads one JSON object of `"key": value` a line. Writes one line with the version of this program and the keys of
/// settings that name files, then one a line: `{"config": ...}`, or `{"error": ..., "hint": ...}` where the settings
/// describe no run.
pub(super) fn resolve_lines(
    base: &Settings,
    overrides: &[(String, Value)],
    input: impl BufRead,
    mut output: impl Write,
) -> Result<(), Failure> {
    let io = |error| Failure::new(Exit::Unexpected, format!("--resolve: {error}"));
    let files = RunConfig::default().files().map(|(key, _)| key);
    writeln!(output, "{}", json!({ "format": FORMAT, "version": VERSION, "files": files })).map_err(io)?;
    for line in input.lines() {
        let line = line.map_err(io)?;
        let mut all = overrides.to_vec();
        let answer = match parse(&line).and_then(|more| {
            all.extend(more);
            base.resolve(&all)
        }) {
            // Not by way of a JSON value, which would widen the numbers of single precision.
            Ok(config) => format!("{{\"config\":{}}}", serde_json::to_string(&config).expect("plain values")),
            Err(failure) => json!({ "error": failure.message, "hint": failure.hint }).to_string(),
        };
        writeln!(output, "{answer}").map_err(io)?;
    }
    output.flush().map_err(io)
}

/// Format of the answers; before there were `files`, it was 1.
const FORMAT: u32 = 2;

fn parse(line: &str) -> Result<Vec<(String, Value)>, Failure> {
    let usage = |text: String| Failure::new(Exit::Usage, format!("--resolve: {text}: {line}"));
    let object: Map<String, Json> = serde_json::from_str(line).map_err(|error| usage(error.to_string()))?;
    let convert = |(key, value)| match Value::try_from(value) {
        Ok(value) => Ok((key, value)),
        Err(error) => Err(usage(error.to_string())),
    };
    object.into_iter().map(convert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_gets_an_answer() {
        let base = Settings::read(None).expect("defaults");
        let overrides = [("model.width".to_owned(), Value::Integer(8))];
        let input = "{\"seed\": 7}\n{\"data.fracton\": 0.5}\n{\"data.fraction\": 0.3}\nnonsense\n";
        let mut output = Vec::new();
        resolve_lines(&base, &overrides, input.as_bytes(), &mut output).expect("memory is writable");
        let lines = String::from_utf8(output).expect("text");
        let lines: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[0]["version"], VERSION);
        assert_eq!(lines[0]["files"], json!(["data.patients", "fine_tuning.weights"]));
        assert_eq!(
            (&lines[1]["config"]["seed"], &lines[1]["config"]["model"]["width"]),
            (&json!(7), &json!(8))
        );
        assert_eq!(lines[2]["error"], "unknown key `data.fracton`");
        assert_eq!(lines[2]["hint"], "did you mean `data.fraction`?");
        assert_eq!(lines[3]["config"]["data"]["fraction"], 0.3);
        assert!(
            lines[4]["error"].as_str().is_some_and(|text| text.starts_with("--resolve: ")),
            "{}",
            lines[4]
        );
    }
}

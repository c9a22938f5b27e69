//! The reference as text for a terminal and as a Markdown page.

use super::{Setting, all, default_of, loss_of};
use crate::cli::Arguments;
use clap::CommandFactory;
use std::fmt::Write;
use toml::Value;

const INTRODUCTION: &str = "\
Every setting can be given by `--set KEY=VALUE`, in a file named by `--config`, or in the nearest `xray.toml` from the
current folder upwards. Some also have a flag. Flags override `--set`, which overrides files, which override defaults.
`xray-train --dry-run` prints the settings of a run and what they cost.";

/// The reference for a terminal: `xray-train --help settings`.
pub fn plain() -> String {
    let mut text = format!("Settings of xray-train\n\n{}\n", INTRODUCTION.replace('`', ""));
    for setting in all() {
        let flags = flags_of(setting.key).join(", ");
        let flags = if flags.is_empty() { flags } else { format!("  ({flags})") };
        let _ = write!(
            text,
            "\n{}{flags}\n  {}; default {}\n{}\n",
            setting.key,
            taken(setting).replace('`', ""),
            default_text(setting),
            wrapped(&meaning(setting).replace('`', ""), "  ", WIDTH),
        );
    }
    text
}

/// The page `docs/settings.md`.
pub fn markdown() -> String {
    let mut text = format!(
        "# Settings\n\n<!-- Made by `xray-train --help settings.md > docs/settings.md`; a test compares. -->\n\n{}\n",
        INTRODUCTION.replace('\n', " ")
    );
    text += "\n```sh\nxray-train --help settings                   # this page, in a terminal\n\
         xray-train --data shards/ --dry-run          # the settings of a run, and what they cost\n\
         xray-train --data shards/ --set schedule.shape=cosine --set training.duration=\"2 epochs\"\n```\n";
    let mut group = None;
    for setting in all() {
        let of = setting.key.split_once('.').map_or("", |(group, _)| group);
        if group != Some(of) {
            group = Some(of);
            let heading = if of.is_empty() { "A run" } else { of };
            let _ = write!(
                text,
                "\n## {heading}\n\n| key | flag | type and range | default | meaning |\n|---|---|---|---|---|\n"
            );
        }
        let flags: Vec<_> = flags_of(setting.key).iter().map(|flag| format!("`{flag}`")).collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            setting.key,
            flags.join(", "),
            taken(setting),
            default_text(setting),
            meaning(setting),
        );
    }
    text
}

/// Type and range.
fn taken(setting: &Setting) -> String {
    let (kind, range) = (setting.values.kind(), setting.values.range());
    if range.is_empty() { kind.to_owned() } else { format!("{kind}: {range}") }
}

fn meaning(setting: &Setting) -> String {
    match loss_of(setting.key) {
        Some(loss) => format!("With `loss.name={loss}`: {}", lower_first(setting.meaning)),
        None => setting.meaning.to_owned(),
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}

fn default_text(setting: &Setting) -> String {
    match default_of(setting.key).expect("every setting has a default") {
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) => text,
        value => value.to_string(),
    }
}

/// The flags that are shorthand for a key: their help ends with it in brackets.
fn flags_of(key: &str) -> Vec<String> {
    let command = Arguments::command();
    let is_of = |help: String| help.ends_with(&format!("({key})"));
    let flags =
        command.get_arguments().filter(|flag| flag.get_help().is_some_and(|help| is_of(help.to_string())));
    flags.filter_map(|flag| Some(format!("--{}", flag.get_long()?))).collect()
}

const WIDTH: usize = 100;

/// Breaks text at spaces, with `indent` before each line.
fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let mut lines = vec![String::from(indent)];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one");
        if line.chars().count() + 1 + word.chars().count() > width {
            lines.push(format!("{indent}{word}"));
        } else {
            if line.len() > indent.len() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
        let page = std::fs::read_to_string(path).expect("docs/settings.md");
        assert!(page == markdown(), "stale: run `xray-train --help settings.md > docs/settings.md`");
    }

    #[test]
    fn a_setting_has_its_flags_and_every_flag_of_a_setting_has_a_row() {
        assert_eq!(flags_of("data.fraction"), ["--fraction"]);
        assert_eq!(flags_of("training.duration"), ["--epochs", "--steps", "--examples"]);
        assert_eq!(flags_of("schedule.shape"), Vec::<String>::new());
        for flag in Arguments::command().get_arguments() {
            let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
            let Some((_, key)) = help.strip_suffix(')').and_then(|help| help.rsplit_once('(')) else {
                continue;
            };
            assert!(super::super::find(key).is_some(), "{help}");
        }
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrapped("one two three", "  ", 9), "  one two\n  three");
        for line in plain().lines() {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }
}

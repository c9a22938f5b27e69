//! Flags that were set in the environment, and errors that name the variable beside the flag.

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Error};
use std::ffi::OsString;
use xray_artifacts::Failure;

/// Names the variable in an error of a command line that could not be parsed.
pub(crate) fn name_in_error(mut error: Error, command: &Command, words: &[OsString]) -> Error {
    let set: Vec<(String, String)> = command
        .get_arguments()
        .filter(|argument| is_set(argument) && !is_given(argument, words))
        .filter_map(|argument| {
            let shown = argument.to_string();
            let named = format!("{shown} ({})", variable(argument)?);
            Some((shown, named))
        })
        .collect();
    let name = |shown: &mut String| {
        if let Some((_, named)) = set.iter().find(|(plain, _)| plain == shown) {
            shown.clone_from(named);
        }
    };
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        let mut value = match error.get(kind) {
            Some(value) => value.clone(),
            None => continue,
        };
        match &mut value {
            ContextValue::String(shown) => name(shown),
            ContextValue::Strings(all) => all.iter_mut().for_each(name),
            _ => {}
        }
        error.insert(kind, value);
    }
    error
}

/// The flags whose values came from the environment, each with its variable.
pub(crate) fn found(command: &Command, matches: &ArgMatches) -> Vec<(String, String)> {
    let from_environment =
        |argument: &&Arg| matches.value_source(argument.get_id().as_str()) == Some(ValueSource::EnvVariable);
    let arguments = command.get_arguments().filter(from_environment);
    arguments
        .filter_map(|argument| Some((format!("--{}", argument.get_long()?), variable(argument)?)))
        .collect()
}

/// Names the variables in a failure that is about such flags.
pub(crate) fn name_in_failure(failure: Failure, flags: &[(String, String)]) -> Failure {
    let name = |text: String| flags.iter().fold(text, |text, flag| named(&text, flag));
    Failure { message: name(failure.message), hint: failure.hint.map(name), ..failure }
}

/// The text with the variable behind each mention of the whole flag.
fn named(text: &str, (flag, variable): &(String, String)) -> String {
    let mut parts = text.split(flag.as_str());
    let mut named = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        named += flag;
        if !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '-') {
            named += &format!(" ({variable})");
        }
        named += rest;
    }
    named
}

fn variable(argument: &Arg) -> Option<String> {
    argument.get_env().map(|variable| variable.to_string_lossy().into_owned())
}

fn is_set(argument: &Arg) -> bool {
    argument.get_env().is_some_and(|variable| std::env::var_os(variable).is_some())
}

/// Whether the command line itself holds the flag, which then counts for more than the variable.
fn is_given(argument: &Arg, words: &[OsString]) -> bool {
    let Some(flag) = argument.get_long().map(|long| format!("--{long}")) else { return false };
    words.iter().any(|word| {
        let word = word.to_string_lossy();
        word.strip_prefix(&flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_artifacts::Exit;

    #[test]
    fn a_variable_stands_behind_the_whole_name_of_its_flag() {
        let flags = [("--rate".to_owned(), "XRAY_RATE".to_owned())];
        let failure = Failure::new(Exit::Usage, "--rate is 0, --rate-limit 1").hint("give --rate");
        let named = name_in_failure(failure, &flags);
        assert_eq!(named.message, "--rate (XRAY_RATE) is 0, --rate-limit 1");
        assert_eq!(named.hint.as_deref(), Some("give --rate (XRAY_RATE)"));
    }
}

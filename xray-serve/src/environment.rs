//! Every flag of a server may be set in its environment too: `--max-body 8` as `XRAY_MAX_BODY=8`. A flag counts for more.

use clap::error::Error;
use clap::{ArgMatches, Args, Command, FromArgMatches, Id};

/// Arguments whose flags may stand in the environment.
#[derive(Clone, Debug)]
pub struct FromEnvironment<T>(pub T);

/// The variable of a flag.
fn variable(flag: &str) -> String {
    format!("XRAY_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

fn with_variables(command: Command) -> Command {
    command.mut_args(|argument| match argument.get_long().map(variable) {
        // A value may be nobody's business.
        Some(variable) => argument.env(variable).hide_env_values(true),
        None => argument,
    })
}

impl<T: Args> Args for FromEnvironment<T> {
    fn augment_args(command: Command) -> Command {
        with_variables(T::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        with_variables(T::augment_args_for_update(command))
    }

    fn group_id() -> Option<Id> {
        T::group_id()
    }
}

impl<T: FromArgMatches> FromArgMatches for FromEnvironment<T> {
    fn from_arg_matches(found: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(found).map(FromEnvironment)
    }

    fn update_from_arg_matches(&mut self, found: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        inner: FromEnvironment<Inner>,
    }

    #[derive(Debug, Args)]
    struct Inner {
        /// A number
        #[arg(long, default_value = "1")]
        some_number: u8,
    }

    #[test]
    fn every_flag_has_a_variable_of_its_name() {
        let command = Arguments::command();
        let argument = command.get_arguments().find(|argument| argument.get_long() == Some("some-number"));
        let variable = argument.and_then(|argument| argument.get_env()).expect("named");
        assert_eq!(variable, "XRAY_SOME_NUMBER");
        assert_eq!(Arguments::try_parse_from(["x"]).expect("the default").inner.0.some_number, 1);
    }
}

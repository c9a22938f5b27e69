//! What every program does around its work: parse, answer what is the same in all of them, print what went wrong, end.

use crate::output::written;
use crate::{Build, abort, manual, print, say, variables};
use clap::{Arg, Command, Error, Parser, value_parser};
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::PathBuf;
use xray_artifacts::{Exit, Failure};

const COMPLETIONS: &str = "completions";
const MANUAL_PAGES: &str = "manual-pages";

/// Parses this process's command line into `A`, does the work, and prints a [`Failure`] to stderr.
///
/// Adds `--version`, `--completions SHELL` and, for packages, `--manual-pages DIR` to the options of `A`.
pub fn main<A: Parser>(build: Build, work: impl FnOnce(A) -> Result<Exit, Failure>) -> Exit {
    abort::say_why();
    run(&build, std::env::args_os(), work).unwrap_or_else(|failure| {
        say(&failure);
        failure.exit
    })
}

fn run<A: Parser>(
    build: &Build,
    words: impl IntoIterator<Item = OsString>,
    work: impl FnOnce(A) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let words: Vec<OsString> = words.into_iter().collect();
    if let Some(page) = build.asked_for(&words) {
        print(&page)?;
        return Ok(Exit::Ok);
    }
    let shown = build.described(A::command()).arg(completions());
    // Completions would not know that it is hidden.
    let mut command = shown.clone().arg(manual_pages());
    let mut found = match command.try_get_matches_from_mut(&words) {
        Ok(found) => found,
        Err(error) => return answer(&variables::name_in_error(error, &command, &words)),
    };
    if let Some(shell) = found.get_one::<Shell>(COMPLETIONS) {
        print(&script(*shell, shown, build.name()))?;
        return Ok(Exit::Ok);
    }
    if let Some(folder) = found.get_one::<PathBuf>(MANUAL_PAGES) {
        manual::write(shown, build, folder)?;
        return Ok(Exit::Ok);
    }
    let flags = variables::found(&command, &found);
    match A::from_arg_matches_mut(&mut found) {
        Ok(arguments) => work(arguments).map_err(|failure| variables::name_in_failure(failure, &flags)),
        Err(error) => answer(&error.format(&mut command)),
    }
}

fn completions() -> Arg {
    Arg::new(COMPLETIONS)
        .long(COMPLETIONS)
        .value_name("SHELL")
        .value_parser(value_parser!(Shell))
        .help("Print completions for a shell")
}

fn manual_pages() -> Arg {
    Arg::new(MANUAL_PAGES)
        .long(MANUAL_PAGES)
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .help("Write manual pages into a folder")
        .hide(true)
}

fn script(shell: Shell, mut command: Command, name: &str) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8(script).expect("a script of names and help")
}

/// Prints clap's answer: the help or version that was asked for, or why a command line cannot be run.
fn answer(error: &Error) -> Result<Exit, Failure> {
    let printed = error.print();
    if error.use_stderr() {
        // Nobody is left to tell when stderr is closed.
        return Ok(Exit::Usage);
    }
    written(printed)?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Do something
    #[derive(Debug, Parser)]
    #[command(arg_required_else_help = true)]
    struct Arguments {
        /// A number
        #[arg(long)]
        number: Option<u8>,
    }

    /// How the program ends, whose work ends with 3; and whether it was told to work.
    fn ran(words: &[&str]) -> (Exit, Option<Option<u8>>) {
        let words = ["xray-some"].iter().chain(words).map(OsString::from);
        let mut worked = None;
        let exit = run(&Build::new("xray-some", "1.2.3"), words, |arguments: Arguments| {
            worked = Some(arguments.number);
            Ok(Exit::NothingMatches)
        });
        (exit.expect("everything can be printed"), worked)
    }

    #[test]
    fn work_begins_with_its_arguments_and_says_how_it_ends() {
        assert_eq!(ran(&["--number", "7"]), (Exit::NothingMatches, Some(Some(7))));
    }

    #[test]
    fn manual_pages_are_written_and_nothing_else_says_so() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pages = folder.path().join("share/man");
        let option = format!("--manual-pages={}", pages.display());
        assert_eq!(ran(&[&option]), (Exit::Ok, None));
        let page = std::fs::read_to_string(pages.join("xray-some.1")).expect("written");
        assert!(page.contains("completions") && !page.contains("pages"), "{page}");

        let shown = Build::new("xray-some", "1.2.3").described(Arguments::command()).arg(completions());
        let script = script(Shell::Bash, shown, "xray-some");
        assert!(script.contains("--completions") && !script.contains("manual"), "{script}");
    }

    #[test]
    fn a_topic_is_printed_when_it_alone_is_asked_for() {
        let build = || Build::new("xray-some", "1.2.3").topic("numbers", || "one, two\n".to_owned());
        let asked = |words: &[&str]| build().asked_for(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(asked(&["xray-some", "--help", "numbers"]).as_deref(), Some("one, two\n"));
        for other in
            [&["--help"][..], &["--help", "letters"], &["--number", "numbers"], &["--help", "numbers", "7"]]
        {
            assert_eq!(asked(&[&["xray-some"], other].concat()), None, "{other:?}");
        }
        let words = ["xray-some", "--help", "numbers"].map(OsString::from);
        let ended = run(&build(), words, |_: Arguments| panic!("it only prints"));
        assert_eq!(ended, Ok(Exit::Ok));
    }

    #[test]
    fn a_failure_keeps_its_exit_code() {
        let failure = || Failure::new(Exit::BadData, "a.tfrecord is cut off");
        let words = ["xray-some", "--number=1"].map(OsString::from);
        let ended = run(&Build::new("xray-some", "1.2.3"), words, |_: Arguments| Err(failure()));
        assert_eq!(ended, Err(failure()));
    }
}

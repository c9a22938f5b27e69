//! Manual pages, one for each command, with sections for examples and exit codes.

use crate::Build;
use crate::after_help::{Block, EXIT_CODES, Section, sections};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::fs;
use std::io;
use std::path::Path;
use xray_artifacts::{Failure, FileError, write_bytes};

/// Writes `NAME.1` and `NAME-SUBCOMMAND.1` into a folder, which is made.
///
/// # Errors
/// If the folder or a file in it cannot be written.
pub(crate) fn write(command: Command, build: &Build, folder: &Path) -> Result<(), Failure> {
    let cannot = |source| FileError::Io { path: folder.to_owned(), action: "create", source };
    fs::create_dir_all(folder).map_err(cannot)?;
    for (name, text) in pages(command, build) {
        write_bytes(&folder.join(name), text.as_bytes())?;
    }
    Ok(())
}

/// Names and texts of all pages.
fn pages(command: Command, build: &Build) -> Vec<(String, String)> {
    let mut command = command.disable_help_subcommand(true).subcommand_value_name("command");
    command.build();
    let source = format!("{} {}", build.name(), build.short());
    let own = page(&command, &source, None);
    let below = command.get_subcommands().map(|subcommand| page(subcommand, &source, Some(build.name())));
    [own].into_iter().chain(below).collect()
}

/// The page of a command, which refers to the one above it.
fn page(command: &Command, source: &str, above: Option<&str>) -> (String, String) {
    // An argument of the title that is empty must be quoted, or the next one takes its place.
    let man = Man::new(command.clone()).date("\"\"").source(source).manual("X-ray training");
    let mut bytes = Vec::new();
    render(&man, command, above, &mut bytes).expect("memory is writable");
    let text = String::from_utf8(bytes).expect("names and help");
    // Each section begins with what the first one has said.
    let preamble = Roff::new().render();
    (man.get_filename(), preamble.clone() + &text.replace(&preamble, ""))
}

fn render(man: &Man, command: &Command, above: Option<&str>, page: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for section in sections(&text) {
        written_as_roff(&section).to_writer(page)?;
    }
    match above {
        Some(above) => {
            let mut roff = Roff::new();
            roff.control("SH", ["SEE ALSO"]).text([bold(above), roman("(1)")]).to_writer(page)
        }
        None => Ok(()),
    }
}

fn written_as_roff(section: &Section<'_>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [section.heading.to_uppercase().as_str()]);
    if section.heading == EXIT_CODES {
        for (code, meaning) in section.codes() {
            roff.control("TP", []).text([bold(code)]).text([roman(meaning)]);
        }
        return roff;
    }
    for block in &section.blocks {
        roff.control("PP", []);
        match block {
            Block::Text(text) => roff.text([roman(text)]),
            Block::Lines(lines) => roff.control("nf", []).text([roman(lines)]).control("fi", []),
        };
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction};

    fn all() -> Vec<(String, String)> {
        let sub =
            Command::new("make").about("Make it").after_help("Example:\n  xray-some make \\\n      --fast");
        let command = Command::new("xray-some")
            .about("Do something")
            .arg(Arg::new("fast").long("fast").action(ArgAction::SetTrue).help("At once"))
            .subcommand(sub)
            .after_help("Exit codes: 0 ok · 2 usage");
        pages(command, &Build::new("xray-some", "1.2.3"))
    }

    #[test]
    fn a_page_has_its_sections() {
        let (name, text) = &all()[0];
        assert_eq!(name, "xray-some.1");
        let body = text.strip_prefix(&Roff::new().render()).expect("it begins with what roff needs");
        let expected = r#".TH xray-some 1 "" "xray-some 1.2.3" "X-ray training"
.SH NAME
xray\-some \- Do something
.SH SYNOPSIS
\fBxray\-some\fR [\fB\-\-fast\fR] [\fB\-h\fR|\fB\-\-help\fR] [\fIcommand\fR]
.SH DESCRIPTION
Do something
.SH OPTIONS
.TP
\fB\-\-fast\fR
At once
.TP
\fB\-h\fR, \fB\-\-help\fR
Print help
.SH SUBCOMMANDS
.TP
xray\-some\-make(1)
Make it
.SH "EXIT CODES"
.TP
\fB0\fR
ok
.TP
\fB2\fR
usage
"#;
        assert_eq!(body, expected);
    }

    #[test]
    fn a_subcommand_has_a_page_that_keeps_the_lines_of_its_examples() {
        let (name, text) = &all()[1];
        assert_eq!(name, "xray-some-make.1");
        let expected = r#".SH EXAMPLE
.PP
.nf
xray\-some make \\
    \-\-fast
.fi
.SH "SEE ALSO"
\fBxray\-some\fR(1)
"#;
        assert!(text.ends_with(expected), "{text}");
    }
}

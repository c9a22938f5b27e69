//! The examples that programs give in their help.

use super::page::joined;
use std::path::Path;
use std::process::Command;

/// The help of a program or one of its subcommands.
pub(crate) struct Help {
    /// As it is called.
    pub(crate) name: String,
    text: String,
}

/// That of a program, and those of all that are below.
pub(crate) fn helps(programs: &Path, name: &str) -> Vec<Help> {
    let mut words = name.split(' ');
    let mut help = Command::new(programs.join(words.next().expect("a program")));
    let output = help.args(words).arg("--help").output().expect("a program that was built");
    let text = String::from_utf8(output.stdout).expect("text");
    let below = section(&text, &["Commands:"]);
    let below = below.iter().filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let below = below.filter_map(|line| line.split(' ').next()).filter(|command| *command != "help");
    let below: Vec<Help> = below.flat_map(|command| helps(programs, &format!("{name} {command}"))).collect();
    let help = Help { name: name.to_owned(), text };
    std::iter::once(help).chain(below).collect()
}

impl Help {
    /// Commands, and what a line that was too long left behind.
    pub(crate) fn examples(&self) -> Vec<String> {
        let lines = section(&self.text, &["Example:", "Examples:"]);
        joined(lines.into_iter().map(|line| (0, line.trim_start())))
            .into_iter()
            .map(|(_, line)| line)
            .collect()
    }
}

impl Help {
    /// Lines of the paragraph of exit codes that end early, because the text was broken before the program broke it.
    pub(crate) fn short_lines(&self) -> Vec<&str> {
        let codes = self.text.lines().skip_while(|line| !line.starts_with("Exit codes: "));
        let paragraph: Vec<_> = codes.take_while(|line| !line.is_empty()).collect();
        let but_the_last = paragraph.split_last().map_or(&[][..], |(_, lines)| lines);
        but_the_last.iter().filter(|line| line.chars().count() < 80).copied().collect()
    }
}

/// The lines below a heading, which are set in.
fn section<'a>(text: &'a str, headings: &[&str]) -> Vec<&'a str> {
    let below = text.lines().skip_while(|line| !headings.contains(line)).skip(1);
    below.take_while(|line| line.is_empty() || line.starts_with(' ')).collect()
}

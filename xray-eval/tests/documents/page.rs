//! The commands of a Markdown page.

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the documentation.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its path from the root.
    pub(crate) name: String,
    /// Commands with the line that each begins on.
    pub(crate) commands: Vec<(usize, String)>,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// README.md and every page of docs/.
pub(crate) fn pages() -> Vec<Page> {
    let entries = fs::read_dir(root().join("docs")).expect("docs/");
    let names = entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    names.push("README.md".to_owned());
    names.sort();
    names.into_iter().map(read).collect()
}

fn read(name: String) -> Page {
    let text = fs::read_to_string(root().join(&name)).expect("a page");
    let commands = commands(&text);
    Page { name, commands }
}

/// The commands in the `sh` blocks of a page.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut in_block = false;
    joined(text.lines().enumerate().filter_map(|(number, line)| {
        if let Some(kind) = line.strip_prefix("```") {
            in_block = !in_block && kind == "sh";
            return None;
        }
        in_block.then_some((number + 1, line))
    }))
}

/// Commands without comments, with the number of each one's first line. A backslash at the end of a line joins the next to
/// it.
pub(crate) fn joined<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<(usize, String)> {
    let (mut found, mut open): (Vec<(usize, String)>, _) = (Vec::new(), false);
    for (number, line) in lines {
        let (line, goes_on) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        match found.last_mut().filter(|_| open) {
            Some((_, command)) => command.push_str(line.trim_start()),
            None if line.trim().is_empty() || line.trim_start().starts_with('#') => continue,
            None => found.push((number, line.to_owned())),
        }
        open = goes_on;
    }
    found
}

/// A command without what a shell takes for a comment.
pub(crate) fn without_comment(command: &str) -> String {
    let mut quote = None;
    for (at, letter) in command.char_indices() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None, '#') if command[..at].ends_with(' ') => return command[..at].trim_end().to_owned(),
            _ => {}
        }
    }
    command.trim_end().to_owned()
}

/// Where a page's links lead within the repository.
pub(crate) fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let is_here = |target: &&str| !target.contains("://") && !target.starts_with('#');
    targets.filter(is_here).map(str::to_owned).collect()
}

#[test]
fn commands_are_those_of_shell_blocks() {
    let text = "a\n```sh\n# first\none 'x' \\\n    --two\n\nthree   # what\n```\n```toml\nfour = 5\n```\n```sh\nsix\n```\n";
    let expected = [(4, "one 'x' --two"), (7, "three   # what"), (13, "six")];
    assert_eq!(commands(text), expected.map(|(line, command)| (line, command.to_owned())));
    assert_eq!(without_comment("three '# no' x#y   # what"), "three '# no' x#y");
    assert_eq!(links("[a](b.md#c) ![d](e.svg) [f](https://g) [h](#i)"), ["b.md#c", "e.svg"]);
}

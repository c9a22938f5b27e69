//! The style of all text: paragraphs are short, and none of the phrases stands anywhere that take two readings.

use crate::page::{pages, root};
use std::fs;
use std::process::Command;

/// A longer paragraph has more than one idea.
const MOST_WORDS: usize = 120;

/// Phrases that readers stumbled over, in lower case.
const PHRASES: &[&str] = &[
    "without eyes",
    "no look at the image",
    "looks at no image",
    "bear torchvision",
    "what is it worth",
    "who would ",
    "who has to wait",
    "leaves it open",
    "who are what is drawn",
    "less that",
    "less what",
    "are mended",
    "is no label",
    "is no length",
    "of fewer digits",
    "in another way",
    "not said patients",
    "whoever was refused",
    "what all fractions have in common",
    "of 5 that an interval takes",
    "even a shift takes",
    "says it)",
    "no start there tells",
    "no cell there is",
    "whatever the image",
];

/// Files that hold prose.
const KINDS: &[&str] =
    &[".rs", ".md", ".html", ".js", ".css", ".py", ".toml", ".template", ".sub", ".sh", ".c"];

/// Not looked at: this list, which quotes the phrases; the changelog, which is history; results that programs wrote.
const QUOTES: &[&str] = &["xray-eval/tests/documents/prose.rs", "CHANGELOG.md"];

/// Paragraphs, list items and table cells outside of code, each with its first line.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut in_code, mut goes_on): (Vec<(usize, String)>, _, _) = (Vec::new(), false, false);
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("```") {
            (in_code, goes_on) = (!in_code, false);
        } else if line.starts_with('|') {
            found.extend(line.split('|').map(|cell| (at + 1, cell.to_owned())));
            goes_on = false;
        } else if line.is_empty() || in_code {
            goes_on = false;
        } else {
            let (first, _) = line.split_once(' ').unwrap_or((line, ""));
            let is_item = matches!(first, "-" | "*") || first.strip_suffix('.').is_some_and(is_number);
            match found.last_mut().filter(|_| goes_on && !is_item) {
                Some((_, paragraph)) => *paragraph += &format!(" {line}"),
                None => found.push((at + 1, line.to_owned())),
            }
            goes_on = !line.starts_with('#');
        }
    }
    found
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A text in one line and in lower case, without the marks of comments and of strings that go on.
fn flat(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_start().trim_start_matches(['/', '!', '#', '*']).trim_end_matches('\\');
        line.trim().to_lowercase()
    });
    lines.collect::<Vec<_>>().join(" ")
}

fn phrases(text: &str) -> impl Iterator<Item = &'static str> {
    let text = flat(text);
    PHRASES.iter().copied().filter(move |phrase| text.contains(phrase))
}

#[test]
fn paragraphs_are_short() {
    let mut names: Vec<String> = pages().into_iter().map(|page| page.name).collect();
    names.extend(["ARCHITECTURE.md", "CONTRIBUTING.md", "RELEASING.md"].map(str::to_owned));
    let mut long = Vec::new();
    for name in names {
        let text = fs::read_to_string(root().join(&name)).expect("a page");
        let words = |text: &str| text.split_whitespace().count();
        let of_page = paragraphs(&text).into_iter().filter(|(_, text)| words(text) > MOST_WORDS);
        long.extend(of_page.map(|(line, text)| format!("{name}:{line}: {} words", words(&text))));
    }
    assert!(long.is_empty(), "paragraphs with more than {MOST_WORDS} words:\n{}", long.join("\n"));
}

#[test]
fn phrases_that_take_two_readings_are_gone() {
    let tracked =
        Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().expect("git is there");
    let tracked = String::from_utf8(tracked.stdout).expect("names are UTF-8");
    let is_prose = |name: &&str| {
        KINDS.iter().any(|kind| name.ends_with(kind)) && !QUOTES.iter().any(|quotes| name.starts_with(quotes))
    };
    let names: Vec<&str> = tracked.split('\0').filter(is_prose).collect();
    assert!(names.len() > 500, "{} files are few", names.len());
    let mut found = Vec::new();
    for name in names {
        // A file that is removed and not yet committed is still listed.
        let Ok(text) = fs::read_to_string(root().join(name)) else { continue };
        found.extend(phrases(&text).map(|phrase| format!("{name}: `{phrase}`")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn paragraphs_are_told_apart() {
    let text =
        "# A\none\ntwo\n\n- three\n  four\n- five\n12. six\n```sh\nseven\n```\n| eight | nine |\nten\n";
    let expected =
        ["# A", "one two", "- three four", "- five", "12. six", "", " eight ", " nine ", "", "ten"];
    let found = paragraphs(text);
    assert_eq!(found.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), expected);
    assert_eq!(found[1].0, 2);
}

#[test]
fn phrases_are_found_across_lines() {
    let check =
        |text: &str, expected: &[&str]| assert_eq!(phrases(text).collect::<Vec<_>>(), expected, "{text}");
    check("/// A model Without\n/// eyes.", &["without eyes"]);
    check("\"and even a \\\n   shift takes 5\"", &["even a shift takes"]);
    check("less than that", &[]);
}

//! The check of pages finds each flaw, and nothing else. Needs Chromium.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::process::Command;

/// A page without a flaw; `%` is where one is put.
const PAGE: &str = "<!doctype html><html lang=\"en\"><head><title>A page</title>\
    <style>body { background: #fff; color: #222; font: 16px sans-serif }</style></head><body><h1>A page</h1>%\
    <p>Some text that is long enough to be read and short enough to fit.</p>\
    <svg viewBox=\"0 0 200 60\" width=\"200\" height=\"60\" role=\"img\" aria-label=\"chart\">\
    <text x=\"10\" y=\"30\" font-size=\"12\">inside</text></svg></body></html>";

/// Whether the check passed, and what it said.
fn checked(flaw: &str) -> Option<(bool, String)> {
    if std::env::var_os("XRAY_PAGE_CHECK").is_none() {
        eprintln!("skipped: XRAY_PAGE_CHECK is not set, so there may be no Chromium");
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("page.html");
    std::fs::write(&file, PAGE.replace('%', flaw)).expect("a writable folder");
    let output =
        Command::new(env!("CARGO_BIN_EXE_xtask")).arg("page").arg(&file).output().expect("xtask starts");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), said))
}

fn check(flaw: &str, expected: &str) {
    let Some((passed, said)) = checked(flaw) else { return };
    assert!(!passed && said.contains(expected), "{said}");
    let others: Vec<_> =
        said.lines().filter(|line| !line.contains(expected) && !line.starts_with("error")).collect();
    assert!(others.is_empty(), "more than `{expected}`: {others:?}");
}

#[test]
fn a_good_page_passes() {
    if let Some((passed, said)) = checked("") {
        assert!(passed && said.contains("no flaw in 8 views"), "{said}");
    }
}

#[test]
fn text_over_text_is_found() {
    check(
        "<p style=\"margin: 0 0 -20px; line-height: 20px\">Here is a line</p><p style=\"margin: 0; line-height: 20px\">and one</p>",
        "overlap: \"Here is a line\"",
    );
}

#[test]
fn cut_text_is_found() {
    check(
        "<p style=\"width: 60px; overflow: hidden; white-space: nowrap\">Much longer than its box</p>",
        "is cut: \"Much longer",
    );
    check(
        "<svg viewBox=\"0 0 40 20\" width=\"40\" height=\"20\" role=\"img\" aria-label=\"c\"><text x=\"5\" y=\"14\" font-size=\"12\">outside</text></svg>",
        "is cut by its chart: \"outside\"",
    );
}

#[test]
fn what_leaves_the_page_is_found() {
    let Some((passed, said)) =
        checked("<p style=\"width: 1600px\">A wide line <span style=\"float: right\">at its end</span></p>")
    else {
        return;
    };
    assert!(
        !passed
            && said.contains("the page scrolls sideways")
            && said.contains("leaves the page: \"at its end\""),
        "{said}"
    );
    // In a box of its own it may scroll, but not on paper.
    let inside =
        "<div style=\"overflow-x: auto\"><p style=\"width: 1600px; height: 40px\">A wide line</p></div>";
    check(inside, "718 print: is cut: \"A wide line\"");
    let wraps =
        "<style>@media print { div { overflow: visible !important } p { width: auto !important } }</style>";
    if let Some((passed, said)) = checked(&(wraps.to_owned() + inside)) {
        assert!(passed, "{said}");
    }
}

/// A closed part that a screen opens stays closed on paper.
#[test]
fn what_is_not_printed_is_found() {
    let more = "<details><summary>More</summary><p>Behind a click</p></details>";
    check(more, "is not printed: \"Behind a click\"");
    let opened = "<style>@media print { details::details-content { content-visibility: visible } }</style>";
    if let Some((passed, said)) = checked(&(opened.to_owned() + more)) {
        assert!(passed, "{said}");
    }
}

#[test]
fn what_is_hard_to_read_is_found() {
    check("<p style=\"color: #aaa\">Gray on white</p>", "is faint: \"Gray on white\"");
    check("<p style=\"font-size: 6px\">For ants</p>", "is tiny: \"For ants\"");
}

#[test]
fn what_a_screen_reader_misses_is_found() {
    check("<svg width=\"20\" height=\"20\"></svg>", "a picture has no name");
    check("<h3>Third</h3><h2>Second</h2>", "a heading skips a level: \"Third\"");
    check("<table><tr><th>Head</th></tr></table>", "a table's head has no scope: \"Head\"");
}

#[test]
fn requests_are_found() {
    let Some((passed, said)) = checked("<img alt=\"x\" src=\"other.png\">") else { return };
    assert!(!passed && said.contains("asks for file://") && said.contains("other.png"), "{said}");
}

//! What tests skipped: lines `skipped: REASON` that they print while they pass.

use std::collections::BTreeMap;

const MARK: &str = "skipped: ";

/// A test that could not do its work here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Skipped {
    /// Its name.
    pub(super) test: String,
    /// What it said.
    pub(super) reason: String,
}

/// From the JUnit report that cargo-nextest writes with `store-success-output`.
pub(super) fn in_junit(xml: &str) -> Vec<Skipped> {
    let mut test = String::new();
    let mut skipped = Vec::new();
    for line in xml.lines() {
        if let Some(tag) = line.trim_start().strip_prefix("<testcase ") {
            test = attribute(tag, "name").unwrap_or_default();
        }
        let text = line.trim_start().trim_start_matches("<system-out>").trim_start_matches("<system-err>");
        if let Some(reason) = text.strip_prefix(MARK) {
            let reason = reason.split("</system-").next().unwrap_or_default();
            skipped.push(Skipped { test: test.clone(), reason: unescaped(reason) });
        }
    }
    skipped
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split_once(&format!("{name}=\""))?.1;
    value.split_once('"').map(|(value, _)| unescaped(value))
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.trim_end().replace("&amp;", "&")
}

/// Goes through the output of `cargo test -- --show-output`, in which each program of tests prints what its
/// passing tests said, then what its failing tests said, then the result.
#[derive(Debug, Default)]
pub(super) struct Filter {
    hides: bool,
    test: String,
    /// What was found so far.
    pub(super) skipped: Vec<Skipped>,
}

impl Filter {
    /// Whether a line is of interest to a person.
    pub(super) fn shows(&mut self, line: &str) -> bool {
        match line {
            "successes:" => self.hides = true,
            "failures:" => self.hides = false,
            _ if line.starts_with("test result: ") => self.hides = false,
            _ if self.hides => self.note(line),
            _ => {}
        }
        !self.hides
    }

    fn note(&mut self, line: &str) {
        let name = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = name {
            self.test = name.to_owned();
        } else if let Some(reason) = line.strip_prefix(MARK) {
            self.skipped.push(Skipped { test: self.test.clone(), reason: reason.to_owned() });
        }
    }
}

/// One line per reason, with the tests that gave it; a test that ran twice counts once.
pub(super) fn grouped(skipped: &[Skipped]) -> Vec<String> {
    let mut tests: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Skipped { test, reason } in skipped {
        let names = tests.entry(reason).or_default();
        if !names.contains(&test.as_str()) {
            names.push(test);
        }
    }
    tests.iter().map(|(reason, tests)| format!("{reason} ({})", tests.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(test: &str, reason: &str) -> Skipped {
        Skipped { test: test.to_owned(), reason: reason.to_owned() }
    }

    #[test]
    fn skips_are_found_in_a_junit_report() {
        let xml = r#"<testsuites name="nextest-run" tests="3">
    <testsuite name="xray-data::tensorflow">
        <testcase name="reads &amp; writes" classname="xray-data::tensorflow" time="0.005">
            <system-out>
running 1 test
test reads ... ok
</system-out>
            <system-err>skipped: XRAY_PYTHON names no Python &quot;here&quot;
</system-err>
        </testcase>
        <testcase name="deep::counts" classname="xray-data">
            <system-out>one line
skipped: no labels in &lt;folder&gt;</system-out>
        </testcase>
        <testcase name="talks" classname="xray-data">
            <system-out>nothing was skipped: all is well</system-out>
        </testcase>
    </testsuite>
</testsuites>"#;
        assert_eq!(
            in_junit(xml),
            [
                skipped("reads & writes", "XRAY_PYTHON names no Python \"here\""),
                skipped("deep::counts", "no labels in <folder>"),
            ]
        );
    }

    #[test]
    fn output_of_passing_tests_is_hidden_and_looked_through() {
        let output = "\
running 3 tests
test a ... ok
test b ... FAILED

successes:

---- m::a stdout ----
skipped: no GPU
a detail

successes:
    m::a

failures:

---- m::b stdout ----
skipped: said by a test that failed
thread 'm::b' panicked

failures:
    m::b

test result: FAILED. 1 passed; 1 failed
running 0 tests
";
        let mut filter = Filter::default();
        let shown: Vec<_> = output.lines().filter(|line| filter.shows(line)).collect();
        assert_eq!(filter.skipped, [skipped("m::a", "no GPU")]);
        assert!(!shown.contains(&"a detail") && !shown.contains(&"skipped: no GPU"));
        for line in ["test b ... FAILED", "thread 'm::b' panicked", "    m::b", "running 0 tests"] {
            assert!(shown.contains(&line), "{line}: {shown:?}");
        }
    }

    #[test]
    fn equal_reasons_stand_in_one_line() {
        let found =
            [skipped("a", "no GPU"), skipped("b", "no data"), skipped("c", "no GPU"), skipped("a", "no GPU")];
        assert_eq!(grouped(&found), ["no GPU (a, c)", "no data (b)"]);
    }
}

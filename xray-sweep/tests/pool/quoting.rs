//! Text of people in submit files, as HTCondor's own parser reads it.

use crate::sweep::Sweep;
use crate::workplace::{Workplace, checked};
use std::fs;

/// Everything that a shell, a submit file, a list or an expression could take for something else.
const TEXTS: [&str; 6] = [
    "it's \"a\" b, c",
    "''\"\"' \"",
    " #;%&|<>!`~ ",
    "$5 $HOME {x} [y] (z) *?",
    "a=b:c@d/../e  f",
    "\u{e9}\u{4e2d} $$ $",
];

#[test]
fn htcondor_reads_what_was_written() {
    let Some(workplace) = Workplace::new() else { return };
    let worker = workplace.worker("xray-train");
    for text in TEXTS {
        let folder = format!("data{}", text.replace('/', "_"));
        std::os::unix::fs::symlink(workplace.path("shards"), workplace.path(&folder)).expect("a link");
        let literal = format!("\"{}\"", text.replace('"', "\\\""));
        let mut plan =
            workplace.xray_sweep(&["plan", "quoted", "--no-pool", "--trials", "1", "--fractions", "1"]);
        plan.args(["--shared-data", "--data", &folder, "--binary"]).arg(&worker);
        plan.args(["--attribute", &format!("Note={literal}"), "--env", &format!("NOTE={text}")]);
        plan.args(["--require", &format!("TARGET.Note =!= {literal}")]);
        checked(&mut plan);
        let sweep = Sweep::planned(&workplace, "quoted");
        sweep.in_pool(&["condor_submit", "-dry-run", "job.ad", "sweep.sub"]);
        let ad = fs::read_to_string(sweep.path("job.ad")).expect("HTCondor writes it");
        let value = |name: &str| {
            let line = ad.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_else(|| panic!("no {name} in {ad}"))
        };
        let arguments = words(&string(value("Arguments")));
        let at = arguments.iter().position(|word| word == "--data").expect("it is told where");
        assert_eq!(arguments[at + 1], workplace.path(&folder).display().to_string());
        // The value of `--env` is trimmed, as that of every flag of this form.
        assert_eq!(words(&string(value("Environment"))), [format!("NOTE={}", text.trim())]);
        assert_eq!(string(value("Note")), text);
        assert!(value("Requirements").contains(&format!("TARGET.Note =!= {literal}")), "{ad}");
        fs::remove_dir_all(sweep.path("")).expect("removable");
    }
}

/// A string of a job's ad.
fn string(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).expect("a string");
    inner.replace("\\\"", "\"")
}

/// HTCondor's raw syntax of arguments: blanks between words, single quotes around blanks, two of them for one.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), None::<String>, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' if !is_quoted => (is_quoted, word) = (true, Some(word.unwrap_or_default())),
            '\'' if letters.next_if_eq(&'\'').is_some() => word.get_or_insert_default().push('\''),
            '\'' => is_quoted = false,
            ' ' if !is_quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

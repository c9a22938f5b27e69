//! `XRAY_ISA` chooses, and what the processor lacks or nobody knows is an error. The variable is read once per
//! process, so the test runs itself again.

use std::process::Command;
use xray_kernels::{ISA_VARIABLE, Isa};

const CHILD: &str = "XRAY_KERNELS_TEST_CHILD";

/// In a child process, says what was chosen.
#[test]
fn says_what_was_chosen() {
    if std::env::var_os(CHILD).is_some() {
        let answer = Isa::detected().map_or_else(|error| error.to_string(), |isa| isa.name().to_owned());
        panic!("<{answer}>");
    }
}

fn chosen(value: &str) -> String {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "says_what_was_chosen", "--nocapture"])
        .env(ISA_VARIABLE, value)
        .env(CHILD, "1")
        .output()
        .expect("this program runs");
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let (_, rest) = text.split_once('<').expect("an answer");
    rest.split_once('>').expect("an answer").0.to_owned()
}

#[test]
fn the_variable_chooses() {
    let has = |name: &str| Isa::available().iter().any(|isa| isa.name() == name);
    assert_eq!(chosen(""), Isa::widest().name());
    for name in ["portable", "avx2", "avx512"] {
        let expected = if has(name) { name.to_owned() } else { format!("this processor has no {name}") };
        assert_eq!(chosen(name), expected);
    }
    assert_eq!(chosen("sse9"), "unknown instruction set \"sse9\": portable, avx2 and avx512 are known");
}

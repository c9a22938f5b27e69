//! `xray-data build --csv` over one input each: a table beside a dozen good images and a pipe, or an archive that holds both.

use crate::corpus::{Corpus, Expected, Input, Kind};
use crate::fault::{Fault, What};
use crate::lab::Lab;
use crate::program;
use crate::report::{Tally, extension};
use anyhow::Result;
use std::fs;
use std::path::Path;
use xray_workspace::in_parallel;

/// What tells of a bad input: usage, nothing matches, bad data.
const CODES: [i32; 4] = [0, 2, 3, 5];

/// Inputs between two looks at what came of them.
const TOGETHER: usize = 100;
const PROCESSES: usize = 2;

/// Tries the inputs of these numbers.
pub(crate) fn attack(lab: &Lab, corpus: &Corpus, numbers: &[u64]) -> Result<Tally> {
    let mut tally = Tally::new(corpus.kind(), "build", numbers.len());
    let all = numbers.len();
    for (at, numbers) in numbers.chunks(TOGETHER).enumerate() {
        let inputs: Vec<_> = numbers.iter().map(|&number| corpus.input(number)).collect();
        let tried = in_parallel(PROCESSES, &inputs, |input| Some(build(lab, corpus.kind(), input)));
        for (input, tried) in inputs.iter().zip(tried.into_iter().flatten()) {
            let mut tried = tried?;
            // It may have waited for others.
            if tried.fault.as_ref().is_some_and(|fault| fault.what == What::Slow) {
                tried = build(lab, corpus.kind(), input)?;
            }
            tally.took(tried.time, tried.peak_mib);
            match tried.fault {
                None => tally.good(tried.accepted),
                Some(fault) => lab.fail(&mut tally, (corpus.kind(), input.number, &input.bytes), fault)?,
            }
        }
        if lab.is_enough(&tally) {
            tally.unexplained = (all - (at * TOGETHER + numbers.len())) as u64;
            break;
        }
    }
    Ok(tally)
}

struct Tried {
    accepted: bool,
    time: std::time::Duration,
    peak_mib: f64,
    fault: Option<Fault>,
}

/// Writes an input; the arguments that name it.
fn lay(lab: &Lab, kind: Kind, input: &Input, folder: &Path) -> Result<String> {
    let file = folder.join(format!("labels.{}", extension(kind, &input.bytes)));
    fs::write(&file, &input.bytes)?;
    let file = file.display();
    Ok(match kind {
        Kind::Archive => format!("--csv {file}"),
        _ => format!("--csv {file} --images {}", lab.good_images().display()),
    })
}

fn build(lab: &Lab, kind: Kind, input: &Input) -> Result<Tried> {
    let folder = lab.path(&format!("{}-{}", kind.name(), input.number));
    fs::create_dir_all(&folder)?;
    let source = lay(lab, kind, input, &folder)?;
    // Half of the tables may name images that are not there, or are none.
    let skip = if input.number.is_multiple_of(2) { "" } else { " --skip-missing --skip-bad" };
    let arguments = format!("build {source} --out {}{skip}", folder.join("shards").display());
    let deadline = lab.limits.slowest;
    let ended = program::run(&lab.program("xray-data")?, arguments.split(' '), &lab.limits, deadline)?;
    let accepted = ended.status.code() == Some(0);
    let judgement = || {
        let said = format!("{} is refused: {}", input.name, ended.stderr.lines().next().unwrap_or(""));
        (input.expected == Expected::Accepted && !accepted).then(|| Fault::new(What::Judgement, said))
    };
    let fault = program::fault(&ended, &CODES, &lab.limits, deadline).or_else(judgement);
    fs::remove_dir_all(&folder)?;
    Ok(Tried { accepted, time: ended.time, peak_mib: ended.peak_mib, fault })
}

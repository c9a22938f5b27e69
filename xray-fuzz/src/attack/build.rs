//! `xray-data build --skip-bad` over folders of hundreds of files, and `xray-data check` over what it made. When one
//! fails, halves of the folder are tried until the file that does it is alone.

use crate::corpus::{Corpus, Expected, Input};
use crate::fault::{Fault, What};
use crate::lab::Lab;
use crate::program;
use crate::report::{Tally, extension};
use crate::table;
use anyhow::Result;
use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;
use xray_workspace::watch::Ending;

/// Files in a folder.
const TOGETHER: usize = 500;

/// Tries the inputs of these numbers.
pub(crate) fn attack(lab: &Lab, corpus: &Corpus, numbers: &[u64]) -> Result<Tally> {
    let mut tally = Tally::new(corpus.kind(), "build, check", numbers.len());
    for numbers in numbers.chunks(TOGETHER) {
        let inputs: Vec<_> = numbers.iter().map(|&number| corpus.input(number)).collect();
        folder(lab, corpus, &mut tally, &inputs)?;
    }
    Ok(tally)
}

fn folder(lab: &Lab, corpus: &Corpus, tally: &mut Tally, inputs: &[Input]) -> Result<()> {
    let fault = match build_and_check(lab, corpus, tally, inputs)? {
        Ok(skipped) => return judge(lab, corpus, tally, inputs, &skipped),
        Err(fault) => fault,
    };
    let id = |input: &Input| (corpus.kind(), input.number);
    if let [input] = inputs {
        let (kind, number) = id(input);
        return lab.fail(tally, (kind, number, &input.bytes), fault);
    }
    if lab.is_enough(tally) {
        tally.unexplained += inputs.len() as u64;
        return Ok(());
    }
    let before = (tally.failed(), tally.unexplained);
    let (first, second) = inputs.split_at(inputs.len() / 2);
    folder(lab, corpus, tally, first)?;
    folder(lab, corpus, tally, second)?;
    if (tally.failed(), tally.unexplained) == before {
        let (kind, number) = id(&inputs[0]);
        let said = format!("{}; not alone, among {}", fault.said, inputs.len());
        lab.fail(tally, (kind, number, &inputs[0].bytes), Fault { said, ..fault })?;
    }
    Ok(())
}

/// Whole files must be used, and bad ones not.
fn judge(
    lab: &Lab,
    corpus: &Corpus,
    tally: &mut Tally,
    inputs: &[Input],
    skipped: &HashSet<u64>,
) -> Result<()> {
    for input in inputs {
        let accepted = !skipped.contains(&input.number);
        let said = match (input.expected, accepted) {
            (Expected::Accepted, false) => "is skipped",
            (Expected::Refused, true) => "is built",
            _ => {
                tally.good(accepted);
                continue;
            }
        };
        let fault = Fault::new(What::Judgement, format!("{} {said}", input.name));
        lab.fail(tally, (corpus.kind(), input.number, &input.bytes), fault)?;
    }
    Ok(())
}

/// The numbers of the files that were skipped, or what must not have happened.
fn build_and_check(
    lab: &Lab,
    corpus: &Corpus,
    tally: &mut Tally,
    inputs: &[Input],
) -> Result<Result<HashSet<u64>, Fault>> {
    let folder = lab.path("attacked");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let names: Vec<_> = inputs.iter().map(|input| name(corpus, input)).collect();
    write(lab, &folder, inputs, &names)?;
    let deadline = deadline(lab, inputs.len());
    let mut run = |arguments: &str| -> Result<Result<Ending, Fault>> {
        let command = lab.program("xray-data")?;
        let ended = program::run(&command, arguments.split(' '), &lab.limits, deadline)?;
        tally.took(Duration::ZERO, ended.peak_mib);
        let fault = program::fault(&ended, &[0], &lab.limits, deadline);
        Ok(fault.map_or(Ok(ended), Err))
    };
    let at = folder.display();
    let build = format!("build --csv {at}/labels.csv --skip-bad --out {at}/shards --format json");
    let built = match run(&build)? {
        Ok(built) => built,
        Err(fault) => return Ok(Err(fault)),
    };
    if let Err(fault) = run(&format!("check {at}/shards"))? {
        return Ok(Err(Fault { said: format!("check: {}", fault.said), ..fault }));
    }
    Ok(skipped(&built, inputs, &names))
}

/// With a process to start, and some time for each image.
fn deadline(lab: &Lab, images: usize) -> Duration {
    lab.limits.slowest + lab.limits.slowest * images as u32 / 100
}

fn name(corpus: &Corpus, input: &Input) -> String {
    format!("{:07}.{}", input.number, extension(corpus.kind(), &input.bytes))
}

/// The files, all of one patient, because many show the same, among good ones of others.
fn write(lab: &Lab, folder: &Path, inputs: &[Input], names: &[String]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut labels = "path,patient_id,Mass,Nodule\n".to_owned();
    let good: Vec<_> = (0..table::IMAGES).map(table::image).collect();
    for (number, name) in good.iter().chain(names).enumerate() {
        let patient = number.min(good.len());
        // Writing to a string cannot fail.
        let _ = writeln!(labels, "{name},p{patient},{},{}", number % 2, number / 2 % 2);
    }
    for name in &good {
        fs::copy(lab.good_images().join(name), folder.join(name))?;
    }
    for (input, name) in inputs.iter().zip(names) {
        fs::write(folder.join(name), &input.bytes)?;
    }
    Ok(fs::write(folder.join("labels.csv"), labels)?)
}

/// Every file is built or named as skipped, and no good one is skipped.
fn skipped(built: &Ending, inputs: &[Input], names: &[String]) -> Result<HashSet<u64>, Fault> {
    let judgement = |said: String| Fault::new(What::Judgement, said);
    let result: serde_json::Value = serde_json::from_str(&built.stdout)
        .map_err(|error| Fault::new(What::Answer, format!("--format json: {error}")))?;
    let splits = result["manifest"]["splits"].as_object();
    let images: u64 = splits.into_iter().flatten().filter_map(|(_, split)| split["images"].as_u64()).sum();
    let lines: Vec<_> = built.stderr.lines().filter(|line| line.starts_with("skipped:")).collect();
    let named = inputs.iter().zip(names).filter(|(_, name)| lines.iter().any(|line| line.contains(*name)));
    let named: HashSet<u64> = named.map(|(input, _)| input.number).collect();
    let counted = result["skipped"].as_u64().unwrap_or(0);
    if counted != named.len() as u64 {
        let unnamed = lines.iter().find(|line| !names.iter().any(|name| line.contains(name.as_str())));
        return Err(judgement(format!(
            "{counted} skipped and {} named; {}",
            named.len(),
            unnamed.unwrap_or(&"")
        )));
    }
    let all = (inputs.len() + table::IMAGES) as u64;
    if images + counted != all {
        return Err(judgement(format!("{images} built and {counted} skipped of {all}")));
    }
    Ok(named)
}

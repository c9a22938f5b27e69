//! Files that are posted to a server, several at once on connections that stay open. What is not as it should be, or
//! happened among others, is tried again alone: then it is known what did it, and that it was not another's fault.

use crate::answer::Answer;
use crate::corpus::{Corpus, Expected, Input};
use crate::fault::{Fault, Limits, What};
use crate::lab::Lab;
use crate::report::Tally;
use crate::server::{Connection, Server, request, told};
use anyhow::Result;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use xray_workspace::in_parallel;

/// Files between two looks at the server.
const TOGETHER: usize = 100;
const CLIENTS: usize = 4;

/// Tries the inputs of these numbers.
pub(crate) fn attack(lab: &Lab, corpus: &Corpus, numbers: &[u64]) -> Result<Tally> {
    let mut tally = Tally::new(corpus.kind(), "serve", numbers.len());
    let mut server = lab.server()?;
    for numbers in numbers.chunks(TOGETHER) {
        let inputs: Vec<_> = numbers.iter().map(|&number| corpus.input(number)).collect();
        together(lab, corpus, &mut server, &mut tally, &inputs)?;
    }
    tally.took(Duration::ZERO, server.growth_mib);
    Ok(tally)
}

fn together(
    lab: &Lab,
    corpus: &Corpus,
    server: &mut Server,
    tally: &mut Tally,
    inputs: &[Input],
) -> Result<()> {
    let address = server.address();
    let said = in_parallel(CLIENTS, inputs, |input| {
        let said = ask(address, input);
        // A server that is gone answers nobody.
        let is_gone = said.0.is_err() && Connection::open(address).is_err();
        (!is_gone).then_some(said)
    });
    let fault = server.is_well()?;
    let failed = tally.failed();
    // When the server died, one of those that were not answered did it, or all of them together.
    let is_unanswered = |said: &Option<Said>| said.as_ref().is_none_or(|(answer, _)| answer.is_err());
    let suspect = &inputs[said.iter().position(is_unanswered).unwrap_or(0)];
    for (input, said) in inputs.iter().zip(said) {
        match said.map(|said| judge(input, &said, &lab.limits).map(|accepted| (accepted, said.1))) {
            Some(Ok((accepted, time))) if fault.is_none() => {
                tally.good(accepted);
                tally.took(time, 0.0);
            }
            _ if lab.is_enough(tally) => tally.unexplained += 1,
            _ => alone(lab, corpus, server, tally, input)?,
        }
    }
    match fault {
        Some(fault) if tally.failed() == failed && !lab.is_enough(tally) => {
            let said = format!("{}; not alone, among {}", fault.said, inputs.len());
            lab.fail(tally, (corpus.kind(), suspect.number, &suspect.bytes), Fault { said, ..fault })
        }
        _ => Ok(()),
    }
}

fn alone(lab: &Lab, corpus: &Corpus, server: &mut Server, tally: &mut Tally, input: &Input) -> Result<()> {
    let said = ask(server.address(), input);
    let judged = judge(input, &said, &lab.limits);
    tally.took(said.1, 0.0);
    let fault = if said.0.is_ok() { server.look()? } else { server.look_closely()? };
    match fault.map_or(judged, Err) {
        Ok(accepted) => {
            tally.good(accepted);
            Ok(())
        }
        Err(fault) => lab.fail(tally, (corpus.kind(), input.number, &input.bytes), fault),
    }
}

/// An answer, or why there is none, and after what time.
type Said = (std::io::Result<Answer>, Duration);

/// Most as a body to the API, some in a form, some to the page, some for maps too.
fn ask(address: SocketAddr, input: &Input) -> Said {
    thread_local! {
        static OPEN: RefCell<Option<(SocketAddr, Connection)>> = const { RefCell::new(None) };
    }
    let asked = match input.number % 8 {
        0 => form("/v1/predict", &input.bytes),
        1 => form("/", &input.bytes),
        2 => request("/v1/predict?maps=true", "application/octet-stream", &input.bytes),
        _ => request("/v1/predict", "application/octet-stream", &input.bytes),
    };
    OPEN.with_borrow_mut(|open| {
        let begin = Instant::now();
        let connection = match open.take().filter(|(to, _)| *to == address) {
            Some((_, connection)) => Ok(connection),
            None => Connection::open(address),
        };
        let answer = connection.and_then(|mut connection| {
            let answer = connection.ask(&asked)?;
            if !answer.closes {
                *open = Some((address, connection));
            }
            Ok(answer)
        });
        (answer, begin.elapsed())
    })
}

fn form(path: &str, file: &[u8]) -> Vec<u8> {
    let part = b"--fuzz-0123456789\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n";
    let body = [&part[..], file, b"\r\n--fuzz-0123456789--\r\n"].concat();
    request(path, "multipart/form-data; boundary=fuzz-0123456789", &body)
}

/// Whether the file was accepted.
fn judge(input: &Input, (answer, time): &Said, limits: &Limits) -> Result<bool, Fault> {
    let Ok(said) = answer else { return Err(Fault::new(What::Answer, told(answer))) };
    if *time > limits.slowest {
        return Err(Fault::new(What::Slow, format!("{:.1} s, {}", time.as_secs_f64(), said.status)));
    }
    let accepted = match said.status {
        200 => true,
        // 503: in so little address space there is not always room for a large image.
        400 | 413 | 415 | 422 | 503 => false,
        _ => return Err(Fault::new(What::Code, told(answer))),
    };
    let judgement = |said: &str| Fault::new(What::Judgement, format!("{} is {said}", input.name));
    match (input.expected, accepted) {
        (Expected::Accepted, false) => Err(judgement(&format!("refused: {}", told(answer)))),
        (Expected::Refused, true) => Err(judgement("answered")),
        _ if input.number % 8 == 1 => Ok(accepted),
        _ => readable(said).map(|()| accepted),
    }
}

/// Findings with numbers, or a problem with a sentence.
fn readable(answer: &Answer) -> Result<(), Fault> {
    let said: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|error| Fault::new(What::Answer, format!("{} without JSON: {error}", answer.status)))?;
    let findings = said["images"][0]["findings"].as_array();
    let is_whole = match (answer.status, findings) {
        (200, Some(findings)) => {
            !findings.is_empty() && findings.iter().all(|finding| finding["probability"].is_number())
        }
        (200, None) => false,
        _ => said.to_string().contains("message"),
    };
    if is_whole { Ok(()) } else { Err(Fault::new(What::Answer, format!("{} {said}", answer.status))) }
}

//! Conversations with a server by raw sockets, several at once, while others hold connections and say nothing.

use crate::answer::{self, Answer};
use crate::corpus::Kind;
use crate::fault::{Fault, Limits, What};
use crate::http::{Conversation, Step, conversation};
use crate::lab::Lab;
use crate::report::Tally;
use crate::server::Server;
use anyhow::Result;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};
use xray_workspace::in_parallel;

/// Conversations between two looks at the server.
const TOGETHER: usize = 100;
const CLIENTS: usize = 12;
/// Connections on which nothing is ever said, or a head without its body.
const SILENT: usize = 12;

/// Tries the conversations of these numbers.
pub(crate) fn attack(lab: &Lab, seed: u64, numbers: &[u64]) -> Result<Tally> {
    let mut tally = Tally::new(Kind::Http, "serve", numbers.len());
    let mut server = lab.server()?;
    for numbers in numbers.chunks(TOGETHER) {
        let all: Vec<_> = numbers.iter().map(|&number| conversation(seed, number)).collect();
        together(lab, &mut server, &mut tally, &all)?;
    }
    tally.took(Duration::ZERO, server.growth_mib);
    Ok(tally)
}

fn together(lab: &Lab, server: &mut Server, tally: &mut Tally, all: &[Conversation]) -> Result<()> {
    let address = server.address();
    let silent = silent(address);
    let tried = in_parallel(CLIENTS, all, |conversation| Some(talk(address, conversation, &lab.limits)));
    drop(silent);
    let fault = server.is_well()?;
    let failed = tally.failed();
    for (conversation, tried) in all.iter().zip(tried) {
        match tried.map(|(time, said)| (time, said.and_then(|answers| judge(conversation, &answers)))) {
            Some((time, Ok(accepted))) if fault.is_none() => {
                tally.good(accepted);
                tally.took(time, 0.0);
            }
            _ if lab.is_enough(tally) => tally.unexplained += 1,
            _ => alone(lab, server, tally, conversation)?,
        }
    }
    match fault {
        Some(fault) if tally.failed() == failed && !lab.is_enough(tally) => {
            let said = format!("{}; not alone, among {}", fault.said, all.len());
            fail(lab, tally, &all[0], Fault { said, ..fault })
        }
        _ => Ok(()),
    }
}

fn alone(lab: &Lab, server: &mut Server, tally: &mut Tally, conversation: &Conversation) -> Result<()> {
    let (time, said) = talk(server.address(), conversation, &lab.limits);
    tally.took(time, 0.0);
    let judged = said.and_then(|answers| judge(conversation, &answers));
    match server.is_well()?.map_or(judged, Err) {
        Ok(accepted) => {
            tally.good(accepted);
            Ok(())
        }
        Err(fault) => fail(lab, tally, conversation, fault),
    }
}

fn fail(lab: &Lab, tally: &mut Tally, conversation: &Conversation, fault: Fault) -> Result<()> {
    lab.fail(tally, (Kind::Http, conversation.number, conversation.text().as_bytes()), fault)
}

/// Those that a server has room for.
fn silent(address: SocketAddr) -> Vec<TcpStream> {
    let open = |number: usize| {
        let mut stream = TcpStream::connect(address).ok()?;
        if number.is_multiple_of(3) {
            let head = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 900\r\n\r\n";
            stream.write_all(head.as_bytes()).ok()?;
        }
        Some(stream)
    };
    (0..SILENT).filter_map(open).collect()
}

/// What was answered, and how long the last answer took after the last word. A connection on which nothing more will be
/// said must be answered and closed in time.
fn talk(
    address: SocketAddr,
    conversation: &Conversation,
    limits: &Limits,
) -> (Duration, Result<Vec<Answer>, Fault>) {
    let mut begin = Instant::now();
    let mut said = || -> std::io::Result<(Vec<u8>, bool)> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(limits.slowest))?;
        for step in &conversation.steps {
            match step {
                // A server may refuse, and take no more.
                Step::Send(bytes) => drop(stream.write_all(bytes)),
                Step::Pause(milliseconds) => sleep(Duration::from_millis(*milliseconds)),
                Step::End => break,
                Step::Cut => return Ok((Vec::new(), true)),
            }
        }
        begin = Instant::now();
        let _ = stream.shutdown(Shutdown::Write);
        Ok(to_the_end(&mut stream, begin + limits.slowest))
    };
    let said = said();
    let time = begin.elapsed();
    let read =
        said.map_err(|error| Fault::new(What::Answer, error.to_string())).and_then(|(bytes, ended)| {
            if !ended {
                let said = format!("still open after {:.1} s and {} bytes", time.as_secs_f64(), bytes.len());
                return Err(Fault::new(What::Slow, said));
            }
            answers(&bytes, conversation)
        });
    (time, read)
}

/// All that comes, and whether the server closed the connection in time.
fn to_the_end(stream: &mut TcpStream, until: Instant) -> (Vec<u8>, bool) {
    let (mut bytes, mut piece) = (Vec::new(), [0; 1 << 14]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return (bytes, false);
        }
        match stream.read(&mut piece) {
            Ok(0) => return (bytes, true),
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return (bytes, false);
            }
            // What was sent and not read is answered by the system.
            Err(_) => return (bytes, true),
        }
    }
}

/// Those that arrived whole. One may break off where the system cut the connection, but none may be garbled.
fn answers(bytes: &[u8], conversation: &Conversation) -> Result<Vec<Answer>, Fault> {
    let may_be_to_head = conversation.asks_for_heads();
    let (mut stream, mut answers) = (BufReader::new(bytes), Vec::new());
    loop {
        match answer::read(&mut stream, may_be_to_head) {
            Ok(Some(answer)) => answers.push(answer),
            Ok(None) => return Ok(answers),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(answers),
            Err(error) => return Err(Fault::new(What::Answer, error.to_string())),
        }
    }
}

/// Whether anything was accepted.
fn judge(conversation: &Conversation, answers: &[Answer]) -> Result<bool, Fault> {
    let statuses: Vec<u16> =
        answers.iter().map(|answer| answer.status).filter(|&status| status >= 200).collect();
    // Busy, not implemented, and another version are answers too.
    if let Some(status) = statuses.iter().find(|&&status| status >= 500 && ![501, 503, 505].contains(&status))
    {
        return Err(Fault::new(What::Code, format!("status {status}")));
    }
    // After an answer that closes, the rest goes unanswered; one that is busy may be any.
    let closes = answers.iter().any(|answer| answer.closes);
    let fits = |(said, expected): (&u16, &u16)| said == expected || *said == 503;
    let fewer = statuses.len() < conversation.expected.len() && !closes;
    if fewer || !statuses.iter().zip(&conversation.expected).all(fits) {
        let said = format!("{}: {:?} instead of {:?}", conversation.name, statuses, conversation.expected);
        return Err(Fault::new(What::Answer, said));
    }
    Ok(statuses.iter().any(|status| (200..300).contains(status)))
}

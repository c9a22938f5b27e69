//! What became of the jobs on a pool: HTCondor's event log in its classic format, read without asking the
//! queue. Jobs belong to cells by the note `cell=ID` of their submission (`submit_event_notes`), or by the name
//! of their DAG node.
//!
//! HTCondor writes local time without a zone unless its configuration says `UTC`; such times are taken to be
//! of the zone of the machine that reads the log, which is the one that wrote it wherever a sweep directory
//! stays on its submit node.

mod event;
mod sending;
mod time;

use crate::attempt::{Attempt, Ending, Launcher};
use crate::signal;
use event::{Event, events};
use sending::FILE_TRANSFER;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::time::SystemTime;
use xray_artifacts::{Exit, Failure};

/// The jobs of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobLog {
    /// In the order of their submission.
    pub jobs: Vec<Job>,
    /// Pieces that are no event: foreign text, torn events, and the last one while it is being written.
    pub skipped: usize,
}

/// One job: a submission of a cell, with as many starts as it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// `cluster.proc`.
    pub id: String,
    /// The cell, if the job says which.
    pub cell: Option<String>,
    /// Where it stands.
    pub state: JobState,
    /// Why it is held or was removed.
    pub reason: Option<String>,
    /// Its starts, oldest first.
    pub attempts: Vec<Attempt>,
    /// The machine that its files are sent to before the next start.
    pub(crate) sending: Option<Attempt>,
    /// Whether the latest event ended the latest start.
    pub(crate) has_just_ended: bool,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits for a machine.
    Queued,
    /// It has one.
    Running,
    /// It is on hold.
    Held,
    /// Somebody, or its policy, took it out of the queue.
    Removed,
    /// It ran to its end, whatever that was.
    Completed,
}

impl JobLog {
    /// Reads a log; one that does not exist has no jobs.
    ///
    /// # Errors
    /// Only when the file is there and cannot be read. What is no event is counted and left out.
    pub fn read(path: &Path) -> Result<JobLog, Failure> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(JobLog::parse(&bytes, SystemTime::now(), time::local_offsets)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(JobLog::default()),
            Err(error) => {
                let message = format!("cannot read job log {}: {error}", path.display());
                Err(Failure::new(Exit::Unexpected, message))
            }
        }
    }

    /// Reads the text of a log. `offsets` says, for hours of local time counted since 1970, by how many seconds
    /// they are ahead of UTC.
    pub fn parse(
        bytes: &[u8],
        now: SystemTime,
        offsets: impl FnOnce(&BTreeSet<i64>) -> BTreeMap<i64, i64>,
    ) -> JobLog {
        let text = String::from_utf8_lossy(bytes);
        let (events, skipped) = events(&text);
        let hours = events.iter().filter_map(|event| event.stamp.local_hour(now)).collect();
        let offsets = offsets(&hours);
        let mut jobs: Vec<Job> = Vec::new();
        let mut latest: HashMap<(u64, u64), usize> = HashMap::new();
        for event in &events {
            let known = latest.get(&event.job).copied();
            // A queue that was set up anew counts its clusters from 1 again.
            let index = known.filter(|&index| event.code != SUBMIT || jobs[index].is_untouched());
            let index = index.unwrap_or_else(|| {
                jobs.push(Job::new(event.job));
                jobs.len() - 1
            });
            latest.insert(event.job, index);
            jobs[index].observe(event, event.stamp.utc(now, &offsets));
        }
        JobLog { jobs, skipped }
    }
}

// Numbers of events, from HTCondor's manual.
const SUBMIT: u16 = 0;
const EXECUTE: u16 = 1;
const EVICTED: u16 = 4;
const TERMINATED: u16 = 5;
const IMAGE_SIZE: u16 = 6;
const SHADOW_EXCEPTION: u16 = 7;
const ABORTED: u16 = 9;
const HELD: u16 = 12;
const RELEASED: u16 = 13;
const REMOTE_ERROR: u16 = 21;
const RECONNECT_FAILED: u16 = 24;
const JOB_AD: u16 = 28;

impl Job {
    fn new((cluster, process): (u64, u64)) -> Job {
        let id = format!("{cluster}.{process}");
        Job {
            id,
            cell: None,
            state: JobState::Queued,
            reason: None,
            attempts: Vec::new(),
            sending: None,
            has_just_ended: false,
        }
    }

    fn is_untouched(&self) -> bool {
        self.state == JobState::Queued && self.attempts.is_empty() && self.cell.is_none()
    }

    fn observe(&mut self, event: &Event<'_>, time: String) {
        self.ends_sending(event);
        let now = time.clone();
        match event.code {
            SUBMIT => self.cell = cell_of(event),
            EXECUTE => self.start(event, time),
            EVICTED => self.evicted(event, time),
            TERMINATED => self.terminated(event, time),
            SHADOW_EXCEPTION | RECONNECT_FAILED => {
                self.end(Ending::Lost, time, event.first_line());
                self.state = JobState::Queued;
            }
            ABORTED => {
                self.end(Ending::Removed, time, event.first_line());
                (self.state, self.reason) = (JobState::Removed, event.first_line().map(str::to_owned));
            }
            HELD => self.held(event, time),
            RELEASED => (self.state, self.reason) = (JobState::Queued, None),
            REMOTE_ERROR => {
                if let Some(attempt) = self.running() {
                    attempt.reason = event.first_line().map(str::to_owned);
                }
            }
            IMAGE_SIZE => {
                let line = event.lines.iter().find(|line| line.ends_with("MemoryUsage of job (MB)"));
                let used = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
                if let Some(attempt) = self.attempts.last_mut() {
                    attempt.used_memory_mib = attempt.used_memory_mib.max(used);
                }
            }
            FILE_TRANSFER => self.sends(event, time),
            JOB_AD => return self.job_ad(event),
            // Suspended, disconnected, reconnected, transferring: it still has its machine.
            _ => {}
        }
        self.memory(event);
        self.has_just_ended =
            self.attempts.last().is_some_and(|attempt| attempt.ended.as_ref() == Some(&now));
    }

    /// The start that has not ended.
    fn running(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut().filter(|attempt| attempt.ended.is_none() && attempt.ending.is_none())
    }

    fn start(&mut self, event: &Event<'_>, time: String) {
        if let Some(open) = self.running() {
            open.ending = Some(Ending::Lost); // its end is missing from the log
        }
        self.sending = None;
        let slot = event.after("SlotName:").map(str::to_owned);
        let host = slot.as_deref().and_then(|slot| slot.split_once('@')).map(|(_, host)| host.to_owned());
        self.attempts.push(Attempt {
            cell: self.cell.clone().unwrap_or_default(),
            launcher: Launcher::Condor,
            job: self.id.clone(),
            host: host.or_else(|| address(event.title)),
            slot,
            microarch: event.attribute("Microarch").map(str::to_owned),
            started: Some(time),
            allocated_memory_mib: event.attribute("Memory").and_then(|memory| memory.parse().ok()),
            ..Attempt::default()
        });
        (self.state, self.reason) = (JobState::Running, None);
    }

    fn end(&mut self, ending: Ending, time: String, reason: Option<&str>) {
        if let Some(attempt) = self.running() {
            (attempt.ending, attempt.ended) = (Some(ending), Some(time));
            if let Some(reason) = reason {
                attempt.reason = Some(reason.to_owned());
            }
        }
    }

    fn terminated(&mut self, event: &Event<'_>, time: String) {
        self.end(Ending::Failed, time, None);
        if let Some(attempt) = self.attempts.last_mut() {
            take_exit(attempt, event);
        }
        self.state = JobState::Completed;
    }

    /// The machine was taken away, or the run ended and the policy starts it again.
    fn evicted(&mut self, event: &Event<'_>, time: String) {
        self.end(Ending::Evicted, time, None);
        if let Some(attempt) = self.attempts.last_mut()
            && event.lines.iter().any(|line| line.contains("terminated and was requeued"))
        {
            take_exit(attempt, event);
        }
        self.state = JobState::Queued;
    }

    fn held(&mut self, event: &Event<'_>, time: String) {
        let reason = event.first_line().map(str::to_owned);
        let code: Option<u32> = event.number_after("Code ");
        let sub_code: Option<u32> = event.number_after("Subcode ");
        // An eviction at the same moment is the hold's first half.
        let is_second_half = |attempt: &Attempt| {
            attempt.ending == Some(Ending::Evicted) && attempt.ended.as_ref() == Some(&time)
        };
        if self.state == JobState::Running || self.attempts.last().is_some_and(is_second_half) {
            let attempt = self.attempts.last_mut().expect("a running job was started");
            (attempt.ending, attempt.ended) = (Some(Ending::Held), Some(time));
            attempt.reason.clone_from(&reason);
            let by_policy = sub_code.filter(|_| code == Some(signal::HOLD_BY_POLICY));
            attempt.signal = by_policy.and_then(signal::of_hold);
        }
        let codes = match (code, sub_code) {
            (Some(code), None | Some(0)) => format!(" (code {code})"),
            (Some(code), Some(sub_code)) => format!(" (code {code}, sub-code {sub_code})"),
            _ => String::new(),
        };
        self.reason = Some(reason.unwrap_or_else(|| "no reason given".to_owned()) + &codes);
        self.state = JobState::Held;
    }

    /// Attributes that the submit file asked to be repeated after every event.
    fn job_ad(&mut self, event: &Event<'_>) {
        let trigger = event.attribute("TriggerEventTypeNumber").and_then(|number| number.parse().ok());
        let Some(attempt) = self.ad_is_of(trigger) else { return };
        if let Some(microarch) = event.attribute("MachineAttrMicroarch0") {
            attempt.microarch = Some(microarch.to_owned());
        }
        if let Some(host) = event.attribute("MachineAttrMachine0") {
            attempt.host = Some(host.to_owned());
        }
        let number = |name| event.attribute(name).and_then(|number| number.parse::<u64>().ok());
        // After a hold it is what the next start will ask for.
        if trigger != Some(HELD) {
            attempt.requested_memory_mib = number("RequestMemory").or(attempt.requested_memory_mib);
        }
        attempt.allocated_memory_mib = number("MemoryProvisioned").or(attempt.allocated_memory_mib);
    }

    /// The line `Memory (MB) : USAGE REQUEST ALLOCATED`, whose first figures may be blank.
    fn memory(&mut self, event: &Event<'_>) {
        let Some(row) = event.after("Memory (MB)").and_then(|row| row.strip_prefix(':')) else { return };
        let Some(attempt) = self.attempts.last_mut() else { return };
        let mut figures = row.split_whitespace().rev().map(|figure| figure.parse::<u64>().ok());
        let mut next = || figures.next().flatten();
        attempt.allocated_memory_mib = next().or(attempt.allocated_memory_mib);
        attempt.requested_memory_mib = next().or(attempt.requested_memory_mib);
        attempt.used_memory_mib = attempt.used_memory_mib.max(next());
    }
}

fn cell_of(event: &Event<'_>) -> Option<String> {
    event.after("cell=").or_else(|| event.after("DAG Node:")).map(str::to_owned)
}

/// `(1) Normal termination (return value 0)` or `(0) Abnormal termination (signal 4)`.
fn take_exit(attempt: &mut Attempt, event: &Event<'_>) {
    let number = |start| event.number_after::<u32>(start);
    attempt.signal = number("(signal ").and_then(signal::valid);
    attempt.exit = number("(return value ").and_then(|code| u8::try_from(code).ok());
    attempt.ending = Some(match attempt.exit {
        Some(code) if code == Exit::Ok.code() => Ending::Finished,
        Some(code) if code == Exit::Checkpointed.code() => Ending::Checkpointed,
        _ => Ending::Failed,
    });
}

/// The machine in `<192.0.2.7:9618?addrs=...&alias=node7.example&...>`: its name, else its number.
fn address(title: &str) -> Option<String> {
    let (_, rest) = title.split_once('<')?;
    let address = rest.split_once('>').map_or(rest, |(address, _)| address);
    let alias = address.split(['?', '&']).find_map(|part| part.strip_prefix("alias="));
    let number = || address.split('?').next()?.rsplit_once(':').map(|(number, _)| number);
    alias.or_else(number).map(str::to_owned)
}

#[cfg(test)]
mod tests;

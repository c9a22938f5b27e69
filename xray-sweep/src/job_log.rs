//! What became of the jobs on a pool: HTCondor's event log in its classic format, read without asking the
//! queue. Jobs belong to cells by the note `cell=ID` of their submission (`submit_event_notes`), or by the name
//! of their DAG node; where the log begins after the submission, by the cell's id in any later event.
//!
//! HTCondor writes local time without a zone unless its configuration says `UTC`; such times are taken to be
//! of the zone of the machine that reads the log, which is the one that wrote it wherever a sweep directory
//! stays on its submit node.

mod event;
mod fetching;
mod resources;
mod sending;
mod time;

use crate::attempt::{Attempt, Ending, Launcher};
use crate::out_of_memory;
use crate::present;
use crate::signal;
use event::{Event, events};
use sending::FILE_TRANSFER;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, SystemTime};
use xray_artifacts::{Exit, FileError};

/// The jobs of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobLog {
    /// In the order of their submission.
    pub jobs: Vec<Job>,
    /// Clusters whose jobs are made one by one, as room becomes free (late materialization), by number: whether
    /// they are still at it.
    pub factories: BTreeMap<u64, bool>,
    /// Pieces that are not an event: foreign text, torn events, and the last one while it is being written.
    pub skipped: usize,
    /// Those among them that nobody is writing any more.
    pub damaged: usize,
}

/// One job: a submission of a cell, with as many starts as it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// `cluster.proc`, or Slurm's `array_task`.
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
    /// Whether the latest start ended before its files were there.
    pub(crate) never_executed: bool,
    /// Whether the latest event ended the latest start.
    pub(crate) has_just_ended: bool,
    /// When it was submitted, RFC 3339 in UTC; none where the log begins later.
    pub submitted: Option<String>,
    /// When it was last heard of; none for one that only the queue knows.
    pub latest: Option<String>,
    /// The machine whose queue it was submitted to.
    pub schedd: Option<String>,
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
    /// The queue does not hold it any more, and the log does not record how it ended.
    Gone,
}

impl JobState {
    /// Every state.
    pub const ALL: [JobState; 6] = [
        JobState::Queued,
        JobState::Running,
        JobState::Held,
        JobState::Removed,
        JobState::Completed,
        JobState::Gone,
    ];

    /// Whether it may still come to something by itself or by a release.
    pub fn is_open(self) -> bool {
        match self {
            JobState::Queued | JobState::Running | JobState::Held => true,
            JobState::Removed | JobState::Completed | JobState::Gone => false,
        }
    }
}

impl JobLog {
    /// Reads a log; one that does not exist has no jobs.
    ///
    /// # Errors
    /// Only when the file is there and cannot be read. What is not an event is counted and left out.
    pub fn read(path: &Path) -> Result<JobLog, FileError> {
        let bytes = present::bytes(path)?;
        let parse = |bytes: Vec<u8>| JobLog::parse(&bytes, SystemTime::now(), time::local_offsets);
        Ok(bytes.map(parse).unwrap_or_default())
    }

    /// Reads the text of a log. `offsets` says, for hours of local time counted since 1970, by how many seconds
    /// they are ahead of UTC.
    pub fn parse(
        bytes: &[u8],
        now: SystemTime,
        offsets: impl FnOnce(&BTreeSet<i64>) -> BTreeMap<i64, i64>,
    ) -> JobLog {
        let text = String::from_utf8_lossy(bytes);
        let (events, damaged, is_cut_off) = events(&text);
        let hours = events.iter().filter_map(|event| event.stamp.local_hour(now)).collect();
        let offsets = offsets(&hours);
        let mut jobs: Vec<Job> = Vec::new();
        let mut factories = BTreeMap::new();
        let mut latest: HashMap<(u64, u64), usize> = HashMap::new();
        for event in &events {
            let Some(process) = event.process else {
                if matches!(event.code, CLUSTER_SUBMIT | CLUSTER_REMOVE) {
                    factories.insert(event.cluster, event.code == CLUSTER_SUBMIT);
                }
                continue;
            };
            let number = (event.cluster, process);
            let known = latest.get(&number).copied();
            // A queue that was set up anew counts its clusters from 1 again.
            let index = known.filter(|&index| event.code != SUBMIT || jobs[index].is_untouched());
            let index = index.unwrap_or_else(|| {
                jobs.push(Job::new(format!("{}.{process}", event.cluster)));
                jobs.len() - 1
            });
            latest.insert(number, index);
            jobs[index].observe(event, event.stamp.utc(now, &offsets));
        }
        JobLog { jobs, factories, skipped: damaged + usize::from(is_cut_off), damaged }
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
const CLUSTER_SUBMIT: u16 = 35;
const CLUSTER_REMOVE: u16 = 36;

/// Holds because output, or input, could not be transferred.
const HOLDS_AT_TRANSFER: [u32; 2] = [12, 13];

impl Job {
    /// One that nothing is known of.
    pub(crate) fn new(id: String) -> Job {
        Job {
            id,
            cell: None,
            state: JobState::Queued,
            reason: None,
            attempts: Vec::new(),
            sending: None,
            never_executed: false,
            has_just_ended: false,
            submitted: None,
            latest: None,
            schedd: None,
        }
    }

    /// The queue does not hold it any more.
    pub(crate) fn vanish(&mut self) {
        if let Some(attempt) = self.running() {
            attempt.ending = Some(Ending::Lost);
        }
        (self.state, self.reason) = (JobState::Gone, None);
    }

    fn is_untouched(&self) -> bool {
        self.state == JobState::Queued && self.attempts.is_empty() && self.cell.is_none()
    }

    fn observe(&mut self, event: &Event<'_>, time: String) {
        self.ends_sending(event);
        let now = time.clone();
        self.latest = Some(time.clone());
        match event.code {
            SUBMIT => {
                (self.cell, self.submitted) = (cell_of(event), Some(time));
                self.schedd = address(event.title);
            }
            EXECUTE => self.start(event, time),
            EVICTED => self.evicted(event, time),
            TERMINATED => self.terminated(event, time),
            SHADOW_EXCEPTION | RECONNECT_FAILED => {
                self.end(Ending::Lost, time, event.first_line());
                self.state = JobState::Queued;
            }
            ABORTED => {
                self.stopped(Ending::Removed, time, event.first_line());
                (self.state, self.reason) = (JobState::Removed, event.first_line().map(str::to_owned));
            }
            HELD => self.held(event, time),
            RELEASED => (self.state, self.reason) = (JobState::Queued, None),
            REMOTE_ERROR => {
                if let Some(attempt) = self.running() {
                    attempt.reason = event.first_line().map(str::to_owned);
                }
            }
            IMAGE_SIZE => self.grows(event),
            FILE_TRANSFER => self.sends(event, time),
            JOB_AD => return self.job_ad(event),
            // Suspended, disconnected, reconnected, transferring: it still has its machine.
            _ => {}
        }
        self.resources(event);
        self.has_just_ended =
            self.attempts.last().is_some_and(|attempt| attempt.ended.as_ref() == Some(&now));
    }

    /// The start that has not ended.
    fn running(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut().filter(|attempt| attempt.ended.is_none() && attempt.ending.is_none())
    }

    /// A log that begins in the middle of a job tells of its start by what comes after it.
    fn must_have_started(&mut self) {
        if self.submitted.is_none() && self.attempts.is_empty() {
            self.attempts.push(Attempt {
                cell: self.cell.clone().unwrap_or_default(),
                launcher: Launcher::Condor,
                job: self.id.clone(),
                ..Attempt::default()
            });
            self.state = JobState::Running;
        }
    }

    fn start(&mut self, event: &Event<'_>, time: String) {
        if let Some(open) = self.running() {
            open.ending = Some(Ending::Lost); // its end is missing from the log
        }
        (self.sending, self.never_executed) = (None, false);
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
        self.must_have_started();
        self.end(Ending::Failed, time, None);
        if let Some(attempt) = self.attempts.last_mut() {
            take_exit(attempt, event);
        }
        self.state = JobState::Completed;
    }

    /// The machine was taken away, or the run ended and the policy starts it again.
    fn evicted(&mut self, event: &Event<'_>, time: String) {
        self.must_have_started();
        self.end(Ending::Evicted, time, None);
        if let Some(attempt) = self.attempts.last_mut()
            && event.lines.iter().any(|line| line.contains("terminated and was requeued"))
        {
            take_exit(attempt, event);
        }
        self.state = JobState::Queued;
    }

    fn held(&mut self, event: &Event<'_>, time: String) {
        let reason = event.first_line().map(fetching::sentence);
        let code: Option<u32> = event.number_after("Code ");
        let sub_code: Option<u32> = event.number_after("Subcode ");
        // Files that do not arrive are the fault of the start that they are sent for, and of none before.
        let at_transfer = code.is_some_and(|code| HOLDS_AT_TRANSFER.contains(&code));
        let ending = if at_transfer { Ending::Undelivered } else { Ending::Held };
        if (!at_transfer || self.never_executed || self.running().is_some())
            && let Some(attempt) = self.stopped(ending, time, reason.as_deref())
        {
            let by_policy = sub_code.filter(|_| code == Some(signal::HOLD_BY_POLICY));
            attempt.signal = by_policy.and_then(signal::of_hold);
            attempt.out_of_memory = out_of_memory::is_hold(code, sub_code, event.first_line());
        }
        self.reason = Some(hold_reason(reason.as_deref(), code, sub_code));
        self.state = JobState::Held;
    }

    /// Ends the start that goes on. HTCondor mostly writes an eviction first, which then was but the first half
    /// of the hold or removal.
    fn stopped(&mut self, ending: Ending, time: String, reason: Option<&str>) -> Option<&mut Attempt> {
        let is_half = |attempt: &Attempt| {
            attempt.ending == Some(Ending::Evicted) && is_moment(attempt.ended.as_deref(), &time)
        };
        let goes_on = self.running().is_some();
        let attempt = self.attempts.last_mut().filter(|attempt| goes_on || is_half(attempt))?;
        (attempt.ending, attempt.reason) = (Some(ending), reason.map(str::to_owned));
        attempt.ended = Some(time);
        Some(attempt)
    }

    /// Attributes that the submit file asked to be repeated after every event.
    fn job_ad(&mut self, event: &Event<'_>) {
        if self.cell.is_none() {
            self.cell = event.attribute("XrayCell").map(str::to_owned);
            let cell = self.cell.clone().unwrap_or_default();
            self.attempts.iter_mut().for_each(|attempt| attempt.cell.clone_from(&cell));
        }
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
}

/// Why a job is held, with HTCondor's numbers for it.
pub(crate) fn hold_reason(reason: Option<&str>, code: Option<u32>, sub_code: Option<u32>) -> String {
    let reason = reason.map_or_else(|| "no reason given".to_owned(), fetching::sentence);
    match (code, sub_code) {
        (Some(code), None | Some(0)) => format!("{reason} (code {code})"),
        (Some(code), Some(sub_code)) => format!("{reason} (code {code}, sub-code {sub_code})"),
        (None, _) => reason,
    }
}

/// Whether two events belong together by their times.
fn is_moment(earlier: Option<&str>, later: &str) -> bool {
    let time = |text: &str| humantime::parse_rfc3339(text).ok();
    let apart = earlier.and_then(time).zip(time(later)).map(|(a, b)| b.duration_since(a).unwrap_or_default());
    apart.is_some_and(|apart| apart <= Duration::from_secs(2))
}

fn cell_of(event: &Event<'_>) -> Option<String> {
    // Of a sweep with rungs a node is called by its cell and the rung's number: `0a1b-2`.
    let node = || event.after("DAG Node:").map(|node| node.split('-').next().unwrap_or(node));
    event.after("cell=").or_else(node).map(str::to_owned)
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

//! What a job asked for and used, as the log tells of it.

use super::Job;
use super::event::Event;

impl Job {
    /// `Image size of job updated`, with its memory below.
    pub(super) fn grows(&mut self, event: &Event<'_>) {
        let line = event.lines.iter().find(|line| line.ends_with("MemoryUsage of job (MB)"));
        let used = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        self.must_have_started();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.used_memory_mib = attempt.used_memory_mib.max(measured(used));
        }
    }

    /// The table of resources below the end of a start.
    pub(super) fn resources(&mut self, event: &Event<'_>) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        if let Some([used, requested, allocated]) = figures(event, "Memory (MB)") {
            attempt.allocated_memory_mib = allocated.or(attempt.allocated_memory_mib);
            attempt.requested_memory_mib = requested.or(attempt.requested_memory_mib);
            attempt.used_memory_mib = attempt.used_memory_mib.max(measured(used));
        }
        if let Some([used, requested, _]) = figures(event, "Disk (KB)") {
            let mebibytes = |kibibytes: Option<u64>| kibibytes.map(|kibibytes| kibibytes.div_ceil(1024));
            attempt.requested_disk_mib = mebibytes(requested).or(attempt.requested_disk_mib);
            attempt.used_disk_mib = attempt.used_disk_mib.max(mebibytes(measured(used)));
        }
    }
}

/// A line `Memory (MB) : USAGE REQUEST ALLOCATED`, whose first figures may be blank.
fn figures(event: &Event<'_>, name: &str) -> Option<[Option<u64>; 3]> {
    let row = event.after(name)?.strip_prefix(':')?;
    let mut figures = row.split_whitespace().rev().map(|figure| figure.parse().ok());
    let mut next = || figures.next().flatten();
    let (allocated, requested, used) = (next(), next(), next());
    Some([used, requested, allocated])
}

/// What a job used; HTCondor says 0 of one that ended before it looked.
fn measured(used: Option<u64>) -> Option<u64> {
    used.filter(|used| *used > 0)
}

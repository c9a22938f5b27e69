//! One event of the log: a numbered head, indented lines, and `...` on a line of its own.

use super::time::Stamp;

/// An event whose end was seen.
pub(super) struct Event<'a> {
    /// What happened, by HTCondor's number.
    pub(super) code: u16,
    pub(super) cluster: u64,
    /// None for the cluster as a whole, which HTCondor writes as -1.
    pub(super) process: Option<u64>,
    pub(super) stamp: Stamp,
    /// The rest of the head: `Job executing on host: <...>`.
    pub(super) title: &'a str,
    /// The lines below, trimmed, without empty ones.
    pub(super) lines: Vec<&'a str>,
}

/// Cuts a log into events; the second figure counts what is not an event: foreign text and torn events.
/// Whether the last one has no end, as while it is being written, comes third.
pub(super) fn events(text: &str) -> (Vec<Event<'_>>, usize, bool) {
    let (mut events, mut skipped) = (Vec::new(), 0);
    let mut open: Vec<&str> = Vec::new();
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        if line == "..." {
            match open.split_first().and_then(|(head, body)| parse_head(head).map(|head| (head, body))) {
                Some((head, body)) => events.push(head.with(body)),
                None => skipped += 1,
            }
            open.clear();
        } else if parse_head(line).is_some() {
            // A head before the end of the event above it: that one was torn.
            skipped += usize::from(!open.is_empty());
            open = vec![line];
        } else if !open.is_empty() || !line.trim().is_empty() {
            open.push(line);
        }
    }
    (events, skipped, !open.is_empty())
}

/// `005 (012.003.000) 2026-11-23 10:00:00 Job terminated.`
struct Head<'a> {
    code: u16,
    cluster: u64,
    process: Option<u64>,
    stamp: Stamp,
    title: &'a str,
}

impl<'a> Head<'a> {
    fn with(self, body: &[&'a str]) -> Event<'a> {
        let Head { code, cluster, process, stamp, title } = self;
        let lines = body.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        Event { code, cluster, process, stamp, title, lines }
    }
}

fn parse_head(line: &str) -> Option<Head<'_>> {
    // Cheap and nearly always enough: bodies are indented or begin with a letter.
    if !line.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (code, rest) = line.split_once(" (")?;
    let (job, rest) = rest.split_once(") ")?;
    let mut numbers = job.split('.');
    let (cluster, process) = (numbers.next()?, numbers.next()?);
    let (stamp, title) = Stamp::parse(rest)?;
    let process = if process.starts_with('-') { None } else { Some(process.parse().ok()?) };
    let code = (code.len() == 3).then(|| code.parse().ok()).flatten()?;
    Some(Head { code, cluster: cluster.parse().ok()?, process, stamp, title })
}

impl<'a> Event<'a> {
    /// The rest of the first line that begins with `start`.
    pub(super) fn after(&self, start: &str) -> Option<&'a str> {
        self.lines.iter().find_map(|line| line.strip_prefix(start)).map(str::trim)
    }

    /// The value of `Name = value`, without quotes.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a str> {
        let value = self.lines.iter().find_map(|line| {
            let (found, value) = line.split_once(" = ")?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })?;
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        (!value.is_empty() && !value.eq_ignore_ascii_case("undefined")).then_some(value)
    }

    /// The number after `start` in any line, up to what is not a digit: `(return value 85)`.
    pub(super) fn number_after<N: std::str::FromStr>(&self, start: &str) -> Option<N> {
        self.lines.iter().find_map(|line| {
            let (_, rest) = line.split_once(start)?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        })
    }

    /// The first line, where it is prose.
    pub(super) fn first_line(&self) -> Option<&'a str> {
        self.lines.first().copied().filter(|line| !line.starts_with("Code ") && *line != "Reason unspecified")
    }
}

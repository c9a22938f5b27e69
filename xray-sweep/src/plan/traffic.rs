//! What goes over the network before a job starts, and by which way: the access point sends, or the machine fetches.

use crate::spec::Condor;
use serde::Serialize;

/// What one job is sent, and what it fetches by URL, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) sent: u64,
    pub(super) fetched: u64,
}

impl Load {
    /// What lies on the machine's disk then.
    pub(super) fn total(self) -> u64 {
        self.sent + self.fetched
    }
}

/// What the jobs of a sweep move before they start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Bytes that the access point sends to a job: the least and the most.
    pub sent_bytes: [u64; 2],
    /// Bytes that it sends to all jobs, if each starts once.
    pub sent_bytes_in_all: u64,
    /// Bytes that a job fetches by URL: the least and the most.
    pub fetched_bytes: [u64; 2],
}

/// What some pools let through an access point for each job, the OSPool among them.
const MOST_SENT: u64 = 1_000_000_000;

impl Traffic {
    pub(super) fn of(jobs: &[Load]) -> Traffic {
        let range = |bytes: fn(&Load) -> u64| {
            let all = || jobs.iter().map(bytes);
            [all().min().unwrap_or_default(), all().max().unwrap_or_default()]
        };
        Traffic {
            sent_bytes: range(|job| job.sent),
            sent_bytes_in_all: jobs.iter().map(|job| job.sent).sum(),
            fetched_bytes: range(|job| job.fetched),
        }
    }

    /// Lines of the summary.
    pub fn text(&self, condor: &Condor) -> String {
        let (sent, fetched) = (range(self.sent_bytes), range(self.fetched_bytes));
        let all = size(self.sent_bytes_in_all);
        let sent = format!("  sent      {sent} to each job, {all} in all, through the access point");
        let fetched =
            condor.data_url.as_ref().map(|url| format!("\n  fetched   {fetched} by each job from {url}"));
        sent + &fetched.unwrap_or_default()
    }

    /// What is too much for some pools.
    pub fn warning(&self, condor: &Condor) -> Option<String> {
        let most = self.sent_bytes[1];
        let advice = match (&condor.data_url, condor.transfer_data) {
            (None, true) => "publish the shards (`xray-data publish`) and plan with --data-url",
            _ => "these are programs and files that settings name",
        };
        (most > MOST_SENT).then(|| {
            format!(
                "up to {} go through the access point to each job; pools such as the OSPool allow 1 GB: {advice}",
                size(most)
            )
        })
    }
}

/// Size in decimal units, which networks and pools use.
fn size(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes < 1e9 => format!("{:.1} MB", bytes / 1e6),
        bytes => format!("{:.2} GB", bytes / 1e9),
    }
}

fn range(bytes: [u64; 2]) -> String {
    let [least, most] = bytes.map(size);
    if least == most { least } else { format!("{least} to {most}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_both_ways_and_warns_of_the_first() {
        let jobs = [Load { sent: 1 << 20, fetched: 0 }, Load { sent: 1_000_000_001, fetched: 3 << 20 }];
        let traffic = Traffic::of(&jobs);
        assert_eq!(traffic.sent_bytes_in_all, (1 << 20) + 1_000_000_001);
        let sent = Condor::default();
        let fetched = Condor { data_url: Some("osdf:///nih".into()), ..Condor::default() };
        assert_eq!(
            traffic.text(&fetched),
            "  sent      1.0 MB to 1.00 GB to each job, 1.00 GB in all, through the access point\n  \
             fetched   0.0 MB to 3.1 MB by each job from osdf:///nih"
        );
        assert_eq!(traffic.text(&sent).lines().count(), 1);
        let warning = |condor| traffic.warning(condor).expect("too much");
        assert!(warning(&sent).starts_with("up to 1.00 GB go through the access point to each job"));
        assert!(warning(&sent).ends_with("--data-url") && !warning(&fetched).ends_with("--data-url"));
        assert_eq!(Traffic::of(&[Load { sent: MOST_SENT, fetched: 2 * MOST_SENT }]).warning(&sent), None);
    }
}

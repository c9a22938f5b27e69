//! What the queue of a pool holds of a sweep: its jobs; and of HTCondor's the rows that a cluster has still to make
//! jobs of (late materialization), and the DAGs that will submit more.

use crate::job_log::{JobState, hold_reason};
use crate::sweep_dir::SweepDir;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use xray_display::counted;

/// What the queue said.
#[derive(Clone, Debug, PartialEq)]
pub enum Queue {
    /// It could not be asked, and why.
    Silent(String),
    /// It answered.
    Holds(Content),
}

/// What a queue holds of one sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// When it was asked, RFC 3339 in UTC.
    pub asked: String,
    /// Its jobs, and perhaps some of a folder that is no longer there.
    pub jobs: Vec<QueuedJob>,
    /// Clusters that have jobs to make.
    pub factories: Vec<Factory>,
    /// DAGs of the sweep at work.
    pub dags: Vec<Dag>,
}

/// A job in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedJob {
    /// `cluster.proc`, or Slurm's `array_task`.
    pub id: String,
    /// The cell.
    pub cell: String,
    /// Where it stands.
    pub state: JobState,
    /// Why it is held.
    pub reason: Option<String>,
    /// Whether it surely is of this sweep. Otherwise the folder that it was submitted from is not there any more:
    /// it may be of a sweep that was moved.
    pub is_ours: bool,
}

/// A cluster that makes its jobs as room becomes free.
#[derive(Clone, Debug, PartialEq)]
pub struct Factory {
    /// Its number.
    pub cluster: String,
    /// The cells it has yet to make jobs of; none where its list cannot be read.
    pub owed: Option<Vec<String>>,
    /// Why it makes none for now.
    pub paused: Option<String>,
    /// Whether the job is ours.
    pub is_ours: bool,
}

/// DAGMan at work on the sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Dag {
    /// Its own job.
    pub id: String,
    /// When it was submitted, RFC 3339 in UTC.
    pub submitted: String,
    /// Why it is held.
    pub held: Option<String>,
}

/// Attributes that are asked for.
pub const ATTRIBUTES: &str = "ClusterId,ProcId,JobStatus,XrayCell,Iwd,UserLog,HoldReason,HoldReasonCode,HoldReasonSubCode,\
     QDate,JobUniverse,JobMaterializeLimit,JobMaterializeNextProcId,JobMaterializeNextRow,JobMaterializeItemsFile,\
     JobMaterializeMaxIdle,JobMaterializePaused,JobMaterializePauseReason";

/// Jobs of any sweep, and DAGs.
pub const CONSTRAINT: &str = "XrayCell =!= undefined || JobUniverse == 7";

/// The universe of DAGMan's own jobs.
const SCHEDULER: u64 = 7;

/// The time in the form of the log.
pub(crate) fn stamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

impl Content {
    /// Picks out what belongs to a sweep from the answers of `condor_q -json`: one on jobs, one on factories.
    /// None where either is not a list of attributes.
    pub fn parse(dir: &SweepDir, asked: SystemTime, jobs: &[u8], factories: &[u8]) -> Option<Content> {
        let mut content = Content { asked: stamp(asked), ..Content::default() };
        let mut places = Places::new(dir);
        for ad in ads(jobs)? {
            let ad = Ad(&ad);
            if ad.number("JobUniverse") == Some(SCHEDULER) {
                if ad.dag_folder().is_some_and(|folder| places.of(folder) == Place::Here) {
                    content.dags.extend(ad.dag());
                }
                continue;
            }
            let place = ad.sweep().map_or(Place::Elsewhere, |sweep| places.of(sweep));
            if place != Place::Elsewhere {
                content.jobs.extend(ad.job(place == Place::Here));
            }
        }
        for ad in ads(factories)? {
            let ad = Ad(&ad);
            let place = ad.sweep().map_or(Place::Elsewhere, |sweep| places.of(sweep));
            if place != Place::Elsewhere {
                let Some(mut factory) = ad.factory(place == Place::Here) else { continue };
                if factory.paused.is_none() {
                    factory.paused = content.stuck(&factory.cluster, ad.number("JobMaterializeMaxIdle"));
                }
                content.factories.push(factory);
            }
        }
        Some(content)
    }

    /// Why a cluster makes no more jobs: HTCondor counts those on hold among the `max_idle` that do not run, so that nothing
    /// moves any more once as many are held and no other is left.
    fn stuck(&self, cluster: &str, max_idle: Option<u64>) -> Option<String> {
        let of_it = || self.jobs.iter().filter(|job| is_of(&job.id, cluster) && job.state.is_open());
        let held = of_it().filter(|job| job.state == JobState::Held).count();
        let is_stuck =
            held == of_it().count() && max_idle.is_some_and(|max_idle| held as u64 >= max_idle.max(1));
        is_stuck.then(|| {
            format!(
                "it cannot start: {} of the cluster held, as many as --max-idle allows to wait",
                counted(held, "job")
            )
        })
    }

    /// Whether it holds anything of a cluster.
    pub fn has_cluster(&self, cluster: &str) -> bool {
        self.factories.iter().any(|factory| factory.cluster == cluster)
            || self.jobs.iter().any(|job| is_of(&job.id, cluster))
    }
}

fn is_of(job: &str, cluster: &str) -> bool {
    job.split('.').next() == Some(cluster)
}

/// Nothing at all is an empty list: some versions print it so.
fn ads(bytes: &[u8]) -> Option<Vec<Json>> {
    if bytes.trim_ascii().is_empty() {
        return Some(Vec::new());
    }
    serde_json::from_slice(bytes).ok()
}

struct Ad<'a>(&'a Json);

impl Ad<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    fn id(&self) -> Option<String> {
        Some(format!("{}.{}", self.number("ClusterId")?, self.number("ProcId")?))
    }

    /// A job is started in `SWEEP/cells/ID`.
    fn sweep(&self) -> Option<&Path> {
        self.text("Iwd").map(Path::new)?.parent()?.parent()
    }

    /// DAGMan keeps its log beside the DAG, wherever it is started.
    fn dag_folder(&self) -> Option<&Path> {
        Path::new(self.text("UserLog")?).parent()
    }

    fn job(&self, is_ours: bool) -> Option<QueuedJob> {
        let state = state(self.number("JobStatus")?);
        let reason = (state == JobState::Held).then(|| self.hold_reason());
        Some(QueuedJob { id: self.id()?, cell: self.text("XrayCell")?.to_owned(), state, reason, is_ours })
    }

    fn hold_reason(&self) -> String {
        let code = |name| self.number(name).and_then(|code| u32::try_from(code).ok());
        hold_reason(self.text("HoldReason"), code("HoldReasonCode"), code("HoldReasonSubCode"))
    }

    /// None for one that is being removed and submits no more.
    fn dag(&self) -> Option<Dag> {
        let state = Some(state(self.number("JobStatus")?)).filter(|state| state.is_open())?;
        let held = (state == JobState::Held).then(|| self.hold_reason());
        let submitted = UNIX_EPOCH.checked_add(Duration::from_secs(self.number("QDate")?))?;
        Some(Dag { id: self.id()?, submitted: stamp(submitted), held })
    }

    /// None for one that has made all its jobs.
    fn factory(&self, is_ours: bool) -> Option<Factory> {
        let cluster = self.number("ClusterId")?.to_string();
        let made = self.number("JobMaterializeNextProcId").unwrap_or(0);
        if self.number("JobMaterializeLimit").is_some_and(|limit| made >= limit) {
            return None;
        }
        let paused = match self.number("JobMaterializePaused") {
            None | Some(0) => None,
            Some(1) => Some(self.text("JobMaterializePauseReason").unwrap_or("no reason given").to_owned()),
            // No rows are left, or the cluster is being removed.
            Some(_) => return None,
        };
        Some(Factory { cluster, owed: self.owed(), paused, is_ours })
    }

    /// The rows that are left of the list which the submission gave to the queue: the cell comes first in each.
    fn owed(&self) -> Option<Vec<String>> {
        const SEPARATOR: char = '\x1f';
        let next = usize::try_from(self.number("JobMaterializeNextRow")?).ok()?;
        let list = fs::read_to_string(self.text("JobMaterializeItemsFile")?).ok()?;
        let id = |row: &str| row.split([SEPARATOR, ',', ' ']).next().unwrap_or_default().to_owned();
        Some(list.lines().skip(next).map(id).collect())
    }
}

/// HTCondor's numbers; a job that sends its output or is suspended still has its machine.
fn state(status: u64) -> JobState {
    match status {
        2 | 6 | 7 => JobState::Running,
        3 => JobState::Removed,
        4 => JobState::Completed,
        5 => JobState::Held,
        _ => JobState::Queued,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The sweep itself, by whatever path.
    Here,
    /// Another folder.
    Elsewhere,
    /// It is not there any more.
    Nowhere,
}

/// Where folders are, each looked up once.
pub(crate) struct Places {
    sweep: Option<(u64, u64)>,
    known: HashMap<PathBuf, Place>,
}

impl Places {
    pub(crate) fn new(dir: &SweepDir) -> Places {
        Places { sweep: identity(dir.path()), known: HashMap::new() }
    }

    /// Whether a folder is the sweep itself.
    pub(crate) fn is_here(&mut self, folder: &Path) -> bool {
        self.of(folder) == Place::Here
    }

    fn of(&mut self, folder: &Path) -> Place {
        if let Some(place) = self.known.get(folder) {
            return *place;
        }
        let place = match identity(folder) {
            None => Place::Nowhere,
            found if found == self.sweep => Place::Here,
            Some(_) => Place::Elsewhere,
        };
        self.known.insert(folder.to_owned(), place);
        place
    }
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    fs::metadata(folder).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_belongs_to_the_sweep_is_picked_out() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["s/cells/a", "other/cells/a"] {
            fs::create_dir_all(path(name)).expect("writable");
        }
        fs::write(path("items"), "a\x1f0.1\nb\x1f0.1\nc,0.1\n").expect("writable");
        let job = |cluster: u64, sweep: &str, status: u64| {
            json!({
                "ClusterId": cluster, "ProcId": 0, "JobStatus": status, "XrayCell": "a", "JobUniverse": 5,
                "Iwd": path(&format!("{sweep}/cells/a")), "HoldReason": "why", "HoldReasonCode": 13,
            })
        };
        let dag = |status: u64| {
            json!({
                "ClusterId": 9, "ProcId": 0, "JobStatus": status, "JobUniverse": 7, "Iwd": path("other"),
                "QDate": 1_767_225_600, "UserLog": path("s/sweep.dag.dagman.log"),
            })
        };
        let factory = |cluster: u64, made: u64, paused: u64, items: &str| {
            json!({
                "ClusterId": cluster, "Iwd": path("s/cells/a"), "JobMaterializeLimit": 3, "JobMaterializePaused": paused,
                "JobMaterializeNextProcId": made, "JobMaterializeNextRow": made, "JobMaterializeItemsFile": path(items),
                "JobMaterializeMaxIdle": 1,
            })
        };
        let jobs = json!([job(1, "s", 5), job(2, "other", 1), job(3, "moved", 2), dag(2), dag(3), {}]);
        let factories = json!([
            factory(1, 2, 0, "items"),
            factory(4, 1, 0, "items"),
            factory(5, 3, 0, "items"),
            factory(6, 2, 1, "none"),
            factory(7, 2, 2, "items")
        ]);
        let bytes = |value: Json| value.to_string().into_bytes();
        let dir = SweepDir::new(path("s"));
        let found = Content::parse(&dir, UNIX_EPOCH, &bytes(jobs), &bytes(factories)).expect("lists");
        let seen: Vec<_> = found.jobs.iter().map(|job| (job.id.as_str(), job.state, job.is_ours)).collect();
        assert_eq!(seen, [("1.0", JobState::Held, true), ("3.0", JobState::Running, false)]);
        assert_eq!(found.jobs[0].reason.as_deref(), Some("why (code 13)"));
        assert_eq!(
            found.dags.iter().map(|dag| dag.submitted.as_str()).collect::<Vec<_>>(),
            ["2026-01-01T00:00:00Z"]
        );
        let owed: Vec<_> = found
            .factories
            .iter()
            .map(|f| (f.cluster.as_str(), f.owed.clone(), f.paused.is_some()))
            .collect();
        let rest = Some(vec!["b".to_owned(), "c".to_owned()]);
        let last = Some(vec!["c".to_owned()]);
        // The first is stuck: the one job that may wait is held.
        assert_eq!(owed, [("1", last, true), ("4", rest, false), ("6", None, true)]);
        assert!(found.has_cluster("1") && found.has_cluster("4") && !found.has_cluster("5"));
    }

    #[test]
    fn any_answer_is_read() {
        let parse = |text: &str| Content::parse(&SweepDir::new("."), UNIX_EPOCH, text.as_bytes(), b"");
        assert_eq!(parse("").map(|content| content.jobs.len()), Some(0));
        assert_eq!(parse("[1, null, {\"ClusterId\": \"x\"}]").map(|content| content.jobs.len()), Some(0));
        assert_eq!(parse("-- Failed to fetch ads"), None);
    }
}

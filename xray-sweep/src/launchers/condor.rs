//! Cells as jobs of an HTCondor pool: submitted in one go, then followed through the event log, which costs the
//! pool nothing; now and then the queue is asked what it holds.

use super::Submission;
use crate::cell::Cell;
use crate::queue::{ATTRIBUTES, CONSTRAINT, Content, Queue};
use crate::spec::Spec;
use crate::sweep_dir::SweepDir;
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};
use xray_artifacts::{Exit, Failure, FileError, write_bytes};

/// Submits `cells` with the sweep's submit file. `is_dry` asks HTCondor to check it and submits nothing.
///
/// # Errors
/// When HTCondor does not take it; nothing is submitted then.
pub fn submit(dir: &SweepDir, cells: &[&Cell], is_dry: bool) -> Result<Vec<Submission>, Failure> {
    let rows = write_rows(dir, cells)?;
    let mut command = Command::new("condor_submit");
    command.current_dir(dir.path());
    if is_dry {
        command.args(["-dry-run", "/dev/null"]);
    } else {
        command.arg("-terse");
    }
    command.arg(format!("cells={}", rows.display())).arg("sweep.sub");
    let output = output(&mut command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().find(|line| line.starts_with("ERROR")).unwrap_or(said.trim()).to_owned();
        return Err(Failure::new(Exit::Unexpected, format!("condor_submit failed: {said}"))
            .hint("nothing was submitted; `condor_status` and `condor_q` tell whether the pool answers"));
    }
    if is_dry {
        return Ok(Vec::new());
    }
    // `12.0 - 12.29`
    let text = String::from_utf8_lossy(&output.stdout);
    let cluster = text.split('.').next().unwrap_or_default().trim().to_owned();
    // Kept: where the queue cannot be asked, it says which cells the cluster has still to make jobs of.
    let (from, to) = (dir.path().join(rows), dir.submitted(&cluster));
    let kept = std::fs::create_dir_all(dir.submissions()).and_then(|()| std::fs::rename(&from, &to));
    kept.map_err(|source| FileError::Io { path: to, action: "write", source })?;
    Ok(vec![Submission { name: format!("cluster {cluster}"), jobs: cells.len() }])
}

/// Has DAGMan run the sweep's DAG from its beginning; its nodes for `cells` have work to do, the others see that they have
/// none. `is_dry` does nothing: nobody can be asked to check a DAG.
///
/// # Errors
/// When HTCondor does not take it.
pub fn submit_dag(dir: &SweepDir, cells: &[&Cell], is_dry: bool) -> Result<Vec<Submission>, Failure> {
    if is_dry {
        return Ok(Vec::new());
    }
    let spec = Spec::read(&dir.spec())?;
    let mut command = Command::new("condor_submit_dag");
    command.current_dir(dir.path()).args(["-f", "-maxidle", &spec.condor.max_idle.to_string()]);
    let output = output(command.arg("sweep.dag"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let cluster = text.split("submitted to cluster ").nth(1).and_then(|rest| rest.split('.').next());
    let Some(cluster) = cluster.filter(|_| output.status.success()) else {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.split_whitespace().chain(text.split_whitespace()).collect::<Vec<_>>().join(" ");
        return Err(Failure::new(Exit::Unexpected, format!("condor_submit_dag failed: {said}"))
            .hint("nothing was submitted; `condor_status` and `condor_q` tell whether the pool answers"));
    };
    Ok(vec![Submission { name: format!("nodes of DAGMan, cluster {cluster}"), jobs: cells.len() }])
}

/// Asks what the queue of this machine holds of a sweep: the jobs of all users, and the clusters that have some to
/// make. HTCondor's own time limit bounds it.
pub fn queue(dir: &SweepDir) -> Queue {
    // A second earlier: the log counts in whole seconds.
    let asked = SystemTime::now() - Duration::from_secs(1);
    let ask = |more: &[&str]| {
        let mut command = Command::new("condor_q");
        command.args(["-allusers", "-constraint", CONSTRAINT, "-json", "-attributes", ATTRIBUTES]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let both = ask(&[]).and_then(|jobs| Ok((jobs, ask(&["-factory"])?)));
    let (jobs, factories) = match both {
        Ok(children) => children,
        Err(error) => return Queue::Silent(format!("condor_q: {error}")),
    };
    match (answer(jobs), answer(factories)) {
        (Ok(jobs), Ok(factories)) => match Content::parse(dir, asked, &jobs, &factories) {
            Some(content) => Queue::Holds(content),
            None => Queue::Silent("condor_q did not print JSON".to_owned()),
        },
        (Err(why), _) | (_, Err(why)) => Queue::Silent(why),
    }
}

fn answer(child: Child) -> Result<Vec<u8>, String> {
    let output = child.wait_with_output().map_err(|error| format!("condor_q: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it failed").to_owned();
    Err(format!("condor_q: {line}"))
}

/// Names of the machine whose queue `condor_q` asks here.
pub fn schedds() -> Vec<String> {
    let mut names = vec![rustix::system::uname().nodename().to_string_lossy().into_owned()];
    for name in ["FULL_HOSTNAME", "NETWORK_HOSTNAME", "SCHEDD_HOST"] {
        let output = Command::new("condor_config_val").arg(name).stdin(Stdio::null()).output();
        if let Ok(output) = output.map_err(drop).and_then(|o| o.status.success().then_some(o).ok_or(())) {
            names.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
    }
    names
}

/// The rows of `cells.csv` that belong to these cells, in a file of their own.
fn write_rows(dir: &SweepDir, cells: &[&Cell]) -> Result<PathBuf, Failure> {
    let path = dir.cells_csv();
    let all =
        std::fs::read_to_string(&path).map_err(|source| FileError::Io { path, action: "read", source })?;
    let wanted: HashSet<&str> = cells.iter().map(|cell| cell.id.as_str()).collect();
    let is_wanted = |line: &&str| line.split(',').next().is_some_and(|id| wanted.contains(id));
    let rows: String = all.lines().filter(is_wanted).flat_map(|line| [line, "\n"]).collect();
    let name = PathBuf::from("submitted.csv");
    write_bytes(&dir.path().join(&name), rows.as_bytes())?;
    Ok(name)
}

/// Lets go the held jobs of these `cluster.proc`; of a cluster as a whole by its number alone.
pub fn release(jobs: &[String]) -> Result<(), Failure> {
    tell("condor_release", jobs)
}

/// Takes jobs out of the queue.
pub fn remove(jobs: &[String]) -> Result<(), Failure> {
    tell("condor_rm", jobs)
}

fn tell(program: &str, jobs: &[String]) -> Result<(), Failure> {
    // A command line has its limits.
    for some in jobs.chunks(1000) {
        let output = output(Command::new(program).args(some))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            return Err(Failure::new(Exit::Unexpected, format!("{program} failed: {said}")));
        }
    }
    Ok(())
}

/// How many slots of the pool a constraint over their attributes matches; none where no pool answers.
pub fn count_slots(constraint: &str) -> Option<usize> {
    let constraint = format!("(DynamicSlot =!= true) && ({constraint})");
    let output =
        Command::new("condor_status").args(["-af", "Name", "-constraint", &constraint]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).lines().count())
}

fn output(command: &mut Command) -> Result<Output, Failure> {
    command.output().map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        Failure::new(Exit::CannotRunHere, format!("cannot start {program}: {error}"))
            .hint("run this on a machine with HTCondor's tools, or use --launcher local")
    })
}

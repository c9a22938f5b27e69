//! Work on a full disk, on a disk that fails, that is killed at a file operation, whose files cannot be read, and whose
//! output nobody takes.

use crate::lab::{Lab, trace};
use crate::meddle::Operations::{Changes, Reads};
use crate::meddle::{Errno, How, Meddling, Operations, operations};
use crate::outcome::{Outcome, glance};
use crate::scene::{Done, Keeps, Scene, scenes};
use crate::verdict::{Fault, Good, Verdict, What};
use anyhow::{Context, Result};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Instant;
use xray_random::Random;
use xray_workspace::in_parallel;
use xray_workspace::watch::{Ending, last_words};

/// What is done to a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    At(Operations, How),
    /// Its output goes into a full disk.
    FullStdout,
    FullStderr,
}

/// A mode's place is part of a trial's number.
const MODES: [(&str, Mode); 12] = [
    ("disk full, once", Mode::At(Changes, How::Once(Errno::Full))),
    ("disk full", Mode::At(Changes, How::Sticky(Errno::Full))),
    ("disk fails, once", Mode::At(Changes, How::Once(Errno::Input))),
    ("disk fails", Mode::At(Changes, How::Sticky(Errno::Input))),
    ("killed", Mode::At(Changes, How::Kill)),
    ("killed in a write", Mode::At(Changes, How::Half)),
    ("unreadable, once", Mode::At(Reads, How::Once(Errno::Input))),
    ("unreadable", Mode::At(Reads, How::Sticky(Errno::Input))),
    ("denied, once", Mode::At(Reads, How::Once(Errno::Denied))),
    ("too many files, once", Mode::At(Reads, How::Once(Errno::ManyFiles))),
    ("stdout full", Mode::FullStdout),
    ("stderr full", Mode::FullStderr),
];

/// So many operations of one mode, and modes of one scene, have numbers.
const OPERATIONS: u64 = 10_000;
const OF_SCENE: u64 = 100 * OPERATIONS;

/// A piece of work, what it comes to and how many operations that takes.
struct Known {
    scene: Scene,
    place: u64,
    before: Outcome,
    done: Done,
    /// The operations of each mode.
    counts: Vec<u64>,
}

/// Tries the scenes of one way of disturbing; `most` of each scene and mode, at places drawn by the seed.
pub(crate) fn torture(
    lab: &Lab,
    kind: &'static str,
    only: &[u64],
    scenes_named: &[String],
    most: usize,
) -> Result<Vec<Verdict>> {
    let is_named = |scene: &Scene| {
        let place_named =
            |place: u64| only.is_empty() || only.iter().any(|number| number / OF_SCENE == place);
        let place = scenes().iter().position(|other| other.name == scene.name).expect("it is one of them");
        place_named(place as u64)
            && (scenes_named.is_empty() || scenes_named.iter().any(|name| name == scene.name))
    };
    let chosen: Vec<_> = scenes().into_iter().enumerate().filter(|(_, scene)| is_named(scene)).collect();
    let known =
        in_parallel(lab.threads, &chosen, |(place, scene)| Some(know(lab, *place as u64, scene.clone())));
    let known: Vec<Known> = known.into_iter().flatten().collect::<Result<_>>()?;
    let mut trials: Vec<(&Known, u64)> = Vec::new();
    for known in &known {
        for (mode, &count) in known.counts.iter().enumerate() {
            let first = known.place * OF_SCENE + mode as u64 * OPERATIONS;
            trials.extend(drawn(lab.seed, first, count, most).into_iter().map(|number| (known, number)));
        }
    }
    if !only.is_empty() {
        // A number that is beyond today's operations is tried all the same.
        trials = only
            .iter()
            .filter_map(|&number| {
                Some((known.iter().find(|known| known.place == number / OF_SCENE)?, number))
            })
            .collect();
    }
    let verdicts = in_parallel(lab.threads, &trials, |(known, number)| {
        Some(trial(lab, kind, known, *number).with_context(|| format!("{kind} {number}")))
    });
    verdicts.into_iter().flatten().collect()
}

/// The name of a trial's scene and of what is done to it.
pub(crate) fn name(number: u64) -> (&'static str, &'static str) {
    let scene = scenes()[(number / OF_SCENE) as usize].name;
    (scene, MODES[(number % OF_SCENE / OPERATIONS) as usize].0)
}

/// At most so many of the numbers from `first + 1` on, spread by the seed.
fn drawn(seed: u64, first: u64, count: u64, most: usize) -> Vec<u64> {
    let mut random = Random::keyed(&[seed, 0x57A2, first]);
    let mut numbers: Vec<u64> = (1..=count).collect();
    while numbers.len() > most {
        numbers.swap_remove(random.below(numbers.len()));
    }
    numbers.sort_unstable();
    numbers.into_iter().map(|at| first + at).collect()
}

fn know(lab: &Lab, place: u64, scene: Scene) -> Result<Known> {
    let begin = |what: &str| lab.begin(&format!("known-{place}-{what}"), scene.template);
    let folder = begin("done")?;
    let before = glance(&folder)?;
    let ended = lab.must(&scene.step, &folder)?;
    let done = scene.done(&folder, &ended.stdout).with_context(|| scene.name)?;
    let mut counts = Vec::new();
    for (_, mode) in MODES {
        counts.push(match mode {
            Mode::At(operations, how) => {
                let folder = begin("counted")?;
                lab.count(&scene.step, &folder, Meddling { operations, how, at: 0 })?.len() as u64
            }
            Mode::FullStdout if ended.stdout.is_empty() => 0,
            Mode::FullStdout | Mode::FullStderr => 1,
        });
    }
    Ok(Known { scene, place, before, done, counts })
}

fn trial(lab: &Lab, kind: &'static str, known: &Known, number: u64) -> Result<Verdict> {
    let begin = Instant::now();
    let (mode_name, mode) = MODES[(number % OF_SCENE / OPERATIONS) as usize];
    let at = number % OPERATIONS;
    let folder = lab.begin(&format!("{kind}-{number}"), known.scene.template)?;
    let (ended, place) = match mode {
        Mode::At(operations_counted, how) => {
            let meddling = Meddling { operations: operations_counted, how, at };
            let ended = lab.run(&known.scene.step, &folder, Some(meddling))?;
            let all = operations(&trace(&folder));
            let hit = all.into_iter().find_map(|line| Some(line.strip_suffix(" <- here")?.to_owned()));
            (ended, hit)
        }
        Mode::FullStdout => (lab.run_in_shell("exec \"$@\" > /dev/full", &known.scene.step, &folder)?, None),
        Mode::FullStderr => (lab.run_in_shell("exec \"$@\" 2> /dev/full", &known.scene.step, &folder)?, None),
    };
    let shown = place.clone().unwrap_or_default().replace(&*folder.to_string_lossy(), "FOLDER");
    let mut did = format!(
        "{}: {mode_name} at operation {at}: {shown}\n{}\n{}: {}",
        known.scene.name,
        known.scene.step.line(lab.path(), &folder),
        ended.status,
        ended.stderr.trim_end(),
    );
    let killed = ended.status.signal() == Some(9);
    let came = judge(lab, known, mode, &folder, &ended, place.as_deref(), &mut did)?;
    // Where it was disturbed stands beside what came of it.
    let came =
        came.map_err(|fault| Fault { said: format!("[{mode_name}: {shown}] {}", fault.said), ..fault });
    let verdict = Verdict { number, did, kills: killed.into(), time: begin.elapsed(), came };
    lab.end(kind, &folder, &verdict)?;
    Ok(verdict)
}

fn judge(
    lab: &Lab,
    known: &Known,
    mode: Mode,
    folder: &Path,
    ended: &Ending,
    place: Option<&str>,
    did: &mut String,
) -> Result<Result<Good, Fault>> {
    let was_killed = matches!(mode, Mode::At(_, How::Kill | How::Half)) && ended.status.signal() == Some(9);
    if !was_killed && let Some(fault) = lab.unseemly(&known.scene.step, ended) {
        return Ok(Err(fault));
    }
    let good = if ended.status.success() {
        // Nobody can be told on stderr when it is full.
        if mode == Mode::FullStdout {
            return Ok(Err(Fault::new(What::Code, "exit code 0, and what it printed is lost")));
        }
        let now = match known.scene.done(folder, &ended.stdout) {
            Ok(now) => now,
            Err(error) => return Ok(Err(Fault::new(What::Unknown, format!("{error:#}")))),
        };
        let differs = known.done.differences(&now);
        if !differs.is_empty() {
            return Ok(Err(Fault::new(What::Different, format!("exit code 0; {}", differs.join("; ")))));
        }
        Good::Whole
    } else {
        if !was_killed
            && mode != Mode::FullStderr
            && let Some(fault) = unsaid(ended, place, folder)
        {
            return Ok(Err(fault));
        }
        if let Some(fault) = lost(known, &glance(folder)?) {
            return Ok(Err(fault));
        }
        Good::Refused
    };
    let next = known.scene.again(lab, folder)?;
    *did += &format!("\nstarted again: {}: {}", next.status, next.stderr.trim_end());
    if let Some(fault) = lab.unseemly(&known.scene.step, &next) {
        return Ok(Err(fault));
    }
    if !next.status.success() {
        let last = last_words_but_hints(&next.stderr);
        return Ok(Err(Fault::new(What::Stuck, format!("{}; {last}", next.status))));
    }
    let now = match known.scene.done(folder, &next.stdout) {
        Ok(now) => now,
        Err(error) => return Ok(Err(Fault::new(What::Unknown, format!("{error:#}")))),
    };
    let differs = known.done.differences(&now);
    if !differs.is_empty() {
        return Ok(Err(Fault::new(What::Different, format!("started again; {}", differs.join("; ")))));
    }
    if !now.files.litter.is_empty() {
        return Ok(Err(Fault::new(What::Litter, now.files.litter.join(", "))));
    }
    Ok(Ok(good))
}

/// An error must say what, and where: the file, or the folder that it lies in.
fn unsaid(ended: &Ending, place: Option<&str>, folder: &Path) -> Option<Fault> {
    let said = &ended.stderr;
    let last = last_words_but_hints(said);
    if !said.contains("error: ") {
        return Some(Fault::new(What::Message, format!("{}, and no error is said: {last}", ended.status)));
    }
    let path = Path::new(place?.split_once(' ')?.1);
    let stem = path.file_name()?.to_string_lossy().trim_end_matches(".tmp").to_owned();
    let stem = stem.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('.').to_owned();
    let inside =
        path.parent().filter(|parent| *parent != folder).map(|parent| parent.to_string_lossy().into_owned());
    let is_named = said.contains(&stem) || inside.is_some_and(|inside| said.contains(&inside));
    (!is_named).then(|| Fault::new(What::Message, format!("does not say where: {last}")))
}

fn last_words_but_hints(said: &str) -> &str {
    said.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_else(|| last_words(said))
}

/// What of the files of before is neither as it was nor as it was to become.
fn lost(known: &Known, now: &Outcome) -> Option<Fault> {
    let lost = |wanted: &Outcome| -> Vec<String> {
        wanted.paths().filter(|path| !wanted.same(now, path)).map(str::to_owned).collect()
    };
    let after = &known.done.files;
    let neither: Vec<_> = match known.scene.keeps {
        Keeps::Progress => return None,
        Keeps::Each => lost(&known.before).into_iter().filter(|path| !after.same(now, path)).collect(),
        Keeps::Together if lost(after).is_empty() => return None,
        Keeps::Together => lost(&known.before),
    };
    (!neither.is_empty()).then(|| Fault::new(What::Lost, neither.join(", ")))
}

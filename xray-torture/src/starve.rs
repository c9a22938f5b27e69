//! Work on a full disk, on a disk that fails, that is killed at a file operation, whose files cannot be read, and whose
//! output nobody takes.

use crate::lab::{Lab, trace};
use crate::meddle::Operations::{Changes, Reads};
use crate::meddle::{Errno, How, Meddling, Operations, operations};
use crate::outcome::{Outcome, glance};
use crate::scene::{Done, Keeps, PRINTED, Scene, scenes};
use crate::verdict::{Fault, Good, Verdict, What};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
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

/// A piece of work and what it comes to.
struct Known {
    scene: Scene,
    before: Outcome,
    done: Done,
    says: bool,
}

/// Which trials are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    /// Of these works, or of all: each operation on each file once; or so many operations, which the seed draws.
    Works(&'a [String], Option<u64>),
    /// Each mode at one operation of one work, which the seed draws.
    OfEachMode,
    /// Those of these numbers.
    Only(&'a [u64]),
}

/// Tries what is wanted.
pub(crate) fn torture(lab: &Lab, kind: &'static str, wanted: Wanted) -> Result<Vec<Verdict>> {
    let all = scenes();
    let pairs = pairs(lab.seed, &all, wanted)?;
    let mut places: Vec<u64> = pairs.iter().map(|(place, _)| *place).collect();
    places.dedup();
    let known = in_parallel(lab.threads, &places, |&place| Some(know(lab, place, &all[place as usize])));
    let known: Vec<Known> = known.into_iter().flatten().collect::<Result<_>>()?;
    let of = |place: u64| &known[places.binary_search(&place).expect("it is needed")];
    let numbers = match wanted {
        // One that is beyond today's operations is tried all the same.
        Wanted::Only(numbers) => numbers.to_vec(),
        _ => {
            let most = if let Wanted::Works(_, most) = wanted { most } else { Some(1) };
            let drawn = in_parallel(lab.threads, &pairs, |&(place, mode)| {
                let first = place * OF_SCENE + mode * OPERATIONS;
                let operations = list(lab, of(place), first, MODES[mode as usize].1);
                Some(operations.map(|operations| drawn(lab.seed, first, &operations, most)))
            });
            drawn.into_iter().flatten().collect::<Result<Vec<_>>>()?.concat()
        }
    };
    let verdicts = in_parallel(lab.threads, &numbers, |&number| {
        Some(trial(lab, kind, of(number / OF_SCENE), number).with_context(|| format!("{kind} {number}")))
    });
    verdicts.into_iter().flatten().collect()
}

/// The works and modes that are needed, by their places, in order.
fn pairs(seed: u64, all: &[Scene], wanted: Wanted) -> Result<Vec<(u64, u64)>> {
    let modes = 0..MODES.len() as u64;
    let mut pairs: Vec<(u64, u64)> = match wanted {
        Wanted::Works(names, _) => {
            if let Some(name) = names.iter().find(|name| all.iter().all(|scene| scene.name != **name)) {
                let known: Vec<_> = all.iter().map(|scene| scene.name).collect();
                bail!("there is no work `{name}`; one of {}", known.join(", "));
            }
            let is_named = |name| names.is_empty() || names.iter().any(|other| other == name);
            let places = (0..all.len()).filter(|&place| is_named(all[place].name));
            places.flat_map(|place| modes.clone().map(move |mode| (place as u64, mode))).collect()
        }
        Wanted::OfEachMode => {
            let mut random = Random::keyed(&[seed, 0x0FE]);
            modes.map(|mode| (random.below(all.len()) as u64, mode)).collect()
        }
        Wanted::Only(numbers) => {
            let pair = |&number: &u64| (number / OF_SCENE, number % OF_SCENE / OPERATIONS);
            numbers.iter().map(pair).collect()
        }
    };
    if let Some((place, mode)) =
        pairs.iter().find(|(place, mode)| *place >= all.len() as u64 || *mode >= MODES.len() as u64)
    {
        bail!("there is no work {place} with mode {mode}");
    }
    pairs.sort_unstable();
    Ok(pairs)
}

/// The name of a trial's scene and of what is done to it.
pub(crate) fn name(number: u64) -> (&'static str, &'static str) {
    let scene = scenes()[(number / OF_SCENE) as usize].name;
    (scene, MODES[(number % OF_SCENE / OPERATIONS) as usize].0)
}

/// The numbers of one of each kind of operations, or of at most so many, drawn by the seed.
fn drawn(seed: u64, first: u64, operations: &[String], most: Option<u64>) -> Vec<u64> {
    let mut random = Random::keyed(&[seed, 0x57A2, first]);
    let mut places: Vec<usize> = (0..operations.len().min(OPERATIONS as usize - 1)).collect();
    match most {
        Some(most) => {
            while places.len() as u64 > most {
                places.swap_remove(random.below(places.len()));
            }
        }
        None => {
            let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for &place in &places {
                alike.entry(without_numbers(&operations[place])).or_default().push(place);
            }
            places = alike.values().map(|places| places[random.below(places.len())]).collect();
        }
    }
    places.sort_unstable();
    places.into_iter().map(|place| first + place as u64 + 1).collect()
}

/// Operations that differ in a number only, such as that of a process, a step or a shard, are alike.
fn without_numbers(operation: &str) -> String {
    operation
        .split(|c: char| c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("0")
}

fn know(lab: &Lab, place: u64, scene: &Scene) -> Result<Known> {
    let folder = lab.begin(&format!("known-{place}"), scene.template)?;
    let before = glance(&folder)?;
    let ended = lab.must(&scene.step, &folder)?;
    let done = scene.done(&folder, &ended.stdout).with_context(|| scene.name)?;
    Ok(Known { scene: scene.clone(), before, done, says: !ended.stdout.is_empty() })
}

/// The operations at which a work can be disturbed so.
fn list(lab: &Lab, known: &Known, first: u64, mode: Mode) -> Result<Vec<String>> {
    let once = |there: bool| vec![String::new(); usize::from(there)];
    Ok(match mode {
        Mode::At(operations, how) => {
            let folder = lab.begin(&format!("counted-{first}"), known.scene.template)?;
            let counted = lab.count(&known.scene.step, &folder, Meddling { operations, how, at: 0 })?;
            let folder = folder.to_string_lossy();
            counted.into_iter().map(|line| line.replace(&*folder, "")).collect()
        }
        Mode::FullStdout => once(known.says),
        Mode::FullStderr => once(true),
    })
}

fn trial(lab: &Lab, kind: &'static str, known: &Known, number: u64) -> Result<Verdict> {
    let begin = Instant::now();
    let (mode_name, mode) = MODES[(number % OF_SCENE / OPERATIONS) as usize];
    let at = number % OPERATIONS;
    let folder = lab.begin(&format!("{kind}-{number}"), known.scene.template)?;
    let (ended, places) = match mode {
        Mode::At(operations_counted, how) => {
            let meddling = Meddling { operations: operations_counted, how, at };
            let ended = lab.run(&known.scene.step, &folder, Some(meddling))?;
            let all = operations(&trace(&folder));
            let hits = all.into_iter().filter_map(|line| Some(line.strip_suffix(" <- here")?.to_owned()));
            (ended, hits.collect())
        }
        Mode::FullStdout => {
            (lab.run_in_shell("exec \"$@\" > /dev/full", &known.scene.step, &folder)?, Vec::new())
        }
        Mode::FullStderr => {
            (lab.run_in_shell("exec \"$@\" 2> /dev/full", &known.scene.step, &folder)?, Vec::new())
        }
    };
    let shown =
        places.first().map_or(String::new(), |place| place.replace(&*folder.to_string_lossy(), "FOLDER"));
    let mut did = format!(
        "{}: {mode_name} at operation {at}: {shown}\n{}\n{}: {}",
        known.scene.name,
        known.scene.step.line(lab.path(), &folder),
        ended.status,
        ended.stderr.trim_end(),
    );
    let killed = ended.status.signal() == Some(9);
    let came = judge(lab, known, mode, &folder, &ended, &places, &mut did)?;
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
    places: &[String],
    did: &mut String,
) -> Result<Result<Good, Fault>> {
    let kills = matches!(mode, Mode::At(_, How::Kill | How::Half));
    let was_killed = kills && ended.status.signal() == Some(9);
    if !was_killed && let Some(fault) = lab.unseemly(&known.scene.step, ended) {
        return Ok(Err(fault));
    }
    let mut told = false;
    let good = if ended.status.success() {
        if mode == Mode::FullStdout {
            return Ok(Err(Fault::new(What::Code, "exit code 0, and what it printed is lost")));
        }
        told = is_named(ended, places, folder);
        if let Some(fault) = different(known, folder, ended, told)? {
            return Ok(Err(Fault { said: format!("exit code 0; {}", fault.said), ..fault }));
        }
        Good::Whole
    } else {
        // Where a child was killed no file is to blame, and a full stderr tells nothing.
        if !kills && mode != Mode::FullStderr && !is_named(ended, places, folder) {
            let said = format!("{}, and nothing names the place: {}", ended.status, why(&ended.stderr));
            return Ok(Err(Fault::new(What::Message, said)));
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
        return Ok(Err(Fault::new(What::Stuck, format!("{}; {}", next.status, why(&next.stderr)))));
    }
    if let Some(fault) = different(known, folder, &next, told)? {
        return Ok(Err(Fault { said: format!("started again; {}", fault.said), ..fault }));
    }
    let mut litter = glance(folder)?.litter;
    litter.retain(|file| !is_second_copy(known, file));
    Ok(if litter.is_empty() { Ok(good) } else { Err(Fault::new(What::Litter, litter.join(", "))) })
}

/// What is there after success and should not be, or is not and should.
fn different(known: &Known, folder: &Path, ended: &Ending, told: bool) -> Result<Option<Fault>> {
    let now = match known.scene.done(folder, &ended.stdout) {
        Ok(now) => now,
        Err(error) => return Ok(Some(Fault::new(What::Unknown, format!("{error:#}")))),
    };
    let mut differs = known.done.differences(&now);
    if told {
        // What the programs themselves do without, and have said so.
        differs.retain(|difference| !DISPENSABLE.iter().any(|name| difference.starts_with(name)));
    }
    // What a job says stands in its cell.
    let in_its_cell = |said: &str| said.starts_with("sweep/cells/") && said.contains("/run/curve.svg");
    differs.retain(|difference| !in_its_cell(difference) && !is_second_copy(known, difference));
    Ok((!differs.is_empty()).then(|| Fault::new(What::Different, differs.join("; "))))
}

/// The picture of a training's losses; what `status` and `check` print, who name what they cannot read; and a table of
/// predictions, where an image that cannot be read is a row that says so.
const DISPENSABLE: [&str; 3] = ["run/curve.svg", PRINTED, "predictions."];

/// Whether it is part of the second copy of a cell's result. It is there for pools, where a second job may put less over
/// the first copy; on this machine there is none, and nobody makes up for a copy that is not whole.
fn is_second_copy(known: &Known, said: &str) -> bool {
    known.scene.name == "run" && said.contains("/run/finished/")
}

/// Whether a program says where it failed: the file, or the folder that it lies in.
fn is_named(ended: &Ending, places: &[String], folder: &Path) -> bool {
    let said = ended.stderr.clone() + &ended.stdout;
    let says = |place: &String| {
        let path = Path::new(place.split_once(' ')?.1);
        // `.NAME.tmp` becomes NAME.
        let name = path.file_name()?.to_string_lossy();
        let stem = name.trim_start_matches('.').trim_end_matches(".tmp");
        // A file that never had a name is named by its folder, whichever that is.
        let is_nameless = name.starts_with('#') && name.ends_with(" (deleted)");
        let inside = path.parent().filter(|parent| is_nameless || *parent != folder);
        let is_inside = inside.is_some_and(|inside| said.contains(&*inside.to_string_lossy()));
        Some(said.contains(stem) || is_inside || cell(path).is_some_and(|cell| said.contains(cell)))
    };
    // Output that is lost is not a file.
    places.is_empty() && said.contains("error: ") || places.iter().any(|place| says(place) == Some(true))
}

/// The cell of a sweep that a file belongs to: its name is enough for `xray-sweep logs`.
pub(crate) fn cell(path: &Path) -> Option<&str> {
    let mut names = path.iter().filter_map(|name| name.to_str());
    names.find(|name| *name == "cells").and_then(|_| names.next())
}

/// The error that a program ended with, without its hints.
fn why(said: &str) -> &str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_operation_is_drawn_or_so_many() {
        let lines = ["write a.12.tmp", "write a.13.tmp", "fsync a.12.tmp", "write b", "write b"];
        let operations: Vec<_> = lines.map(str::to_owned).into();
        let numbers = drawn(0, 1_020_000, &operations, None);
        assert_eq!(numbers.len(), 3);
        assert!(
            numbers.contains(&1_020_003)
                && numbers.iter().all(|number| (1..=5).contains(&(number % OPERATIONS)))
        );
        assert_eq!(drawn(0, 1_020_000, &operations, Some(2)).len(), 2);
        assert_eq!(drawn(0, 1_020_000, &operations, Some(9)).len(), 5);
        assert_eq!(name(numbers[0]), ("resume", "disk fails, once"));
    }

    #[test]
    fn works_and_modes_have_places_of_their_own() {
        assert!((MODES.len() as u64) < OF_SCENE / OPERATIONS);
        let all = scenes();
        let pairs = |wanted| pairs(0, &all, wanted).expect("there are some");
        assert_eq!(pairs(Wanted::OfEachMode).len(), MODES.len());
        assert_eq!(pairs(Wanted::Works(&[], None)).len(), MODES.len() * all.len());
        assert_eq!(pairs(Wanted::Only(&[1_020_003])), [(1, 2)]);
        let unknown = super::pairs(0, &all, Wanted::Works(&["x".to_owned()], None)).expect_err("must fail");
        assert!(unknown.to_string().starts_with("there is no work `x`; one of train, resume"), "{unknown}");
    }
}

//! Right sizes: what the cells of an earlier sweep used decides what those of this one ask for. A cell asks for no less than
//! any of its kind was seen to use on as much data; where nothing was seen, the estimate stands, with the reason.

mod enough;
mod kind;
mod observed;

pub(crate) use enough::{enough_mib, enough_minutes};
pub use kind::Kind;

use crate::cell::Cell;
use crate::data::Data;
use crate::launchers::slurm::limit_option;
use crate::spec::Spec;
use crate::status::duration;
use crate::sweep_dir::SweepDir;
use observed::{Observed, Used};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use xray_artifacts::{Exit, Failure, Length};
use xray_display::{counted, thousands};

const MIB: u64 = 1 << 20;

/// What was seen in another sweep, and what cells ask for after it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sizes {
    /// That sweep.
    pub from: PathBuf,
    /// Its cells that tell what they used.
    pub observed: usize,
    /// Cells of one kind each.
    pub groups: Vec<Group>,
}

/// Cells that need about the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// What they have in common.
    pub kind: Kind,
    /// How many of this sweep.
    pub cells: usize,
    /// In MiB.
    pub memory: Quantity,
    /// In MiB.
    pub disk: Quantity,
    /// In minutes.
    pub time: Quantity,
}

/// One thing that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Quantity {
    /// The most that one of the other sweep used; of time in seconds.
    pub used: Option<u64>,
    /// The least and the most that the estimate came to; none for time, which is not estimated.
    pub estimated: Option<[u64; 2]>,
    /// The least and the most that is asked for; none where nothing is.
    pub asked: Option<[u64; 2]>,
    /// Why what was seen decides nothing, where it does not.
    pub why: Option<String>,
}

/// Has cells ask for what `spec` says was seen elsewhere; does nothing where it says nothing.
pub(crate) struct Fitting<'a>(Option<(Rule<'a>, BTreeMap<Kind, Group>)>);

impl<'a> Fitting<'a> {
    /// Looks at the other sweep.
    ///
    /// # Errors
    /// When there is no such sweep, or none of its cells tells what it used.
    pub(crate) fn new(spec: &'a Spec, data: &Data) -> Result<Fitting<'a>, Failure> {
        let Some(from) = &spec.sizes_from else { return Ok(Fitting(None)) };
        let observed = Observed::read(&SweepDir::new(from))?;
        Ok(Fitting(Some((Rule::new(spec, data.train_bytes_per_image(), observed), BTreeMap::new()))))
    }

    /// Has `cell`, with this resolved configuration, ask for what was seen.
    pub(crate) fn fit(&mut self, cell: &mut Cell, config: &Json) {
        let Some((rule, groups)) = &mut self.0 else { return };
        let kind = Kind::of(config, cell.request.cpus.into());
        let group = groups.entry(kind).or_insert_with_key(|kind| rule.group(kind));
        group.cells += 1;
        rule.fit(cell, config, group);
    }

    /// What came of it.
    ///
    /// # Errors
    /// When none of its cells is like any of these.
    pub(crate) fn finish(self) -> Result<Option<Sizes>, Failure> {
        let Some((Rule { observed, seen, .. }, groups)) = self.0 else { return Ok(None) };
        if !groups.keys().any(|kind| seen.contains_key(kind)) {
            return Err(another_kind(&observed, groups.keys()));
        }
        let (observed, from) = (observed.cells.len(), observed.folder);
        Ok(Some(Sizes { from, observed, groups: groups.into_values().collect() }))
    }
}

fn another_kind<'a>(observed: &Observed, wanted: impl Iterator<Item = &'a Kind>) -> Failure {
    let mut there: Vec<&Kind> = observed.cells.iter().map(|used| &used.kind).collect();
    there.sort();
    there.dedup();
    let message = format!(
        "--sizes-from: no cell of {} is comparable: there {}, here {}",
        observed.folder.display(),
        some(there.into_iter()),
        some(wanted)
    );
    Failure::new(Exit::NothingMatches, message).hint(
        "network, image size, batch size and threads (--cpus) must be the same; or leave --sizes-from out",
    )
}

/// The first of several kinds.
fn some<'a>(kinds: impl Iterator<Item = &'a Kind>) -> String {
    const SHOWN: usize = 3;
    let all: Vec<String> = kinds.map(Kind::to_string).collect();
    let more = if all.len() > SHOWN { format!("; and {} more", all.len() - SHOWN) } else { String::new() };
    all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ") + &more
}

/// What was seen of one kind: the most for each amount of what it grows with.
#[derive(Default)]
struct Seen {
    /// MiB, by bytes of data and files in memory.
    memory: BTreeMap<u64, u64>,
    /// MiB, by bytes of data and files on the disk.
    disk: BTreeMap<u64, u64>,
    /// Seconds, by training images seen.
    time: BTreeMap<u64, f64>,
}

/// How what was seen becomes what is asked for.
struct Rule<'a> {
    spec: &'a Spec,
    /// Bytes of a shard for each image.
    bytes_per_image: f64,
    observed: Observed,
    seen: BTreeMap<Kind, Seen>,
    /// Whether shards lay on disks there and will here, or neither.
    are_disks_alike: bool,
}

impl<'a> Rule<'a> {
    fn new(spec: &'a Spec, bytes_per_image: f64, observed: Observed) -> Rule<'a> {
        let mut rule = Rule {
            spec,
            bytes_per_image,
            are_disks_alike: spec.condor.transfer_data == observed.has_shards_on_disk,
            observed,
            seen: BTreeMap::new(),
        };
        let mut all: BTreeMap<Kind, Seen> = BTreeMap::new();
        for used in &rule.observed.cells {
            let Used { kind, train_images, file_bytes, memory_mib, disk_mib, time } = used;
            let [memory, disk] = rule.extents(kind, *train_images, *file_bytes);
            let seen = all.entry(kind.clone()).or_default();
            let most = |map: &mut BTreeMap<u64, u64>, at, used: &Option<u64>| {
                if let Some(used) = *used {
                    let place = map.entry(at).or_default();
                    *place = used.max(*place);
                }
            };
            most(&mut seen.memory, memory, memory_mib);
            most(&mut seen.disk, disk, disk_mib);
            if let Some(time) = time {
                let place = seen.time.entry(time.examples).or_default();
                *place = place.max(time.seconds);
            }
        }
        rule.seen = all;
        rule
    }

    /// Bytes that grow with the data, in memory and on the disk. What is mapped from shards counts as memory as long as the
    /// system has room for it.
    fn extents(&self, kind: &Kind, train_images: u64, file_bytes: u64) -> [u64; 2] {
        let shards = (train_images as f64 * self.bytes_per_image) as u64;
        let cached = |place: &str| if kind.cache == place { train_images * kind.image_bytes() } else { 0 };
        let on_disk = if self.spec.condor.transfer_data { shards } else { 0 };
        [shards + cached("ram") + file_bytes, on_disk + cached("disk") + file_bytes]
    }

    /// A group without cells, with what was seen of its kind.
    fn group(&self, kind: &Kind) -> Group {
        let seen = self.seen.get(kind);
        let none = || match seen {
            None => "that sweep has no comparable cell".to_owned(),
            Some(_) => "no start in that sweep reported it".to_owned(),
        };
        let quantity = |used: Option<u64>, is_said: bool, flag: &str| {
            let why = match used {
                _ if is_said => Some(format!("{flag} says it")),
                None => Some(none()),
                Some(_) => None,
            };
            Quantity { used, why, ..Quantity::default() }
        };
        let (condor, slurm) = (&self.spec.condor, &self.spec.slurm);
        let is_limited = limit_option(&slurm.options).is_some();
        let most =
            |of: fn(&Seen) -> &BTreeMap<u64, u64>| seen.and_then(|seen| of(seen).values().max().copied());
        let longest = seen.and_then(|seen| seen.time.values().copied().reduce(f64::max));
        let mut disk = quantity(most(|seen| &seen.disk), condor.disk.is_some(), "--disk");
        if disk.why.is_none() && !self.are_disks_alike {
            disk.why = Some("that sweep delivered shards to its jobs differently".to_owned());
        }
        Group {
            kind: kind.clone(),
            cells: 0,
            memory: quantity(most(|seen| &seen.memory), condor.memory.is_some(), "--memory"),
            disk,
            time: quantity(longest.map(|seconds| seconds.ceil() as u64), is_limited, "--sbatch=--time"),
        }
    }

    /// Writes into a cell what it asks for, and into its group what came of it.
    fn fit(&self, cell: &mut Cell, config: &Json, group: &mut Group) {
        let (file_bytes, examples) = (cell.file_bytes(), examples(config, cell));
        let request = &mut cell.request;
        group.memory.estimated = Some(widened(group.memory.estimated, request.memory_mib));
        group.disk.estimated = Some(widened(group.disk.estimated, request.disk_mib));
        if let Some(seen) = self.seen.get(&group.kind) {
            let [memory, disk] = self.extents(&group.kind, cell.train_images, file_bytes);
            if group.memory.why.is_none() {
                request.memory_mib = expected(&seen.memory, memory).map_or(request.memory_mib, enough_mib);
            }
            if group.disk.why.is_none() {
                request.disk_mib = expected(&seen.disk, disk).map_or(request.disk_mib, enough_mib);
            }
            if group.time.why.is_none() {
                request.minutes = expected_seconds(&seen.time, examples).map(enough_minutes);
            }
        }
        group.memory.asked = Some(widened(group.memory.asked, request.memory_mib));
        group.disk.asked = Some(widened(group.disk.asked, request.disk_mib));
        group.time.asked =
            request.minutes.map(|minutes| widened(group.time.asked, minutes)).or(group.time.asked);
    }
}

/// What a cell with so many bytes takes: the most that one with no more took, and what it has more; where all had more, what
/// the one with the least took.
fn expected(seen: &BTreeMap<u64, u64>, extent: u64) -> Option<u64> {
    let grown = seen.range(..=extent).map(|(of, used)| used + (extent - of).div_ceil(MIB)).max();
    grown.or_else(|| seen.first_key_value().map(|(_, used)| *used))
}

/// The time that a cell takes which sees so many images: of the longest training that is no longer, drawn out to them; where
/// all were longer, of the shortest.
fn expected_seconds(seen: &BTreeMap<u64, f64>, examples: u64) -> Option<f64> {
    let drawn_out = |(of, seconds): (&u64, &f64)| seconds * examples as f64 / (*of).max(1) as f64;
    let before = seen.range(..=examples).next_back().map(drawn_out);
    before.or_else(|| seen.first_key_value().map(|(_, seconds)| *seconds))
}

/// Training images that it sees, repeats counted.
fn examples(config: &Json, cell: &Cell) -> u64 {
    let length = config["training"]["duration"].as_str().and_then(|text| text.parse().ok());
    let batch_size = config["training"]["batch_size"].as_u64().unwrap_or(1);
    match length {
        Some(Length::Epochs(epochs)) => (epochs * cell.train_images as f64).ceil() as u64,
        Some(Length::Steps(steps)) => steps.saturating_mul(batch_size),
        Some(Length::Examples(examples)) => examples,
        None => cell.train_images,
    }
}

fn widened(range: Option<[u64; 2]>, value: u64) -> [u64; 2] {
    range.map_or([value; 2], |[low, high]| [low.min(value), high.max(value)])
}

impl Sizes {
    /// Lines of the summary.
    pub fn text(&self) -> String {
        let head =
            format!("  sizes     from {}, {} observed", self.from.display(), counted(self.observed, "cell"));
        let groups = self.groups.iter().map(Group::text);
        std::iter::once(head).chain(groups).collect::<Vec<_>>().join("\n")
    }
}

impl Group {
    fn text(&self) -> String {
        let mib = |mib: u64| format!("{} MiB", thousands(mib));
        let seconds = |seconds: u64| duration(seconds as f64);
        let minutes = |minutes: u64| duration(60.0 * minutes as f64);
        format!(
            "    {}: {}\n      memory  {}\n      disk    {}\n      time    {}",
            self.kind,
            counted(self.cells, "cell"),
            self.memory.text(mib, mib),
            self.disk.text(mib, mib),
            self.time.text(seconds, minutes)
        )
    }
}

impl Quantity {
    /// `1,536 MiB asked for; 1,210 MiB used at most, 4,096 MiB estimated`
    fn text(&self, of_used: impl Fn(u64) -> String, of_asked: impl Fn(u64) -> String) -> String {
        let range = |[low, high]: [u64; 2]| match low == high {
            true => of_asked(low),
            false => format!("{} to {}", of_asked(low), of_asked(high)),
        };
        let asked = self.asked.map_or("no limit".to_owned(), |asked| range(asked) + " asked for");
        let used = self.used.map(|used| of_used(used) + " used at most");
        let estimated = self.estimated.map(|estimated| range(estimated) + " estimated");
        let known: Vec<String> = used.into_iter().chain(estimated).collect();
        let known = if known.is_empty() { String::new() } else { format!("; {}", known.join(", ")) };
        let why = self.why.as_ref().map_or(String::new(), |why| format!("; {why}"));
        asked + &known + &why
    }
}

#[cfg(test)]
mod tests;

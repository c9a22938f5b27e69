//! The pointing game (Zhang et al.: Top-down neural attention by excitation backprop, ECCV 2016, §4.2): how often the
//! strongest place of a finding's map lies in a box that a radiologist drew around the finding.

use crate::figures::number;
use crate::run_model::{bundle, prepare, read};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure};
use xray_bundle::{Bundle, ExplainedImage, PreparedImage};
use xray_data::labels::{nearest, position};
use xray_data::sources::boxes;
use xray_data::sources::{FindingBox, Found, ImageFolder};
use xray_display::TextTable;
use xray_image::place_in_source;

/// A place so near to a box counts as inside: 15 of 1,024 pixels, as in the paper.
const TOLERANCE: f64 = 15.0 / 1024.0;

/// How often maps point at what radiologists boxed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pointing {
    /// The format of this object.
    pub format: u32,
    /// One per finding with a box on an image at hand.
    pub findings: Vec<PointedFinding>,
    /// All of them.
    pub total: PointedFinding,
    /// Images with a box that are not at hand.
    pub images_absent: usize,
    /// Boxes of findings that this model does not know.
    pub findings_unknown: Vec<String>,
}

/// One finding.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PointedFinding {
    /// Its name.
    pub label: String,
    /// Images with at least one box.
    pub images: u64,
    /// Number of these whose strongest place lies in one of the boxes.
    pub hits: u64,
    /// And those where the middle of the image does: what a map gets that is always strongest there.
    pub hits_of_middle: u64,
    /// Sum over the images of the part that the boxes take: the hits that a blind guess gets on average.
    pub hits_of_chance: f64,
}

impl PointedFinding {
    fn add(&mut self, other: &PointedFinding) {
        self.images += other.images;
        self.hits += other.hits;
        self.hits_of_middle += other.hits_of_middle;
        self.hits_of_chance += other.hits_of_chance;
    }
}

/// Plays the pointing game with the model of `run` on the images below `images` that `boxes` lists.
///
/// # Errors
/// If there is no bundle, the table or an image cannot be read, or no box is on an image at hand.
pub fn point(run: &Path, boxes: &Path, images: &Path) -> Result<Pointing, Failure> {
    let model = bundle(run)?;
    let folder = ImageFolder::scan(images)?;
    let mut absent = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    let mut by_image: BTreeMap<String, (PathBuf, Vec<(usize, FindingBox)>)> = BTreeMap::new();
    for one in boxes::read(boxes)? {
        let Some(label) = label_of(&model.card.labels, &one.label) else {
            unknown.push(one.label);
            continue;
        };
        match folder.find(&one.image_id) {
            Found::File(path) => {
                let entry = by_image.entry(one.image_id.clone());
                entry.or_insert_with(|| (path.to_owned(), Vec::new())).1.push((label, one));
            }
            _ => absent.push(one.image_id),
        }
    }
    for names in [&mut absent, &mut unknown] {
        names.sort();
        names.dedup();
    }
    if by_image.is_empty() {
        let message = format!("no image below {} has a box in {}", images.display(), boxes.display());
        return Err(Failure::new(Exit::NothingMatches, message)
            .hint("images are found by file name, whatever their extension"));
    }
    let mut found: BTreeMap<usize, PointedFinding> = BTreeMap::new();
    for (path, boxes) in by_image.into_values() {
        let prepared = prepare(&model, &path, &read(&path)?)?;
        let explained = model.explain(&prepared);
        let mut by_label: BTreeMap<usize, Vec<FindingBox>> = BTreeMap::new();
        boxes.into_iter().for_each(|(label, one)| by_label.entry(label).or_default().push(one));
        for (label, boxes) in by_label {
            let place = strongest(&model, &prepared, &explained, label);
            let inside = |place| u64::from(boxes.iter().any(|one| one.contains(place, TOLERANCE)));
            found.entry(label).or_default().add(&PointedFinding {
                label: String::new(),
                images: 1,
                hits: inside(place),
                hits_of_middle: inside([0.5, 0.5]),
                hits_of_chance: share(&boxes),
            });
        }
    }
    let named = |(label, finding): (usize, PointedFinding)| PointedFinding {
        label: model.card.labels[label].clone(),
        ..finding
    };
    let findings: Vec<_> = found.into_iter().map(named).collect();
    let mut total = PointedFinding { label: "all".into(), ..PointedFinding::default() };
    findings.iter().for_each(|finding| total.add(finding));
    Ok(Pointing { format: 1, findings, total, images_absent: absent.len(), findings_unknown: unknown })
}

/// The label that a table means: NIH's boxes say `Infiltrate` where its labels say `Infiltration`.
fn label_of(labels: &[String], name: &str) -> Option<usize> {
    let nearest = || nearest(name, labels.iter().map(String::as_str));
    position(labels, name).or_else(|| position(labels, nearest()?))
}

/// The middle of the strongest place, as parts of the file's image.
fn strongest(model: &Bundle, prepared: &PreparedImage, explained: &ExplainedImage, label: usize) -> [f64; 2] {
    let (map, [rows, columns]) = (explained.map(label), explained.places());
    let place = (0..map.len()).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap_or(0);
    let middle = |at: usize, count: usize| (at as f64 + 0.5) / count as f64;
    let [width, height] = prepared.source;
    let place = [middle(place % columns, columns), middle(place / columns, rows)];
    place_in_source(&model.card.preprocessing, width, height, place)
}

/// The part of an image that lies in a box or near to it, on a grid of 256 × 256 places.
fn share(boxes: &[FindingBox]) -> f64 {
    const GRID: u32 = 256;
    let middle = |at: u32| (f64::from(at) + 0.5) / f64::from(GRID);
    let places = (0..GRID * GRID).map(|at| [middle(at % GRID), middle(at / GRID)]);
    let inside = places.filter(|place| boxes.iter().any(|one| one.contains(*place, TOLERANCE))).count();
    inside as f64 / f64::from(GRID * GRID)
}

impl Pointing {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut table = TextTable::new(&["finding", "images", "hits", "share", "image's middle", "chance"]);
        for finding in self.findings.iter().chain([&self.total]) {
            let share = |hits: f64| number(Some(hits / finding.images as f64));
            table.row(vec![
                finding.label.clone(),
                finding.images.to_string(),
                finding.hits.to_string(),
                share(finding.hits as f64),
                share(finding.hits_of_middle as f64),
                share(finding.hits_of_chance),
            ]);
        }
        let mut text = table.text();
        text += "hits: the strongest place of the finding's map lies in a box, or within 15 of 1,024 pixels of one\n";
        if self.images_absent > 0 {
            text += &format!("images with boxes that were not found: {}\n", self.images_absent);
        }
        if !self.findings_unknown.is_empty() {
            text += &format!("not known to this model: {}\n", self.findings_unknown.join(", "));
        }
        text
    }
}

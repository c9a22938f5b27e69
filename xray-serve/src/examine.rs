//! What is done with a file: inspected, prepared, predicted and, where that is wanted, explained.

use crate::answer::{ImageAnswer, Map, Milliseconds, Pictures};
use crate::inspect;
use crate::limits::Limits;
use crate::problem::Problem;
use std::time::Instant;
use xray_bundle::{Bundle, glow};
use xray_image::{Budget, encode_png};

/// What is wanted beside the findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Where they come from, as numbers.
    pub maps: bool,
    /// Pictures for the page.
    pub pictures: bool,
}

/// The answer about a file, on this thread.
///
/// # Errors
/// What is wrong with the file.
pub fn examine(
    bundle: &Bundle,
    limits: &Limits,
    file: &[u8],
    wanted: Wanted,
) -> Result<ImageAnswer, Problem> {
    let clock = Instant::now();
    let header = inspect::admit(file, limits)?;
    let prepared = bundle.prepare(file, &Budget::default())?;
    let decode = clock.elapsed().as_secs_f64() * 1e3;
    let clock = Instant::now();
    let (logits, explained) = if wanted == Wanted::default() {
        (bundle.predict(&prepared), None)
    } else {
        let explained = bundle.explain(&prepared);
        (explained.logits.clone(), Some(explained))
    };
    let network = clock.elapsed().as_secs_f64() * 1e3;
    let mut findings = bundle.findings(&logits)?;
    let most_striking = findings.first().map(|finding| finding.index);
    findings.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let striking = findings.iter().position(|finding| Some(finding.index) == most_striking).unwrap_or(0);
    let evidence = explained.iter().flat_map(|explained| {
        findings.iter().map(move |finding| {
            (finding.label.clone(), bundle.evidence(explained, finding.index), explained.places())
        })
    });
    let evidence: Vec<_> = evidence.collect();
    let pictures = wanted.pictures.then(|| Pictures {
        prepared: encode_png(&prepared.image),
        glows: evidence.iter().map(|(_, evidence, places)| glow(evidence, *places, GLOW)).collect(),
    });
    let map = |(label, evidence, [rows, columns]): (String, Vec<f32>, [usize; 2])| Map {
        label,
        rows,
        columns,
        evidence,
    };
    Ok(ImageAnswer {
        size: prepared.source,
        warnings: inspect::warnings(file, &header, &prepared),
        maps: if wanted.maps { evidence.into_iter().map(map).collect() } else { Vec::new() },
        findings,
        striking,
        milliseconds: Milliseconds { queue: 0.0, decode, network },
        pictures,
    })
}

/// Pixels of a side of what glows: it is smooth, and enlarged by whoever shows it.
const GLOW: usize = 64;

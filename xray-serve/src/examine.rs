//! What is done with a file: inspected, prepared, predicted and, where that is wanted, explained.

use crate::answer::{ImageAnswer, Map, Milliseconds, Pictures};
use crate::inspect;
use crate::limits::Limits;
use crate::memory::{Memory, Reserved};
use crate::problem::Problem;
use std::sync::Arc;
use std::time::Instant;
use xray_bundle::{Bundle, PreparedImage, doubts, glow};
use xray_image::{Budget, ImageProblem, encode_png};

/// What is wanted beside the findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Where they come from, as numbers.
    pub maps: bool,
    /// Pictures for the page.
    pub pictures: bool,
}

/// What is done with the images of a request: a model looks at them, the same one at all.
#[derive(Clone)]
pub struct Task {
    /// The model.
    pub bundle: Arc<Bundle>,
    /// What is wanted of it.
    pub wanted: Wanted,
}

/// The answer about a file, on this thread, in a part of the `memory` that all such threads share.
///
/// # Errors
/// What is wrong with the file, or with the model.
pub fn examine(task: &Task, limits: &Limits, memory: &Memory, file: &[u8]) -> Result<ImageAnswer, Problem> {
    let Task { bundle, wanted } = task;
    let clock = Instant::now();
    let header = inspect::admit(file, limits)?;
    let (prepared, budget, reserved) = prepare(bundle, limits, memory, file)?;
    let warnings = doubts(file, &header, &prepared, &budget);
    drop(reserved);
    let decode = clock.elapsed().as_secs_f64() * 1e3;
    let clock = Instant::now();
    let (outputs, explained) = if *wanted == Wanted::default() {
        (bundle.predict(&prepared), None)
    } else {
        let explained = bundle.explain(&prepared);
        (explained.outputs.clone(), Some(explained))
    };
    let network = clock.elapsed().as_secs_f64() * 1e3;
    let mut findings = bundle.findings(&outputs)?;
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
        warnings,
        maps: if wanted.maps { evidence.into_iter().map(map).collect() } else { Vec::new() },
        findings,
        striking,
        milliseconds: Milliseconds { queue: 0.0, decode, network },
        pictures,
    })
}

/// Bytes in which an ordinary image is decoded. Others say how many they need before they take any.
const ORDINARY: u64 = 32 << 20;

/// The image as the network sees it, what it cost at most, and the memory for it.
fn prepare<'a>(
    bundle: &Bundle,
    limits: &Limits,
    memory: &'a Memory,
    file: &[u8],
) -> Result<(PreparedImage, Budget, Reserved<'a>), Problem> {
    let mut bytes = ORDINARY.min(limits.memory);
    loop {
        // Waiting for others is not a fault of this one.
        let reserved =
            memory.reserve(bytes, Instant::now() + limits.decode).ok_or_else(|| Problem::busy(1))?;
        let until = Some(Instant::now() + limits.decode);
        let budget = Budget { pixels: (limits.megapixels * 1e6) as u64, memory: bytes, until };
        match bundle.prepare(file, &budget) {
            Err(ImageProblem::TooMuchMemory { bytes: needed, .. }) if needed > limits.memory => {
                return Err(ImageProblem::TooMuchMemory { bytes: needed, allowed: limits.memory }.into());
            }
            Err(ImageProblem::TooMuchMemory { bytes: needed, .. }) if needed > bytes => bytes = needed,
            prepared => return Ok((prepared?, budget, reserved)),
        }
    }
}

/// Pixels of a side of what glows: it is smooth, and enlarged by whoever shows it.
const GLOW: usize = 64;

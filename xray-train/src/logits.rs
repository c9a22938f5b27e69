//! Logits for another program. `xray-eval` links no GPU: it starts `xray-train-gpu`, which has one, and gives it images
//! that it has prepared itself. Of an ensemble the logits of each member follow one another.
//!
//! Whoever is asked says as a line of JSON which device it has. Then, all in little endian, it reads batches, a `u32` of
//! how many images and their pixels `[n, size, size]` as `f32`, and answers each with its logits `[n, outputs]` as `f32`: a
//! batch is answered after the next one has been begun, or where the next one has no images. It ends with its input.

use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::path::Path;
use xray_artifacts::{Exit, Failure};
use xray_bundle::{BegunNetworks, Card, Networks, read_card, read_weights};
use xray_model::Backend;

/// What is said first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Greeting {
    /// The format of what follows.
    pub logits_format: u32,
    /// The backend that computes, never `auto`.
    pub backend: Backend,
    /// The device, with its driver.
    pub device: String,
    /// What a user should know of the choice.
    pub notes: Vec<String>,
}

/// The format that this version speaks.
pub const FORMAT: u32 = 1;

/// A batch of more images is none.
const MOST_IMAGES: usize = 1 << 16;

/// Answers with the model of a bundle until the input ends.
///
/// # Errors
/// The model, the device, and whoever asks.
pub fn answer(
    folder: &Path,
    backend: Backend,
    mut input: impl Read,
    mut output: impl Write,
) -> Result<(), Failure> {
    let card: Card = read_card(folder)?;
    let weights = read_weights(folder, &card)?;
    let (networks, info) = Networks::open(&card, &weights, backend)?;
    let greeting = Greeting {
        logits_format: FORMAT,
        backend: info.backend,
        device: info.full_name(),
        notes: info.choice.iter().chain(&info.warning).cloned().collect(),
    };
    let greeting = serde_json::to_string(&greeting).expect("plain values") + "\n";
    output.write_all(greeting.as_bytes()).and_then(|()| output.flush()).map_err(cannot("write"))?;
    let size = card.preprocessing.size as usize;
    let mut begun: Option<BegunNetworks> = None;
    while let Some(images) = count(&mut input)? {
        let mut bytes = vec![0; images * size * size * 4];
        input.read_exact(&mut bytes).map_err(cannot("read"))?;
        let pixels: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let next = if images > 0 { Some(networks.begin(&pixels, card.preprocessing.size)?) } else { None };
        let before = std::mem::replace(&mut begun, next);
        if let Some(before) = before {
            let logits: Vec<u8> = before.outputs()?.iter().flat_map(|logit| logit.to_le_bytes()).collect();
            output.write_all(&logits).and_then(|()| output.flush()).map_err(cannot("write"))?;
        }
    }
    Ok(())
}

/// How many images come next; none where the input ends.
fn count(input: &mut impl Read) -> Result<Option<usize>, Failure> {
    let mut bytes = [0; 4];
    let mut read = 0;
    while read < bytes.len() {
        match input.read(&mut bytes[read..]) {
            Ok(0) if read == 0 => return Ok(None),
            Ok(0) => return Err(cannot("read")(io::ErrorKind::UnexpectedEof.into())),
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot("read")(error)),
        }
    }
    let images = u32::from_le_bytes(bytes) as usize;
    if images > MOST_IMAGES {
        return Err(Failure::new(
            Exit::Usage,
            format!("a batch of {images} images was asked for, at most {MOST_IMAGES}"),
        ));
    }
    Ok(Some(images))
}

fn cannot(action: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::new(Exit::Unexpected, format!("cannot {action} batches: {error}"))
}

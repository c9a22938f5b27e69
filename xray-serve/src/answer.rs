//! The answer about an image: what the API sends, and what the page is made of.

use serde::Serialize;
use xray_bundle::Finding;

/// The version of the API's answers.
pub const FORMAT: u32 = 1;

/// Stands on every page and in every answer.
pub const DISCLAIMER: &str = "research demo, not a diagnosis";

/// The answer about one image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageAnswer {
    /// Width and height of the image that was sent.
    pub size: [u32; 2],
    /// Why the findings may mean nothing.
    pub warnings: Vec<String>,
    /// The most probable first.
    pub findings: Vec<Finding>,
    /// Where in the image each of them comes from, in the same order; only if asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<Map>,
    /// What it took.
    pub milliseconds: Milliseconds,
    /// Place of the finding that stands out most: whose logit lies farthest above its log-odds in training.
    #[serde(skip)]
    pub striking: usize,
    /// Pictures for the page.
    #[serde(skip)]
    pub pictures: Option<Pictures>,
}

/// What each place of an image adds to a finding's logit, above what the finding has anyway (Zhou et al., CVPR 2016).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Map {
    /// The finding.
    pub label: String,
    /// Rows of the map.
    pub rows: usize,
    /// Columns of the map.
    pub columns: usize,
    /// Row by row, in units of log-odds.
    pub evidence: Vec<f32>,
}

/// PNG files.
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    /// The image as the network saw it.
    pub prepared: Vec<u8>,
    /// What glows for each finding, in the order of the findings.
    pub glows: Vec<Vec<u8>>,
}

/// What an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Milliseconds {
    /// Waiting for a worker.
    pub queue: f64,
    /// Decoding and preparing the image.
    pub decode: f64,
    /// The network.
    pub network: f64,
}

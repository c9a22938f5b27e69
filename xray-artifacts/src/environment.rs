//! `env.json`: which program ran where, written at a run's start.

use crate::Versioned;
use serde::{Deserialize, Serialize};

/// What a number's reader must know to repeat it or to distrust it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of the program.
    pub version: String,
    /// Commit it was built from, with `-dirty` where the tree had changes.
    pub git: Option<String>,
    /// The compiler and the instruction set it compiled for.
    pub build: String,
    /// The command line.
    pub command: Vec<String>,
    /// Network name of the machine.
    pub host: String,
    /// Operating system and kernel.
    pub system: String,
    /// The processor's name.
    pub cpu: String,
    /// x86-64 level of this processor as HTCondor names it: `x86_64-v1` to `x86_64-v4`.
    pub microarch: Option<String>,
    /// Threads that compute.
    pub threads: usize,
    /// `cpu`, `wgpu`, ...
    pub backend: String,
    /// The device's name, and of a GPU its driver and the form of the kernels: `NVIDIA H200, NVIDIA 580.159.04, Vulkan,
    /// WGSL`.
    pub device: String,
    /// What the factors of convolutions were rounded to in training: `f32`, `tf32`, `bf16` or `f16`. Programs of before there was
    /// a choice do not say it, and rounded nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Why that device, where something was chosen: `using the CPU (auto: llvmpipe is a software renderer)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_choice: Option<String>,
    /// Start, RFC 3339.
    pub started: String,
}

impl Versioned for Environment {
    const FORMAT: u32 = 2;
    const UNSEALED: Option<u32> = Some(1);
    const KIND: &'static str = "environment";
}

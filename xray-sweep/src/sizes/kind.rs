//! What two trainings have in common that need about the same of a machine.

use serde::Serialize;
use serde_json::Value as Json;
use std::fmt;
use xray_display::counted;

/// Cells that need the same resources, by their resolved configuration and their threads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Kind {
    /// The network's name.
    pub network: String,
    /// Its width; 0 for the usual one.
    pub width: u64,
    /// The image's side, in pixels.
    pub size: u64,
    /// Images of a step.
    pub batch_size: u64,
    /// Images at once, where a step takes them in parts; else as many.
    pub micro_batch: u64,
    /// Threads that compute.
    pub threads: u64,
    /// `cpu`, `wgpu`, ...
    pub backend: String,
    /// Precision of products, on a GPU.
    pub precision: String,
    /// Where prepared images are kept: `ram`, `disk` or `none`.
    pub cache: String,
}

impl Kind {
    /// The kind of a run with this configuration.
    pub fn of(config: &Json, threads: u64) -> Kind {
        let number = |path: &str| config.pointer(path).and_then(Json::as_u64).unwrap_or_default();
        let text = |path: &str| config.pointer(path).and_then(Json::as_str).unwrap_or_default().to_owned();
        let batch_size = number("/training/batch_size");
        Kind {
            network: text("/model/architecture"),
            width: number("/model/width"),
            size: number("/preprocessing/size"),
            batch_size,
            micro_batch: match number("/training/micro_batch") {
                0 => batch_size,
                part => part.min(batch_size),
            },
            threads,
            backend: text("/backend"),
            precision: text("/precision"),
            cache: text("/data/cache"),
        }
    }

    /// Bytes of a prepared image in a cache.
    pub(super) fn image_bytes(&self) -> u64 {
        self.size.pow(2)
    }
}

/// `small-cnn of width 16 at 64 px, batch 32, 2 threads`, and what is not as usual.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kind { network, width, size, batch_size, micro_batch, threads, backend, precision, cache } = self;
        write!(f, "{network}")?;
        if *width > 0 {
            write!(f, " of width {width}")?;
        }
        write!(f, " at {size} px, batch {batch_size}")?;
        if micro_batch != batch_size {
            write!(f, " in parts of {micro_batch}")?;
        }
        write!(f, ", {}", counted(*threads, "thread"))?;
        if backend != "cpu" {
            write!(f, ", {backend} in {precision}")?;
        }
        if cache != "ram" {
            write!(f, ", cache {cache}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn config() -> Json {
        json!({
            "backend": "cpu", "precision": "f32", "data": { "cache": "ram" }, "preprocessing": { "size": 64 },
            "model": { "architecture": "small-cnn", "width": 16 },
            "training": { "batch_size": 32, "micro_batch": 0, "duration": "2 epochs" },
        })
    }

    #[test]
    fn trainings_are_alike_in_what_memory_depends_on() {
        let kind = Kind::of(&config(), 2);
        assert_eq!(kind.to_string(), "small-cnn of width 16 at 64 px, batch 32, 2 threads");
        let with = |pointer: &str, value: Json| {
            let mut other = config();
            *other.pointer_mut(pointer).expect("a key") = value;
            Kind::of(&other, 2)
        };
        for (pointer, value) in [
            ("/model/architecture", json!("resnet-18")),
            ("/model/width", json!(8)),
            ("/preprocessing/size", json!(32)),
            ("/training/batch_size", json!(16)),
            ("/training/micro_batch", json!(8)),
            ("/backend", json!("wgpu")),
            ("/precision", json!("f16")),
            ("/data/cache", json!("none")),
        ] {
            assert_ne!(with(pointer, value), kind, "{pointer}");
        }
        assert_ne!(Kind::of(&config(), 1), kind);
        assert_eq!(with("/training/duration", json!("9 epochs")), kind);
        assert_eq!(with("/training/micro_batch", json!(64)), kind, "a part is no more than the whole");
        let odd =
            Kind { backend: "wgpu".into(), cache: "disk".into(), ..with("/training/micro_batch", json!(8)) };
        let text =
            "small-cnn of width 16 at 64 px, batch 32 in parts of 8, 2 threads, wgpu in f32, cache disk";
        assert_eq!(odd.to_string(), text);
    }
}

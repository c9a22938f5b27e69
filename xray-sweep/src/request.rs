//! What a run asks of a machine, estimated from its configuration and its data unless it is said.

use crate::cell::Request;
use crate::spec::Condor;
use serde_json::Value as Json;
use xray_artifacts::{Exit, Failure};

const MIB: u64 = 1 << 20;

/// The program, its buffers and the tensors' arena, measured with small-cnn at 128 px.
const BASE_MIB: u64 = 512;

/// Bytes per input pixel of a batch that a training step of small-cnn holds, per unit of its width; measured
/// at 64 to 224 px, widths 16 and 32, and rounded up.
const BYTES_PER_PIXEL_AND_WIDTH: u64 = 48;

/// Where nothing is said: enough for a small network to pay, few enough to be matched soon.
const CPUS: u32 = 2;

/// What one run of `config` asks for; `shard_bytes` of shards are sent along.
pub fn request(
    condor: &Condor,
    config: &Json,
    train_images: u64,
    shard_bytes: u64,
    binary_bytes: u64,
) -> Result<Request, Failure> {
    let number = |path: &str| config.pointer(path).and_then(Json::as_u64).unwrap_or_default();
    let text = |path: &str| config.pointer(path).and_then(Json::as_str).unwrap_or_default();
    let pixels = number("/preprocessing/size").pow(2);
    let cache = train_images * pixels;
    let batch =
        number("/training/batch_size") * pixels * number("/model/width").max(32) * BYTES_PER_PIXEL_AND_WIDTH;
    let in_memory = if text("/data/cache") == "ram" { cache } else { 0 };
    let on_disk = if text("/data/cache") == "disk" { cache } else { 0 };
    let memory_mib = match &condor.memory {
        Some(text) => mebibytes("memory", text)?,
        None => (BASE_MIB + (batch + in_memory).div_ceil(MIB)).next_multiple_of(256),
    };
    let disk_mib = match &condor.disk {
        Some(text) => mebibytes("disk", text)?,
        None => (1024 + (shard_bytes + binary_bytes + on_disk).div_ceil(MIB) * 11 / 10).next_multiple_of(256),
    };
    let on_gpu = matches!(text("/backend"), "wgpu" | "cuda" | "auto");
    Ok(Request {
        cpus: condor.cpus.unwrap_or(CPUS).max(1),
        memory_mib,
        disk_mib,
        gpus: condor.gpus.unwrap_or(u32::from(on_gpu)),
    })
}

/// `2GB`, `512MB`, `1.5 GiB`: as everywhere on HTCondor, with 1024 to each step.
pub fn mebibytes(key: &str, text: &str) -> Result<u64, Failure> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim().to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
        "M" => 1.0,
        "G" => 1024.0,
        "T" => 1024.0 * 1024.0,
        _ => 0.0,
    };
    match number.parse::<f64>() {
        Ok(number) if number * factor >= 1.0 && number * factor < 1e12 => Ok((number * factor).ceil() as u64),
        _ => Err(Failure::new(Exit::Usage, format!("{key} is `{text}`, it must be a size"))
            .hint("such as 512MB or 2GB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let check = |text, expected| assert_eq!(mebibytes("memory", text).ok(), expected, "{text}");
        check("512MB", Some(512));
        check("2GB", Some(2048));
        check("1.5 GiB", Some(1536));
        check("1T", Some(1 << 20));
        check("2048", None);
        check("0GB", None);
        check("much", None);
    }

    #[test]
    fn more_pixels_ask_for_more_and_what_is_said_wins() {
        let config = |size: u64| {
            serde_json::json!({
                "preprocessing": { "size": size }, "training": { "batch_size": 32 }, "model": { "width": 32 },
                "data": { "cache": "ram" }, "backend": "cpu",
            })
        };
        let ask =
            |condor: &Condor, size| request(condor, &config(size), 1000, 100 * MIB, 10 * MIB).expect("good");
        let (small, large) = (ask(&Condor::default(), 64), ask(&Condor::default(), 224));
        assert!(small.memory_mib < large.memory_mib, "{small:?} {large:?}");
        assert_eq!((small.gpus, small.cpus, small.disk_mib), (0, 2, 1280));
        let said = Condor { cpus: Some(4), memory: Some("3GB".into()), gpus: Some(1), ..Condor::default() };
        let said = ask(&said, 64);
        assert_eq!((said.cpus, said.memory_mib, said.gpus), (4, 3072, 1));
    }
}

//! What a run asks of a machine, estimated from its configuration and its data unless it is said.

use crate::cell::Request;
use crate::spec::Condor;
use serde_json::Value as Json;
use xray_artifacts::{Exit, Failure};

const MIB: u64 = 1 << 20;

/// The program and the loader's buffers.
const BASE_MIB: f64 = 384.0;

/// What a training step of a network holds, as `xray-model/examples/steps` measured it at 224 px with one image and with
/// nine: name, the paper's width, MiB without images (weights, gradients, moments), MiB of each image.
const NETWORKS: [(&str, f64, f64, f64); 6] = [
    ("small-cnn", 32.0, 44.0, 12.6),
    ("resnet-18", 64.0, 291.0, 19.7),
    ("resnet-50", 64.0, 495.0, 83.4),
    ("densenet-121", 32.0, 195.0, 30.5),
    ("mobilenet-v2", 32.0, 91.0, 52.9),
    ("efficientnet-b0", 32.0, 127.0, 63.1),
];

/// A checkpoint copies weights and moments.
const COPIES: f64 = 2.0;

/// Other processors have other buffers, and a job that is held for its memory has lost time.
const MARGIN: f64 = 1.25;

/// Where nothing is said: enough for a small network to pay, few enough to be matched soon.
const CPUS: u32 = 2;

/// What the driver of a GPU may take of the machine's memory. A guess: a software renderer was measured, which needs the
/// step's memory and little more.
const DRIVER_MIB: u64 = 1024;

/// What one run of `config` asks for beside `gpus`; it is sent `sent_bytes`, among them `file_bytes` of files that it reads
/// into memory.
pub fn request(
    condor: &Condor,
    config: &Json,
    gpus: u32,
    train_images: u64,
    sent_bytes: u64,
    file_bytes: u64,
) -> Result<Request, Failure> {
    let number = |path: &str| config.pointer(path).and_then(Json::as_u64).unwrap_or_default();
    let text = |path: &str| config.pointer(path).and_then(Json::as_str).unwrap_or_default();
    let cache = train_images * number("/preprocessing/size").pow(2);
    let in_memory = if text("/data/cache") == "ram" { cache } else { 0 };
    let on_disk = if text("/data/cache") == "disk" { cache } else { 0 };
    let memory_mib = match &condor.memory {
        Some(text) => mebibytes("memory", text)?,
        None => {
            let driver = u64::from(gpus) * DRIVER_MIB;
            (step_mib(config).ceil() as u64 + (in_memory + file_bytes).div_ceil(MIB) + driver)
                .next_multiple_of(256)
        }
    };
    let disk_mib = match &condor.disk {
        Some(text) => mebibytes("disk", text)?,
        None => (1024 + (sent_bytes + on_disk).div_ceil(MIB) * 11 / 10).next_multiple_of(256),
    };
    Ok(Request { cpus: condor.cpus.unwrap_or(CPUS).max(1), memory_mib, disk_mib, gpus, minutes: None })
}

/// MiB of the program and a training step. A network that is not known here is taken for the largest.
fn step_mib(config: &Json) -> f64 {
    let number = |path: &str| config.pointer(path).and_then(Json::as_f64).unwrap_or_default();
    let name = config.pointer("/model/architecture").and_then(Json::as_str).unwrap_or_default();
    let known = NETWORKS.iter().find(|(known, ..)| *known == name);
    let &(_, papers_width, fixed, of_image) = known.unwrap_or(&NETWORKS[2]);
    let width = match number("/model/width") {
        0.0 => 1.0,
        width => width / papers_width,
    };
    let images = match number("/training/micro_batch") {
        0.0 => number("/training/batch_size"),
        part => part.min(number("/training/batch_size")),
    };
    let size = number("/preprocessing/size") / 224.0;
    BASE_MIB + COPIES * fixed * width.powi(2) + MARGIN * images * of_image * width * size.powi(2)
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
                "preprocessing": { "size": size }, "training": { "batch_size": 32 },
                "model": { "architecture": "small-cnn", "width": 32 },
                "data": { "cache": "ram" }, "backend": "cpu",
            })
        };
        let ask = |condor: &Condor, size, gpus| {
            request(condor, &config(size), gpus, 1000, 110 * MIB, 0).expect("good")
        };
        let with_files =
            request(&Condor::default(), &config(64), 0, 1000, 622 * MIB, 512 * MIB).expect("good");
        let (small, large) = (ask(&Condor::default(), 64, 0), ask(&Condor::default(), 224, 0));
        assert!(small.memory_mib < large.memory_mib, "{small:?} {large:?}");
        assert_eq!((small.gpus, small.cpus, small.disk_mib), (0, 2, 1280));
        assert_eq!((with_files.memory_mib, with_files.disk_mib), (small.memory_mib + 512, 1280 + 512));
        let driven = ask(&Condor::default(), 64, 1);
        assert_eq!((driven.gpus, driven.memory_mib), (1, small.memory_mib + DRIVER_MIB));
        let said = Condor { cpus: Some(4), memory: Some("3GB".into()), ..Condor::default() };
        let said = ask(&said, 64, 1);
        assert_eq!((said.cpus, said.memory_mib, said.gpus), (4, 3072, 1));
    }

    /// Each figure is above what `bench train` measured of the whole process.
    #[test]
    fn every_network_gets_what_it_was_measured_to_take() {
        let asked = |name: &str, width: u64, batch: u64, size: u64, micro_batch: u64| {
            step_mib(&serde_json::json!({
                "preprocessing": { "size": size },
                "training": { "batch_size": batch, "micro_batch": micro_batch },
                "model": { "architecture": name, "width": width },
            }))
        };
        let between = |mib: f64, least: f64, most: f64| assert!(mib > least && mib < most, "{mib}");
        between(asked("small-cnn", 32, 32, 128, 0), 176.0, 700.0);
        between(asked("small-cnn", 32, 32, 224, 0), 400.0, 1100.0);
        between(asked("resnet-18", 64, 16, 224, 0), 605.0, 1400.0);
        between(asked("densenet-121", 32, 8, 224, 0), 430.0, 1100.0);
        assert!(asked("densenet-121", 32, 64, 224, 8) < asked("densenet-121", 32, 64, 224, 0) / 2.0);
        assert!(asked("resnet-50", 8, 16, 224, 0) < asked("resnet-50", 64, 16, 224, 0) / 2.0);
    }
}

//! Which of a machine's GPUs a process takes: the one that a variable names, else the first.

use std::fs;
use std::path::Path;

/// Names one of all: by its number, its PCI address or a part of its name.
const OURS: &str = "XRAY_GPU";

/// Names one of NVIDIA's, as HTCondor and Slurm set it for a job: by its number or the beginning of its UUID. CUDA
/// obeys it by itself, Vulkan does not know it.
const CUDAS: &str = "CUDA_VISIBLE_DEVICES";

/// What a driver says of a GPU.
#[derive(Clone, Debug)]
pub(super) struct Adapter {
    pub(super) name: String,
    /// `0000:3b:00.0`; empty where the driver does not tell.
    pub(super) pci: String,
    pub(super) is_nvidia: bool,
    /// Whether a processor stands in for a GPU.
    pub(super) is_software: bool,
}

/// The GPU to take.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// Its place among all.
    pub(super) index: usize,
    /// Why this one, where there is something to say.
    pub(super) why: Option<String>,
}

/// Chooses among `adapters`, the preferred first. `variable` reads the environment.
///
/// A number in `CUDA_VISIBLE_DEVICES` counts NVIDIA's GPUs by PCI address, as HTCondor does; a UUID is looked up in
/// `nvidias_folder`, where NVIDIA's driver has a folder for each GPU that bears its PCI address. Of several the first counts, because a run uses one GPU. Other makers' GPUs it does not speak of, but
/// no software renderer is taken for the GPU that it promises.
///
/// # Errors
/// Why none of them is the one, as the end of a sentence.
pub(super) fn choose(
    adapters: &[Adapter],
    variable: impl Fn(&str) -> Option<String>,
    nvidias_folder: &Path,
) -> Result<Choice, String> {
    if adapters.is_empty() {
        return Err("no driver offers one".to_owned());
    }
    if let Some(asked) = variable(OURS) {
        let index = named(adapters, asked.trim())
            .ok_or_else(|| format!("{OURS} is `{asked}`, and there is only {}", listed(adapters)))?;
        return Ok(Choice { index, why: Some(format!("{OURS}={asked}")) });
    }
    let Some(asked) = variable(CUDAS) else { return Ok(first(adapters)) };
    let chosen = visible(adapters, asked.split(',').next().unwrap_or_default().trim(), nvidias_folder);
    match chosen {
        Ok(index) => Ok(Choice { index, why: Some(format!("{CUDAS}={asked}")) }),
        Err(why) => Err(format!("{CUDAS} is `{asked}`, {why}; there is {}", listed(adapters))),
    }
}

fn first(adapters: &[Adapter]) -> Choice {
    let real = adapters.iter().filter(|adapter| !adapter.is_software).count();
    let why = (real > 1).then(|| format!("the first of {real} GPUs; {OURS}=1 takes {}", adapters[1].name));
    Choice { index: 0, why }
}

fn named(adapters: &[Adapter], asked: &str) -> Option<usize> {
    if let Ok(number) = asked.parse::<usize>() {
        return (number < adapters.len()).then_some(number);
    }
    let asked = asked.to_lowercase();
    let is_it = |adapter: &Adapter| adapter.pci == asked || adapter.name.to_lowercase().contains(&asked);
    adapters.iter().position(is_it).filter(|_| !asked.is_empty())
}

/// The GPU that a word of `CUDA_VISIBLE_DEVICES` means, or why it is none of these.
fn visible(adapters: &[Adapter], word: &str, nvidias_folder: &Path) -> Result<usize, &'static str> {
    let mut nvidias: Vec<usize> = (0..adapters.len()).filter(|&at| adapters[at].is_nvidia).collect();
    nvidias.sort_by_key(|&at| &adapters[at].pci);
    // An empty word, a negative number and Slurm's `NoDevFiles` hide them all.
    let hides_all = word.is_empty() || word.starts_with('-') || word == "NoDevFiles";
    if hides_all || nvidias.is_empty() {
        let other = |adapter: &Adapter| !adapter.is_nvidia && (hides_all || !adapter.is_software);
        return adapters.iter().position(other).ok_or(if hides_all {
            "which hides NVIDIA's"
        } else {
            "but Vulkan shows no GPU of NVIDIA"
        });
    }
    if let Ok(number) = word.parse::<usize>() {
        return nvidias.get(number).copied().ok_or("and there are fewer of NVIDIA");
    }
    match (pci_of(word, nvidias_folder), &nvidias[..]) {
        (Some(pci), _) => {
            let it = nvidias.iter().copied().find(|&at| adapters[at].pci == pci);
            it.ok_or("a GPU that Vulkan does not show")
        }
        // Its number cannot be read, as in some containers, but it can be no other.
        (None, [only]) => Ok(*only),
        (None, _) => Err("and the driver does not say which of several that is"),
    }
}

/// The PCI address of the GPU of NVIDIA whose UUID begins so. The driver's file has lines such as
/// `GPU UUID: GPU-1a2b...`, with question marks before anybody has opened the GPU.
fn pci_of(uuid: &str, nvidias_folder: &Path) -> Option<String> {
    let folders = fs::read_dir(nvidias_folder).ok()?.flatten();
    let is_it = |text: &str| {
        let uuids = text.lines().filter_map(|line| line.strip_prefix("GPU UUID:"));
        uuids
            .map(str::trim)
            .any(|found| found.get(..uuid.len()).is_some_and(|start| start.eq_ignore_ascii_case(uuid)))
    };
    let mut found = folders.filter(|folder| {
        fs::read_to_string(folder.path().join("information")).is_ok_and(|text| is_it(&text))
    });
    found.next().map(|folder| folder.file_name().to_string_lossy().to_lowercase())
}

/// `0 NVIDIA H200 (0000:3b:00.0), 1 llvmpipe`.
fn listed(adapters: &[Adapter]) -> String {
    let one = |(number, Adapter { name, pci, .. }): (usize, &Adapter)| match pci.as_str() {
        "" => format!("{number} {name}"),
        pci => format!("{number} {name} ({pci})"),
    };
    adapters.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, pci: &str) -> Adapter {
        Adapter {
            name: name.to_owned(),
            pci: pci.to_owned(),
            is_nvidia: name.starts_with("NVIDIA"),
            is_software: name == "llvmpipe",
        }
    }

    /// Two of NVIDIA's, not in the order of their addresses, one of AMD's, and a renderer.
    fn all() -> Vec<Adapter> {
        vec![
            adapter("NVIDIA H200", "0000:ab:00.0"),
            adapter("NVIDIA T4", "0000:3b:00.0"),
            adapter("AMD Radeon", "0000:05:00.0"),
            adapter("llvmpipe", ""),
        ]
    }

    fn driver(uuids: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (pci, uuid) in uuids {
            let gpu = folder.path().join(pci);
            fs::create_dir(&gpu).expect("writable");
            let text = format!("Model: \t\t NVIDIA T4\nIRQ:   \t\t 1\nGPU UUID: \t {uuid}\n");
            fs::write(gpu.join("information"), text).expect("writable");
        }
        folder
    }

    fn chosen(adapters: &[Adapter], variables: &[(&str, &str)], driver: &Path) -> Result<Choice, String> {
        let variable =
            |name: &str| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        choose(adapters, variable, driver)
    }

    const UUIDS: [(&str, &str); 2] = [
        ("0000:3b:00.0", "GPU-1a2b3c4d-0000-1111-2222-333344445555"),
        ("0000:ab:00.0", "GPU-9f8e7d6c-0000-1111-2222-333344445555"),
    ];

    #[test]
    fn the_first_is_taken_unless_a_variable_names_another() {
        let driver = driver(&UUIDS);
        let check = |variables: &[(&str, &str)], index: usize, why: &str| {
            let choice = chosen(&all(), variables, driver.path()).expect("one of them");
            assert_eq!(choice, Choice { index, why: Some(why.to_owned()) }, "{variables:?}");
        };
        check(&[], 0, "the first of 3 GPUs; XRAY_GPU=1 takes NVIDIA T4");
        check(&[(OURS, "2")], 2, "XRAY_GPU=2");
        check(&[(OURS, "radeon")], 2, "XRAY_GPU=radeon");
        check(&[(OURS, "0000:3B:00.0")], 1, "XRAY_GPU=0000:3B:00.0");
        check(&[(OURS, "llvmpipe"), (CUDAS, "0")], 3, "XRAY_GPU=llvmpipe");
        // By address: 3b comes before ab.
        check(&[(CUDAS, "0")], 1, "CUDA_VISIBLE_DEVICES=0");
        check(&[(CUDAS, "1,0")], 0, "CUDA_VISIBLE_DEVICES=1,0");
        check(&[(CUDAS, "GPU-1a2b3c4d")], 1, "CUDA_VISIBLE_DEVICES=GPU-1a2b3c4d");
        check(&[(CUDAS, UUIDS[1].1)], 0, &format!("CUDA_VISIBLE_DEVICES={}", UUIDS[1].1));
        for nothing in ["", "-1", "NoDevFiles"] {
            check(&[(CUDAS, nothing)], 2, &format!("CUDA_VISIBLE_DEVICES={nothing}"));
        }
        let alone = chosen(&all()[2..], &[], driver.path()).expect("one of them");
        assert_eq!(alone, Choice { index: 0, why: None }, "a renderer is not a second GPU");
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused() {
        let (driver, unread) = (driver(&UUIDS), driver(&[("0000:3b:00.0", "GPU-????????-????")]));
        let check = |adapters: &[Adapter], variables: &[(&str, &str)], expected: &str| {
            let why = chosen(adapters, variables, driver.path()).expect_err("none of them");
            assert!(why.contains(expected), "{why}");
        };
        check(&[], &[(OURS, "0")], "no driver offers one");
        check(
            &all()[2..],
            &[(OURS, "2")],
            "XRAY_GPU is `2`, and there is only 0 AMD Radeon (0000:05:00.0), 1 llvmpipe",
        );
        check(&all(), &[(OURS, "a100")], "XRAY_GPU is `a100`");
        check(&all(), &[(OURS, "")], "XRAY_GPU is ``");
        check(&all(), &[(CUDAS, "2")], "and there are fewer of NVIDIA");
        check(&all()[..1], &[(CUDAS, "GPU-1a2b3c4d")], "a GPU that Vulkan does not show");
        check(&all(), &[(CUDAS, "GPU-77777777")], "does not say which of several");
        check(&all()[..2], &[(CUDAS, "")], "which hides NVIDIA's");
        // The machine's own GPU has no driver for Vulkan.
        check(&all()[3..], &[(CUDAS, "0")], "but Vulkan shows no GPU of NVIDIA; there is 0 llvmpipe");

        let only = chosen(&all()[1..], &[(CUDAS, "GPU-1a2b3c4d")], unread.path());
        assert_eq!(only.expect("it can be no other").index, 0);
        let others = chosen(&all()[2..], &[(CUDAS, "0")], unread.path());
        assert_eq!(others.expect("of another maker").index, 0);
    }
}

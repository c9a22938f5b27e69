//! Which device a network runs on. The only file that asks which backends were compiled in.

use crate::{Error, Result};
use burn::tensor::Device;
#[cfg(feature = "wgpu")]
use burn::tensor::wgpu::wgpu::{self, AdapterInfo};
use serde::{Deserialize, Serialize};

#[cfg(any(test, feature = "wgpu"))]
mod adapters;

/// Where tensors live and who computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// This processor, by the kernels of xray-kernels.
    #[default]
    Cpu,
    /// This processor, by burn's own operations: some ten times slower, to compare with.
    Flex,
    /// Any GPU through wgpu (feature `wgpu`).
    Wgpu,
    /// An NVIDIA GPU through CUDA (feature `cuda`).
    Cuda,
    /// burn's older CPU backend (feature `ndarray`): a slow reference, deprecated upstream, with a known
    /// silent reordering bug (burn issue 5552).
    Ndarray,
    /// A real GPU where there is one, this processor otherwise; never a software renderer.
    Auto,
}

/// What a backend found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The backend that runs, never [`Backend::Auto`].
    pub backend: Backend,
    /// The part's name, where the driver tells one.
    pub name: String,
    /// Of a GPU: its driver, and the form in which kernels reach it, as `NVIDIA 580.159.04, Vulkan, WGSL`.
    pub driver: Option<String>,
    /// What is used and why, where something was chosen: `using the CPU (auto: llvmpipe is a software renderer)`.
    pub choice: Option<String>,
    /// What a user should know before trusting it.
    pub warning: Option<String>,
}

impl DeviceInfo {
    fn new(backend: Backend, name: impl Into<String>) -> Self {
        DeviceInfo { backend, name: name.into(), driver: None, choice: None, warning: None }
    }

    /// The name, and of a GPU the driver: what numbers and times depend on.
    pub fn full_name(&self) -> String {
        match &self.driver {
            Some(driver) => format!("{}, {driver}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Backend {
    /// As written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Cpu => "cpu",
            Backend::Flex => "flex",
            Backend::Wgpu => "wgpu",
            Backend::Cuda => "cuda",
            Backend::Ndarray => "ndarray",
            Backend::Auto => "auto",
        }
    }

    /// Every backend of this build that names a device, in the order `auto` is not one of.
    pub fn compiled() -> Vec<Backend> {
        let all = [Backend::Cpu, Backend::Flex, Backend::Wgpu, Backend::Cuda, Backend::Ndarray];
        all.into_iter().filter(|backend| backend.is_compiled()).collect()
    }

    /// Whether this build can try it; [`Backend::Auto`] it always can.
    pub fn is_compiled(self) -> bool {
        match self {
            Backend::Cpu | Backend::Flex | Backend::Auto => true,
            Backend::Wgpu => cfg!(feature = "wgpu"),
            Backend::Cuda => cfg!(feature = "cuda"),
            Backend::Ndarray => cfg!(feature = "ndarray"),
        }
    }

    /// Whether its device computes after the call that asked for it has returned.
    pub(crate) fn runs_behind(self) -> bool {
        matches!(self, Backend::Wgpu | Backend::Cuda)
    }

    pub(crate) fn open(self) -> Result<(Device, DeviceInfo)> {
        let absent = Error::BackendAbsent { name: self.name() };
        match self {
            Backend::Cpu => cpu(),
            Backend::Flex => Ok(flex()),
            Backend::Wgpu => gpu().ok_or(absent)?.map(by_name),
            Backend::Auto => match gpu() {
                Some(Ok(gpu)) if gpu.is_software => {
                    without_gpu(&format!("{} is a software renderer", gpu.name))
                }
                Some(Ok(gpu)) => Ok(of_itself(gpu)),
                Some(Err(Error::NoDevice { reason, .. })) => without_gpu(&reason),
                Some(Err(error)) => without_gpu(&error.to_string()),
                None => without_gpu("this build has no GPU backend"),
            },
            Backend::Cuda => cuda().ok_or(absent),
            Backend::Ndarray => ndarray().ok_or(absent),
        }
    }
}

/// Limits the CPU threads of this process. Only the first call of a process has an effect, so binaries call
/// it once, before anything computes.
pub fn set_threads(threads: usize) {
    // An error only says that the pool already exists; its size was then chosen by an earlier call.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
}

/// A GPU that is open.
#[derive(Clone)]
struct Gpu {
    device: Device,
    name: String,
    driver: String,
    is_software: bool,
    /// Why this one of several.
    why: Option<String>,
}

/// A GPU that somebody asked for: also a renderer in software, which is told.
fn by_name(gpu: Gpu) -> (Device, DeviceInfo) {
    let name = &gpu.name;
    let warning = gpu.is_software.then(|| format!("{name} is a software renderer: correct, but very slow"));
    let choice = gpu.why.as_ref().map(|why| format!("using {name} through wgpu ({why})"));
    (gpu.device.clone(), DeviceInfo { choice, warning, ..of_gpu(&gpu) })
}

/// A GPU that nobody asked for.
fn of_itself(gpu: Gpu) -> (Device, DeviceInfo) {
    let why = gpu.why.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    let choice = format!("using {} through wgpu (auto: a GPU is there{why})", gpu.name);
    (gpu.device.clone(), DeviceInfo { choice: Some(choice), ..of_gpu(&gpu) })
}

fn of_gpu(gpu: &Gpu) -> DeviceInfo {
    DeviceInfo { driver: Some(gpu.driver.clone()), ..DeviceInfo::new(Backend::Wgpu, &gpu.name) }
}

fn cpu() -> Result<(Device, DeviceInfo)> {
    let name = format!("CPU ({})", crate::cpu::prepare()?);
    Ok((Device::flex(), DeviceInfo::new(Backend::Cpu, name)))
}

/// The processor in place of a GPU, and why.
fn without_gpu(reason: &str) -> Result<(Device, DeviceInfo)> {
    let (device, info) = cpu()?;
    Ok((device, DeviceInfo { choice: Some(format!("using the CPU (auto: {reason})")), ..info }))
}

fn flex() -> (Device, DeviceInfo) {
    (Device::flex(), DeviceInfo::new(Backend::Flex, "CPU"))
}

/// The GPU that is chosen, opened once a process; later callers share it. None in a build without a GPU backend.
#[cfg(feature = "wgpu")]
fn gpu() -> Option<Result<Gpu>> {
    use std::sync::OnceLock;

    static OPENED: OnceLock<std::result::Result<Gpu, String>> = OnceLock::new();
    let opened = OPENED.get_or_init(open_gpu).clone();
    Some(opened.map_err(|reason| Error::NoDevice { name: "wgpu", reason }))
}

#[cfg(not(feature = "wgpu"))]
fn gpu() -> Option<Result<Gpu>> {
    None
}

#[cfg(feature = "wgpu")]
fn open_gpu() -> std::result::Result<Gpu, String> {
    use adapters::{Adapter, NVIDIAS_FOLDER, choose};
    use burn::tensor::DeviceKind;
    use burn::tensor::wgpu::wgpu::DeviceType;

    const NVIDIA: u32 = 0x10de;
    let infos = gpus_here();
    let adapter = |info: &AdapterInfo| Adapter {
        name: info.name.clone(),
        pci: info.device_pci_bus_id.to_lowercase(),
        is_nvidia: info.vendor == NVIDIA,
        is_software: info.device_type == DeviceType::Cpu,
    };
    let adapters: Vec<Adapter> = infos.iter().map(adapter).collect();
    let choice = choose(&adapters, |name| std::env::var(name).ok(), NVIDIAS_FOLDER.as_ref())?;
    let info = &infos[choice.index];
    // burn counts the GPUs of a kind, in the same order.
    let number = infos[..choice.index].iter().filter(|other| other.device_type == info.device_type).count();
    let kind = match info.device_type {
        DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(number),
        DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(number),
        DeviceType::VirtualGpu => DeviceKind::VirtualGpu(number),
        DeviceType::Cpu => DeviceKind::Cpu,
        DeviceType::Other if choice.index == 0 => DeviceKind::DefaultDevice,
        DeviceType::Other => {
            return Err(format!("{} is of a kind that burn takes only as the first", info.name));
        }
    };
    let options = Device::wgpu_options().device_kind(kind);
    let (device, setup) = options.init_with_setup().map_err(|error| error.to_string())?;
    let info = setup.adapter.get_info();
    let driver = [&info.driver, &info.driver_info].map(|part| part.trim()).join(" ");
    Ok(Gpu {
        device,
        driver: format!("{}, {:?}, WGSL", driver.trim(), info.backend),
        is_software: info.device_type == DeviceType::Cpu,
        name: info.name,
        why: choice.why,
    })
}

/// Every GPU of this machine, in the order in which wgpu prefers them: discrete ones first, renderers in software last.
#[cfg(feature = "wgpu")]
fn gpus_here() -> Vec<AdapterInfo> {
    use burn::tensor::wgpu::wgpu::{Backends, DeviceType, Instance, InstanceDescriptor};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    let instance = Instance::new(InstanceDescriptor {
        backends: Backends::PRIMARY,
        ..InstanceDescriptor::new_without_display_handle()
    });
    let mut found = pin!(instance.enumerate_adapters(Backends::PRIMARY));
    let Poll::Ready(found) = found.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        unreachable!("only browsers let one wait for their GPUs")
    };
    let mut infos: Vec<_> = found.iter().map(wgpu::Adapter::get_info).collect();
    infos.sort_by_key(|info| match info.device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::Other => 2,
        DeviceType::VirtualGpu => 3,
        DeviceType::Cpu => 4,
    });
    // One API, as burn keeps to one: another may list the same GPUs again.
    if let Some(api) = infos.first().map(|info| info.backend) {
        infos.retain(|info| info.backend == api);
    }
    infos
}

#[cfg(feature = "cuda")]
fn cuda() -> Option<(Device, DeviceInfo)> {
    Some((Device::cuda(0usize), DeviceInfo::new(Backend::Cuda, "CUDA device 0")))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Option<(Device, DeviceInfo)> {
    None
}

#[cfg(feature = "ndarray")]
fn ndarray() -> Option<(Device, DeviceInfo)> {
    let warning = "burn-ndarray is deprecated, some 40 times slower than `cpu`, and can silently reorder \
                   elements (burn issue 5552): use it as a reference only";
    let info = DeviceInfo::new(Backend::Ndarray, "CPU");
    Some((Device::ndarray(), DeviceInfo { warning: Some(warning.into()), ..info }))
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Option<(Device, DeviceInfo)> {
    None
}

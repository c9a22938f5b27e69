//! Opening a device: which adapter is taken, and with which form of shaders.
//!
//! CubeCL takes the native form wherever the driver has the features for it, and asks the adapter for them. A device
//! for WGSL is therefore handed to it beside an adapter that does not tell which interface it belongs to.

use crate::error::Error;
use crate::shader::{Shader, VARIABLE};
use crate::width::{self, Width};
use cubecl::future::block_on;
use cubecl::wgpu::{RuntimeOptions, WgpuDevice, WgpuSetup, try_init_device};
use std::pin::Pin;
use wgpu::custom::{AdapterInterface, DispatchSurface, RequestDeviceFuture};
use wgpu::{
    AdapterInfo, Backend, Backends, Device, DeviceDescriptor, DeviceType, DownlevelCapabilities,
    ExperimentalFeatures, Features, Instance, InstanceDescriptor, Limits, MemoryHints, PresentationTimestamp,
    Queue, TextureFormat, TextureFormatFeatures, Trace,
};

/// An adapter that can be opened.
#[derive(Clone, Debug)]
pub struct Candidate {
    instance: Instance,
    adapter: wgpu::Adapter,
}

/// Every adapter of this machine's own interface (Vulkan, Metal or Direct3D 12), in the order in which they are preferred:
/// discrete GPUs first, renderers in software last.
pub fn candidates() -> Vec<Candidate> {
    let backends = Backends::PRIMARY;
    let instance =
        Instance::new(InstanceDescriptor { backends, ..InstanceDescriptor::new_without_display_handle() });
    let adapters = block_on(instance.enumerate_adapters(backends)).into_iter();
    let mut all: Vec<_> = adapters.map(|adapter| Candidate { instance: instance.clone(), adapter }).collect();
    all.sort_by_key(|candidate| match candidate.adapter.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::Other => 2,
        DeviceType::VirtualGpu => 3,
        DeviceType::Cpu => 4,
    });
    // Another interface may list the same ones again.
    if let Some(interface) = all.first().map(|first| first.adapter.get_info().backend) {
        all.retain(|candidate| candidate.adapter.get_info().backend == interface);
    }
    all
}

/// NVIDIA's number among the makers of PCI devices.
const NVIDIA: u32 = 0x10de;

impl Candidate {
    /// The part's name.
    pub fn name(&self) -> String {
        self.adapter.get_info().name
    }

    /// Its PCI address, such as `0000:3b:00.0`; empty where the driver does not tell.
    pub fn pci(&self) -> String {
        self.adapter.get_info().device_pci_bus_id.to_lowercase()
    }

    /// Whether NVIDIA made it.
    pub fn is_nvidia(&self) -> bool {
        self.adapter.get_info().vendor == NVIDIA
    }

    /// Whether it is a processor that plays a GPU.
    pub fn is_software(&self) -> bool {
        self.adapter.get_info().device_type == DeviceType::Cpu
    }

    /// Opens it. `XRAY_SHADER` (wgsl, spirv or msl) overrides the form of shaders that the driver is given, and
    /// `XRAY_GPU_WIDTH` (discrete, integrated or software) the kind of device that work is cut for.
    ///
    /// # Errors
    /// If the driver opens no device, the form asked for is refused, or there is no such kind.
    pub fn open(self) -> Result<Adapter, Error> {
        let Candidate { instance, adapter } = self;
        let backend = adapter.get_info().backend;
        let width =
            Width::choose(adapter.get_info().device_type, std::env::var_os(width::VARIABLE).as_deref())?;
        let asked = std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
        let shader = Shader::choose(&adapter.get_info(), asked.as_deref())?;
        let native = if shader == Shader::Wgsl { None } else { native_device(&adapter)? };
        // A driver that lacks a feature of the native form is as good as one that is not on the list.
        let (adapter, device, queue, shader) = match (native, asked) {
            (Some((device, queue)), _) => (adapter, device, queue, shader),
            (None, Some(asked)) if shader != Shader::Wgsl => {
                let reason = format!("{} lacks what {shader} needs", adapter.get_info().name);
                return Err(Error::Shader { asked, reason });
            }
            (None, _) => {
                let opened = translated_device(&adapter);
                let (device, queue) = opened.map_err(|error| Error::NoDevice(error.to_string()))?;
                (wgpu::Adapter::from_custom(Translated(adapter)), device, queue, Shader::Wgsl)
            }
        };
        Ok(Adapter { setup: WgpuSetup { instance, adapter, device, queue, backend }, shader, width })
    }
}

/// An adapter with an open device, for CubeCL and what is made of it.
#[derive(Debug)]
pub struct Adapter {
    setup: WgpuSetup,
    shader: Shader,
    width: Width,
}

impl Adapter {
    /// The driver and the form in which kernels reach it, such as `NVIDIA 580.159.04, Vulkan, SPIR-V`.
    pub fn driver(&self) -> String {
        driver(&self.setup.adapter.get_info(), self.shader)
    }

    /// What CubeCL is made of, for another of its users.
    pub fn into_setup(self) -> WgpuSetup {
        self.setup
    }

    pub(crate) fn width(&self) -> Width {
        self.width
    }

    /// Hands it to CubeCL, whose device this is from then on: once a process.
    ///
    /// # Errors
    /// If CubeCL does not take it.
    pub(crate) fn register(self) -> Result<WgpuDevice, Error> {
        let options = RuntimeOptions::try_default();
        let device = options.and_then(|options| try_init_device(self.setup, options));
        device.map_err(|error| Error::NoDevice(error.to_string()))
    }
}

fn driver(info: &AdapterInfo, shader: Shader) -> String {
    let interface = match info.backend {
        Backend::Vulkan => "Vulkan",
        Backend::Metal => "Metal",
        Backend::Dx12 => "Direct3D 12",
        Backend::Gl => "OpenGL",
        Backend::BrowserWebGpu => "WebGPU",
        Backend::Noop => "no driver",
    };
    let driver = [&info.driver, &info.driver_info].map(|part| part.trim()).join(" ");
    format!("{}, {interface}, {shader}", driver.trim())
}

/// A device with the extensions of the native form; none where the driver lacks one that it needs.
#[cfg(not(target_os = "macos"))]
fn native_device(adapter: &wgpu::Adapter) -> Result<Option<(Device, Queue)>, Error> {
    block_on(cubecl::wgpu::vulkan::try_request_vulkan_device(adapter))
        .map_err(|error| Error::NoDevice(error.to_string()))
}

/// A device with the extensions of the native form.
#[cfg(target_os = "macos")]
fn native_device(adapter: &wgpu::Adapter) -> Result<Option<(Device, Queue)>, Error> {
    block_on(cubecl::wgpu::metal::try_request_metal_device(adapter))
        .map(Some)
        .map_err(|error| Error::NoDevice(error.to_string()))
}

/// A device with every feature of the adapter but wgpu's experimental ones, which no kernel of WGSL uses: as CubeCL asks
/// for one otherwise.
fn translated_device(adapter: &wgpu::Adapter) -> Result<(Device, Queue), wgpu::RequestDeviceError> {
    block_on(
        adapter.request_device(&DeviceDescriptor {
            label: None,
            // With the second, buffers that the host maps would all lie where the host reaches them.
            required_features: adapter
                .features()
                .difference(Features::all_experimental_mask() | Features::MAPPABLE_PRIMARY_BUFFERS),
            required_limits: adapter.limits(),
            // CubeCL takes memory in large pages itself.
            memory_hints: MemoryHints::MemoryUsage,
            trace: Trace::Off,
            experimental_features: ExperimentalFeatures::disabled(),
        }),
    )
}

/// An adapter that answers as the one in it, but does not tell its interface.
#[derive(Debug)]
struct Translated(wgpu::Adapter);

impl AdapterInterface for Translated {
    fn request_device(&self, _: &DeviceDescriptor<'_>) -> Pin<Box<dyn RequestDeviceFuture>> {
        unreachable!("the device was opened before the adapter was put here")
    }

    fn is_surface_supported(&self, _: &DispatchSurface) -> bool {
        false
    }

    fn features(&self) -> Features {
        self.0.features()
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn downlevel_capabilities(&self) -> DownlevelCapabilities {
        self.0.get_downlevel_capabilities()
    }

    fn get_info(&self) -> AdapterInfo {
        self.0.get_info()
    }

    fn get_texture_format_features(&self, format: TextureFormat) -> TextureFormatFeatures {
        self.0.get_texture_format_features(format)
    }

    fn get_presentation_timestamp(&self) -> PresentationTimestamp {
        self.0.get_presentation_timestamp()
    }

    fn cooperative_matrix_properties(&self) -> Vec<wgpu::CooperativeMatrixProperties> {
        self.0.cooperative_matrix_properties()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_named_with_interface_and_form() {
        let info = AdapterInfo {
            driver: "NVIDIA".into(),
            driver_info: "580.159.04".into(),
            ..AdapterInfo::new(DeviceType::DiscreteGpu, Backend::Vulkan)
        };
        assert_eq!(driver(&info, Shader::SpirV), "NVIDIA 580.159.04, Vulkan, SPIR-V");
    }
}

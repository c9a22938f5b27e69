//! A device: where kernels are launched, what it allows, and what was launched.

use crate::adapter::{Adapter, candidates};
use crate::convolution::{Block, Products, Tile};
use crate::error::Error;
use crate::pass::{Counts, Pass};
use crate::precision::{Precision, instruction};
use crate::width::Width;
use cubecl::prelude::*;
use cubecl::wgpu::WgpuDevice;
use std::sync::Mutex;
use std::time::Instant;

/// What a device allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that a group shares.
    pub shared_memory: usize,
    /// Units of a group.
    pub units: usize,
    /// Groups along the three axes.
    pub groups: [u32; 3],
    /// Bytes of a buffer; every device allows 128 MiB.
    pub buffer: u64,
    /// Smallest and largest number of units that run in step.
    pub plane: [u32; 2],
}

/// A device that kernels are launched on, in order. It counts them, and how often the host waits.
pub struct Gpu {
    client: Client,
    limits: Limits,
    products: Products,
    counts: Mutex<Counts>,
    trace: Mutex<Option<Trace>>,
    /// Nothing is computed, and buffers hold nothing.
    only_counts: bool,
}

/// Seconds of launches, in their order.
#[derive(Default)]
struct Trace {
    running: Option<(&'static str, Instant)>,
    ended: Vec<(&'static str, f64)>,
}

impl Gpu {
    /// The adapter that is preferred, opened once a process: see [`candidates`].
    ///
    /// # Errors
    /// If there is none, or it does not take the form of shaders that was asked for.
    pub fn open() -> Result<Self, Error> {
        static DEVICE: Mutex<Option<(WgpuDevice, Width)>> = Mutex::new(None);
        let mut opened = DEVICE.lock().expect("no panic while opening");
        let (device, width) = match opened.clone() {
            Some(known) => known,
            None => {
                let none = || Error::NoDevice("no driver offers one".to_owned());
                let preferred = candidates().into_iter().next().ok_or_else(none)?;
                let adapter = preferred.open()?;
                let width = adapter.width();
                opened.insert((adapter.register()?, width)).clone()
            }
        };
        Ok(Self::new(cubecl::Device::Wgpu(device).client(), width))
    }

    /// A device on an adapter of one's own choice, of which a process has only this one.
    ///
    /// # Errors
    /// If CubeCL does not take it.
    pub fn on(adapter: Adapter) -> Result<Self, Error> {
        let width = adapter.width();
        Ok(Self::new(cubecl::Device::Wgpu(adapter.register()?).client(), width))
    }

    fn new(client: Client, width: Width) -> Self {
        let properties = client.properties();
        let hardware = &properties.hardware;
        let limits = Limits {
            shared_memory: hardware.max_shared_memory_size,
            units: hardware.max_units_per_cube as usize,
            groups: [hardware.max_cube_count.0, hardware.max_cube_count.1, hardware.max_cube_count.2],
            // Kernels count in u32, and an index must not wrap.
            buffer: properties.memory.max_page_size.min(u64::from(u32::MAX)),
            plane: [hardware.plane_size_min, hardware.plane_size_max],
        };
        Self::of(client, limits, Products::of(width))
    }

    fn of(client: Client, limits: Limits, products: Products) -> Self {
        Self {
            client,
            limits,
            products,
            counts: Mutex::default(),
            trace: Mutex::default(),
            only_counts: false,
        }
    }

    /// The same device, counted apart, on which nothing is computed: launches are counted, and buffers have lengths that
    /// the device would allow but no memory. What work comes to is found out so before it is done.
    pub fn counting(&self) -> Self {
        Self { only_counts: true, ..self.with(self.products.clone()) }
    }

    /// The precisions that it offers, the most exact first. [`Precision::F32`] every device does; the others need
    /// matrix instructions, which WGSL has not.
    pub fn precisions(&self) -> Vec<Precision> {
        let usable = |p: &Precision| *p == Precision::F32 || self.products_of(*p).is_some();
        Precision::ALL.into_iter().filter(usable).collect()
    }

    /// The same device, counted apart, with convolutions whose factors are rounded to a precision.
    ///
    /// # Errors
    /// If the device does not offer it.
    pub fn with_precision(&self, asked: Precision) -> Result<Self, Error> {
        let products = match asked {
            Precision::F32 => Some(self.products.in_registers()),
            _ => self.products_of(asked),
        };
        match products {
            Some(products) => Ok(self.with(products)),
            None => Err(Error::Precision { asked, offered: self.precisions() }),
        }
    }

    /// The same device, counted apart, with another table of tiles for products in float32 and their speeds against
    /// each other: see [`TILES`](crate::TILES).
    ///
    /// # Panics
    /// If the table is empty, or a kernel could not load one of its tiles.
    pub fn with_tiles(&self, tiles: &[(Tile, f64)]) -> Self {
        self.with(self.products.clone().with_tiles(tiles))
    }

    /// The same device, counted apart, with another table of blocks for products by matrix instructions: see
    /// [`BLOCKS`](crate::BLOCKS). Blocks that do not suit the device are left out; none where all are, or where
    /// [`Gpu::precision`] needs no instructions.
    pub fn with_blocks(&self, blocks: &[(Block, f64)]) -> Option<Self> {
        Some(self.with(self.products.clone().with_blocks(blocks)?))
    }

    /// The same device, counted apart, with work cut for one of another kind.
    pub fn with_width(&self, width: Width) -> Self {
        self.with(self.products.clone().with_width(width))
    }

    fn with(&self, products: Products) -> Self {
        Self { only_counts: self.only_counts, ..Self::of(self.client.clone(), self.limits, products) }
    }

    /// How it makes products, which says what they launch.
    pub fn products(&self) -> &Products {
        &self.products
    }

    /// What the factors of convolutions are rounded to.
    pub fn precision(&self) -> Precision {
        self.products.precision()
    }

    fn products_of(&self, precision: Precision) -> Option<Products> {
        let instruction = instruction(self.client.properties(), precision)?;
        self.products.clone().with_instruction(precision, instruction, self.limits)
    }

    /// What it allows.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Everything launched and read since [`Gpu::reset_counts`].
    pub fn counts(&self) -> Counts {
        *self.counts.lock().expect("no panic while counting")
    }

    /// Counts from zero again.
    pub fn reset_counts(&self) {
        *self.counts.lock().expect("no panic while counting") = Counts::default();
    }

    /// Runs `work` with a wait after every launch. Names and seconds of the launches, in their order: where time goes,
    /// though more of it than without the waits.
    pub fn traced<R>(&self, work: impl FnOnce() -> R) -> (R, Vec<(&'static str, f64)>) {
        *self.trace.lock().expect("no panic while tracing") = Some(Trace::default());
        let result = work();
        let trace = self.trace.lock().expect("no panic while tracing").take();
        let mut trace = trace.expect("put there above");
        self.end(&mut trace);
        (result, trace.ended)
    }

    /// Waits until everything launched has run.
    ///
    /// # Errors
    /// If the device failed.
    pub fn wait(&self) -> Result<(), Error> {
        self.count_read();
        self.finish()
    }

    fn finish(&self) -> Result<(), Error> {
        cubecl::future::block_on(self.client.sync()).map_err(|error| Error::Device(format!("{error:?}")))
    }

    /// The client to launch a pass on, which is counted.
    pub(crate) fn launch(&self, pass: &Pass) -> &Client {
        self.count(pass);
        if let Some(trace) = self.trace.lock().expect("no panic while tracing").as_mut() {
            self.end(trace);
            trace.running = Some((pass.name, Instant::now()));
        }
        &self.client
    }

    /// Counts a launch that is not made.
    pub fn count(&self, pass: &Pass) {
        *self.counts.lock().expect("no panic while counting") += pass;
    }

    /// Counts a time that the host waits.
    pub(crate) fn count_read(&self) {
        self.counts.lock().expect("no panic while counting").reads += 1;
    }

    fn end(&self, trace: &mut Trace) {
        if let Some((name, start)) = trace.running.take() {
            // A device that failed says so when it is read.
            let _failed = self.finish();
            trace.ended.push((name, start.elapsed().as_secs_f64()));
        }
    }

    /// The groups of a launch.
    pub(crate) fn grid(&self, pass: &Pass) -> CubeCount {
        if self.only_counts { CubeCount::Static(0, 0, 0) } else { pass.grid() }
    }

    /// Bytes of memory for a buffer of that many.
    pub(crate) fn memory(&self, bytes: usize) -> usize {
        if self.only_counts { 4 } else { bytes.max(4) }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

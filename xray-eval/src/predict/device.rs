//! Who computes: the network in this process, on the processor; or `xray-train-gpu` beside this program, which has a GPU
//! and is given images that were prepared here.

use std::collections::VecDeque;
use std::env::{self, consts::EXE_SUFFIX};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use xray_artifacts::{Exit, Failure};
use xray_bundle::{BegunNetworks, Bundle};
use xray_cli::say;
use xray_model::Backend;
use xray_train::logits::{FORMAT, Greeting};

/// The device that computes.
pub(crate) enum Device {
    Here(VecDeque<BegunNetworks>),
    There(Box<There>),
}

impl Device {
    /// Opens what is asked for: `cpu` is this process, others are a program's that has a GPU.
    ///
    /// # Errors
    /// If there is no such program, or it has no such device.
    pub(crate) fn open(backend: Backend, folder: &Path) -> Result<Device, Failure> {
        match (backend, sibling()) {
            (Backend::Cpu, _) => Ok(Device::Here(VecDeque::new())),
            (Backend::Auto, None) => {
                say("note: using the CPU (auto: xray-train-gpu is not beside this program)");
                Ok(Device::Here(VecDeque::new()))
            }
            (_, Some(program)) => Ok(Device::There(Box::new(There::start(&program, backend, folder)?))),
            (_, None) => {
                let message = format!(
                    "backend `{}` is xray-train-gpu's, which is not beside this program",
                    backend.name()
                );
                Err(Failure::new(Exit::CannotRunHere, message)
                    .hint("`cargo xtask build --gpu` builds it; or use --backend cpu"))
            }
        }
    }

    /// What rounding depends on.
    pub(crate) fn name(&self) -> String {
        match self {
            Device::Here(_) => Backend::Cpu.name().to_owned(),
            Device::There(there) if there.greeting.backend == Backend::Cpu => Backend::Cpu.name().to_owned(),
            Device::There(there) => format!("{} ({})", there.greeting.backend.name(), there.greeting.device),
        }
    }

    /// Begins with a batch of prepared images.
    ///
    /// # Errors
    /// If the device failed.
    pub(crate) fn begin(&mut self, bundle: &Bundle, pixels: Vec<f32>) -> Result<(), Failure> {
        match self {
            Device::Here(begun) => {
                begun.push_back(bundle.begin(&pixels)?);
                Ok(())
            }
            Device::There(there) => there.begin(bundle, pixels),
        }
    }

    /// The outputs `[n, outputs]` of the batch that was begun first.
    ///
    /// # Errors
    /// If the device failed.
    pub(crate) fn finish(&mut self) -> Result<Vec<f32>, Failure> {
        match self {
            Device::Here(begun) => Ok(begun.pop_front().expect("one was begun").outputs()?),
            Device::There(there) => there.finish(),
        }
    }
}

/// The program in this one's folder.
fn sibling() -> Option<PathBuf> {
    let program = env::current_exe().ok()?.with_file_name(format!("xray-train-gpu{EXE_SUFFIX}"));
    program.is_file().then_some(program)
}

/// A program that computes.
pub(crate) struct There {
    child: Child,
    greeting: Greeting,
    output: BufReader<ChildStdout>,
    /// Batches for a thread that writes them, so that neither side waits for the other to read. None once it failed.
    batches: Option<SyncSender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
    /// How many logits each batch has that is not answered yet.
    open: VecDeque<usize>,
}

impl There {
    fn start(program: &Path, backend: Backend, folder: &Path) -> Result<There, Failure> {
        let mut command = Command::new(program);
        command.arg("--logits").arg(folder).args(["--backend", backend.name()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let cannot =
            |error| Failure::new(Exit::Unexpected, format!("cannot start {}: {error}", program.display()));
        let mut child = command.spawn().map_err(cannot)?;
        let input = child.stdin.take().expect("piped");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let (batches, to_write) = sync_channel::<Vec<u8>>(1);
        let writer = thread::spawn(move || write(input, &to_write));
        let mut line = String::new();
        let read = output.by_ref().take(1 << 16).read_line(&mut line);
        let greeting = read.ok().and_then(|_| serde_json::from_str::<Greeting>(&line).ok());
        let Some(greeting) = greeting.filter(|greeting| greeting.logits_format == FORMAT) else {
            return Err(ended(&mut child, program));
        };
        greeting.notes.iter().for_each(|note| say(format_args!("note: {note}")));
        Ok(There {
            child,
            greeting,
            output,
            batches: Some(batches),
            writer: Some(writer),
            open: VecDeque::new(),
        })
    }

    fn begin(&mut self, bundle: &Bundle, pixels: Vec<f32>) -> Result<(), Failure> {
        let size = bundle.card.preprocessing.size as usize;
        let images = pixels.len() / (size * size);
        self.open.push_back(images * bundle.outputs());
        self.send(images, &pixels)
    }

    fn finish(&mut self) -> Result<Vec<f32>, Failure> {
        if self.open.len() == 1 {
            // Nothing follows that the answer could wait for.
            self.send(0, &[])?;
        }
        let logits = self.open.pop_front().expect("one was begun");
        let mut bytes = vec![0; logits * 4];
        match self.output.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
            Err(_) => Err(self.ended()),
        }
    }

    fn send(&mut self, images: usize, pixels: &[f32]) -> Result<(), Failure> {
        let count = (images as u32).to_le_bytes();
        let bytes = count.into_iter().chain(pixels.iter().flat_map(|value| value.to_le_bytes())).collect();
        match self.batches.as_ref().map(|batches| batches.send(bytes)) {
            Some(Ok(())) => Ok(()),
            _ => Err(self.ended()),
        }
    }

    fn ended(&mut self) -> Failure {
        ended(&mut self.child, Path::new("xray-train-gpu"))
    }
}

/// Why the program is of no use: it has said so on stderr, which is this program's too.
fn ended(child: &mut Child, program: &Path) -> Failure {
    let _ = child.kill();
    let code = child.wait().ok().and_then(|status| status.code());
    let exit = code.and_then(|code| Exit::from_code(u8::try_from(code).ok()?)).unwrap_or(Exit::Unexpected);
    let exit = if exit == Exit::Ok { Exit::Unexpected } else { exit };
    Failure::new(exit, format!("{} gave no logits", program.display()))
        .hint("its message is above; --backend cpu does not need it")
}

fn write(mut input: impl Write, batches: &Receiver<Vec<u8>>) {
    for batch in batches {
        // Whoever reads the answers finds out.
        if input.write_all(&batch).and_then(|()| input.flush()).is_err() {
            return;
        }
    }
}

impl Drop for There {
    fn drop(&mut self) {
        // The end of its input is the end of the program; batches that nobody waits for need not be computed.
        self.batches = None;
        if !self.open.is_empty() {
            let _ = self.child.kill();
        }
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        let _ = self.child.wait();
    }
}

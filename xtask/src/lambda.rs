//! `cargo xtask lambda`: the packaged function behind cargo-lambda's emulator, as it would run on AWS.

use crate::package::lambda::{BOOTSTRAP, ZIP, default_folder};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use xray_workspace::ProgramArguments;
use xray_workspace::steps::{command, output};

/// Run the packaged Lambda function behind a local emulator, and compare its answers with `xray-serve check`
///
/// The emulator is cargo-lambda (`pip install cargo-lambda`), which speaks Lambda's runtime API to the function and
/// HTTP to whoever asks. Needs curl.
#[derive(Debug, Args)]
pub(crate) struct EmulatorArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// What `cargo xtask package lambda` made [default: lambda/xray-lambda.zip in the target folder]
    #[arg(long, value_name = "FILE")]
    zip: Option<PathBuf>,

    /// X-rays to ask about
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    image: Vec<PathBuf>,

    /// The emulator
    #[arg(long, value_name = "FILE", default_value = "cargo-lambda")]
    emulator: PathBuf,

    /// How often the function is started
    #[arg(long, value_name = "N", default_value = "5")]
    starts: usize,
}

/// As in deploy/template.yaml it might be called.
const FUNCTION: &str = "xray-lambda";

/// For whatever must come up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts it, asks it, compares, says what it took.
#[expect(clippy::print_stdout, reason = "the answer")]
pub(crate) fn run(arguments: &EmulatorArguments) -> Result<()> {
    let serve = arguments.programs.get_only(&["xray-serve"])?.path("xray-serve")?;
    let zip = match &arguments.zip {
        Some(zip) => std::path::absolute(zip)?,
        None => default_folder()?.join(ZIP),
    };
    let folder = tempfile::tempdir()?;
    let file = fs::File::open(&zip).with_context(|| {
        format!("cannot open {}\n hint: cargo xtask package lambda --model BUNDLE", zip.display())
    })?;
    zip::ZipArchive::new(file)?.extract(folder.path())?;
    println!("{}: {:.1} MB", zip.display(), fs::metadata(&zip)?.len() as f64 / 1e6);

    let emulator = Emulator::start(&arguments.emulator)?;
    let mut inits = Vec::new();
    for _ in 1..arguments.starts {
        let (function, took) = emulator.start_function(folder.path())?;
        inits.push(took);
        drop(function);
    }
    let (function, took) = emulator.start_function(folder.path())?;
    inits.push(took);
    inits.sort();
    println!(
        "started and answered /ready: median {:.0} ms, at most {:.0} ms of {}",
        milliseconds(inits[inits.len() / 2]),
        milliseconds(inits[inits.len() - 1]),
        inits.len()
    );

    let mut answers = Vec::new();
    for image in &arguments.image {
        let start = Instant::now();
        let said = emulator.predict(image)?;
        answers.push(start.elapsed());
        let expected = output(
            command(&serve)
                .arg("check")
                .arg(folder.path().join("model"))
                .arg(image)
                .args(["--format", "json"]),
        )?;
        let expected: Value = serde_json::from_str(&expected)?;
        let findings = &said["images"][0]["findings"];
        ensure!(findings.is_array(), "{}: no findings in {said}", image.display());
        ensure!(
            *findings == expected["findings"],
            "{}: other findings than `xray-serve check`",
            image.display()
        );
    }
    println!("{} images: the findings of `xray-serve check`, bit by bit", answers.len());
    let first = answers[0];
    answers.sort();
    println!(
        "an answer, with curl and the emulator: first {:.0} ms, median {:.0} ms",
        milliseconds(first),
        milliseconds(answers[answers.len() / 2])
    );
    let page = emulator.ask("/", &[])?;
    ensure!(page.contains("</html>"), "the page ends before its end: {page}");
    println!("the page: {} bytes", page.len());
    let refused =
        emulator.ask("/v1/predict", &["--data-binary", "no image", "--header", "Content-Type: image/png"])?;
    ensure!(refused.contains("\"error\""), "a text was taken for an image: {refused}");
    println!("memory at most: {:.0} MiB", function.peak_mib()?);
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A child that ends with its owner.
struct Process(Child);

impl Process {
    fn peak_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Emulator {
    address: SocketAddr,
    _process: Process,
}

impl Emulator {
    fn start(program: &Path) -> Result<Emulator> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let process = command(program)
            .args(["lambda", "watch", "--only-lambda-apis", "--ignore-changes", "--quiet"])
            .args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| {
                format!("cannot start {}\n hint: pip install cargo-lambda", program.display())
            })?;
        let mut process = Process(process);
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.0.try_wait()? {
                bail!("the emulator ended with {status}");
            }
            ensure!(begin.elapsed() < PATIENCE, "the emulator does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Emulator { address, _process: process })
    }

    /// Starts the function, for which a request waits already, and gives how long it took to answer that.
    fn start_function(&self, folder: &Path) -> Result<(Process, Duration)> {
        thread::scope(|scope| {
            let ready = scope.spawn(|| self.ask("/ready", &[]).map(|said| (said, Instant::now())));
            thread::sleep(Duration::from_millis(200));
            let begin = Instant::now();
            let function = self.function(folder).spawn().context("cannot start the function")?;
            let function = Process(function);
            let (said, end) = ready.join().expect("asking does not panic")?;
            ensure!(!said.contains("error"), "the function is not ready: {said}");
            Ok((function, end - begin))
        })
    }

    /// With what AWS gives a function to know, and nothing else.
    fn function(&self, folder: &Path) -> Command {
        let mut function = Command::new(folder.join(BOOTSTRAP));
        function.env_clear().current_dir(folder).stdin(Stdio::null()).stderr(Stdio::null());
        function.envs([
            ("AWS_LAMBDA_RUNTIME_API", format!("http://{}/.rt/{FUNCTION}", self.address).as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", FUNCTION),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/xray-lambda"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "emulator"),
        ]);
        function
    }

    fn predict(&self, image: &Path) -> Result<Value> {
        let body = format!("@{}", image.display());
        let said = self.ask(
            "/v1/predict",
            &["--data-binary", &body, "--header", "Content-Type: application/octet-stream"],
        )?;
        serde_json::from_str(&said).with_context(|| format!("no JSON: {said}"))
    }

    fn ask(&self, path: &str, arguments: &[&str]) -> Result<String> {
        let url = format!("http://{}/lambda-url/{FUNCTION}{path}", self.address);
        output(
            command("curl").args(["--silent", "--show-error", "--max-time", "30"]).args(arguments).arg(url),
        )
    }
}

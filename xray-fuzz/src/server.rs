//! `xray-serve` under a limit of its address space: started, watched, started again when it died.

use crate::answer::{self, Answer};
use crate::fault::{Fault, Limits, What};
use crate::program::limited;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use xray_workspace::watch::{last_words, memory_mib, panic_in};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a client waits before it gives up, which tells an answer that is slow from one that never comes.
const NEVER: Duration = Duration::from_secs(10);

/// A server that is attacked.
pub(crate) struct Server {
    program: PathBuf,
    bundle: PathBuf,
    log: PathBuf,
    limits: Limits,
    running: Running,
    /// A good image, and what was said of it first.
    good: (Vec<u8>, serde_json::Value),
    /// The most memory that was seen, above that at rest.
    pub(crate) growth_mib: f64,
}

struct Running {
    child: Child,
    address: SocketAddr,
    log: File,
    /// Memory after some images.
    warm_mib: f64,
}

impl Server {
    pub(crate) fn start(
        program: &Path,
        bundle: &Path,
        log: &Path,
        good: Vec<u8>,
        limits: Limits,
    ) -> Result<Server> {
        let mut running = Running::start(program, bundle, log, &limits)?;
        let said = running.warm_up(&good)?;
        Ok(Server {
            program: program.to_owned(),
            bundle: bundle.to_owned(),
            log: log.to_owned(),
            limits,
            running,
            good: (good, said),
            growth_mib: 0.0,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// What went wrong since this was last asked, of a server that did not answer somebody: its death may take a moment.
    pub(crate) fn look_closely(&mut self) -> Result<Option<Fault>> {
        std::thread::sleep(Duration::from_millis(200));
        self.look()
    }

    /// What went wrong since this was last asked: a death, a panic, or memory. After a death, or when much memory is
    /// taken, a new server is started.
    pub(crate) fn look(&mut self) -> Result<Option<Fault>> {
        let ended = self.running.ended()?;
        let news = self.running.news()?;
        if let Some(status) = ended {
            let last = last_words(&news);
            let how = status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
            self.restart()?;
            return Ok(Some(Fault::new(What::Death, format!("{how}; {last}"))));
        }
        if let Some(panic) = panic_in(&news) {
            return Ok(Some(Fault::new(What::Panic, panic)));
        }
        let growth = self.running.growth_mib();
        self.growth_mib = self.growth_mib.max(growth);
        if growth > self.limits.growth_mib {
            self.restart()?;
            return Ok(Some(Fault::new(What::Memory, format!("{growth:.0} MiB more than at rest"))));
        }
        Ok(None)
    }

    /// Whether it says that it is well, and says the same of a good image as at first.
    pub(crate) fn is_well(&mut self) -> Result<Option<Fault>> {
        if let Some(fault) = self.look()? {
            return Ok(Some(fault));
        }
        let health = Connection::open(self.address())
            .and_then(|mut connection| connection.ask(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
        if health.as_ref().map_or(0, |answer| answer.status) != 200 {
            return Ok(Some(Fault::new(What::Answer, format!("/health: {}", told(&health)))));
        }
        // It may be busy with what a client left behind.
        for _ in 0..20 {
            match findings(self.address(), &self.good.0) {
                Ok((200, said)) if said == self.good.1 => return Ok(None),
                Ok((503, _)) => std::thread::sleep(Duration::from_millis(250)),
                Ok((status, said)) => {
                    return Ok(Some(Fault::new(What::Changed, format!("a good image: {status} {said}"))));
                }
                Err(error) => return Ok(Some(Fault::new(What::Answer, format!("a good image: {error}")))),
            }
        }
        Ok(Some(Fault::new(What::Answer, "a good image: 503 for five seconds")))
    }

    fn restart(&mut self) -> Result<()> {
        let _ = self.running.child.kill();
        let _ = self.running.child.wait();
        self.running = Running::start(&self.program, &self.bundle, &self.log, &self.limits)?;
        self.running.warm_up(&self.good.0).map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.running.child.kill();
        let _ = self.running.child.wait();
    }
}

impl Running {
    fn start(program: &Path, bundle: &Path, log: &Path, limits: &Limits) -> Result<Running> {
        let mut command = limited(program, limits);
        command.arg("--model").arg(bundle).args(["--bind", "127.0.0.1:0", "--workers", "2"]);
        // What else is read of a head.
        command.args(["--trusted-proxy", "127.0.0.1", "--allow-origin", "*"]);
        let mut child = command.stdout(Stdio::null()).stderr(File::create(log)?).spawn()?;
        let begin = Instant::now();
        let address = loop {
            let said = fs::read_to_string(log)?;
            if let Some(address) = said.lines().find_map(address_in) {
                break address;
            }
            if let Some(status) = child.try_wait()? {
                bail!("xray-serve ended with {status} before it served: {said}");
            }
            ensure!(begin.elapsed() < PATIENCE, "xray-serve does not start: {said}");
            std::thread::sleep(Duration::from_millis(2));
        };
        Ok(Running { child, address, log: File::open(log)?, warm_mib: 0.0 })
    }

    /// Answers some images, so that buffers and threads are there, and notes what it takes then.
    fn warm_up(&mut self, good: &[u8]) -> Result<serde_json::Value> {
        let address = self.address;
        let asked = || {
            (1..8).for_each(|_| drop(findings(address, good)));
            findings(address, good)
        };
        let said = std::thread::scope(|scope| {
            let clients = [scope.spawn(asked), scope.spawn(asked)];
            clients.map(|client| client.join().expect("a client does not panic"))
        });
        self.news()?;
        self.warm_mib = memory_mib(self.child.id(), "VmRSS:").context("xray-serve ended")?;
        match said {
            [Ok((200, said)), _] => Ok(said),
            [Ok((status, said)), _] => bail!("a good image is answered {status} {said}"),
            [Err(error), _] => Err(error).context("a good image is not answered"),
        }
    }

    fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        let begin = Instant::now();
        loop {
            let ended = self.child.try_wait()?;
            // A process that is dying takes a moment after its sockets are closed.
            let is_dying = begin.elapsed() < PATIENCE && TcpStream::connect(self.address).is_err();
            if ended.is_some() || !is_dying {
                return Ok(ended);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn news(&mut self) -> Result<String> {
        let mut new = Vec::new();
        self.log.read_to_end(&mut new)?;
        Ok(String::from_utf8_lossy(&new).into_owned())
    }

    /// Since this was last asked, where the system forgets the peak when it is told to.
    fn growth_mib(&self) -> f64 {
        let peak = memory_mib(self.child.id(), "VmHWM:").unwrap_or(0.0);
        let _ = fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
        (peak - self.warm_mib).max(0.0)
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    event["address"].as_str()?.strip_prefix("http://")?.parse().ok()
}

/// Status and findings of an image, without what it took.
fn findings(address: SocketAddr, image: &[u8]) -> std::io::Result<(u16, serde_json::Value)> {
    let answer = Connection::open(address)?.ask(&request("/v1/predict", "image/png", image))?;
    let mut said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    for image in said["images"].as_array_mut().into_iter().flatten() {
        image.as_object_mut().map(|image| image.remove("milliseconds"));
    }
    Ok((answer.status, said))
}

/// A request with a body.
pub(crate) fn request(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A connection that takes one request after another.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(NEVER))?;
        stream.set_write_timeout(Some(NEVER))?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// Sends a request and reads its answer. A server may answer and close before it has read all.
    pub(crate) fn ask(&mut self, request: &[u8]) -> std::io::Result<Answer> {
        let sent = self.0.get_mut().write_all(request);
        let answer = answer::read(&mut self.0, false)?;
        answer.map_or_else(|| sent.and(Err(std::io::ErrorKind::UnexpectedEof.into())), Ok)
    }
}

/// An answer in a few words.
pub(crate) fn told(answer: &std::io::Result<Answer>) -> String {
    match answer {
        Ok(Answer { status, body, .. }) => {
            format!("{status} {}", String::from_utf8_lossy(&body[..body.len().min(200)]))
        }
        Err(error) => error.to_string(),
    }
}

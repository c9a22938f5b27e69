//! A server that is measured: started, watched, ended.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use xray_workspace::steps::{self, command, output};

/// A process and its children, which answer HTTP on a port of this machine.
pub(crate) struct Server {
    child: Child,
    port: u16,
    ready: Duration,
}

/// How long it may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

impl Server {
    /// Starts a command that gets a free port by `on`, and waits for `/health`.
    pub(crate) fn start(
        mut serve: Command,
        on: impl FnOnce(&mut Command, u16) -> &mut Command,
    ) -> Result<Server> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        on(&mut serve, port).stdout(Stdio::null()).stderr(Stdio::null());
        let begin = Instant::now();
        let child = serve.spawn().with_context(|| format!("cannot start {}", steps::line(&serve)))?;
        let mut server = Server { child, port, ready: Duration::ZERO };
        while !answers(port) {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} ended with {status}", steps::line(&serve));
            }
            ensure!(begin.elapsed() < PATIENCE, "{} does not answer", steps::line(&serve));
            thread::sleep(Duration::from_millis(1));
        }
        server.ready = begin.elapsed();
        Ok(server)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Descriptors of the process, without its children's.
    pub(crate) fn open_files(&self) -> Result<usize> {
        let folder = format!("/proc/{}/fd", self.child.id());
        Ok(fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?.count())
    }

    /// From start to the first answer.
    pub(crate) fn ready_ms(&self) -> f64 {
        self.ready.as_secs_f64() * 1e3
    }

    /// What `/health` says of them, if anything.
    pub(crate) fn versions(&self) -> Result<BTreeMap<String, String>> {
        let said = output(command("curl").args(["-sS", &self.url("/health")]))?;
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        let versions = said["versions"].as_object().into_iter().flatten();
        Ok(versions
            .filter_map(|(name, version)| Some((name.clone(), version.as_str()?.to_owned())))
            .collect())
    }

    /// Resident memory of all its processes.
    pub(crate) fn memory_mib(&self) -> Result<f64> {
        self.sum("VmRSS:")
    }

    /// The same at most, so far.
    pub(crate) fn peak_mib(&self) -> Result<f64> {
        self.sum("VmHWM:")
    }

    fn sum(&self, field: &str) -> Result<f64> {
        let mut all = vec![self.child.id()];
        let mut at = 0;
        while let Some(process) = all.get(at) {
            let children =
                fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            at += 1;
        }
        let kibibytes = |process: &u32| {
            // A child may have ended meanwhile.
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()
        };
        let sum: f64 = all.iter().filter_map(kibibytes).sum();
        ensure!(sum > 0.0, "the server ended");
        Ok(sum / 1024.0)
    }
}

fn answers(port: u16) -> bool {
    use std::io::{Read, Write};
    let ask = || -> std::io::Result<bool> {
        let mut stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b"200"))
    };
    ask().unwrap_or(false)
}

impl Drop for Server {
    /// Asked to end, so that it ends its children.
    fn drop(&mut self) {
        let _ = command("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

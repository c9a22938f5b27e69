//! The program in a process of its own, whose log is a file.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A process that ends with its owner.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, whose log is a file.
pub(crate) struct Server {
    process: Process,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Server {
    pub(crate) fn start(model: &Path, flags: &[&str]) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_xray-serve"));
        command.arg("--model").arg(model).args(["--bind", "127.0.0.1:0", "--workers", "2"]).args(flags);
        let child = command.stderr(File::create(&log).expect("writable")).spawn().expect("it starts");
        let mut server = Server { process: Process(child), address: ([127, 0, 0, 1], 0).into(), folder };
        let ready = server.wait_for(1, "ready").remove(0);
        let address = ready["address"].as_str().and_then(|address| address.strip_prefix("http://"));
        server.address = address.expect("said").parse().expect("an address");
        server
    }

    pub(crate) fn log(&self, event: &str) -> Vec<serde_json::Value> {
        let text = self.whole_log();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter(|line| line["event"] == event).collect()
    }

    pub(crate) fn whole_log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("written")
    }

    pub(crate) fn wait_for(&self, count: usize, event: &str) -> Vec<serde_json::Value> {
        let begin = Instant::now();
        loop {
            let lines = self.log(event);
            if lines.len() >= count {
                return lines;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "{} {event}", lines.len());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The line about the request of this id.
    pub(crate) fn wait_for_request(&self, id: &str) -> serde_json::Value {
        let begin = Instant::now();
        loop {
            if let Some(line) = self.log("request").into_iter().find(|line| line["id"] == id) {
                return line;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "no line of {id}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn hang_up(&self) {
        let told = Command::new("kill").args(["-HUP", &self.process.0.id().to_string()]).status();
        assert!(told.expect("kill is there").success());
    }

    pub(crate) fn resident_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
    }
}

//! A web server that the pool's machines can reach, in a process of the pool.

use crate::workplace::Workplace;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// Ends when it is dropped.
pub(crate) struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Serves what lies in the workplace.
    pub(crate) fn start(workplace: &Workplace) -> Self {
        let mut command = workplace.in_pool(&workplace.path(""), &["perl", "-e", include_str!("server.pl")]);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        Server { process, port: line.trim().parse().expect("a port") }
    }

    pub(crate) fn url(&self, folder: &str) -> String {
        format!("http://127.0.0.1:{}/{folder}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

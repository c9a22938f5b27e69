//! nginx, Caddy and haproxy before a server, set up by the snippets of docs/serving.md.

use crate::server::Process;
use std::fmt;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const GUIDE: &str = include_str!("../../../docs/serving.md");

/// A program that passes requests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Nginx,
    Caddy,
    Haproxy,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Program::Nginx => "nginx",
            Program::Caddy => "caddy",
            Program::Haproxy => "haproxy",
        })
    }
}

/// A proxy that runs.
pub(crate) struct Proxy {
    _process: Process,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

/// Where nginx asks from, where it is [set up](Proxy::with_three_folders) by more than the guide says.
pub(crate) const APART: &str = "127.0.0.3";

impl Proxy {
    /// Set up as in the guide, for another folder of the host, without TLS and with bodies of up to 24 MB. None where it is
    /// not installed.
    pub(crate) fn as_documented(program: Program, server: SocketAddr, folder: &str) -> Option<Proxy> {
        let address = free_address();
        let certificate = |line: &str| line.trim_start().starts_with("ssl_certificate");
        let snippet: String = of_guide(program)
            .lines()
            .filter(|line| !certificate(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let listens = match program {
            Program::Nginx => ("listen 443 ssl;", format!("listen {address};")),
            Program::Caddy => {
                ("xray.example {", format!("http://:{} {{\n    bind 127.0.0.1", address.port()))
            }
            Program::Haproxy => {
                ("bind :443 ssl crt /etc/haproxy/xray.example.pem", format!("bind {address}"))
            }
        };
        let mut text = replaced(&snippet, listens.0, &listens.1);
        if program == Program::Nginx {
            text = replaced(&text, "client_max_body_size 16m", "client_max_body_size 24m");
        }
        text = replaced(&text, "127.0.0.1:8080", &server.to_string());
        text = replaced(&text, "/xray", &format!("/{folder}"));
        let configuration = match program {
            Program::Nginx => of_nginx(&text),
            Program::Caddy => format!("{{\nadmin off\n}}\n{text}"),
            Program::Haproxy => text,
        };
        Self::start(program, address, &configuration)
    }

    /// nginx, which keeps connections to the servers open: `/xray/` and `/prod/` are taken away, of which it says the
    /// second, and `/kept/` is left.
    pub(crate) fn with_three_folders(plain: SocketAddr, named: SocketAddr) -> Option<Proxy> {
        let address = free_address();
        let passes = format!(
            "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host; \
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_bind {APART};"
        );
        let configuration = of_nginx(&format!(
            "upstream plain {{ server {plain}; keepalive 8; }}\nupstream named {{ server {named}; keepalive 8; }}\n\
             server {{ listen {address};\n\
             location /xray/ {{ proxy_pass http://plain/; {passes} }}\n\
             location /prod/ {{ proxy_pass http://plain/; {passes} proxy_set_header X-Forwarded-Prefix /prod; }}\n\
             location /kept/ {{ proxy_pass http://named; {passes} }}\n}}\n"
        ));
        Self::start(Program::Nginx, address, &configuration)
    }

    fn start(program: Program, address: SocketAddr, configuration: &str) -> Option<Proxy> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("configuration");
        fs::write(&file, configuration).expect("writable");
        let mut command = command(program, folder.path(), &file);
        let Ok(child) = command.stdout(Stdio::null()).spawn() else {
            eprintln!("skipped: no {program} to put before the server (apt-get install {program})");
            return None;
        };
        let process = Process(child);
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(60), "{program} does not listen:\n{configuration}");
            thread::sleep(Duration::from_millis(10));
        }
        Some(Proxy { _process: process, address, _folder: folder })
    }
}

fn command(program: Program, folder: &Path, file: &Path) -> Command {
    let mut command = Command::new(program.to_string());
    match program {
        Program::Nginx => command.arg("-p").arg(folder).arg("-c").arg(file).args(["-e", "stderr"]),
        Program::Caddy => {
            // It writes into its home.
            command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
            command.stderr(Stdio::null());
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file)
        }
        Program::Haproxy => command.args(["-db", "-f"]).arg(file),
    };
    command
}

fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.expect("a free port")
}

/// The snippet of a program in the guide.
fn of_guide(program: Program) -> &'static str {
    let begin = format!("```{program}\n");
    let (_, rest) = GUIDE.split_once(&begin).unwrap_or_else(|| panic!("the guide has no {begin}"));
    rest.split_once("```").expect("the snippet ends").0
}

/// The text with another word, which must stand in it.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from:?} in\n{text}");
    text.replace(from, to)
}

/// What surrounds the servers of nginx, in one process that owns nothing outside of its folder.
fn of_nginx(servers: &str) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {kind};"))
        .join("\n");
    format!(
        "daemon off; master_process off; pid pid; error_log stderr error; worker_processes 1;\n\
         events {{ worker_connections 512; }}\n\
         http {{\naccess_log off; client_max_body_size 16m;\n{temporary}\n{servers}\n}}\n"
    )
}

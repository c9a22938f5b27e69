//! The program behind nginx, below `/xray/` and `/prod/`, where it is told and where it is not told what nginx takes away;
//! and new models under load.

#![expect(clippy::print_stderr, reason = "what is skipped, and what was measured")]

mod bundle;

use bundle::{bundle, bundle_of, jpeg};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A process that ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, whose log is a file.
struct Server {
    process: Process,
    address: SocketAddr,
    folder: TempDir,
}

impl Server {
    fn start(model: &Path, flags: &[&str]) -> Server {
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

    fn log(&self, event: &str) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.folder.path().join("log")).expect("written");
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter(|line| line["event"] == event).collect()
    }

    fn wait_for(&self, count: usize, event: &str) -> Vec<serde_json::Value> {
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

    fn hang_up(&self) {
        let told = Command::new("kill").args(["-HUP", &self.process.0.id().to_string()]).status();
        assert!(told.expect("kill is there").success());
    }

    fn resident_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
    }
}

/// nginx before two servers, from an address of its own.
struct Nginx {
    _process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

/// Where nginx asks from.
const PROXY: &str = "127.0.0.3";

impl Nginx {
    /// None where it is not installed.
    fn start(plain: SocketAddr, named: SocketAddr) -> Option<Nginx> {
        if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            eprintln!("skipped: no nginx to put before the server (apt-get install nginx-light)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};"))
            .join("\n");
        let passes = format!(
            "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host; \
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_bind {PROXY};"
        );
        let configuration = format!(
            "daemon off; master_process off; pid pid; error_log stderr error; worker_processes 1;\n\
             events {{ worker_connections 512; }}\n\
             http {{\naccess_log off; client_max_body_size 16m;\n{temporary}\n\
             upstream plain {{ server {plain}; keepalive 8; }}\nupstream named {{ server {named}; keepalive 8; }}\n\
             server {{ listen {address};\n\
             location /xray/ {{ proxy_pass http://plain/; {passes} }}\n\
             location /prod/ {{ proxy_pass http://plain/; {passes} proxy_set_header X-Forwarded-Prefix /prod; }}\n\
             location /kept/ {{ proxy_pass http://named; {passes} }}\n}} }}\n"
        );
        fs::write(folder.path().join("nginx.conf"), configuration).expect("writable");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        let process = Process(command.spawn().expect("it starts"));
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(20), "nginx does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Some(Nginx { _process: process, address, _folder: folder })
    }
}

struct Answer {
    status: u16,
    text: String,
}

/// Connections stay open, as a browser's do.
struct Client {
    to: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    fn new(to: SocketAddr) -> Self {
        Client { to, stream: None }
    }

    fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = self.stream.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(self.to).expect("it listens");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
            BufReader::new(stream)
        });
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        stream.get_mut().write_all(&[head.as_bytes(), body].concat()).expect("writable");
        let mut line = String::new();
        stream.read_line(&mut line).expect("an answer");
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut fields = HashMap::new();
        loop {
            let mut field = String::new();
            stream.read_line(&mut field).expect("a head");
            let Some((name, value)) = field.trim().split_once(':') else { break };
            fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = fields.get("content-length").expect("a length").parse().expect("a number");
        let mut text = vec![0; length];
        stream.read_exact(&mut text).expect("a body");
        if fields.get("connection").is_none_or(|value| value != "close") {
            self.stream = Some(stream);
        }
        Answer { status, text: String::from_utf8_lossy(&text).into_owned() }
    }

    fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "", b"")
    }
}

fn links(page: &str) -> Vec<String> {
    let parts = ["href=\"", "src=\"", "action=\""].map(|begin| page.split(begin).skip(1));
    let value = |rest: &str| rest.split('"').next().unwrap_or_default().to_owned();
    parts.into_iter().flatten().map(value).filter(|link| !link.starts_with("data:")).collect()
}

/// As a browser makes a link's address.
fn resolved(page: &str, link: &str) -> String {
    if link.starts_with('/') {
        return link.to_owned();
    }
    let mut folders: Vec<&str> = page.split('/').collect();
    folders.pop();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => drop(folders.pop()),
            part => folders.push(part),
        }
    }
    folders.join("/")
}

#[test]
fn the_page_works_behind_nginx_below_any_folder() {
    let model = bundle();
    let plain = Server::start(model.path(), &["--trusted-proxy", PROXY]);
    let named = Server::start(model.path(), &["--base-path", "/kept"]);
    let Some(nginx) = Nginx::start(plain.address, named.address) else { return };
    let mut client = Client::new(nginx.address);
    for folder in ["/xray/", "/prod/", "/kept/"] {
        for page in [folder.to_owned(), format!("{folder}samples/1")] {
            let answer = client.get(&page);
            assert_eq!(answer.status, 200, "{page}");
            let links = links(&answer.text);
            assert!(links.len() > 6, "{page}: {links:?}");
            for link in links {
                let link = resolved(&page, &link);
                assert!(link.starts_with(folder), "{page}: {link}");
                assert_eq!(client.get(&link).status, 200, "{page}: {link}");
            }
        }
        let form = [
            &b"--XX\r\nContent-Disposition: form-data; name=image; filename=chest.jpg\r\n\r\n"[..],
            &jpeg(1),
            b"\r\n--XX--\r\n",
        ]
        .concat();
        let kind = "Content-Type: multipart/form-data; boundary=XX\r\n";
        let found = client.ask("POST", folder, kind, &form);
        assert!(found.status == 200 && found.text.contains("chest.jpg"), "{folder}: {}", found.text);
        let said =
            client.ask("POST", &format!("{folder}v1/predict"), "Content-Type: image/jpeg\r\n", &jpeg(1));
        assert!(said.status == 200 && said.text.contains("\"findings\""), "{folder}: {}", said.text);
    }
}

#[test]
fn who_asks_is_said_by_the_believed_proxy_only() {
    let model = bundle();
    let server = Server::start(model.path(), &["--trusted-proxy", PROXY, "--rate", "0.2"]);
    let Some(nginx) = Nginx::start(server.address, server.address) else { return };
    let spoofed = |address: u8, id: &str| {
        format!("X-Forwarded-For: 192.0.2.{address}\r\nX-Request-Id: {id}\r\nContent-Type: image/jpeg\r\n")
    };
    let (mut through, mut past) = (Client::new(nginx.address), Client::new(server.address));
    let first = through.ask("POST", "/xray/v1/predict", &spoofed(1, "first"), &jpeg(1));
    let second = through.ask("POST", "/xray/v1/predict", &spoofed(2, "second"), &jpeg(1));
    let third = past.ask("POST", "/v1/predict", &spoofed(3, "third"), &jpeg(1));
    // All three are one client, whatever address it made up.
    assert_eq!([first.status, second.status, third.status], [200, 429, 429], "{}", third.text);
    let requests = server.wait_for(3, "request");
    for id in ["first", "second", "third"] {
        let line = requests.iter().find(|line| line["id"] == id).expect(id);
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        assert!(line["time"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')), "{line}");
    }
}

/// Half by SIGHUP and half by a request, while clients ask without a pause below both folders.
#[test]
fn no_request_fails_while_models_change_behind_nginx() {
    let models = [bundle(), bundle_of(2)];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let current = folder.path().join("current");
    let turn = |to: usize| {
        let new = folder.path().join("new");
        std::os::unix::fs::symlink(models[to].path(), &new).expect("writable");
        fs::rename(&new, &current).expect("writable");
    };
    turn(0);
    let keys = folder.path().join("keys");
    fs::write(&keys, "alice = secret\n").expect("writable");
    let server = Server::start(&current, &["--keys", &keys.display().to_string(), "--trusted-proxy", PROXY]);
    let Some(nginx) = Nginx::start(server.address, server.address) else { return };
    const KEY: &str = "Authorization: Bearer secret\r\nContent-Type: image/jpeg\r\n";
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let seen: Mutex<HashMap<String, String>> = Mutex::default();
    let (mut early, mut late) = (0, 0);
    thread::scope(|scope| {
        for number in 0..4 {
            let (over, asked, seen) = (&over, &asked, &seen);
            let path = if number % 2 == 0 { "/xray/v1/predict" } else { "/prod/v1/predict" };
            scope.spawn(move || {
                let mut client = Client::new(nginx.address);
                while !over.load(Ordering::Relaxed) {
                    let answer = client.ask("POST", path, KEY, &jpeg(1));
                    assert_eq!(answer.status, 200, "{}", answer.text);
                    let json: serde_json::Value = serde_json::from_str(&answer.text).expect("JSON");
                    let hash = json["model"]["hash"].as_str().expect("named").to_owned();
                    let findings = json["images"][0]["findings"].to_string();
                    let mut seen = seen.lock().expect("no panic");
                    assert_eq!(*seen.entry(hash).or_insert_with(|| findings.clone()), findings);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let reloads = || {
            let mut client = Client::new(nginx.address);
            for number in 1..=20 {
                turn(number % 2);
                if number % 2 == 0 {
                    server.hang_up();
                } else {
                    let answer = client.ask("POST", "/prod/admin/reload", KEY, b"");
                    assert_eq!(answer.status, 200, "{}", answer.text);
                }
                server.wait_for(number, "reloaded");
                let before = asked.load(Ordering::Relaxed);
                let begin = Instant::now();
                while asked.load(Ordering::Relaxed) < before + 4 && begin.elapsed() < Duration::from_secs(20)
                {
                    thread::sleep(Duration::from_millis(5));
                }
                match number {
                    2 => early = server.resident_mib(),
                    20 => late = server.resident_mib(),
                    _ => {}
                }
            }
        };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(reloads));
        over.store(true, Ordering::Relaxed);
        ended.expect("reloads go well");
    });
    let (asked, seen) = (asked.into_inner(), seen.into_inner().expect("no panic"));
    eprintln!("{asked} requests, 20 reloads, {early} MiB after 2 of them and {late} after all");
    assert!(seen.len() == 2 && asked > 80, "{} models, {asked} requests", seen.len());
    assert!(late <= early + early / 4, "{early} MiB became {late}");
    let names = server.log("request");
    assert!(names.iter().all(|line| line["key"] == "alice"), "the log says whose key was sent");
    assert!(!fs::read_to_string(server.folder.path().join("log")).expect("written").contains("secret"));
}

//! Clients that hold what others need: connections, places in the queue, room for bodies, the log. Others are served.

mod bundle;
mod running;

use bundle::{bundle, jpeg, noise};
use running::Running;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use xray_artifacts::Exit;
use xray_image::encode_jpeg;
use xray_serve::limits::Limits;
use xray_serve::settings::Settings;

fn running(limits: Limits) -> Running {
    Running::with(Settings { limits, ..Settings::default() })
}

fn post(announced: usize, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {announced}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

/// The status of the answer to one request on a new connection, and how long it took.
fn ask(address: SocketAddr, request: &[u8]) -> (u16, Duration) {
    let begin = Instant::now();
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    stream.write_all(request).expect("writable");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    (line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), begin.elapsed())
}

/// That an image and a question whether the server lives are answered before long. A client that is told that all places
/// are taken at the moment asks again, as clients do.
fn assert_serves(address: SocketAddr) {
    let image = jpeg(1);
    for request in [post(image.len(), &image), HEALTH.to_vec()] {
        let begin = Instant::now();
        let mut answer = ask(address, &request);
        while answer.0 == 503 && begin.elapsed() < Duration::from_secs(3) {
            sleep(Duration::from_millis(100));
            answer = ask(address, &request);
        }
        assert_eq!(answer.0, 200, "after {:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    }
}

#[test]
fn who_holds_all_connections_holds_them_from_nobody() {
    let server = running(Limits { connections: 20, ..Limits::default() });
    let begins: [&[u8]; 4] = [b"", b"GET /health HTT", b"\r\n", &post(4000, b"")];
    let held: Vec<_> = (0..20)
        .map(|number| {
            let mut stream = server.connect();
            stream.write_all(begins[number % begins.len()]).expect("writable");
            stream
        })
        .collect();
    for _ in 0..3 {
        assert_serves(server.address);
    }
    drop(held);
}

#[test]
fn a_head_that_drips_makes_way_as_well() {
    let server = running(Limits { connections: 5, ..Limits::default() });
    let mut held: Vec<_> = (0..5).map(|_| server.connect()).collect();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(1300) {
        for stream in &mut held {
            stream.write_all(b"X").expect("it is read");
        }
        sleep(Duration::from_millis(100));
    }
    assert_serves(server.address);
}

#[test]
fn heads_without_bodies_keep_no_places() {
    let server = running(Limits { patience: Duration::from_secs(5), ..Limits::default() });
    let mut held = Vec::new();
    for _ in 0..5 {
        for _ in 0..150 {
            let mut stream = server.connect();
            stream.write_all(&post(4000, b"\xff\xd8")).expect("writable");
            held.push(stream);
        }
        assert_serves(server.address);
    }
}

#[test]
fn bodies_that_stall_hold_no_room() {
    let limits =
        Limits { bodies: 8 << 20, body: 4 << 20, patience: Duration::from_millis(200), ..Limits::default() };
    let server = running(limits);
    let part = vec![7_u8; 3 << 20];
    let held: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = server.connect();
            // The third finds too little room and may be refused.
            let _ = stream.write_all(&post(4 << 20, &part));
            stream
        })
        .collect();
    sleep(Duration::from_millis(500));
    let large = vec![7_u8; 4 << 20];
    let (status, _) = ask(server.address, &post(large.len(), &large));
    assert_eq!(status, 415, "it was read, and is not an image");
    assert_serves(server.address);
    drop(held);
}

#[test]
fn who_does_not_read_is_not_waited_for() {
    let limits = Limits { send: Duration::from_millis(300), ..Limits::default() };
    let server = running(limits);
    let connect = |_| {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        // The system takes little for it.
        socket.set_recv_buffer_size(2048).expect("a socket");
        socket.connect(&server.address.into()).expect("it listens");
        socket.set_nonblocking(true).expect("a socket");
        TcpStream::from(socket)
    };
    let mut held: Vec<_> = (0..5).map(connect).collect();
    let requests = b"GET /samples/1.jpg HTTP/1.1\r\nHost: x\r\n\r\n".repeat(400);
    let mut sent = [0; 5];
    let begin = Instant::now();
    while !held.is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{} are waited for", held.len());
        let mut number = 0;
        held.retain_mut(|stream| {
            let sent = &mut sent[number];
            number += 1;
            match stream.write(&requests[*sent % requests.len()..]) {
                Ok(length) => *sent += length,
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
            true
        });
        sleep(Duration::from_millis(5));
    }
    assert_serves(server.address);
}

struct Program {
    child: Child,
    address: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with a log that is read as far as the address.
fn program(command: &mut Command) -> (Program, BufReader<std::process::ChildStderr>) {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    log.read_line(&mut line).expect("text");
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
    let address = ready["address"].as_str().expect("text").trim_start_matches("http://").parse();
    (Program { child, address: address.expect("an address") }, log)
}

fn serve(model: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xray-serve"));
    command.arg("--model").arg(model).args(["--bind", "127.0.0.1:0", "--workers", "1"]);
    command
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_says_later_what_it_lost() {
    let folder = bundle();
    let (program, log) = program(&mut serve(folder.path()));
    // A pipe holds 64 kB, the queue behind it 1,024 lines, and each request is a line of some 100 bytes.
    let mut stream = TcpStream::connect(program.address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let many = 250;
    let mut answers = vec![0; 64 << 10];
    for _ in 0..3000 / many {
        stream.write_all(&b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".repeat(many)).expect("writable");
        let mut found = 0;
        let mut rest = Vec::new();
        while found < many {
            let length = stream.read(&mut answers).expect("it answers");
            assert!(length > 0, "it answers");
            rest.extend_from_slice(&answers[..length]);
            found += rest.windows(12).filter(|bytes| bytes == b"HTTP/1.1 404").count();
            rest.drain(..rest.len().saturating_sub(11));
        }
    }
    assert_serves(program.address);
    let metrics = {
        let mut stream = TcpStream::connect(program.address).expect("it listens");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("writable");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("text");
        text
    };
    let lost = metrics.lines().find_map(|line| line.strip_prefix("xray_log_lines_lost ")).expect("counted");
    assert!(lost.parse::<u64>().expect("a number") > 100, "{lost}");
    let said = log.lines().map_while(Result::ok).find(|line| line.contains("\"log_lost\""));
    assert!(said.is_some_and(|said| said.contains("\"lines\":")));
}

#[test]
fn who_is_refused_at_the_door_reads_an_id_of_its_own() {
    let server = running(Limits { patience: Duration::from_millis(50), ..Limits::default() });
    let image = encode_jpeg(&noise(1500, 1500), 90);
    let large = post(image.len(), &image);
    let ids: Mutex<Vec<String>> = Mutex::default();
    let refused_id = || {
        let mut stream = server.connect();
        stream.write_all(&large).ok()?;
        let mut head = String::new();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
            head = head + &line.to_ascii_lowercase() + "\n";
        }
        // Inside, an answer would have all headers.
        if !head.starts_with("http/1.1 503 ") || head.contains("content-security") {
            return None;
        }
        let body = lines.next().unwrap_or_default();
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("an id").to_owned();
        assert!(body.contains(&format!("\"request_id\":\"{id}\"")), "{body}");
        Some(id)
    };
    let (begin, few) = (Instant::now(), || ids.lock().expect("no panic").len() < 50);
    thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                while few() && begin.elapsed() < Duration::from_secs(60) {
                    let id = refused_id();
                    ids.lock().expect("no panic").extend(id);
                }
            });
        }
    });
    let ids = ids.into_inner().expect("no panic");
    let different: HashSet<&str> = ids.iter().map(String::as_str).collect();
    assert!(different.len() == ids.len() && ids.len() >= 50, "{} of {}", different.len(), ids.len());
}

/// `/dev/full` is a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_no_server_and_is_an_error_of_a_check() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let folder = bundle();
    let image = folder.path().join("chest.jpg");
    std::fs::write(&image, jpeg(1)).expect("writable");
    for format in ["text", "json"] {
        for stderr in [Stdio::piped(), full().into()] {
            let mut check = Command::new(env!("CARGO_BIN_EXE_xray-serve"));
            check.arg("check").arg(folder.path()).arg(&image).args(["--format", format]);
            let output = check.stdout(full()).stderr(stderr).output().expect("it starts");
            assert_eq!(output.status.code(), Some(Exit::Unexpected.code().into()), "{format}");
            assert!(output.stderr.is_empty() || output.stderr.ends_with(b"(os error 28)\n"));
        }
    }
    // The log cannot say where it listens, so the port is one that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a free port");
    let mut command = Command::new(env!("CARGO_BIN_EXE_xray-serve"));
    command.arg("--model").arg(folder.path()).args(["--bind", &address.to_string()]).stderr(full());
    let program = Program { child: command.spawn().expect("it starts"), address };
    let begin = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it does not listen");
        sleep(Duration::from_millis(20));
    }
    assert_serves(program.address);
}

#[test]
fn flags_with_which_nothing_would_be_answered_are_refused() {
    let folder = bundle();
    for flags in [
        ["--rate", "nan"],
        ["--rate", "inf"],
        ["--rate=-1", "--"],
        ["--rate", "1e-300"],
        ["--max-body", "0"],
        ["--max-body", "97"],
        ["--max-body", "99999999999999"],
        ["--max-body=-1", "--"],
        ["--max-megapixels", "nan"],
        ["--max-megapixels", "0"],
        ["--max-megapixels", "inf"],
        ["--max-memory", "0"],
        ["--max-decode", "0"],
        ["--max-decode", "99999999999999"],
        ["--patience", "0"],
        ["--patience", "99999999999999999"],
        ["--max-connections", "0"],
        ["--workers", "0"],
        ["--workers", "100000"],
        ["--base-path", "prod"],
        ["--base-path", "/../x"],
        ["--open", "page"],
        ["--api-key-file", "/dev/null"],
        ["--api-key-file", "nowhere"],
        ["--keys", "/dev/null"],
        ["--keys", "nowhere"],
        ["--require-key", "all"],
        ["--trusted-proxy", "localhost"],
        ["--trusted-proxy", "10.0.0.0/33"],
        ["--allow-origin", "viewer.example"],
        ["--bind", "localhost"],
        ["--bind", "::1:8080:x"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xray-serve"));
        command.arg("--model").arg(folder.path()).args(["--bind", "127.0.0.1:0"]);
        let output = command.args(flags.iter().filter(|flag| **flag != "--")).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(Exit::Usage.code().into()), "{flags:?}: {said}");
        let name = flags[0].split('=').next().unwrap_or_default();
        let names_it = [name, "/dev/null", "nowhere"].iter().any(|name| said.contains(name));
        assert!(said.starts_with("error: ") && names_it, "{flags:?}: {said}");
    }
}

/// Where a shell and its limit of addresses are.
#[cfg(target_os = "linux")]
#[test]
fn a_gigabyte_of_addresses_is_enough() {
    let folder = bundle();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 1048576; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_xray-serve")]);
    command.arg("--model").arg(folder.path()).args(["--bind", "127.0.0.1:0", "--workers", "2"]);
    let (program, _log) = program(&mut command);
    assert_serves(program.address);
    // Large bodies that stall, heads that have no body, and images of 40 megapixels that are not there.
    let mut held = Vec::new();
    let part = vec![7_u8; 8 << 20];
    for number in 0..60 {
        let mut stream = TcpStream::connect(program.address).expect("it listens");
        stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a socket");
        let begin = if number % 3 == 0 { &part[..] } else { b"\xff\xd8" };
        let _ = stream.write_all(&post(16 << 20, begin));
        held.push(stream);
    }
    assert_serves(program.address);
    drop(held);
    assert_serves(program.address);
}

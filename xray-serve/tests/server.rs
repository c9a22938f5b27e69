//! The server with sockets: slow and many clients, and its end.

mod bundle;
mod running;

use bundle::{jpeg, noise};
use running::Running;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use xray_image::encode_jpeg;
use xray_serve::limits::Limits;
use xray_serve::server::check_clock;
use xray_serve::settings::Settings;

fn running(limits: Limits) -> Running {
    Running::with(Settings { limits, ..Settings::default() })
}

fn metric(server: &Running, name: &str) -> u64 {
    let mut stream = BufReader::new(server.connect());
    stream.get_mut().write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("writable");
    let (_, text) = answer(&mut stream);
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("counted");
    line.trim().parse().expect("a number")
}

fn wait_for(server: &Running, name: &str, least: u64) {
    let begin = Instant::now();
    while metric(server, name) < least {
        assert!(begin.elapsed() < Duration::from_secs(20), "{name} {}", metric(server, name));
        thread::sleep(Duration::from_millis(10));
    }
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The status and the body of one answer on a connection that stays open.
fn answer(stream: &mut BufReader<TcpStream>) -> (u16, String) {
    let mut line = String::new();
    stream.read_line(&mut line).expect("an answer");
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).expect("headers");
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn a_connection_takes_one_request_after_another() {
    let server = running(Limits::default());
    let mut stream = BufReader::new(server.connect());
    for seed in 0..3 {
        stream.get_mut().write_all(&post(&jpeg(seed))).expect("writable");
        let (status, body) = answer(&mut stream);
        assert_eq!(status, 200, "{body}");
        assert!(body.contains("\"findings\""), "{body}");
    }
    stream.get_mut().write_all(&post(b"hello")).expect("writable");
    assert_eq!(answer(&mut stream).0, 415);
}

#[test]
fn a_head_that_drips_is_cut_off() {
    let server = running(Limits { head: Duration::from_millis(400), ..Limits::default() });
    let start = Instant::now();
    let mut stream = server.connect();
    let dripped = b"POST /v1/predict HTTP/1.1\r\nX-Slow: yes and so on".chunks(1).take_while(|byte| {
        thread::sleep(Duration::from_millis(30));
        stream.write_all(byte).is_ok() && start.elapsed() < Duration::from_secs(10)
    });
    dripped.count();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    // Others are served meanwhile and after.
    let mut stream = BufReader::new(server.connect());
    stream.get_mut().write_all(&post(&jpeg(1))).expect("writable");
    assert_eq!(answer(&mut stream).0, 200);
}

#[test]
fn who_comes_when_all_places_are_taken_is_served_when_another_has_waited_long_enough() {
    let server = running(Limits { connections: 2, ..Limits::default() });
    let mut first = server.connect();
    thread::sleep(Duration::from_millis(100));
    let _second = server.connect();
    thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    let mut third = server.connect();
    third.write_all(&post(&jpeg(1))).expect("the system takes it");
    assert_eq!(answer(&mut BufReader::new(third)).0, 200);
    assert!(begin.elapsed() > Duration::from_millis(500), "who has just come is not sent away");
    assert_eq!(first.read(&mut [0]).expect("an end"), 0, "who waited longest made way");
    assert_eq!(metric(&server, "xray_connections_made_way_total"), 1);
}

/// Sends all of a body before it reads, as simple clients do.
fn answer_after(stream: TcpStream, head: &str, piece: &[u8], pieces: usize) -> (u16, String) {
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(head.as_bytes()).expect("writable");
    for _ in 0..pieces {
        stream.get_mut().write_all(piece).expect("the server reads on");
    }
    answer(&mut stream)
}

#[test]
fn who_sends_too_much_reads_why_it_was_refused() {
    let server = running(Limits { body: 1 << 20, ..Limits::default() });
    let megabyte = vec![7_u8; 1 << 20];
    let head = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n";
    let announced = format!("{head}Content-Length: {}\r\n\r\n", 100 << 20);
    let (status, said) = answer_after(server.connect(), &announced, &megabyte, 100);
    assert!(status == 413 && said.contains("larger than 1 MB"), "{status} {said}");
    let chunk = [b"100000\r\n", &megabyte[..], b"\r\n"].concat();
    let unannounced = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let (status, said) = answer_after(server.connect(), &unannounced, &chunk, 100);
    assert!(status == 413 && said.contains("larger than 1 MB"), "{status} {said}");
    let text = head.replace("image/jpeg", "text/plain");
    let (status, _) =
        answer_after(server.connect(), &format!("{text}Content-Length: {}\r\n\r\n", 1 << 20), &megabyte, 1);
    assert_eq!(status, 415);
}

/// More clients than a server has time for, however fast its processors are, until it is over. What is open then may be
/// cut off.
fn crowd(server: SocketAddr, over: &AtomicBool) {
    let large = post(&encode_jpeg(&noise(1500, 1500), 90));
    let ask = || {
        let mut stream = BufReader::new(TcpStream::connect(server)?);
        stream.get_mut().write_all(&large)?;
        let mut status = String::new();
        stream.read_line(&mut status)?;
        Ok::<_, std::io::Error>(status)
    };
    thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                loop {
                    let status = ask();
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let status = status.expect("an answer");
                    assert!(status.contains(" 200 ") || status.contains(" 503 "), "{status}");
                }
            });
        }
    });
}

/// Ends a crowd also when a test fails, which would wait for it.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All that is said on a connection which one request ends.
fn said(mut stream: TcpStream, request: &[u8]) -> String {
    let end = request.iter().position(|byte| *byte == b'\n').expect("a request line") + 1;
    let request = [&request[..end], b"Connection: close\r\n", &request[end..]].concat();
    stream.write_all(&request).expect("writable");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("text");
    said.to_ascii_lowercase()
}

/// What the door says, once a server has too much to do, and after how long. Inside, an answer would have all headers.
fn refused_at_the_door(server: &Running) -> (String, Duration) {
    let small = post(&jpeg(1));
    let ask = |_| {
        let begin = Instant::now();
        (said(server.connect(), &small), begin.elapsed())
    };
    let at_the_door = |said: &(String, Duration)| {
        said.0.starts_with("http/1.1 503 ") && !said.0.contains("content-security")
    };
    (0..500).map(ask).find(at_the_door).expect("it has too much to do")
}

#[test]
fn a_full_server_refuses_at_the_door_and_still_says_that_it_lives() {
    let server = running(Limits { patience: Duration::from_millis(50), ..Limits::default() });
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| crowd(server.address, &over));
        let _ends = Ends(&over);
        let (refused, after) = refused_at_the_door(&server);
        let silent = server.connect();
        let others: Vec<_> = (0..30).map(|_| server.connect()).collect();
        thread::sleep(Duration::from_millis(300));
        let open = metric(&server, "xray_connections ");
        assert!(open >= 30, "who waits at the door is counted: {open}");
        drop(others);
        let living = said(server.connect(), b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
        // Longer than the door waits for a word.
        thread::sleep(Duration::from_millis(1300));
        let late = said(silent, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
        over.store(true, Ordering::Relaxed);
        assert!(after >= Duration::from_millis(50), "a place might have become free: {after:?}");
        for part in ["retry-after: 1\r\n", "connection: close\r\n", "\"code\":\"busy\""] {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(living.starts_with("http/1.1 200 "), "{living}");
        assert!(late.starts_with("http/1.1 200 "), "{late}");
    });
    // When the crowd has gone, the door stands open again.
    wait_for(&server, "xray_images_total ", 1);
    let mut stream = BufReader::new(server.connect());
    stream.get_mut().write_all(&post(&jpeg(1))).expect("writable");
    assert_eq!(answer(&mut stream).0, 200);
}

#[test]
fn a_server_ends_when_asked_though_it_has_too_much_to_do() {
    let mut server = running(Limits { patience: Duration::from_millis(50), ..Limits::default() });
    let (address, over) = (server.address, AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| crowd(address, &over));
        let _ends = Ends(&over);
        refused_at_the_door(&server);
        over.store(true, Ordering::Relaxed);
        let begin = Instant::now();
        server.end();
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    });
    assert!(TcpStream::connect(address).is_err(), "nobody new is let in");
}

#[test]
fn nobody_looks_at_what_nobody_waits_for() {
    let server = running(Limits { patience: Duration::from_secs(60), ..Limits::default() });
    let large = post(&encode_jpeg(&noise(1500, 1500), 90));
    let impatient: Vec<_> = (0..30)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(&large).expect("writable");
            stream
        })
        .collect();
    wait_for(&server, "xray_images_waiting ", 20);
    drop(impatient);
    wait_for(&server, "xray_images_abandoned_total", 15);
    assert!(metric(&server, "xray_images_total") < 15);
}

#[test]
fn what_was_asked_before_the_end_is_answered() {
    let mut server = running(Limits::default());
    let mut stream = BufReader::new(server.connect());
    let request = post(&jpeg(1));
    let (head, rest) = request.split_at(request.len() - 10);
    stream.get_mut().write_all(head).expect("writable");
    thread::sleep(Duration::from_millis(200));
    server.ask_to_end();
    thread::sleep(Duration::from_millis(200));
    assert!(TcpStream::connect(server.address).is_err(), "nobody new is let in");
    stream.get_mut().write_all(rest).expect("writable");
    assert_eq!(answer(&mut stream).0, 200);
    server.end();
}

#[test]
fn a_clock_that_no_answer_can_bear_is_refused() {
    let epoch = SystemTime::UNIX_EPOCH;
    check_clock(epoch).expect("the first second");
    let failure = check_clock(epoch - Duration::from_secs(1)).expect_err("before");
    assert_eq!(failure.message, "the clock of this machine stands before 1970");
}

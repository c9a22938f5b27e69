//! `xray-bench load` against a server that answers at once.

use assert_cmd::Command;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use xray_artifacts::Exit;

/// A server on a free port, until the test ends. `/busy` is answered 503, `/refused` 413, everything else 200.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(BufReader::new(stream.expect("a connection"))));
        }
    });
    address
}

/// Answers one request after the other until the client goes.
fn answer(mut stream: BufReader<TcpStream>) -> Option<()> {
    stream.get_ref().set_nodelay(true).ok()?;
    loop {
        let head: Vec<String> =
            stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let status = match head.first()?.split(' ').nth(1)? {
            "/busy" => "503 Service Unavailable",
            "/refused" => "413 Content Too Large",
            _ => "200 OK",
        };
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
        stream.read_exact(&mut vec![0; length]).ok()?;
        stream
            .get_mut()
            .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes())
            .ok()?;
    }
}

/// The exit code, what was printed, and what was said beside it.
fn program(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut program = Command::cargo_bin("xray-bench").expect("it is built");
    let output = program.arg("load").args(arguments).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_load_is_measured_in_closed_and_open_loops() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (image, out) = (folder.path().join("chest.jpg"), folder.path().join("load"));
    fs::write(&image, [7; 10_000]).expect("writable");
    let (url, image) = (format!("http://{}", server()), image.display().to_string());
    let arguments = [
        &url,
        "--image",
        &image,
        "--clients",
        "1,3",
        "--rates",
        "20",
        "--silent",
        "5",
        "--seconds",
        "1",
        "--out",
    ];
    let (code, text, said) = program(&[&arguments[..], &[&out.display().to_string()]].concat());
    assert_eq!(code, Some(Exit::Ok.code().into()), "{said}");
    let csv = fs::read_to_string(out.join("bench.csv")).expect("written");
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 4, "{csv}");
    let number = |row: usize, column: &str| -> f64 {
        let at = rows[0].iter().position(|name| *name == column).expect("a column");
        rows[row][at].parse().expect("a number")
    };
    for row in 1..4 {
        assert!(
            number(row, "ok") > 5.0 && number(row, "broken") == 0.0 && number(row, "refused") == 0.0,
            "{csv}"
        );
        assert!(number(row, "p50_ms") > 0.0 && number(row, "p50_ms") <= number(row, "max_ms"), "{csv}");
    }
    // Making even a small load takes some of a processor.
    assert!(number(2, "processors") > 0.0 && number(2, "processors") < 1000.0, "{csv}");
    // Twenty were due in the second.
    assert!((number(3, "ok") - 20.0).abs() <= 1.0, "{csv}");
    assert!(
        text.contains("open") && out.join("latency.svg").exists() && out.join("throughput.svg").exists(),
        "{text}"
    );
}

#[test]
fn other_answers_than_findings_are_counted_by_kind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = folder.path().join("chest.jpg");
    fs::write(&image, "an image").expect("writable");
    let (server, image) = (server(), image.display().to_string());
    let check = |path: &str, column: &str| {
        let url = format!("http://{server}{path}");
        let (code, text, said) = program(&[&url, "--image", &image, "--clients", "2", "--seconds", "1"]);
        assert_eq!(code, Some(Exit::Ok.code().into()), "{said}");
        let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let (names, row) = lines.next().zip(lines.next()).expect("two lines");
        for name in ["ok", "busy", "refused", "broken"] {
            let at = names.iter().position(|found| *found == name).expect("a column");
            assert_eq!(row[at] != "0", name == column, "{text}");
        }
    };
    check("/busy", "busy");
    check("/refused", "refused");
}

#[test]
fn an_address_where_nobody_answers_is_an_error_with_its_own_code() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = folder.path().join("chest.jpg");
    fs::write(&image, "an image").expect("writable");
    let image = image.display().to_string();
    let (code, _, said) = program(&["127.0.0.1", "--image", &image]);
    assert!(code == Some(Exit::Usage.code().into()) && said.contains("is not an address"), "{said}");
    let (code, _, said) = program(&["http://127.0.0.1:1", "--image", &image]);
    assert!(code == Some(Exit::NothingMatches.code().into()) && said.contains("nobody answers"), "{said}");
    let (code, _, said) = program(&["http://127.0.0.1:1", "--image", "nowhere.jpg"]);
    assert!(code == Some(Exit::Unexpected.code().into()) && said.contains("nowhere.jpg"), "{said}");
}

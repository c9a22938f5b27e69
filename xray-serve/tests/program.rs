//! The program: its commands, its flags and variables, its messages, and how it ends.

mod bundle;

use assert_cmd::Command as Program;
use bundle::{bundle, jpeg};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use xray_artifacts::Exit;

fn program(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output =
        Program::cargo_bin("xray-serve").expect("built").args(arguments).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn check_prints_what_the_server_would_answer() {
    let folder = bundle();
    let (model, image) = (folder.path().display().to_string(), folder.path().join("chest.jpg"));
    std::fs::write(&image, jpeg(1)).expect("writable");
    let image = image.display().to_string();
    let (code, text, said) = program(&["check", &model, &image]);
    assert_eq!(code, Some(Exit::Ok.code().into()), "{said}");
    assert!(text.contains("Pleural_Thickening") && text.contains("not a diagnosis"), "{text}");
    let (_, json, _) = program(&["check", &model, &image, "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["findings"].as_array().map(Vec::len), Some(14));

    std::fs::write(&image, "GIF89a").expect("writable");
    let (code, _, said) = program(&["check", &model, &image]);
    assert!(
        code == Some(Exit::BadData.code().into()) && said.contains("a GIF, not JPEG or PNG (HTTP 415)"),
        "{said}"
    );
    for endless in ["/dev/null", "/dev/tty", "/"] {
        let (code, _, said) = program(&["check", &model, endless]);
        assert_eq!(code, Some(Exit::Unexpected.code().into()), "{said}");
        assert!(said.contains(&format!("cannot read {endless}: not a regular file")), "{said}");
    }
    assert_eq!(program(&["check", "nowhere", &image]).0, Some(Exit::Unexpected.code().into()));
    let (code, _, said) = program(&["--bind", "127.0.0.1:0"]);
    assert!(code == Some(Exit::Usage.code().into()) && said.contains("--model RUN/model"), "{said}");
}

#[test]
fn the_version_says_what_was_built() {
    let (code, long, said) = program(&["--version"]);
    assert_eq!(code, Some(Exit::Ok.code().into()), "{said}");
    let lines: Vec<&str> = long.lines().collect();
    assert_eq!(lines.len(), 4, "{long}");
    assert!(lines[0].starts_with(concat!("xray-serve ", env!("CARGO_PKG_VERSION"))), "{long}");
    assert!(lines[1].starts_with("built for ") && lines[1].ends_with(", dynamic"), "{long}");
    assert_eq!(lines[2], "images: jpeg, png, dicom");
    assert!(lines[3].starts_with("kernels: portable") && lines[3].ends_with(" on this processor"), "{long}");
    assert_eq!(program(&["-V"]).1, format!("{}\n", lines[0]));
}

/// `/dev/full` is an output on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    for arguments in [&["--version"][..], &["--help"], &["--completions", "bash"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let mut program = Command::new(env!("CARGO_BIN_EXE_xray-serve"));
        let output = program.args(arguments).stdout(full).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(Exit::Unexpected.code().into()), "{arguments:?}: {said}");
        assert_eq!(said, "error: cannot write to stdout: No space left on device (os error 28)\n");
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_says_where_it_listens_and_ends_when_asked() {
    let folder = bundle();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("xray-serve"));
    command.arg("--model").arg(folder.path()).args(["--bind", "127.0.0.1:0"]).stderr(Stdio::piped());
    let mut child = Killed(command.spawn().expect("it starts"));
    let mut log = BufReader::new(child.0.stderr.take().expect("piped")).lines();
    let mut next = || -> serde_json::Value {
        serde_json::from_str(&log.next().expect("a line").expect("text")).expect("JSON")
    };
    let ready = next();
    assert_eq!(ready["event"], "ready");
    let address = ready["address"].as_str().expect("text").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).expect("it listens");
    let length = jpeg(1).len();
    let head = format!("POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), &jpeg(1)].concat()).expect("writable");
    let mut begin = [0; 15];
    stream.read_exact(&mut begin).expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    let request = next();
    assert_eq!(
        (&request["event"], &request["status"], &request["route"]),
        (&"request".into(), &200.into(), &"/v1/predict".into())
    );
    drop(stream);
    let asked = Command::new("kill").args(["-TERM", &child.0.id().to_string()]).status();
    assert!(asked.expect("kill is there").success());
    assert_eq!(next()["event"], "end");
    assert!(child.0.wait().expect("it ends").success());
}

/// A server that was started with these flags and variables, and what it said when it was ready.
fn started(model: &Path, flags: &[&str], variables: &[(&str, &str)]) -> (Killed, serde_json::Value) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("xray-serve"));
    command.args(flags).envs(variables.iter().copied()).env("XRAY_MODEL", model).stderr(Stdio::piped());
    let mut child = Killed(command.spawn().expect("it starts"));
    let mut line = String::new();
    let mut log = BufReader::new(child.0.stderr.take().expect("piped"));
    log.read_line(&mut line).expect("a line");
    // Whoever writes a log that nobody reads loses lines, and nothing else.
    (child, serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
}

#[test]
fn flags_are_variables_too_and_count_for_more() {
    let folder = bundle();
    let (_server, ready) =
        started(folder.path(), &[], &[("XRAY_BIND", "127.0.0.1:0"), ("XRAY_WORKERS", "3")]);
    assert_eq!((&ready["event"], &ready["workers"]), (&"ready".into(), &3.into()), "{ready}");
    let variables = [("XRAY_BIND", "nonsense"), ("XRAY_WORKERS", "3")];
    let (_server, ready) = started(folder.path(), &["--bind", "127.0.0.1:0", "--workers", "1"], &variables);
    assert_eq!((&ready["event"], &ready["workers"]), (&"ready".into(), &1.into()), "{ready}");
    let mut bad = Command::new(assert_cmd::cargo::cargo_bin("xray-serve"));
    let output = bad.env("XRAY_MODEL", folder.path()).env("XRAY_RATE", "often").output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(Exit::Usage.code().into()), "{said}");
    assert!(said.contains("often") && said.contains("'--rate <N> (XRAY_RATE)'"), "{said}");
    // Every flag of a server, and none of the other commands, which are started by hand.
    let help = program(&["--help"]).1;
    let mut described: Vec<String> = help.split("\n      --").skip(1).map(str::to_owned).collect();
    described.retain(|text| !text.starts_with("completions"));
    assert!(described.len() > 15, "{help}");
    for text in described {
        let flag = text.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).next().unwrap_or_default();
        let variable = format!("[env: XRAY_{}]", flag.to_ascii_uppercase().replace('-', "_"));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&variable), "no {variable} in {text}");
    }
    assert!(!program(&["check", "--help"]).1.contains("[env:"));
    // What a service is told does not disturb a command.
    let mut check = Command::new(assert_cmd::cargo::cargo_bin("xray-serve"));
    let status =
        check.arg("check").arg(folder.path()).arg("nowhere").env("XRAY_MODEL", folder.path()).output();
    assert!(String::from_utf8_lossy(&status.expect("it starts").stderr).contains("cannot read nowhere"));
}

/// Also where the value is read and only then found to be impossible, and where two contradict each other.
#[test]
fn an_error_about_a_variable_names_it_and_one_about_a_flag_does_not() {
    let folder = bundle();
    let refused = |flags: &[&str], variables: &[(&str, &str)], expected: &str, absent: &str| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("xray-serve"));
        command.args(flags).env("XRAY_MODEL", folder.path()).envs(variables.iter().copied());
        let output = command.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(Exit::Usage.code().into()), "{said}");
        assert!(said.contains(expected) && !said.contains(absent), "{said}");
    };
    refused(&[], &[("XRAY_MAX_BODY", "0")], "--max-body (XRAY_MAX_BODY) is 0", "XRAY_RATE");
    refused(
        &[],
        &[("XRAY_TRUSTED_PROXY", "x")],
        "--trusted-proxy <NETWORK,...> (XRAY_TRUSTED_PROXY)",
        "XRAY_RATE",
    );
    refused(&["--rate", "often"], &[("XRAY_RATE", "3")], "'--rate <N>'", "XRAY_RATE");
    refused(&["--rate=-1"], &[("XRAY_RATE", "3")], "--rate is not a number", "XRAY_RATE");
    let both = [("XRAY_KEYS", "a"), ("XRAY_API_KEY_FILE", "b")];
    refused(&[], &both, "--keys <FILE> (XRAY_KEYS)", "XRAY_RATE");
    refused(&["--keys", "a"], &both[1..], "--api-key-file <FILE> (XRAY_API_KEY_FILE)", "XRAY_KEYS");
}

#[test]
fn a_name_is_listened_on_at_all_its_addresses() {
    let folder = bundle();
    let (_server, ready) = started(folder.path(), &["--bind", "localhost:0"], &[]);
    let addresses: Vec<SocketAddr> = ready["addresses"]
        .as_array()
        .expect("said")
        .iter()
        .map(|address| {
            address.as_str().expect("text").trim_start_matches("http://").parse().expect("an address")
        })
        .collect();
    assert_eq!(
        addresses[0].to_string(),
        ready["address"].as_str().expect("text").trim_start_matches("http://")
    );
    assert!(addresses.iter().all(|address| address.port() == addresses[0].port()), "{ready}");
    let here = ["127.0.0.1:0", "[::1]:0"].into_iter().filter(|address| TcpListener::bind(address).is_ok());
    assert_eq!(addresses.len(), here.count(), "{ready}");
    for address in addresses {
        let url = format!("http://{address}/ready");
        let (code, said, wrong) = program(&["check-health", &url]);
        assert_eq!((code, said), (Some(0), format!("{url} answers\n")), "{wrong}");
    }
}

#[test]
fn keys_that_everybody_can_read_are_warned_of_in_the_log_at_each_reading() {
    use std::os::unix::fs::PermissionsExt;
    let folder = bundle();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "alice = secret\n").expect("writable");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).expect("ours");
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("xray-serve"));
    command.arg("--model").arg(folder.path()).args(["--bind", "127.0.0.1:0", "--keys"]).arg(&keys);
    let mut child = Killed(command.stderr(Stdio::piped()).spawn().expect("it starts"));
    let mut log = BufReader::new(child.0.stderr.take().expect("piped")).lines();
    let mut next = |event: &str| {
        let line = log.next().expect("a line").expect("text");
        let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert!(said["event"] == event && !line.contains("secret"), "{line}");
        said["message"].as_str().unwrap_or_default().to_owned()
    };
    assert!(next("warning").contains(&format!("{} holds keys", keys.display())));
    next("ready");
    let told = Command::new("kill").args(["-HUP", &child.0.id().to_string()]).status();
    assert!(told.expect("kill is there").success());
    assert!(next("warning").contains("chmod 600"));
    next("reloaded");
}

#[test]
fn check_health_says_whether_a_server_answers() {
    let folder = bundle();
    let (_server, ready) = started(folder.path(), &["--bind", "127.0.0.1:0"], &[]);
    let address = ready["address"].as_str().expect("text");
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    for (url, code, expected) in [
        (format!("{address}/ready"), Exit::Ok, "answers"),
        (format!("{address}/nothing"), Exit::Unexpected, "404"),
        (format!("http://{closed}"), Exit::Unexpected, "does not answer"),
        (format!("http://{}/", silent.local_addr().expect("bound")), Exit::Unexpected, "does not answer"),
        ("https://127.0.0.1/".to_owned(), Exit::Usage, "only http:// works"),
        ("nonsense".to_owned(), Exit::Usage, "is not an address"),
    ] {
        let (found, out, error) = program(&["check-health", &url]);
        assert_eq!(found, Some(code.code().into()), "{url}: {error}");
        assert!(out.contains(expected) || error.contains(expected), "{url}: {out}{error}");
    }
}

//! The program behind proxies, below `/xray/` and `/prod/`: set up as the guide says, told and not told what they take
//! away from the path, and given new models under load.

#![expect(clippy::print_stderr, reason = "what is skipped, and what was measured")]

#[path = "../bundle/mod.rs"]
mod bundle;
mod client;
mod proxies;
mod server;

use bundle::{bundle, bundle_of, jpeg, noise};
use client::{Client, links, resolved};
use proxies::{APART, Program, Proxy};
use server::Server;
use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use xray_image::encode_png;

/// That the page below a folder, and all that it names, is found there and nowhere else.
fn assert_page_works(client: &mut Client, folder: &str) {
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
    let said = client.ask("POST", &format!("{folder}v1/predict"), "Content-Type: image/jpeg\r\n", &jpeg(1));
    assert!(said.status == 200 && said.text.contains("\"findings\""), "{folder}: {}", said.text);
}

#[test]
fn the_page_works_behind_nginx_below_any_folder() {
    let model = bundle();
    let plain = Server::start(model.path(), &["--trusted-proxy", APART]);
    let named = Server::start(model.path(), &["--base-path", "/kept"]);
    let Some(nginx) = Proxy::with_three_folders(plain.address, named.address) else { return };
    let mut client = Client::new(nginx.address);
    for (folder, root) in [("/xray/", "./"), ("/prod/", "/prod/"), ("/kept/", "/kept/")] {
        assert_page_works(&mut client, folder);
        assert!(client.get(folder).text.contains(&format!("href=\"{root}style.css\"")), "{folder}");
    }
}

/// A client that another machine would be: the page, an upload of 20 MB, one that is too large, and whom the log names.
fn assert_works_as_documented(program: Program) {
    const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
    let model = bundle();
    let large = encode_png(&noise(5000, 4200));
    assert!((20 << 20..24 << 20).contains(&large.len()), "{}", large.len());
    for folder in ["xray", "prod"] {
        let slow = ["--max-body", "24", "--max-decode", "60000", "--patience", "60000"];
        let server = Server::start(model.path(), &[&["--trusted-proxy", "127.0.0.1"], &slow[..]].concat());
        let Some(proxy) = Proxy::as_documented(program, server.address, folder) else { return };
        let mut client = Client::from(ELSEWHERE, proxy.address);
        assert_page_works(&mut client, &format!("/{folder}/"));
        let without = client.get(&format!("/{folder}"));
        let leads_to = without.headers.get("location").map(String::as_str).unwrap_or_default();
        assert!((300..400).contains(&without.status), "{program}: {}", without.status);
        assert!(leads_to.ends_with(&format!("/{folder}/")), "{program}: {leads_to}");

        let predict = format!("/{folder}/v1/predict");
        let spoofed = "Content-Type: image/png\r\nX-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n";
        let said = client.ask("POST", &predict, spoofed, &large);
        assert!(said.status == 200 && said.text.contains("\"size\":[5000,4200]"), "{program}: {}", said.text);
        let id = said.headers.get("x-request-id").expect("every answer has one");
        let line = server.wait_for_request(id);
        // What the client made up names another than the proxy does, so the proxy itself is believed at most.
        let client_of = line["client"].as_str().expect("text");
        assert!([ELSEWHERE.to_string().as_str(), "127.0.0.1"].contains(&client_of), "{program}: {line}");
        let said = client.ask("POST", &predict, "Content-Type: image/jpeg\r\n", &jpeg(1));
        let line = server.wait_for_request(&said.headers["x-request-id"]);
        assert_eq!((said.status, &line["client"]), (200, &ELSEWHERE.to_string().into()), "{program}");
        let mut another = Client::new(proxy.address);
        let said = another.ask("POST", &predict, "Content-Type: image/png\r\n", &vec![0; 25 << 20]);
        assert_eq!(said.status, 413, "{program}: {}", said.text);
    }
}

#[test]
fn nginx_works_as_documented() {
    assert_works_as_documented(Program::Nginx);
}

#[test]
fn caddy_works_as_documented() {
    assert_works_as_documented(Program::Caddy);
}

#[test]
fn haproxy_works_as_documented() {
    assert_works_as_documented(Program::Haproxy);
}

#[test]
fn who_asks_is_said_by_the_believed_proxy_only() {
    let model = bundle();
    let server = Server::start(model.path(), &["--trusted-proxy", APART, "--rate", "0.2"]);
    let Some(nginx) = Proxy::with_three_folders(server.address, server.address) else { return };
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
        let time = line["time"].as_str().expect("text");
        let ago = humantime::parse_rfc3339(time).expect("RFC 3339").elapsed().expect("not in the future");
        assert!(time.len() == 24 && time.ends_with('Z') && ago < Duration::from_secs(300), "{line}");
    }
}

/// Two models, and the link that names one of them.
struct Models {
    models: [TempDir; 2],
    folder: TempDir,
}

impl Models {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("keys"), "alice = secret\n").expect("writable");
        let models = Models { models: [bundle(), bundle_of(2)], folder };
        models.turn(0);
        models
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Turns the link over.
    fn turn(&self, to: usize) {
        std::os::unix::fs::symlink(self.models[to].path(), self.path("new")).expect("writable");
        fs::rename(self.path("new"), self.path("current")).expect("writable");
    }

    fn server(&self, proxy: &str) -> Server {
        let keys = self.path("keys").display().to_string();
        Server::start(&self.path("current"), &["--keys", &keys, "--trusted-proxy", proxy])
    }
}

/// Twenty reloads, half by SIGHUP and half by a request, while clients ask without a pause: four on connections that stay
/// open, two on a new one each time.
fn assert_no_request_fails(models: &Models, server: &Server, to: SocketAddr, folders: [&str; 2]) {
    const KEY: &str = "Authorization: Bearer secret\r\nContent-Type: image/jpeg\r\n";
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let seen: Mutex<HashMap<String, String>> = Mutex::default();
    let (mut early, mut late) = (0, 0);
    thread::scope(|scope| {
        for number in 0..6 {
            let (over, asked, seen) = (&over, &asked, &seen);
            let path = format!("/{}/v1/predict", folders[number % 2]);
            scope.spawn(move || {
                let mut client = Client::new(to);
                while !over.load(Ordering::Relaxed) {
                    if number >= 4 {
                        client = Client::new(to);
                    }
                    let answer = client.ask("POST", &path, KEY, &jpeg(1));
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
            let mut client = Client::new(to);
            for number in 1..=20 {
                models.turn(number % 2);
                if number % 2 == 0 {
                    server.hang_up();
                } else {
                    let answer = client.ask("POST", &format!("/{}/admin/reload", folders[0]), KEY, b"");
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
    assert!(!server.whole_log().contains("secret"));
}

#[test]
fn no_request_fails_while_models_change_behind_nginx() {
    let models = Models::new();
    let server = models.server(APART);
    let Some(nginx) = Proxy::with_three_folders(server.address, server.address) else { return };
    assert_no_request_fails(&models, &server, nginx.address, ["xray", "prod"]);
}

#[test]
fn no_request_fails_while_models_change_behind_caddy() {
    let models = Models::new();
    let server = models.server("127.0.0.1");
    let Some(caddy) = Proxy::as_documented(Program::Caddy, server.address, "prod") else { return };
    assert_no_request_fails(&models, &server, caddy.address, ["prod", "prod"]);
}

#[test]
fn no_request_fails_while_models_change_behind_haproxy() {
    let models = Models::new();
    let server = models.server("127.0.0.1");
    let Some(haproxy) = Proxy::as_documented(Program::Haproxy, server.address, "prod") else { return };
    assert_no_request_fails(&models, &server, haproxy.address, ["prod", "prod"]);
}

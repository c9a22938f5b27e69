//! `cargo xtask bench day`: a day's traffic in some minutes, and whether the server grows by it.

use crate::machine::Machine;
use crate::server::Server;
use crate::spread::Spread;
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use xray_random::Random;
use xray_workspace::ProgramArguments;
use xray_workspace::steps::{self, command};

/// Send a server a day's traffic in ten minutes: results/benchmarks/day.md
///
/// Most clients send X-rays; some damaged files, texts or far too much; some leave before they are answered or never end
/// their request. Fails if the server's memory or its open files grow, or an answer is not what it should be.
#[derive(Debug, Args)]
pub(crate) struct DayArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// The folder of model.json and model.safetensors, such as model/ of a run
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,

    /// JPEG or PNG files to send
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    image: Vec<PathBuf>,

    /// How long the day is
    #[arg(long, value_name = "N", default_value = "10")]
    minutes: f64,

    /// Requests in a second at its busiest hour
    #[arg(long, value_name = "N", default_value = "120")]
    rate: f64,

    /// Folder for day.md
    #[arg(long, value_name = "DIR", default_value = "results/benchmarks")]
    out: PathBuf,
}

const HOURS: usize = 24;
const CLIENTS: usize = 24;

/// Of the busiest hour: the night has a tenth of the early afternoon.
fn share(part_of_day: f64) -> f64 {
    let noon = (std::f64::consts::TAU * (part_of_day - 13.0 / 24.0)).cos();
    0.1 + 0.9 * (0.5 + 0.5 * noon).powi(2)
}

/// Measures, prints, writes.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &DayArguments) -> Result<()> {
    let mut serve = command(arguments.programs.get()?.path("xray-serve")?);
    serve.arg("--model").arg(steps::root().join(&arguments.model)).arg("--bind");
    let server = Server::start(serve, |serve, port| serve.arg(format!("127.0.0.1:{port}")))?;
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let images = arguments.image.iter().map(read).collect::<Result<Vec<_>>>()?;
    let day = Day {
        port: server.port(),
        images,
        length: Duration::from_secs_f64(60.0 * arguments.minutes),
        rate: arguments.rate,
        begin: Instant::now(),
        next: AtomicU64::new(0),
        counts: Mutex::default(),
        over: AtomicBool::new(false),
    };
    let machine = Machine::here();
    let open_before = server.open_files()?;
    let hours = day.live(&server)?;
    // Who dripped is cut off meanwhile.
    thread::sleep(Duration::from_secs(8));
    let (open_after, memory_after) = (server.open_files()?, server.memory_mib()?);
    let text = markdown(arguments, &machine, &day, &hours, [open_before, open_after], memory_after);
    print!("{text}");
    let out = steps::root().join(&arguments.out);
    fs::create_dir_all(&out)?;
    fs::write(out.join("day.md"), &text).context("cannot write day.md")?;

    let wrong = day.counts().values().map(|count| count.wrong).sum::<u64>();
    ensure!(wrong == 0, "{wrong} answers are not what they should be");
    ensure!(open_after <= open_before, "{open_after} files are open, {open_before} were before");
    let memory =
        |hours: &[Hour]| Spread::of(hours.iter().map(|hour| hour.memory_mib)).map(|spread| spread.median);
    let (morning, evening) = (memory(&hours[6..12]), memory(&hours[18..]));
    let (morning, evening) = morning.zip(evening).context("no hours")?;
    ensure!(evening <= 1.1 * morning, "memory grew from {morning:.0} to {evening:.0} MiB");
    Ok(())
}

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Image,
    SeveralImages,
    Maps,
    Page,
    Form,
    Damaged,
    Text,
    TooMuch,
    Leaves,
    Drips,
}

impl Deed {
    /// Of a hundred.
    const SHARES: [(Deed, u64); 10] = [
        (Deed::Image, 66),
        (Deed::SeveralImages, 6),
        (Deed::Maps, 3),
        (Deed::Page, 6),
        (Deed::Form, 8),
        (Deed::Damaged, 3),
        (Deed::Text, 2),
        (Deed::TooMuch, 1),
        (Deed::Leaves, 4),
        (Deed::Drips, 1),
    ];

    fn drawn(number: u64) -> Deed {
        let mut left = random(number) % 100;
        for (deed, share) in Deed::SHARES {
            if left < share {
                return deed;
            }
            left -= share;
        }
        Deed::Image
    }

    fn says(self) -> &'static str {
        match self {
            Deed::Image => "an X-ray",
            Deed::SeveralImages => "three X-rays in a form",
            Deed::Maps => "an X-ray, for maps",
            Deed::Page => "nothing, for the page",
            Deed::Form => "an X-ray, for the page",
            Deed::Damaged => "an X-ray that was cut off",
            Deed::Text => "a text",
            Deed::TooMuch => "20 MB",
            Deed::Leaves => "an X-ray, and leaves",
            Deed::Drips => "half a request, and stays",
        }
    }

    /// What it may be answered with; 503 always may be.
    fn answers(self) -> &'static [u16] {
        match self {
            Deed::Damaged => &[200, 400, 415, 422],
            Deed::Text => &[415],
            Deed::TooMuch => &[413],
            _ => &[200],
        }
    }
}

/// The same day every time.
fn random(number: u64) -> u64 {
    Random::keyed(&[number]).bits()
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    asked: u64,
    busy: u64,
    wrong: u64,
}

struct Hour {
    requests: u64,
    memory_mib: f64,
    open_files: usize,
}

struct Day {
    port: u16,
    images: Vec<Vec<u8>>,
    length: Duration,
    rate: f64,
    begin: Instant,
    next: AtomicU64,
    counts: Mutex<BTreeMap<Deed, Count>>,
    over: AtomicBool,
}

impl Day {
    fn counts(&self) -> BTreeMap<Deed, Count> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn live(&self, server: &Server) -> Result<Vec<Hour>> {
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| self.client());
            }
            let hours = (1..=HOURS).map(|hour| {
                let end = self.begin + self.length.mul_f64(hour as f64 / HOURS as f64);
                let before = self.next.load(Ordering::Relaxed);
                thread::sleep(end.saturating_duration_since(Instant::now()));
                let hour = Hour {
                    requests: self.next.load(Ordering::Relaxed) - before,
                    memory_mib: server.memory_mib()?,
                    open_files: server.open_files()?,
                };
                eprintln!(
                    "{} requests, {:.0} MiB, {} files",
                    hour.requests, hour.memory_mib, hour.open_files
                );
                Ok(hour)
            });
            let hours = hours.collect();
            self.over.store(true, Ordering::Relaxed);
            hours
        })
    }

    /// When a request is due: requests are thinned out by a time that runs slower at night.
    fn due(&self, number: u64) -> Option<Instant> {
        // Requests until a part of the day, by Simpson's rule over its minutes.
        let mut until = 0.0;
        let step = 1.0 / 1440.0;
        for minute in 0..1440 {
            let at = f64::from(minute) * step;
            let here = (share(at) + 4.0 * share(at + step / 2.0) + share(at + step)) / 6.0
                * step
                * self.rate
                * self.length.as_secs_f64();
            if until + here > number as f64 {
                let part = at + step * (number as f64 - until) / here;
                return Some(self.begin + self.length.mul_f64(part));
            }
            until += here;
        }
        None
    }

    fn client(&self) {
        let mut kept = None;
        while !self.over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(due) = self.due(number) else { return };
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let deed = Deed::drawn(number);
            let status = self.does(deed, number, &mut kept);
            let is_silent = matches!(deed, Deed::Leaves | Deed::Drips);
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(deed).or_default();
            count.asked += 1;
            match status {
                Some(503) => count.busy += 1,
                Some(status) if deed.answers().contains(&status) => {}
                None if is_silent => {}
                other => {
                    eprintln!("{deed:?} was answered by {other:?}");
                    count.wrong += 1;
                }
            }
        }
    }

    /// The status of the answer, if one is waited for.
    fn does(&self, deed: Deed, number: u64, kept: &mut Option<BufReader<TcpStream>>) -> Option<u16> {
        let image = &self.images[random(number ^ 77) as usize % self.images.len()];
        let form = |count: usize| {
            let part =
                b"--XX\r\nContent-Disposition: form-data; name=\"image\"; filename=\"chest.jpg\"\r\n\r\n";
            let mut body: Vec<u8> =
                std::iter::repeat_n([&part[..], image, b"\r\n"].concat(), count).flatten().collect();
            body.extend(b"--XX--\r\n");
            body
        };
        let file = "application/octet-stream";
        let multipart = "multipart/form-data; boundary=XX";
        let request = match deed {
            Deed::Image | Deed::Leaves | Deed::Drips => post("/v1/predict", file, image),
            Deed::SeveralImages => post("/v1/predict", multipart, &form(3)),
            Deed::Maps => post("/v1/predict?maps=true", file, image),
            Deed::Page => b"GET / HTTP/1.1\r\nHost: day\r\n\r\n".to_vec(),
            Deed::Form => post("/", multipart, &form(1)),
            Deed::Damaged => post("/v1/predict", file, &image[..random(number ^ 78) as usize % image.len()]),
            Deed::Text => post("/v1/predict", "text/plain", b"hello"),
            Deed::TooMuch => post("/v1/predict", file, &vec![7; 20 << 20]),
        };
        if deed == Deed::Leaves || deed == Deed::Drips {
            let part = if deed == Deed::Drips { request.len() / 2 } else { request.len() };
            let mut stream = self.connect().ok()?.into_inner();
            // The server may have no more of it.
            let _ = stream.write_all(&request[..part]);
            thread::sleep(Duration::from_millis(if deed == Deed::Drips { 1000 } else { 1 }));
            return None;
        }
        let mut stream = kept.take().map_or_else(|| self.connect(), Ok).ok()?;
        let (status, stays) = exchange(&mut stream, &request).ok()?;
        // Every tenth leaves, as browsers do.
        if stays && !number.is_multiple_of(10) {
            *kept = Some(stream);
        }
        Some(status)
    }

    fn connect(&self) -> std::io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }
}

fn post(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: day\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The status, and whether the connection stays open.
fn exchange(stream: &mut BufReader<TcpStream>, request: &[u8]) -> std::io::Result<(u16, bool)> {
    stream.get_mut().write_all(request)?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    let (mut length, mut stays) = (0, true);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| std::io::ErrorKind::InvalidData)?;
        }
        stays &= header != "connection: close";
    }
    std::io::copy(&mut stream.take(length), &mut std::io::sink())?;
    Ok((status, stays))
}

fn markdown(
    arguments: &DayArguments,
    machine: &Machine,
    day: &Day,
    hours: &[Hour],
    [before, after]: [usize; 2],
    memory: f64,
) -> String {
    let counts = day.counts();
    let requests: u64 = counts.values().map(|count| count.asked).sum();
    let mut text = format!(
        "# A day of a server\n\n`cargo xtask bench day`, {}, commit {}.\n\nMachine: {}.\n{requests} requests in {} minutes, \
         {} of them in a second at the busiest hour.\nOpen files: {before} before, {after} after. Memory after: \
         {memory:.0} MiB.\n\n| what clients sent | how often | 503 | wrong answers |\n|---|---|---|---|\n",
        machine.date,
        machine.commit,
        machine.sentence(),
        arguments.minutes,
        arguments.rate,
    );
    // Writing to a string cannot fail.
    for (deed, Count { asked, busy, wrong }) in &counts {
        let _ = writeln!(text, "| {} | {asked} | {busy} | {wrong} |", deed.says());
    }
    text += "\n| hour | requests | memory, MiB | open files |\n|---|---|---|---|\n";
    for (number, hour) in hours.iter().enumerate() {
        let Hour { requests, memory_mib, open_files } = hour;
        let _ = writeln!(text, "| {} | {requests} | {memory_mib:.0} | {open_files} |", number + 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_night_is_quiet_and_the_day_ends() {
        let day = Day {
            port: 0,
            images: Vec::new(),
            length: Duration::from_secs(240),
            rate: 10.0,
            begin: Instant::now(),
            next: AtomicU64::new(0),
            counts: Mutex::default(),
            over: AtomicBool::new(false),
        };
        assert!(share(1.0 / 24.0) < 0.12 && share(13.0 / 24.0) > 0.99);
        let due: Vec<f64> =
            (0..).map_while(|number| day.due(number)).map(|due| (due - day.begin).as_secs_f64()).collect();
        assert!(due.is_sorted() && due.len() > 500 && due.len() < 2400, "{}", due.len());
        let in_hour =
            |hour: f64| due.iter().filter(|due| **due >= 10.0 * hour && **due < 10.0 * (hour + 1.0)).count();
        assert!((95..=101).contains(&in_hour(12.5)), "{}", in_hour(12.5));
        assert!(in_hour(0.5) < 15, "{}", in_hour(0.5));
        assert_eq!(Deed::SHARES.iter().map(|(_, share)| share).sum::<u64>(), 100);
    }
}

//! How much of a GPU's memory was in use, told all the time by nvidia-smi. It sees every process on the GPU: nothing else
//! may run there.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970, and MiB.
type Samples = Arc<Mutex<Vec<(f64, f64)>>>;

/// A process that tells it until this is dropped.
pub(super) struct MemoryLog {
    teller: Child,
    samples: Samples,
}

impl MemoryLog {
    /// None where there is no nvidia-smi, or it tells nothing.
    pub(super) fn begin() -> Option<MemoryLog> {
        let mut command = Command::new("nvidia-smi");
        command.args(["--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0", "-lms", "50"]);
        MemoryLog::of(&mut command)
    }

    fn of(command: &mut Command) -> Option<MemoryLog> {
        let mut teller =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let lines = BufReader::new(teller.stdout.take()?).lines();
        let samples = Samples::default();
        let kept = samples.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
                let Ok(mib) = line.trim().parse() else { continue };
                kept.lock().expect("no panic while adding").push((now, mib));
            }
        });
        let mut log = MemoryLog { teller, samples };
        // The first sample is what was in use before.
        for _ in 0..100 {
            if !log.samples.lock().expect("no panic while adding").is_empty() {
                return Some(log);
            }
            if log.teller.try_wait().is_ok_and(|status| status.is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }

    /// The highest between two times, minus the use at the beginning.
    pub(super) fn peak(&self, began: f64, ended: f64) -> Option<f64> {
        let samples = self.samples.lock().expect("no panic while adding");
        let (_, before) = samples.first()?;
        let within = samples.iter().filter(|(at, _)| (began..=ended).contains(at));
        Some(within.map(|(_, mib)| *mib).max_by(f64::total_cmp)? - before)
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.teller.kill();
        let _ = self.teller.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_of_its_time_and_less_what_was_there_before() {
        let mut teller = Command::new("sh");
        teller.args(["-c", "echo 500; sleep 0.2; echo 1700; sleep 0.2; echo no number; echo 900; sleep 60"]);
        let log = MemoryLog::of(&mut teller).expect("it tells");
        let count = || log.samples.lock().expect("no panic").len();
        while count() < 3 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let times: Vec<f64> = log.samples.lock().expect("no panic").iter().map(|(at, _)| *at).collect();
        assert_eq!(log.peak(0.0, f64::INFINITY), Some(1200.0));
        assert_eq!(log.peak(times[2], f64::INFINITY), Some(400.0));
        assert_eq!(log.peak(times[2] + 1.0, f64::INFINITY), None);
    }

    #[test]
    fn a_program_that_tells_nothing_is_none() {
        assert!(MemoryLog::of(&mut Command::new("no-such-program")).is_none());
        assert!(MemoryLog::of(Command::new("sh").args(["-c", "exit 9"])).is_none());
    }
}

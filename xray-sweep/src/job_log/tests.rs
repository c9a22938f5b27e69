use super::*;
use proptest::prelude::*;

const ILLEGAL_INSTRUCTION: &str = include_str!("../../tests/fixtures/illegal_instruction.log");
const VACATED: &str = include_str!("../../tests/fixtures/vacated.log");
const MEMORY: &str = include_str!("../../tests/fixtures/memory.log");
const RETRIES: &str = include_str!("../../tests/fixtures/retries.log");
const FULL_DISK: &str = include_str!("../../tests/fixtures/full_disk.log");
const NOT_FETCHED: &str = include_str!("../../tests/fixtures/not_fetched.log");
const SHORT_OF_MEMORY: &str = include_str!("../../tests/fixtures/short_of_memory.log");
const REMOVED: &str = include_str!("../../tests/fixtures/removed.log");

fn parse(bytes: &[u8]) -> JobLog {
    JobLog::parse(bytes, SystemTime::now(), |_| BTreeMap::new())
}

/// A cell's only job in a log of a real pool, in which all is understood.
fn job(log: &str, cell: &str) -> Job {
    let log = parse(log.as_bytes());
    assert_eq!(log.skipped, 0);
    let mut jobs: Vec<Job> = log.jobs.into_iter().filter(|job| job.cell.as_deref() == Some(cell)).collect();
    assert_eq!(jobs.len(), 1, "{cell}");
    jobs.remove(0)
}

/// Each start's machine and ending, and the signal or exit code.
fn endings(job: &Job) -> Vec<String> {
    let ending = |a: &Attempt| {
        let code =
            a.signal.map(|s| format!(" signal {s}")).or_else(|| a.exit.map(|code| format!(" exit {code}")));
        let name = a.ending.map_or("open".to_owned(), |ending| format!("{ending:?}"));
        format!("{} {name}{}", a.microarch.as_deref().unwrap_or("?"), code.unwrap_or_default())
    };
    job.attempts.iter().map(ending).collect()
}

#[test]
fn an_illegal_instruction_is_held_and_ends_on_a_better_machine() {
    let job = job(ILLEGAL_INSTRUCTION, "bad");
    assert_eq!((job.id.as_str(), job.state), ("4.1", JobState::Completed));
    assert_eq!(endings(&job)[0], "x86_64-v2 Held signal 4");
    assert!(job.attempts[0].is_illegal_instruction());
    assert_eq!(job.attempts[0].reason.as_deref(), Some("illegal instruction on x86_64-v2"));
    assert_eq!(job.attempts[0].started.as_deref(), Some("2026-11-23T11:23:04Z"));
    assert_eq!(job.attempts[0].host.as_deref(), Some("node.example"));
    assert_eq!(job.attempts[0].slot.as_deref(), Some("slot1_1@node.example"));
    assert_ne!(
        job.attempts[1].microarch, job.attempts[0].microarch,
        "the transfer's ad is of the next machine"
    );
}

#[test]
fn a_signal_and_the_memory_table_are_read() {
    let job = job(ILLEGAL_INSTRUCTION, "s4");
    assert_eq!(job.attempts.len(), 1);
    let attempt = &job.attempts[0];
    assert_eq!(
        (attempt.signal, attempt.exit, attempt.ending),
        (Some(signal::ILLEGAL_INSTRUCTION), None, Some(Ending::Failed))
    );
    let memory = (attempt.used_memory_mib, attempt.requested_memory_mib, attempt.allocated_memory_mib);
    assert_eq!(memory, (Some(5), Some(500), Some(512)));
    assert!(!attempt.out_of_memory);
    let full = self::job(VACATED, "E4");
    let disks: Vec<_> = full.attempts.iter().map(|a| (a.used_disk_mib, a.requested_disk_mib)).collect();
    assert!(!disks.is_empty() && disks.iter().all(|disk| *disk == (Some(1), Some(100))), "{disks:?}");
}

#[test]
fn a_hold_for_memory_ends_the_start_that_it_evicted() {
    let text = MEMORY;
    let cut = text.find("009 (").expect("a removal at the end");
    let log = parse(&text.as_bytes()[..cut]);
    let held: Vec<&Job> = log.jobs.iter().filter(|job| job.state == JobState::Held).collect();
    assert!(!held.is_empty());
    assert!(
        held[0]
            .reason
            .as_deref()
            .is_some_and(|r| r.ends_with("memory usage exceeded request_memory (code 21, sub-code 102)")),
        "{:?}",
        held[0].reason
    );
    assert_eq!(held[0].attempts.last().map(|a| a.ending), Some(Some(Ending::Held)));
}

#[test]
fn a_hold_while_files_are_sent_is_a_start_on_the_machine_they_were_sent_to() {
    let job = job(FULL_DISK, "a");
    assert_eq!(endings(&job), ["? Undelivered", "x86_64-v2 Finished exit 0"]);
    let hosts: Vec<_> = job.attempts.iter().filter_map(|attempt| attempt.host.as_deref()).collect();
    assert_eq!(hosts, ["node6", "node1"]);
    let sent = &job.attempts[0];
    assert!(
        sent.reason.as_ref().is_some_and(|reason| reason.ends_with("No space left on device")),
        "{sent:?}"
    );
    assert_eq!(sent.started.as_deref(), Some("2026-11-28T22:59:24Z"));
    assert_eq!((sent.requested_memory_mib, sent.allocated_memory_mib), (Some(500), Some(512)));
}

#[test]
fn a_url_that_cannot_be_fetched_is_what_its_start_and_its_hold_are_told_of() {
    let why =
        "http://127.0.0.1:49891/web/late.tfrecord cannot be fetched: The requested URL returned error: 404";
    let done = job(NOT_FETCHED, "a");
    assert_eq!((done.state, done.attempts[0].reason.as_deref()), (JobState::Completed, Some(why)));
    assert_eq!(endings(&done)[0], "x86_64-v2 Undelivered");
    assert_eq!((done.attempts.len(), done.attempts[1].ending), (2, Some(Ending::Finished)));
    let released = NOT_FETCHED.find("013 (").expect("a release");
    let held = job(&NOT_FETCHED[..released], "a");
    assert_eq!((held.state, held.reason), (JobState::Held, Some(format!("{why} (code 13, sub-code 256)"))));
}

#[test]
fn a_start_asked_for_its_own_memory_and_not_for_the_next_ones() {
    let job = job(SHORT_OF_MEMORY, "a");
    let asked: Vec<_> = job.attempts.iter().map(|attempt| attempt.requested_memory_mib).collect();
    assert_eq!(asked, [Some(100), Some(200), Some(300), Some(400)]);
    assert!(job.attempts.iter().all(|attempt| attempt.ending == Some(Ending::Held)), "{:?}", endings(&job));
    assert_eq!(job.reason.as_deref(), Some("out of memory 4 times, with 400 MiB at last"));
    assert!(job.attempts.iter().all(|attempt| attempt.out_of_memory && attempt.died_of_memory()));
}

/// What the log says of a later machine, or of none, is not said of the start before.
#[test]
fn an_ended_start_keeps_its_machine() {
    let held = "012 (1.0.0) 2026-01-01 10:00:09 Job was held.\n\tvia condor_hold\n\tCode 1 Subcode 0\n...\n";
    let ad = "028 (1.0.0) 2026-01-01 10:00:09 Job ad information event triggered.\n\
              MachineAttrMachine0 = \"other\"\nMachineAttrMicroarch0 = \"x86_64-v4\"\nRequestMemory = 9\n\
              TriggerEventTypeNumber = 12\n...\n";
    let end = FULL_DISK.find("005 (").expect("an end");
    let log = format!("{}{}", &FULL_DISK[..end], held.replace("1.0.0", "081.000.000"));
    let open = parse(log.replace("10:00:09", "10:00:10").as_bytes()).jobs.remove(0);
    let log = format!("{FULL_DISK}{}", format!("{held}{ad}").replace("1.0.0", "081.000.000"));
    let ended = parse(log.as_bytes()).jobs.remove(0);
    assert_eq!(open.attempts[1].ending, Some(Ending::Held));
    assert_eq!(ended.attempts, job(FULL_DISK, "a").attempts);
}

#[test]
fn a_vacated_job_has_a_start_for_each_machine() {
    let job = job(VACATED, "E4");
    assert_eq!(job.state, JobState::Completed);
    let endings = endings(&job);
    assert!(endings.len() >= 2 && endings[0].ends_with(" Evicted"), "{endings:?}");
    assert!(endings.last().is_some_and(|last| last.ends_with(" Finished exit 0")), "{endings:?}");
}

#[test]
fn a_retry_is_a_failed_start_and_not_an_eviction() {
    let log = parse(RETRIES.as_bytes());
    let retried: Vec<Vec<String>> =
        log.jobs.iter().filter(|job| job.attempts.len() == 3).map(endings).collect();
    let ends = |suffix: &str| retried.iter().any(|all| all.iter().all(|one| one.ends_with(suffix)));
    assert!(ends("Failed exit 1"), "{retried:?}");
    assert!(ends("Failed signal 11"), "{retried:?}");
}

#[test]
fn a_removed_job_says_why() {
    let job = job(REMOVED, "nope");
    assert_eq!(job.state, JobState::Removed);
    assert!(job.reason.is_some());
}

#[test]
fn a_hold_or_removal_by_hand_ends_the_start_that_was_evicted_for_it() {
    let text = |second: &str, event: &str| {
        format!(
            "000 (1.0.0) 2026-01-01 10:00:00 Job submitted from host: <x>\n    cell=a\n...\n\
             001 (1.0.0) 2026-01-01 10:00:01 Job executing on host: <x>\n...\n\
             004 (1.0.0) 2026-01-01 10:00:02 Job was evicted.\n\t(0) CPU times\n...\n\
             028 (1.0.0) 2026-01-01 10:00:02 Job ad information event triggered.\nProc = 0\n...\n\
             {} (1.0.0) 2026-01-01 10:{second} {}\n...\n",
            &event[..3],
            &event[4..]
        )
    };
    let ending = |text: String| {
        let job = job(&text, "a");
        (job.attempts[0].ending_text(), job.reason.unwrap_or_default())
    };
    let hold = "012 Job was held.\n\tvia condor_hold (by user me)\n\tCode 1 Subcode 0";
    let removal = "009 Job was aborted.\n\tvia condor_rm (by user me)";
    let transfer = "012 Job was held.\n\tno such file\n\tCode 13 Subcode 2";
    let pair = |ending: &str, reason: &str| (ending.to_owned(), reason.to_owned());
    assert_eq!(
        ending(text("00:02", hold)),
        pair("held: via condor_hold (by user me)", "via condor_hold (by user me) (code 1)")
    );
    assert_eq!(
        ending(text("00:03", removal)),
        pair("removed: via condor_rm (by user me)", "via condor_rm (by user me)")
    );
    assert_eq!(
        ending(text("05:00", removal)),
        pair("evicted", "via condor_rm (by user me)"),
        "while it waited"
    );
    assert_eq!(ending(text("00:03", transfer)), pair("evicted", "no such file (code 13, sub-code 2)"));
}

#[test]
fn a_log_that_begins_in_the_middle_names_the_cell_and_the_start() {
    let ad = "028 (3.1.0) 2026-01-01 10:00:00 Job ad information event triggered.\nTriggerEventTypeNumber = 5\n\
              MachineAttrMachine0 = \"node7\"\nXrayCell = \"a\"\n...\n";
    let size = "006 (3.1.0) 2026-01-01 10:00:00 Image size of job updated: 1\n\t4  -  MemoryUsage of job (MB)\n...\n";
    let end =
        "005 (3.1.0) 2026-01-01 10:00:00 Job terminated.\n\t(1) Normal termination (return value 5)\n...\n";
    let running = job(&format!("{size}{ad}"), "a");
    assert_eq!((running.state, running.attempts.len()), (JobState::Running, 1));
    let over = job(&format!("{end}{ad}"), "a");
    assert_eq!((over.state, endings(&over)), (JobState::Completed, vec!["? Failed exit 5".to_owned()]));
    let attempt = &over.attempts[0];
    assert_eq!(
        (attempt.cell.as_str(), attempt.host.as_deref(), attempt.started.as_deref()),
        ("a", Some("node7"), None)
    );
}

#[test]
fn a_job_that_ended_before_its_memory_was_looked_at_says_nothing_of_it() {
    let ad = "028 (3.1.0) 2026-01-01 10:00:00 Job ad information event triggered.\nTriggerEventTypeNumber = 5\n\
              XrayCell = \"a\"\n...\n";
    let size = |used: u64| {
        format!(
            "006 (3.1.0) 2026-01-01 10:00:00 Image size of job updated: 1\n\t{used}  -  MemoryUsage of job (MB)\n...\n"
        )
    };
    let end = |used: u64| {
        format!(
            "005 (3.1.0) 2026-01-01 10:00:00 Job terminated.\n\t(1) Normal termination (return value 5)\n\
             \tPartitionable Resources :    Usage  Request Allocated\n\t   Memory (MB)          :{used:9}      512       512\n...\n"
        )
    };
    let used = |text: String| job(&(text + ad), "a").attempts[0].used_memory_mib;
    assert_eq!([used(size(0)), used(end(0))], [None, None]);
    assert_eq!([used(size(4)), used(end(4)), used(size(4) + &end(0))], [Some(4); 3]);
}

#[test]
fn a_cluster_that_makes_its_jobs_one_by_one_is_told_from_one_that_has_made_them() {
    let event = |code, cluster| format!("{code} ({cluster}.-01.000) 2026-01-01 10:00:00 Cluster\n...\n");
    let log = parse((event("035", 1) + &event("035", 2) + &event("036", 1)).as_bytes());
    assert_eq!(log.factories, BTreeMap::from([(1, false), (2, true)]));
}

#[test]
fn a_cell_may_have_several_jobs_and_a_number_may_return() {
    let submit = "000 (1.0.0) 2026-01-01 10:00:00 Job submitted from host: <x>\n    cell=a\n...\n";
    let node = "000 (2.0.0) 2026-01-01 10:00:00 Job submitted from host: <x>\n    DAG Node: a\n...\n";
    let rung = node.replace("2.0.0", "3.0.0").replace("Node: a", "Node: a-2");
    let end =
        "005 (1.0.0) 2026-01-01 10:00:00 Job terminated.\n\t(1) Normal termination (return value 0)\n...\n";
    let log = parse(format!("{submit}{end}{submit}{node}{rung}").as_bytes());
    let seen: Vec<_> = log.jobs.iter().map(|job| (job.id.as_str(), job.cell.as_deref(), job.state)).collect();
    let (a, queued) = (Some("a"), JobState::Queued);
    assert_eq!(
        seen,
        [("1.0", a, JobState::Completed), ("1.0", a, queued), ("2.0", a, queued), ("3.0", a, queued)]
    );
}

#[test]
fn what_is_no_event_is_counted_and_the_rest_is_read() {
    let event = "000 (1.0.0) 2026-01-01 10:00:00 Job submitted from host: <x>\n    cell=a\n...\n";
    let (half, no_end) = (&event[..event.len() - 5], event.trim_end_matches("...\n"));
    let seen = |text: String| {
        let JobLog { jobs, skipped, damaged, .. } = parse(text.as_bytes());
        (jobs.len(), skipped, damaged)
    };
    assert_eq!(seen(event.to_owned()), (1, 0, 0));
    assert_eq!(seen(format!("<?xml?>\n{event}")), (1, 1, 1));
    assert_eq!(seen(format!("{event}{half}")), (1, 1, 0), "being written");
    assert_eq!(seen(format!("{no_end}{}", event.replace("1.0.0", "2.0.0"))), (1, 1, 1), "torn");
    assert_eq!(seen(format!("junk\n...\n{event}")), (1, 1, 1));
    assert_eq!(seen(event.replace("(1.0.0)", "(1.-1.-1)")), (0, 0, 0), "of the whole cluster");
}

#[test]
fn a_log_that_is_not_there_has_no_jobs() {
    assert_eq!(JobLog::read(Path::new("nowhere/sweep.log")).expect("none"), JobLog::default());
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        parse(&bytes);
    }

    #[test]
    fn any_truncation_and_any_damage_is_read(from in 0..60_000_usize, to in 0..60_000_usize, at in 0..60_000_usize, byte: u8) {
        for log in [ILLEGAL_INSTRUCTION, VACATED, MEMORY, RETRIES] {
            let mut bytes = log.as_bytes().to_vec();
            let length = bytes.len();
            bytes[at % length] = byte;
            let (from, to) = (from % length, to % length);
            parse(&bytes[from.min(to)..from.max(to)]);
        }
    }

    #[test]
    fn any_event_of_any_job_is_read(events in proptest::collection::vec((0..45_u16, 0..3_u64, "[ -~\n\t]{0,60}"), 0..30)) {
        let text: String = events.iter().map(|(code, job, body)| {
            format!("{code:03} (1.{job}.0) 2026-01-01 10:00:00 Happened.\n\t{body}\n\tCode 3 Subcode 132\n...\n")
        }).collect();
        parse(text.as_bytes());
    }
}

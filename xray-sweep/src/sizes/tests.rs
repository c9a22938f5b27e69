use super::kind::tests::config;
use super::observed::Time;
use super::*;
use crate::cell::Request;
use crate::spec::{Condor, Slurm};

const IMAGE: u64 = 64 * 64;

fn kind() -> Kind {
    Kind::of(&config(), 2)
}

fn used(train_images: u64, memory_mib: u64, disk_mib: u64, seconds: f64) -> Used {
    Used {
        kind: kind(),
        train_images,
        file_bytes: 0,
        memory_mib: Some(memory_mib),
        disk_mib: Some(disk_mib),
        time: Some(Time { examples: 2 * train_images, seconds }),
    }
}

fn cell(train_images: u64) -> Cell {
    Cell {
        format: 1,
        id: "a".into(),
        fraction: 1.0,
        fraction_offset: 0.0,
        trial: 1,
        seed: 0,
        axes: BTreeMap::new(),
        train_images,
        rungs: Vec::new(),
        folds: 0,
        files: BTreeMap::new(),
        dataset: "d".into(),
        code: "1".into(),
        request: Request { cpus: 2, memory_mib: 4096, disk_mib: 2048, gpus: 0, minutes: None },
    }
}

fn observed(cells: Vec<Used>) -> Observed {
    Observed { folder: "there".into(), has_shards_on_disk: true, cells }
}

/// What a cell asks for after what was seen, and its group.
fn fitted(spec: &Spec, observed: &Observed, train_images: u64) -> (Request, Group) {
    let rule = Rule::new(spec, 1024.0, observed.clone());
    let mut group = rule.group(&kind());
    let mut cell = cell(train_images);
    rule.fit(&mut cell, &config(), &mut group);
    (cell.request, group)
}

fn request(observed: &Observed, train_images: u64) -> Request {
    fitted(&Spec::default(), observed, train_images).0
}

#[test]
fn no_less_is_asked_for_than_was_seen_on_as_much_data_and_a_quarter_more() {
    let seen =
        observed(vec![used(1000, 300, 50, 60.0), used(1000, 310, 40, 90.0), used(4000, 290, 60, 200.0)]);
    let asked = request(&seen, 1000);
    assert_eq!((asked.memory_mib, asked.disk_mib, asked.minutes), (448, 64, Some(10)));
    assert_eq!((asked.memory_mib, asked.disk_mib), (enough_mib(310), enough_mib(50)));
    // The most of those with no more data, too.
    assert!(request(&seen, 4000).memory_mib >= enough_mib(310));
    for used in &seen.cells {
        let asked = request(&seen, used.train_images);
        assert!(4 * asked.memory_mib >= 5 * used.memory_mib.expect("seen"), "{used:?} {asked:?}");
        assert!(4 * asked.disk_mib >= 5 * used.disk_mib.expect("seen"), "{used:?} {asked:?}");
        let seconds = used.time.expect("seen").seconds;
        assert!(60.0 * asked.minutes.expect("asked for") as f64 > 1.5 * seconds, "{used:?} {asked:?}");
    }
}

#[test]
fn more_data_than_was_seen_takes_more() {
    let seen = observed(vec![used(1000, 300, 50, 600.0)]);
    let asked = request(&seen, 101_000);
    // 100,000 images more in the cache, and as many bytes of shards mapped.
    let more = (100_000 * (IMAGE + 1024)).div_ceil(MIB);
    assert_eq!(asked.memory_mib, enough_mib(300 + more));
    assert_eq!(asked.disk_mib, enough_mib(50 + (100_000_u64 * 1024).div_ceil(MIB)));
    assert_eq!(asked.minutes, Some(enough_minutes(600.0 * 101.0)));
    // Less than was seen takes no more than the least of it.
    let less = request(&observed(vec![used(1000, 300, 50, 600.0), used(2000, 900, 90, 9000.0)]), 10);
    assert_eq!((less.memory_mib, less.disk_mib, less.minutes), (384, 64, Some(20)));
}

#[test]
fn what_is_said_wins() {
    let seen = observed(vec![used(1000, 300, 50, 60.0)]);
    let said = Spec {
        condor: Condor { memory: Some("4GB".into()), disk: Some("2GB".into()), ..Condor::default() },
        slurm: Slurm { options: vec!["--time=1:00:00".into()], ..Slurm::default() },
        ..Spec::default()
    };
    let (asked, group) = fitted(&said, &seen, 1000);
    assert_eq!(asked, cell(1000).request);
    let why = |quantity: &Quantity| quantity.why.clone().unwrap_or_default();
    assert_eq!(
        [&group.memory, &group.disk, &group.time].map(why),
        ["--memory says it", "--disk says it", "--sbatch=--time says it"]
    );
}

#[test]
fn where_nothing_was_seen_the_estimate_stands_with_its_reason() {
    let local = Used { disk_mib: None, time: None, ..used(1000, 300, 0, 0.0) };
    let (asked, group) = fitted(&Spec::default(), &observed(vec![local]), 1000);
    assert_eq!((asked.memory_mib, asked.disk_mib, asked.minutes), (384, 2048, None));
    assert_eq!(
        (group.memory.why, group.disk.why.as_deref()),
        (None, Some("no start in that sweep reported it"))
    );
    let other = Used { kind: Kind { threads: 1, ..kind() }, ..used(1000, 300, 50, 60.0) };
    let (asked, group) = fitted(&Spec::default(), &observed(vec![other]), 1000);
    assert_eq!(asked, cell(1000).request);
    assert_eq!(group.memory.why.as_deref(), Some("that sweep has no comparable cell"));
    let shared = Observed { has_shards_on_disk: false, ..observed(vec![used(1000, 300, 50, 60.0)]) };
    let (asked, group) = fitted(&Spec::default(), &shared, 1000);
    assert_eq!((asked.memory_mib, asked.disk_mib), (384, 2048));
    assert_eq!(group.disk.why.as_deref(), Some("that sweep delivered shards to its jobs differently"));
}

#[test]
fn lengths_in_every_unit_become_images() {
    let with = |duration: &str| {
        let mut config = config();
        config["training"]["duration"] = duration.into();
        examples(&config, &cell(1000))
    };
    assert_eq!(["2 epochs", "0.5 epochs", "7 steps", "90 examples"].map(with), [2000, 500, 7 * 32, 90]);
}

#[test]
fn a_person_reads_what_was_seen_and_what_is_asked_for() {
    let seen = observed(vec![used(1000, 1210, 50, 61.0)]);
    let (_, mut group) = fitted(&Spec::default(), &seen, 1000);
    group.cells = 30;
    group.disk = fitted(&Spec::default(), &observed(Vec::new()), 1000).1.disk;
    let sizes = Sizes { from: "there".into(), observed: 1, groups: vec![group] };
    assert_eq!(
        sizes.text(),
        "  sizes     from there, 1 cell observed\n    small-cnn of width 16 at 64 px, batch 32, 2 threads: 30 \
         cells\n      memory  1,536 MiB asked for; 1,210 MiB used at most, 4,096 MiB estimated\n      disk    2,048 \
         MiB asked for; 2,048 MiB estimated; that sweep has no comparable cell\n      time    10m asked for; 1m 1s \
         used at most"
    );
}

//! `xray-data publish`: the same data under names that say what they hold, whatever stopped it.

use crate::workbench::Workbench;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use xray_artifacts::{ContentName, DatasetManifest};

fn synth() -> Workbench {
    let bench = Workbench::new();
    bench.good("synth --images 80 --size 32 --out shards");
    bench
}

fn manifest(folder: &Path) -> DatasetManifest {
    DatasetManifest::read(folder).expect("a data set")
}

fn ways(published: &serde_json::Value) -> [u64; 3] {
    ["linked", "copied", "kept"].map(|way| published[way].as_u64().expect("a number"))
}

#[test]
fn every_shard_has_a_name_that_says_what_it_holds() {
    let bench = synth();
    let said = bench.good("publish shards web/nih");
    let (original, published) = (manifest(&bench.path("shards")), manifest(&bench.path("web/nih")));
    assert_eq!((published.id(), &published), (original.id(), &original.published()));
    let count = published.shards().count();
    assert!(
        said.starts_with(&format!("web/nih: {count} shards of 0.1 MB; {count} linked, 0 copied, ")),
        "{said}"
    );
    assert!(said.contains("xray-sweep plan SWEEP --data web/nih --data-url URL"), "{said}");
    let names = published.shards().flat_map(|shard| [shard.file.clone(), format!("{}.idx", shard.file)]);
    let expected: BTreeSet<String> = names.chain(["dataset.json".to_owned()]).collect();
    let found: BTreeSet<String> = bench.files("web/nih").into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, expected);
    for (shard, source) in published.shards().zip(original.shards()) {
        let path = bench.path("web/nih").join(&shard.file);
        let (content, _) = ContentName::of(&path).expect("readable");
        assert!(shard.file.ends_with(&format!(".{content}.tfrecord")), "{}", shard.file);
        let inode = |path: &Path| fs::metadata(path).expect("there").ino();
        assert_eq!(inode(&path), inode(&bench.path("shards").join(&source.file)), "linked");
    }
    assert!(bench.good("check web/nih").starts_with("good: 80 records"));
    assert_eq!(bench.json("stats web/nih"), bench.json("stats shards"));
    // Without its list it is known as one of ours.
    fs::remove_file(bench.path("web/nih/dataset.json")).expect("removable");
    let refused = bench.refused(5, "check web/nih");
    assert!(refused.contains("copy dataset.json here too"), "{refused}");
}

#[test]
fn whatever_stopped_it_the_same_again_goes_on() {
    let bench = synth();
    bench.good("publish shards web");
    let files = bench.files("web");
    let count = manifest(&bench.path("web")).shards().count() as u64;
    assert_eq!(ways(&bench.json("publish shards web")), [0, 0, count]);
    assert_eq!(ways(&bench.json("publish web web")), [0, 0, count], "it is published already");
    let shard = |at: usize| {
        let shards = files.iter().filter(|(name, _)| name.ends_with(".tfrecord"));
        shards.map(|(name, _)| name.clone()).nth(at).expect("so many")
    };
    // Killed before the list was written, in the midst of a shard; another was damaged since.
    fs::remove_file(bench.path("web/dataset.json")).expect("removable");
    fs::remove_file(bench.path("web").join(shard(0))).expect("removable");
    bench.write(&format!("web/.{}.tmp", shard(0)), "half");
    fs::remove_file(bench.path("web").join(shard(1))).expect("removable");
    bench.write(&format!("web/{}", shard(1)), "other");
    assert_eq!(ways(&bench.json("publish shards web")), [2, 0, count - 2]);
    assert!(bench.files("web") == files, "as it was");
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn where_nothing_can_be_linked_it_is_copied() {
    let bench = synth();
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let memory = Path::new("/dev/shm");
    if device(memory).is_none() || device(memory) == device(&bench.path("shards")) {
        eprintln!("skipped: /dev/shm is not another file system");
        return;
    }
    let elsewhere = tempfile::tempdir_in(memory).expect("writable");
    let target = elsewhere.path().join("web");
    let count = manifest(&bench.path("shards")).shards().count() as u64;
    let publish = format!("publish shards {}", target.display());
    assert_eq!(ways(&bench.json(&publish)), [0, count, 0]);
    assert!(bench.good(&format!("check {}", target.display())).starts_with("good: 80 records"));
    // A shard that is not as listed is not copied either.
    fs::remove_dir_all(&target).expect("removable");
    let name = manifest(&bench.path("shards")).shards().next().expect("one").file.clone();
    damage(&bench, &name);
    let refused = bench.refused(5, &publish);
    assert!(refused.contains(&name) && refused.contains("the shard's blake3 is "), "{refused}");
    assert!(!target.join("dataset.json").exists());
}

fn damage(bench: &Workbench, name: &str) {
    let path = bench.path("shards").join(name);
    let mut content = fs::read(&path).expect("built");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(path, content).expect("writable");
}

#[test]
fn what_is_not_as_it_was_built_is_not_published() {
    let bench = synth();
    let name = manifest(&bench.path("shards")).shards().last().expect("one").file.clone();
    damage(&bench, &name);
    let refused = bench.refused(5, "publish shards web");
    assert!(refused.contains(&format!("shards/{name}: the shard's blake3 is ")), "{refused}");
    let left = bench.files("web");
    assert!(
        !left.iter().any(|(file, _)| file == "dataset.json" || file.ends_with(".tmp")),
        "no set, no halves"
    );
    fs::remove_file(bench.path("shards").join(&name)).expect("removable");
    let refused = bench.refused(5, "publish shards web");
    assert!(refused.contains(&format!("shards/{name}: the shard is absent")), "{refused}");
    let refused = bench.refused(5, "publish web/nowhere web");
    assert!(refused.contains("there is no dataset.json in web/nowhere"), "{refused}");
}

#[test]
fn a_folder_with_anything_else_is_left_alone() {
    let bench = synth();
    let check = |target: &str, file: &str| {
        let before = bench.files(target);
        let refused = bench.refused(2, &format!("publish shards {target}"));
        let expected = format!("{target} holds `{file}`, which is not part of what is published");
        assert!(refused.contains(&expected) && refused.contains("hint: choose an empty folder"), "{refused}");
        assert!(bench.files(target) == before);
    };
    bench.write("web/notes.txt", "mine");
    check("web", "notes.txt");
    bench.good("synth --images 80 --size 32 --seed 1 --out other");
    bench.good("publish other published");
    let foreign =
        manifest(&bench.path("published")).shards().map(|shard| shard.file.clone()).min().expect("one");
    check("published", &foreign);
    bench.write("list/dataset.json", fs::read(bench.path("other/dataset.json")).expect("built"));
    check("list", "dataset.json");
    // The data set itself: files of other names.
    let own = bench.refused(2, "publish shards shards");
    assert!(own.contains("shards holds `") && own.contains(".tfrecord"), "{own}");
}

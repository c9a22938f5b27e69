//! Archives as `zip` and `tar` write them, and the same with bytes changed: what is wrong with an archive is said with its
//! name, and nothing that it says is believed.

use super::*;
use ::tar::{Builder, EntryType, Header};
use ::zip::write::{FileOptions, SimpleFileOptions, ZipWriter};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use xray_artifacts::{Exit, one_line};

type Files<'a> = &'a [(&'a str, &'a [u8])];

const TWO: Files<'static> = &[("top/a.png", b"first image, first image"), ("top/b/c.png", b"second")];

fn zip_of(files: Files<'_>, options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, options).expect("memory");
        writer.write_all(content).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}

fn deflated() -> SimpleFileOptions {
    FileOptions::default().compression_method(::zip::CompressionMethod::Deflated)
}

fn stored() -> SimpleFileOptions {
    FileOptions::default().compression_method(::zip::CompressionMethod::Stored)
}

fn header(size: usize, kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    header.set_size(size as u64);
    header.set_entry_type(kind);
    header.set_cksum();
    header
}

fn tar_of(files: Files<'_>) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in files {
        builder.append_data(&mut header(content.len(), EntryType::Regular), name, *content).expect("memory");
    }
    builder.into_inner().expect("memory")
}

/// A header of 512 bytes whose name nobody looks at before it is written.
fn raw_header(name: &[u8], kind: u8, size: u64) -> Vec<u8> {
    let mut block = header(0, EntryType::new(kind)).as_bytes().to_vec();
    block[..name.len()].copy_from_slice(name);
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    signed(block)
}

/// With the checksum of its bytes.
fn signed(mut block: Vec<u8>) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    content.resize(content.len().next_multiple_of(512), 0);
    content
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// All members with their content, as an archive of this name gives them.
fn read_all(name: &str, bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join(name);
    fs::write(&path, bytes).expect("writable");
    match Packing::of(&path).expect("an archive by its name") {
        Packing::TarGz => Stream::open(&path, |_| true, 100)?
            .map(|passed| {
                let (name, bytes) = passed?;
                bytes.map(|bytes| (name.clone(), bytes)).map_err(|what| problem(&path, Some(&name), what))
            })
            .collect(),
        packing => {
            let archive = Archive::open(&path, packing)?;
            let read = |(number, member): (usize, &Member)| Ok((member.name.clone(), archive.read(number)?));
            archive.members().iter().enumerate().map(read).collect()
        }
    }
}

#[track_caller]
fn check(name: &str, bytes: &[u8], expected: Files<'_>) {
    let found = read_all(name, bytes).unwrap_or_else(|error| panic!("{name}: {}", one_line(&error)));
    let found: Vec<(&str, &[u8])> = found.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    assert_eq!(found, expected);
}

/// The message begins with the archive, or the member in it.
#[track_caller]
fn refused(name: &str, bytes: &[u8], place: &str, what: &str) {
    let error = read_all(name, bytes).expect_err(what);
    let message = one_line(&error);
    assert!(message.contains(&format!("/{place}: ")) && message.ends_with(what), "{message}");
    assert_eq!(error.exit(), Exit::BadData, "{message}");
    assert!(error.hint().is_some(), "{message}");
}

fn position(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("it is in there")
}

/// The same bytes with a part of them replaced wherever it is.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    while let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

/// The same with other bytes at a place behind the directory's entry of the first member.
fn in_directory(bytes: &[u8], at: usize, to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = position(&bytes, b"PK\x01\x02") + at;
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

fn in_end(bytes: &[u8], at: usize, to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = position(&bytes, b"PK\x05\x06") + at;
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

/// With the second end that a zip of more than 4 GB has.
fn with_large_end(bytes: &[u8]) -> Vec<u8> {
    let end = position(bytes, b"PK\x05\x06");
    let [members, size, offset] = [(10, 2), (12, 4), (16, 4)].map(|(at, length)| {
        bytes[end + at..end + at + length].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
    });
    let mut large = bytes[..end].to_vec();
    large.extend(b"PK\x06\x06");
    large.extend(44u64.to_le_bytes());
    large.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    [members, members, size, offset].iter().for_each(|number| large.extend(number.to_le_bytes()));
    large.extend(b"PK\x06\x07\0\0\0\0");
    large.extend((end as u64).to_le_bytes());
    large.extend(1u32.to_le_bytes());
    large.extend(in_end(&bytes[end..], 8, &[0xff; 12]));
    large
}

#[test]
fn archives_are_folders_of_their_members() {
    check("a.zip", &zip_of(TWO, deflated()), TWO);
    check("a.ZIP", &zip_of(TWO, stored()), TWO);
    check("a.tar", &tar_of(TWO), TWO);
    check("a.tar.gz", &gzip(&tar_of(TWO)), TWO);
    check("a.tgz", &gzip(&tar_of(TWO)), TWO);
    check("empty.zip", &zip_of(&[], stored()), &[]);
    check("empty.tar", &tar_of(&[]), &[]);
    for (name, expected) in [("a.tar.bz2", None), (".zip", None), ("a.zip", Some(Packing::Zip))] {
        assert_eq!(Packing::of(Path::new(name)), expected, "{name}");
    }
}

#[test]
fn large_zips_and_comments_are_read() {
    check("a.zip", &zip_of(TWO, deflated().large_file(true)), TWO);
    check("a.zip", &with_large_end(&zip_of(TWO, deflated())), TWO);
    let mut commented = in_end(&zip_of(TWO, stored()), 20, &[30, 0]);
    commented.extend(b"PK\x05\x06 looks like the end.......");
    check("a.zip", &commented, TWO);
    // Sizes behind a mark of 32 ones, in an entry that has no room for them.
    refused(
        "a.zip",
        &in_directory(&zip_of(TWO, stored()), 24, &[0xff; 4]),
        "a.zip/top/a.png",
        "its sizes are missing",
    );
}

#[test]
fn zips_that_lie_are_refused_by_name() {
    let zip = zip_of(TWO, deflated());
    refused("a.zip", &zip[..zip.len() - 10], "a.zip", "it ends too early");
    refused("a.zip", &zip[..zip.len() / 2], "a.zip", "it ends too early");
    refused("a.zip", b"<html>not found</html>", "a.zip", "not a zip archive");
    refused("a.zip", b"", "a.zip", "not a zip archive");
    refused("a.zip", &[&zip[..], b"more"].concat(), "a.zip", "something else follows its end");
    refused("a.zip", &[b"program", &zip[..]].concat(), "a.zip", "its directory is not where it says");
    refused("a.zip", &in_end(&zip, 4, &[1, 0]), "a.zip", "it is one part of several");
    refused("a.zip", &in_end(&zip, 8, &[1, 0, 1, 0]), "a.zip", "its directory is longer than it says");
    let most = with_large_end(&zip);
    let at = position(&most, b"PK\x06\x06") + 32;
    let mut most = most;
    most[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    refused("a.zip", &most, "a.zip", "it has more than 2097152 members");
    refused(
        "a.zip",
        &replaced(&zip, b"top/b/c.png", b"top/../c.pn"),
        "a.zip/top/../c.pn",
        "leads out of the archive",
    );
    refused(
        "a.zip",
        &replaced(&zip, b"top/a.png", b"/op/a.png"),
        "a.zip//op/a.png",
        "leads out of the archive",
    );
    refused(
        "a.zip",
        &replaced(&zip, b"top/a.png", b"..\\\\a.png"),
        "a.zip/..//a.png",
        "leads out of the archive",
    );
    let alike: Files<'_> = &[("a.png", b"one"), ("b.png", b"two")];
    let twice = replaced(&zip_of(alike, stored()), b"b.png", b"a.png");
    refused("a.zip", &twice, "a.zip/a.png", "there is a second member of this name");

    let member = |at: usize, to: &[u8], what: &str| {
        refused("a.zip", &in_directory(&zip, at, to), "a.zip/top/a.png", what);
    };
    member(8, &[1, 0], "it is encrypted");
    member(10, &[9, 0], "it is compressed by method 9, which is not read");
    member(16, &[1, 2, 3, 4], "its checksum differs");
    member(24, &[23, 0], "it is longer than it says");
    member(24, &[25, 0], "it ends too early");
    member(
        24,
        &[0, 0, 0, 0xf0],
        "4026531840 bytes, more than the 67108864 that an image or table of its packed size may have",
    );
    member(20, &[0, 0, 0, 1], "it lies outside the archive");
    member(42, &[1, 0], "it is not where the directory says");
    refused(
        "a.zip",
        &in_directory(&zip_of(TWO, stored()), 24, &[1, 0]),
        "a.zip/top/a.png",
        "it has two sizes",
    );
    let mut damaged = zip.clone();
    let at = position(&zip, b"top/a.png") + 9;
    damaged[at..at + 4].fill(0xff);
    refused("a.zip", &damaged, "a.zip/top/a.png", "it does not inflate");

    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("a.png", "/etc/passwd", stored()).expect("memory");
    let link = writer.finish().expect("memory").into_inner();
    refused("a.zip", &link, "a.zip/a.png", "links in archives are not followed");
}

/// 100 MB of zeros in 100 kB, once as they are and once hidden behind a smaller size.
#[test]
fn bombs_are_refused_before_they_are_inflated() {
    let zeros = vec![0; 100 << 20];
    let bomb = zip_of(&[("a.png", &zeros)], deflated());
    refused(
        "a.zip",
        &bomb,
        "a.zip/a.png",
        "104857600 bytes, more than the 67108864 that an image or table of its packed size may have",
    );
    refused("a.zip", &in_directory(&bomb, 24, &[9, 0, 0, 0]), "a.zip/a.png", "it is longer than it says");
    let bomb = gzip(&tar_of(&[("a.png", &zeros)]));
    assert!(bomb.len() < 1 << 20);
    refused("a.tar.gz", &bomb, "a.tar.gz/a.png", "it inflates to more than 67108864 bytes");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("a.tar.gz");
    fs::write(&path, &bomb).expect("writable");
    let error =
        Stream::open(&path, |_| false, 100).expect("opens").next().expect("an error").expect_err("a bomb");
    assert!(
        one_line(&error).ends_with("it inflates to more than 67108864 bytes"),
        "passed over, too: {error}"
    );
}

#[test]
fn names_and_sizes_of_every_kind_of_tar_are_read() {
    let long = format!("{}/a.png", "folder".repeat(30));
    let files: Files<'_> = &[(&long, b"behind a long name"), ("b.png", b"behind it")];
    check("gnu.tar", &tar_of(files), files);
    let mut builder = Builder::new(Vec::new());
    let pax = [("path", long.as_bytes()), ("size", b"18".as_slice()), ("SCHILY.xattr.x", b"\n= \n")];
    builder.append_pax_extensions(pax).expect("memory");
    let mut wrong = header(18, EntryType::Regular);
    wrong.set_path("short").expect("a name");
    wrong.set_size(3); // as of files of more than 8 GB, whose size does not fit
    wrong.set_cksum();
    let mut bytes = builder.into_inner().expect("memory");
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(wrong.as_bytes());
    bytes.extend(padded(b"behind a long name"));
    bytes.extend(&tar_of(&files[1..]));
    check("pax.tar", &bytes, files);
    check("pax.tar.gz", &gzip(&bytes), files);

    let mut split = raw_header(b"a.png", b'0', 3);
    split[345..351].copy_from_slice(b"folder");
    let mut binary = raw_header(b"b.png", b'0', 0);
    binary[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    let others: Vec<Vec<u8>> = vec![
        raw_header(b"folder/", b'5', 0),
        raw_header(b"old folder/", 0, 0),
        raw_header(b"._a.png", b'0', 0),
        raw_header(b"device", b'3', 1 << 20), // devices have no content, whatever they say
        raw_header(b"g", b'g', 5),
        padded(b"hello"),
        signed(split),
        padded(b"one"),
        signed(binary),
        padded(b"two"),
    ];
    check("a.tar", &others.concat(), &[("folder/a.png", b"one"), ("b.png", b"two")]); // and no end
}

#[test]
fn tars_that_lie_are_refused_by_name() {
    let tar = tar_of(TWO);
    let both = |bytes: &[u8], place: &str, what: &str| {
        refused("a.tar", bytes, &format!("a.tar{place}"), what);
        refused("a.tar.gz", &gzip(bytes), &format!("a.tar.gz{place}"), what);
    };
    both(b"<html>not found</html>", "", "it ends too early");
    both(&[b'x'; 4096], "", "not a tar archive");
    refused("a.tar", &tar[..512 + 10], "a.tar", "it ends too early");
    refused("a.tar.gz", &gzip(&tar[..512 + 10]), "a.tar.gz/top/a.png", "it ends too early");
    both(&tar[..1024 + 100], "", "it ends too early");
    both(&[&tar[..], &tar].concat(), "", "something else follows its end");
    both(&replaced(&tar, b"top/b/c.png", b"top/b/d.png"), "", "a header's checksum differs");
    let of = |name: &[u8], kind: u8, size: u64| [&raw_header(name, kind, size)[..], &[0; 1024]].concat();
    both(&of(b"a/../b.png", b'0', 0), "/a/../b.png", "leads out of the archive");
    both(&of(b"/b.png", b'0', 0), "//b.png", "leads out of the archive");
    both(&of(b"a\x07.png", b'0', 0), "/a .png", "holds control characters");
    both(&of(b"b.png", b'1', 0), "/b.png", "links in archives are not followed");
    both(&of(b"b.png", b'2', 0), "/b.png", "links in archives are not followed");
    both(&of(b"b.png", b'S', 0), "", "it is a sparse file, which is not read");
    both(&of(b"x", b'x', 1 << 30), "", "the description of a member is too long");
    both(&of(b"L", b'L', 1 << 30), "", "its name is longer than 4096 bytes or holds control characters");
    both(&[raw_header(b"x", b'x', 9), padded(b"9 path=a\n")].concat(), "", "it ends too early");
    let size = |bytes: [u8; 12]| {
        let mut block = raw_header(b"a.png", b'0', 0);
        block[124..136].copy_from_slice(&bytes);
        [&signed(block)[..], &[0; 1024]].concat()
    };
    refused("a.tar", &size(*b"77777777777\0"), "a.tar", "it ends too early");
    let large =
        "8589934591 bytes, more than the 1073741824 that an image or table of its packed size may have";
    refused("a.tar.gz", &gzip(&size(*b"77777777777\0")), "a.tar.gz/a.png", large);
    both(
        &size([0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        "",
        "a size is not a size of a file",
    );
    both(&size([0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "", "a size is not a number");
    both(&size(*b"12x\0\0\0\0\0\0\0\0\0"), "", "a size is not a number");
    for said in ["5 path", "99 path=a\n", "x path=a\n", "12 size=ten\n", "9999999999999999999999 a=b\n"] {
        let pax = [&raw_header(b"x", b'x', said.len() as u64)[..], &padded(said.as_bytes()), &tar].concat();
        both(&pax, "", "the description of a member cannot be read");
    }
    let sparse = b"22 GNU.sparse.major=1\n";
    let sparse = [&raw_header(b"x", b'x', sparse.len() as u64)[..], &padded(sparse), &tar].concat();
    both(&sparse, "/top/a.png", "it is a sparse file, which is not read");
    let twice = tar_of(&[("a.png", b"one"), ("a.png", b"two")]);
    both(&twice, "/a.png", "there is a second member of this name");
    let many: Vec<String> = (0..101).map(|number| format!("{number}.png")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    check("a.tar.gz", &gzip(&tar_of(&many[..100])), &many[..100]);
    let what = "more than 100 images have names that match the table";
    refused("a.tar.gz", &gzip(&tar_of(&many)), "a.tar.gz/100.png", what);
}

#[test]
fn what_gzip_files_may_end_with() {
    let tar = tar_of(TWO);
    let packed = gzip(&tar);
    let joined = [gzip(&tar[..700]), gzip(b""), gzip(&tar[700..])].concat();
    check("a.tar.gz", &joined, TWO);
    check("a.tar.gz", &[&packed[..], &[0; 3000]].concat(), TWO);
    refused("a.tar.gz", &[&packed[..], b"more"].concat(), "a.tar.gz", "something else follows its end");
    refused(
        "a.tar.gz",
        &[&packed[..], &[0; 300], b"more"].concat(),
        "a.tar.gz",
        "something else follows its end",
    );
    refused("a.tar.gz", &packed[..packed.len() - 4], "a.tar.gz", "it ends too early");
    refused("a.tar.gz", &packed[..15], "a.tar.gz", "it ends too early");
    refused("a.tar.gz", &joined[..joined.len() - 4], "a.tar.gz", "it ends too early");
    let mut damaged = packed.clone();
    let crc = packed.len() - 8;
    damaged[crc] ^= 1;
    refused("a.tar.gz", &damaged, "a.tar.gz", "it does not inflate");
    refused("a.tar.gz", &tar, "a.tar.gz", "it does not inflate");
    refused("a.tar.gz", b"", "a.tar.gz", "it ends too early");
}

/// Whatever byte is another, an archive is read as before or refused. A zip and a gzip file have checksums of their content.
#[test]
fn no_damaged_byte_gives_other_content() {
    let content = |bytes: &[u8]| bytes.to_vec();
    let expected: Vec<_> = TWO.iter().map(|(name, bytes)| ((*name).to_owned(), content(bytes))).collect();
    for (name, whole) in
        [("a.zip", zip_of(TWO, deflated())), ("a.tar", tar_of(TWO)), ("a.tar.gz", gzip(&tar_of(TWO)))]
    {
        for at in (0..whole.len().min(1024)).step_by(3) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8); // each bit now and then
            let Ok(found) = read_all(name, &damaged) else { continue };
            if name == "a.tar" {
                continue; // its content has no checksum
            }
            for (name, bytes) in &found {
                let known = expected.iter().find(|(known, _)| known == name);
                assert!(known.is_none_or(|(_, known)| known == bytes), "{name} after byte {at}");
            }
        }
    }
}

#[test]
fn tables_are_opened_by_names_in_archives() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let table: Files<'_> = &[("top/train.csv", b"a,b\n1,2\n"), ("top/images/a.png", b"")];
    for (name, bytes) in [("a.zip", zip_of(table, deflated())), ("a.tar", tar_of(table))] {
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("writable");
        let mut text = String::new();
        open(&path.join("top/train.csv")).expect("there").read_to_string(&mut text).expect("text");
        assert_eq!(text, "a,b\n1,2\n");
        assert!(matches!(open(&path.join("top/valid.csv")), Err(Error::Io { .. })));
        let archive = Archive::open(&path, Packing::of(&path).expect("one")).expect("good");
        let from_top: Vec<&str> = archive.below_top().map(|(_, name)| name).collect();
        assert_eq!(from_top, ["train.csv", "images/a.png"]);
        assert_eq!(archive.beginning(0, 3).expect("good"), b"a,b");
    }
}

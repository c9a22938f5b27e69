//! Files made here, byte by byte: what is read of every class that people save weights in, and that nothing in a file makes
//! the reader allocate, recurse or loop beyond the bytes that are there.

use super::tensors;
use std::io::Write;
use xray_random::Random;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Operations of a pickle, each as `torch.save` writes it.
mod op {
    pub(super) fn text(text: &str) -> Vec<u8> {
        [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
    }

    pub(super) fn class(module: &str, name: &str) -> Vec<u8> {
        format!("c{module}\n{name}\n").into_bytes()
    }

    pub(super) fn integer(value: i32) -> Vec<u8> {
        [b"J", &value.to_le_bytes()[..]].concat()
    }

    pub(super) fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
        [b"(", &items.concat()[..], b"t"].concat()
    }

    /// A call of `class` with these arguments.
    pub(super) fn call(class: Vec<u8>, arguments: &[Vec<u8>]) -> Vec<u8> {
        [class, tuple(arguments), b"R".to_vec()].concat()
    }

    /// Sets entries of the dict, or of what is like one, before it.
    pub(super) fn entries(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let entries = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
        [b"(", &entries.collect::<Vec<_>>()[..], b"u"].concat()
    }

    pub(super) fn dict(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
        [b"}".to_vec(), entries(pairs)].concat()
    }

    /// A storage of float32.
    pub(super) fn storage(key: &str, length: i32) -> Vec<u8> {
        let storage =
            [text("storage"), class("torch", "FloatStorage"), text(key), text("cpu"), integer(length)];
        [tuple(&storage), b"Q".to_vec()].concat()
    }

    /// A tensor of all of a storage.
    pub(super) fn tensor(key: &str, shape: &[i32], strides: &[i32]) -> Vec<u8> {
        let length = shape.iter().product();
        let numbers = |all: &[i32]| tuple(&all.iter().map(|number| integer(*number)).collect::<Vec<_>>());
        let hooks = call(class("collections", "OrderedDict"), &[]);
        call(
            class("torch._utils", "_rebuild_tensor_v2"),
            &[storage(key, length), integer(0), numbers(shape), numbers(strides), vec![0x89], hooks],
        )
    }
}

/// `[1, 2]`.
fn weight() -> Vec<u8> {
    op::tensor("0", &[2], &[1])
}

fn zipped(pickle: &[u8], storage: &[u8], method: CompressionMethod) -> Vec<u8> {
    let mut file = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("a/data.pkl", pickle), ("a/data/0", storage), ("a/version", b"3\n")] {
        let options = SimpleFileOptions::default().compression_method(method);
        file.start_file(name, options).expect("memory");
        file.write_all(bytes).expect("memory");
    }
    file.finish().expect("memory").into_inner()
}

/// A file of this object and the storage `[1, 2, 3, 4, 5, 6]`.
fn file(object: &[u8]) -> Vec<u8> {
    let storage: Vec<u8> = (1_u8..=6).flat_map(|value| f32::from(value).to_le_bytes()).collect();
    zipped(&[b"\x80\x02", object, b"."].concat(), &storage, CompressionMethod::Stored)
}

/// The names of all tensors, each of which must be `[1, 2]`.
fn names(object: &[u8]) -> Vec<String> {
    let mut found = tensors(&file(object)).expect("readable");
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found.iter().for_each(|(name, tensor)| assert_eq!(tensor.values, [1.0, 2.0], "{name}"));
    found.into_iter().map(|(name, _)| name).collect()
}

fn refused(file: &[u8]) -> String {
    tensors(file).expect_err("must be refused")
}

/// An object of a class that Python would have to import, made as `class.__new__(class)`.
fn made(class: &str) -> Vec<u8> {
    [op::class("somebody.elses", class), b")\x81".to_vec()].concat()
}

fn state(object: Vec<u8>, state: Vec<u8>) -> Vec<u8> {
    [object, state, b"b".to_vec()].concat()
}

#[test]
fn weights_are_found_in_dicts_and_lists_of_every_class() {
    let of = |dict: Vec<u8>| names(&[dict, op::entries(&[("w", weight())])].concat());
    assert_eq!(of(b"}".to_vec()), ["w"]);
    assert_eq!(of(made("AttributeDict")), ["w"]);
    assert_eq!(of(op::call(op::class("collections", "OrderedDict"), &[])), ["w"]);
    assert_eq!(
        of(op::call(op::class("collections", "defaultdict"), &[op::class("builtins", "list")])),
        ["w"]
    );
    let reconstructed = [op::class("a", "Config"), op::class("builtins", "dict"), b"}".to_vec()];
    assert_eq!(of(op::call(op::class("copyreg", "_reconstructor"), &reconstructed)), ["w"]);
    let attributes = op::dict(&[("w", weight())]);
    assert_eq!(names(&state(made("Namespace"), attributes.clone())), ["w"]);
    // With slots, attributes are a pair.
    assert_eq!(names(&state(made("Slots"), op::tuple(&[vec![b'N'], attributes.clone()]))), ["1.w"]);
    assert_eq!(
        names(&op::call(op::class("types", "MappingProxyType"), std::slice::from_ref(&attributes))),
        ["w"]
    );
    let pair = [b"]".to_vec(), op::text("w"), b"a".to_vec(), weight(), b"a".to_vec()].concat();
    let pairs = [b"]".to_vec(), pair, b"a".to_vec()].concat();
    assert_eq!(names(&op::call(op::class("collections", "OrderedDict"), &[pairs])), ["w"]);
    for list in [b"]".to_vec(), made("Layers"), op::call(op::class("collections", "deque"), &[b"]".to_vec()])]
    {
        assert_eq!(names(&[list, b"(".to_vec(), weight(), weight(), b"e".to_vec()].concat()), ["0", "1"]);
    }
    let point = [op::class("a", "Pair"), op::tuple(&[weight(), weight()]), vec![0x81]].concat();
    assert_eq!(names(&point), ["0", "1"]);
    let parameter =
        op::call(op::class("torch._utils", "_rebuild_parameter"), &[weight(), vec![0x88], b"}".to_vec()]);
    assert_eq!(names(&op::dict(&[("p", parameter)])), ["p"]);
}

#[test]
fn what_stands_beside_the_weights_does_not_matter() {
    let size = op::call(op::class("torch", "Size"), &[op::tuple(&[op::integer(2)])]);
    let scalar =
        op::call(op::class("numpy._core.multiarray", "scalar"), &[made("dtype"), b"C\x02ab".to_vec()]);
    let partial =
        state(op::call(op::class("functools", "partial"), &[op::class("a", "f")]), op::tuple(&[vec![b'N']]));
    let beside = [
        ("a", size),
        ("b", scalar),
        ("c", partial),
        ("d", [b"G".to_vec(), vec![0; 8]].concat()),
        ("e", b"\x8a\x09\0\0\0\0\0\0\0\0\x01".to_vec()),
        ("f", [made("Set"), b"(K\x01K\x02\x90".to_vec()].concat()),
        ("g", made("EasyDict")),
        ("w", weight()),
    ];
    assert_eq!(names(&op::dict(&beside)), ["w"]);
    // An object that holds the one that holds it.
    let trainer =
        [made("Trainer"), b"q\x07".to_vec(), op::dict(&[("self", b"h\x07".to_vec()), ("w", weight())])]
            .concat();
    assert_eq!(names(&[trainer, b"b".to_vec()].concat()), ["w"]);
}

#[test]
fn a_module_has_the_names_of_its_state_dict() {
    let table = |name: &str, value: Vec<u8>| op::dict(&[(name, value)]);
    let module = |tables: [Vec<u8>; 3], more: Vec<(&str, Vec<u8>)>| {
        let [parameters, buffers, modules] = tables;
        let mut attributes = more;
        attributes.extend([("_parameters", parameters), ("_buffers", buffers), ("_modules", modules)]);
        state(made("Module"), op::dict(&attributes))
    };
    let layer = module([table("weight", weight()), b"}".to_vec(), b"}".to_vec()], vec![]);
    let passing =
        op::call(op::class("builtins", "set"), &[[b"](".to_vec(), op::text("mask"), b"e".to_vec()].concat()]);
    let buffers = op::dict(&[("mean", weight()), ("mask", weight())]);
    let network = module(
        [table("scale", weight()), buffers, table("fc", layer)],
        vec![("_non_persistent_buffers_set", passing), ("cache", weight())],
    );
    assert_eq!(names(&op::dict(&[("model", network)])), ["model.fc.weight", "model.mean", "model.scale"]);
}

#[test]
fn strides_and_parts_of_storages_are_followed() {
    let of = |object: &[u8]| tensors(&file(object)).expect("readable").remove(0).1;
    let turned = of(&op::tensor("0", &[2, 3], &[1, 2]));
    assert_eq!((&turned.shape[..], &turned.values[..]), (&[2, 3][..], &[1.0, 3.0, 5.0, 2.0, 4.0, 6.0][..]));
    let scalar = of(&op::tensor("0", &[], &[]));
    assert_eq!((scalar.shape.len(), &scalar.values[..]), (0, &[1.0][..]));
    assert!(of(&op::tensor("0", &[0, 3], &[3, 1])).values.is_empty());
    // A stride along one element says nothing.
    assert_eq!(of(&op::tensor("0", &[1, 2], &[i32::MAX, 1])).values, [1.0, 2.0]);
}

#[test]
fn what_a_tensor_asks_for_beyond_its_bytes_is_refused() {
    let check = |object: Vec<u8>, part: &str| {
        let message = refused(&file(&op::dict(&[("w", object)])));
        assert!(message.contains(part), "{message}");
    };
    check(op::tensor("0", &[2], &[2]), "`w` reaches beyond");
    check(op::tensor("0", &[7], &[1]), "storage 0 is cut off");
    check(op::tensor("0", &[i32::MAX], &[1]), "`w` would hold more than the bytes that are there");
    check(op::tensor("1", &[2], &[1]), "storage 1 is not in the file");
    let rebuilt = |shape: &[i32], strides: &[i32]| {
        let numbers =
            |all: &[i32]| op::tuple(&all.iter().map(|number| op::integer(*number)).collect::<Vec<_>>());
        let arguments = [op::storage("0", 6), op::integer(0), numbers(shape), numbers(strides)];
        op::call(op::class("torch._utils", "_rebuild_tensor"), &arguments)
    };
    // Values that repeat themselves, too often.
    check(rebuilt(&[1 << 30, 1 << 30, 1 << 30, 1 << 30], &[0; 4]), "`w` reaches beyond");
    check(rebuilt(&[1 << 30, 4], &[0, 1]), "`w` would hold more");
    check(rebuilt(&[1; 17], &[1; 17]), "`w` has no shape");
    check(rebuilt(&[-1], &[1]), "`w` has no shape");
    check(rebuilt(&[2], &[-1]), "`w` has no strides");
    let sparse = op::call(op::class("torch._utils", "_rebuild_sparse_tensor"), &[weight()]);
    check(sparse, "`w` is made by torch._utils._rebuild_sparse_tensor, which is not read");
}

#[test]
fn a_pickle_that_is_no_program_or_a_bomb_is_refused() {
    for pickle in [
        &b""[..],
        b"1",
        b"0",
        b"t",
        b"R",
        b"(u",
        b"}(K\x01u",
        b"K\x01K\x01a",
        b"h\x09",
        b"\x93",
        b"\xff",
        b"P",
    ] {
        refused(&file(pickle));
    }
    // Lengths beyond the end, of every operation that has one.
    for operation in [&b"X"[..], b"T", b"B", b"\x8b", b"U", b"C", b"\x8c", b"\x8a", b"\x8d", b"\x8e", b"\x96"]
    {
        assert_eq!(refused(&file(&[operation, &[0xff; 8]].concat())), "it is cut off");
    }
    let many = |operations: &[u8], times: usize| refused(&file(&operations.repeat(times)));
    assert!(many(b"]", 3 << 20).contains("more objects"));
    assert!(many(b"N", 5 << 20).contains("more values"));
    assert!(many(b"(", 5 << 20).contains("more values"));
    // A list in a list in a list, and one that holds itself twice, forty times over.
    assert!(
        refused(&file(&[b"]".repeat(200), weight(), b"a".repeat(200)].concat()))
            .contains("within each other")
    );
    let doubled = [weight(), b"q\x01".to_vec(), b"h\x01h\x01\x86q\x01".repeat(40)].concat();
    assert!(refused(&file(&doubled)).contains("more "));
    let long = op::text(&"x".repeat(1 << 16));
    let named = [b"}(".to_vec(), [long, b"q\x01".to_vec(), weight(), b"q\x02".to_vec()].concat()].concat();
    let named = [named, b"h\x01h\x02".repeat(4096), b"u".to_vec()].concat();
    assert!(refused(&file(&named)).contains("letters in names"));
}

#[test]
fn a_compressed_archive_is_read_as_far_as_its_tensors_go() {
    let pickle = [b"\x80\x02".to_vec(), weight(), b".".to_vec()].concat();
    let zeros = zipped(&pickle, &vec![0; 64 << 20], CompressionMethod::Deflated);
    assert!(zeros.len() < 1 << 20);
    assert_eq!(tensors(&zeros).expect("readable")[0].1.values, [0.0, 0.0]);
    let bomb = zipped(&b"]".repeat(80 << 20), b"", CompressionMethod::Deflated);
    assert!(refused(&bomb).contains("more objects"));
}

/// As PyTorch 1.5 wrote it.
fn legacy(object: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let machine = op::dict(&[("little_endian", vec![0x88])]);
    let keys = [b"]".to_vec(), op::text("0"), b"a".to_vec()].concat();
    let numbers =
        [2_i64.to_le_bytes().to_vec(), 1_f32.to_le_bytes().to_vec(), 2_f32.to_le_bytes().to_vec()].concat();
    let pickles = [&machine[..], object, &keys].map(|pickle| [b"\x80\x02", pickle, b"."].concat()).concat();
    [&magic[..], b"\x80\x02M\xe9\x03.", &pickles, &numbers].concat()
}

/// As PyTorch 0.1 wrote it.
fn tarred(pickle: &[u8]) -> Vec<u8> {
    let row = |fields: &[Vec<u8>]| [b"\x80\x02".to_vec(), op::tuple(fields), b".".to_vec()].concat();
    let one = b"\x80\x02K\x01.".to_vec();
    let storage = row(&[op::text("7"), op::text("cpu"), op::class("torch", "FloatStorage")]);
    let numbers =
        [2_i64.to_le_bytes().to_vec(), 1_f32.to_le_bytes().to_vec(), 2_f32.to_le_bytes().to_vec()].concat();
    let storages = [one.clone(), storage, numbers, b"\x80\x02].".to_vec()].concat();
    let tensor = row(&[op::text("9"), op::text("7"), op::class("torch", "FloatTensor")]);
    let words = [2_i64, 1, 0].map(i64::to_le_bytes).concat();
    let tensors = [one, tensor, 1_i64.to_le_bytes().to_vec(), words].concat();
    let mut archive = ::tar::Builder::new(Vec::new());
    for (name, bytes) in [("storages", &storages[..]), ("tensors", &tensors), ("pickle", pickle)] {
        let mut header = ::tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append_data(&mut header, name, bytes).expect("memory");
    }
    archive.into_inner().expect("memory")
}

fn every_container() -> [Vec<u8>; 3] {
    let outside = [op::text("9"), b"Q".to_vec()].concat();
    let old = [b"\x80\x02".to_vec(), op::dict(&[("w", outside)]), b".".to_vec()].concat();
    [file(&op::dict(&[("w", weight())])), legacy(&op::dict(&[("w", weight())])), tarred(&old)]
}

#[test]
fn containers_of_all_times_are_read_and_their_cuts_refused() {
    for file in every_container() {
        let [(name, tensor)] = &tensors(&file).expect("readable")[..] else { panic!("one tensor") };
        assert_eq!((name.as_str(), &tensor.values[..]), ("w", &[1.0, 2.0][..]));
        // A tar ends in zeros that nobody needs.
        let needed = file.iter().rposition(|byte| *byte != 0).expect("not empty");
        for length in 0..needed {
            assert!(tensors(&file[..length]).is_err(), "cut to {length} of {}", file.len());
        }
    }
    let mut other = legacy(&weight());
    let flag = other.windows(2).position(|bytes| bytes == [0x88, b'u']).expect("is there");
    other[flag] = 0x89;
    assert_eq!(refused(&other), "it was written on a big-endian machine");
}

/// Whatever is in a file: an answer, and never more numbers than its bytes allow.
#[test]
fn mutated_files_get_an_answer() {
    let mut random = Random::named(18, "mutated weights");
    let module = state(made("M"), op::dict(&[("_parameters", op::dict(&[("w", weight())]))]));
    let files = [&every_container()[..], &[file(&op::dict(&[("m", module), ("w", weight())]))]].concat();
    for round in 0..4000 {
        let mut file = files[round % files.len()].clone();
        for _ in 0..=(random.unit() * 6.0) as usize {
            let at = (random.unit() * file.len() as f64) as usize;
            match (random.unit() * 4.0) as usize {
                0 => file[at] = (random.unit() * 256.0) as u8,
                1 => file[at] ^= 1 << ((random.unit() * 8.0) as u32),
                2 => drop(file.splice(at..at, [0xff; 4])),
                _ => drop(file.drain(at..(at + 3).min(file.len()))),
            }
            if file.is_empty() {
                break;
            }
        }
        if let Ok(found) = tensors(&file) {
            let numbers: usize = found.iter().map(|(_, tensor)| tensor.values.len()).sum();
            assert!(4 * numbers <= (8 * file.len()).max(1 << 20), "round {round}");
        }
    }
}

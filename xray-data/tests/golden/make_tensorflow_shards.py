"""TensorFlow's side of the TFRecord tests: writes shards for the Rust reader, and says what it sees in a file.

    python make_tensorflow_shards.py write FOLDER   # the fixtures of this folder, from synthetic images
    python make_tensorflow_shards.py dump FILE      # every record's features as JSON
    python make_tensorflow_shards.py kaggle FILE    # as code for the Kaggle set reads them
    python make_tensorflow_shards.py splits FOLDER  # a set whose files and folders say train, val and test; its counts

The fixtures were written by TensorFlow 2.21.
"""

import json
import os
import struct
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

LABELS = [
    "No Finding", "Atelectasis", "Consolidation", "Infiltration", "Pneumothorax", "Edema", "Emphysema", "Fibrosis",
    "Effusion", "Pneumonia", "Pleural_Thickening", "Cardiomegaly", "Nodule", "Mass", "Hernia",
]


def feature(value):
    """A list of one kind, told by the first element."""
    values = value if isinstance(value, list) else [value]
    first = values[0] if values else 0
    if isinstance(first, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(first, float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def serialize(features):
    features = {name: value if isinstance(value, tf.train.Feature) else feature(value) for name, value in features.items()}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def image(number):
    """A gradient of 12 x 8 pixels, no X-ray."""
    rows, columns = np.mgrid[0:8, 0:12]
    return (rows * 20 + columns * 7 + number * 10).astype(np.uint8)[..., None]


def kaggle_records():
    for number in range(3):
        labels = {label: int((number + i) % 5 == 0) for i, label in enumerate(LABELS)}
        encoded = tf.io.encode_jpeg(image(number), quality=90).numpy()
        yield serialize({"image": encoded, "image_id": b"0000000%d_00%d.png" % (number, number), **labels})


def odd_records():
    """What the format allows and simple readers get wrong."""
    yield serialize({})
    yield serialize({
        "empty bytes": [b""],
        "no list": tf.train.Feature(),
        "no values": tf.train.Feature(int64_list=tf.train.Int64List()),
        "several": [b"a", b"", b"\xff\x00"],
        "numbers": [0, 1, -1, 127, 128, 2**63 - 1, -(2**63)],
        "floats": [0.0, -0.0, 1.5, 3.4e38, 1e-40],
        "name in Größe": 3,
    })
    yield serialize({"image": tf.io.encode_png(image(9)).numpy(), "long": [bytes(range(256)) * 3]})


def scalar_records():
    """One value each, as our writer makes them. No name begins another one: there upb's order is not the usual."""
    yield serialize({"bytes": b"x" * 300, "float": 1.5, "minus": -2, "no": 0, "yes": 1, "z": b""})
    yield serialize({"bytes": bytes(range(256)), "float": -0.0, "minus": -(2**63), "no": 2**63 - 1, "yes": 128})


FILES = {"kaggle.tfrec": kaggle_records, "odd.tfrecord": odd_records, "odd.tfrecord.gz": odd_records,
         "scalar.tfrecord": scalar_records}


def write(folder):
    for name, make in FILES.items():
        compression = "GZIP" if name.endswith(".gz") else ""
        with tf.io.TFRecordWriter(os.path.join(folder, name), options=compression) as out:
            for record in make():
                out.write(record)
    for name in ["kaggle.tfrec", "odd.tfrecord", "scalar.tfrecord"]:
        with open(os.path.join(folder, name + ".json"), "w") as out:
            json.dump(dump(os.path.join(folder, name)), out, indent=1)
            out.write("\n")


def records(path):
    compression = "GZIP" if path.endswith(".gz") else ""
    return tf.data.TFRecordDataset(path, compression_type=compression)


def dump(path):
    return [dump_example(tf.train.Example.FromString(record.numpy())) for record in records(path)]


def dump_example(example):
    features = {}
    for name in sorted(example.features.feature):
        value = example.features.feature[name]
        kind = value.WhichOneof("kind")
        if kind is None:
            features[name] = {"nothing": []}
        elif kind == "bytes_list":
            features[name] = {"bytes": [item.hex() for item in value.bytes_list.value]}
        elif kind == "float_list":
            # As bytes: decimal text is not exact in every reader.
            features[name] = {"float": [struct.pack("<f", item).hex() for item in value.float_list.value]}
        else:
            features[name] = {"int64": list(value.int64_list.value)}
    return features


def kaggle(path):
    """The feature map of public notebooks for the Kaggle set."""
    names = {"image": tf.io.FixedLenFeature([], tf.string), "image_id": tf.io.FixedLenFeature([], tf.string)}
    names |= {label: tf.io.FixedLenFeature([], tf.int64) for label in LABELS}
    rows = []
    for record in records(path):
        parsed = tf.io.parse_single_example(record, names)
        pixels = tf.io.decode_jpeg(parsed["image"], channels=1).numpy()
        labels = [int(parsed[label]) for label in LABELS]
        rows.append({"image_id": parsed["image_id"].numpy().decode(), "labels": labels, "shape": list(pixels.shape)})
    return rows


def splits(folder):
    """Files as people name and pack them; counted as they are read back. Labels follow a rule without a pattern."""
    files = {
        "train_00-40.tfrec": ("train", "", range(0, 40)),
        "valid/0.tfrecord": ("val", "ZLIB", range(40, 55)),
        "nih-test.tfrecord-00000-of-00002": ("test", "", range(55, 70)),
        "nih-test.tfrecord-00001-of-00002": ("test", "GZIP", range(70, 80)),
    }
    counts = {}
    for name, (split, compression, numbers) in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with tf.io.TFRecordWriter(path, options=compression) as out:
            for number in numbers:
                labels = {label: int(number * (7 + 2 * i) % 11 < 3) for i, label in enumerate(LABELS[1:])}
                healthy = {"No Finding": int(not any(labels.values()))}
                picture = tf.io.encode_png(((image(number).astype(int) * (1 + number)) % 251).astype(np.uint8)).numpy()
                name_of = b"%08d_000.png" % number
                out.write(serialize({"image": picture, "image_id": name_of, "patient_id": number, **healthy, **labels}))
        for record in tf.data.TFRecordDataset(path, compression_type=compression):
            example = tf.train.Example.FromString(record.numpy())
            of = counts.setdefault(split, {"images": 0, **{label: 0 for label in LABELS}})
            of["images"] += 1
            for label in LABELS:
                of[label] += example.features.feature[label].int64_list.value[0]
    return counts


if __name__ == "__main__":
    command, path = sys.argv[1:]
    if command == "write":
        write(path)
    else:
        json.dump({"dump": dump, "kaggle": kaggle, "splits": splits}[command](path), sys.stdout)

"""Prints the seconds that so many resamples of all labels' AUCs take with scikit-learn: bootstrap.py PREDICTIONS N."""

import json
import sys
import time

import numpy as np
from sklearn.metrics import roc_auc_score

raw = open(sys.argv[1], "rb").read()
size = int.from_bytes(raw[:8], "little")
header, body = json.loads(raw[8 : 8 + size]), raw[8 + size :]


def part(name):
    start, end = header[name]["data_offsets"]
    return body[start:end]


shape = header["logits"]["shape"]
logits = np.frombuffer(part("logits"), "<f4").reshape(shape)
truth = np.frombuffer(part("labels"), "<f4").reshape(shape)
patients = part("patients").decode().split("\n")[:-1]
rows = {}
for row, patient in enumerate(patients):
    rows.setdefault(patient, []).append(row)
rows = [np.array(of) for of in rows.values()]
random = np.random.default_rng(0)
start = time.perf_counter()
for _ in range(int(sys.argv[2])):
    drawn = np.concatenate([rows[at] for at in random.integers(0, len(rows), len(rows))])
    for label in range(shape[1]):
        known = truth[drawn, label]
        if 0 < known.sum() < len(known):
            roc_auc_score(known, logits[drawn, label])
print(time.perf_counter() - start)

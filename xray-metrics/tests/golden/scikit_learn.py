#!/usr/bin/env python3
"""Writes scikit_learn.json beside this file: small cases and what scikit-learn and numpy say of them.

    pip install scikit-learn && python scikit_learn.py

Scores are logits that f32 holds as they are printed or rounds in one way; null labels are unknown. The
intervals come from a plain bootstrap that repeats each drawn patient's rows and calls scikit-learn.
"""

import json
import pathlib
import warnings

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score, roc_curve

warnings.filterwarnings("error")  # a figure that scikit-learn calls undefined must not slip in


def both_classes(y):
    return 0 < y.sum() < len(y)


def auc(y, score):
    return float(roc_auc_score(y, score)) if both_classes(y) else None


def label_figures(y, z):
    known = ~np.isnan(y)
    spread = float(np.std(z))
    y, z = y[known], z[known]
    p = 1 / (1 + np.exp(-z))
    return {
        "positives": int(y.sum()),
        "negatives": int((1 - y).sum()),
        "unknown": int((~known).sum()),
        "prevalence": float(y.mean()) if len(y) else None,
        "auc": auc(y, z),
        "average_precision": float(average_precision_score(y, z)) if both_classes(y) else None,
        "brier": float(np.mean((p - y) ** 2) if not both_classes(y) else brier_score_loss(y, p)) if len(y) else None,
        "log_loss": float(log_loss(y, p, labels=[0, 1])) if len(y) else None,
        "logit_spread": spread,
    }


def mean(values):
    values = [v for v in values if v is not None]
    return float(np.mean(values)) if values else None


def case(name, truth, logits, train_prevalence):
    truth, logits = np.asarray(truth, np.float64), np.float32(logits).astype(np.float64)
    labels = [label_figures(y, z) for y, z in zip(truth.T, logits.T)]
    known = ~np.isnan(truth)
    constant = np.broadcast_to(train_prevalence, truth.shape)
    columns = [(y[k], c[k]) for y, c, k in zip(truth.T, constant.T, known.T) if k.any()]
    return {
        "name": name,
        "num_labels": truth.shape[1],
        "labels": [None if np.isnan(v) else int(v) for v in truth.ravel()],
        "scores": [float(f"{v:.7g}") for v in logits.ravel()],
        "train_prevalence": list(train_prevalence),
        "per_label": labels,
        "macro_auc": mean(l["auc"] for l in labels),
        "macro_average_precision": mean(l["average_precision"] for l in labels),
        "macro_average_precision_baseline": mean(
            float(average_precision_score(y, c)) for y, c in columns if both_classes(y)
        ),
        "macro_brier": mean(l["brier"] for l in labels),
        "macro_brier_baseline": mean(float(np.mean((c - y) ** 2)) for y, c in columns),
        "macro_log_loss": mean(l["log_loss"] for l in labels),
        "macro_log_loss_baseline": mean(float(log_loss(y, c, labels=[0, 1])) for y, c in columns),
        "micro_auc": auc(truth[known], logits[known]),
        "micro_auc_baseline": auc(truth[known], constant[known]),
    }


def draw(rng, rows, rates, unknown, gain):
    truth = (rng.random((rows, len(rates))) < rates).astype(np.float64)
    logits = np.log(rates) + gain * truth + rng.normal(size=truth.shape) * 1.2
    truth[rng.random(truth.shape) < unknown] = np.nan
    return truth, logits


def cases(rng):
    rates = np.array([0.4, 0.25, 0.1, 0.03, 0.01])
    truth, logits = draw(rng, 500, rates, 0.05, 1.0)
    yield case("continuous", truth, np.round(logits, 4), [0.35, 0.2, 0.1, 0.05, 0.01])
    yield case("heavy ties", truth, np.round(logits * 2) / 2, [0.35, 0.2, 0.2, 0.05, 0.05])
    yield case("two scores only", truth, np.where(logits > -2, 1.0, -1.0), [0.5, 0.5, 0.5, 0.5, 0.5])
    truth, logits = draw(rng, 400, np.array([0.3, 0.1, 0.1, 0.1]), 0.1, 0.5)
    truth[:, 1] = np.where(np.arange(400) == 17, 1, 0)  # one positive
    truth[:, 2] = np.where(np.isnan(truth[:, 2]), np.nan, 0)  # no positive
    truth[:, 3] = np.nan  # nothing known
    yield case("rare, absent and unknown", truth, np.round(logits, 3), [0.3, 0.004, 0.001, 0.2])
    truth = np.array([[1, 1], [0, 1], [1, np.nan]])
    yield case("positives only", truth, np.array([[0.5, 1.0], [-8.0, 2.0], [8.0, 3.0]]), [0.5, 0.9])


def probabilities(rng):
    p = np.round(rng.random(60), 2)
    p[:6] = [0, 1, 0, 1, 1e-20, 1 - 1e-12]
    y = (rng.random(60) < 0.4).astype(int)
    y[:6] = [0, 1, 1, 0, 1, 0]
    return {
        "probabilities": p.tolist(),
        "labels": y.tolist(),
        "brier": float(brier_score_loss(y, p)),
        "log_loss": float(log_loss(y, p)),
    }


def edges(rng):
    """Probabilities that f32, or their logits in f64, would not tell apart, and those that have no logit."""
    r, y = rng.random(150), (rng.random(150) < 0.3).astype(int)
    r = np.clip(r + 0.3 * y, 0, 1.2) / 1.2
    columns = {
        "two digits": np.round(r**6, 2),
        "calls": (r > 0.7).astype(float),
        "zeros and ones": np.where(r < 0.4, 0.0, np.where(r > 0.9, 1.0, r)),
        "a billionth apart": 0.9 + 1e-9 * r,
        "neighbours": 0.1 + np.floor(40 * r) * 2**-56,
        "near one": 1 - np.floor(9 * r) * 2**-53,
        "below 1e-300": 1e-300 * (1 + 5 * r),
        "neighbours below 1e-300": 1e-300 * (1 + np.floor(20 * r) * 2**-52),
        "denormal": np.floor(1 + 50 * r) * 5e-324,
        "from end to end": np.concatenate([[0, 5e-324, 1e-20, 1 - 2**-53, 1], np.round(r[5:], 1)]),
    }
    for name, p in columns.items():
        fpr, tpr, thresholds = roc_curve(y, p, drop_intermediate=False)
        yield {
            "name": name,
            "labels": y.tolist(),
            "probabilities": p.tolist(),
            "auc": float(roc_auc_score(y, p)),
            "average_precision": float(average_precision_score(y, p)),
            "brier": float(brier_score_loss(y, p)),
            "log_loss": float(log_loss(y, p)),
            "thresholds": thresholds[1:].tolist(),
            "fpr": fpr[1:].tolist(),
            "tpr": tpr[1:].tolist(),
        }


def bootstrap(rng, resamples=4000):
    """One to three rows per patient, who has a finding in all of them and shares a part of the score."""
    patients = np.repeat(np.arange(120), rng.integers(1, 4, 120))
    truth = (rng.random((120, 2)) < [0.4, 0.2]).astype(np.float64)[patients]
    shared = rng.normal(size=(120, 2))[patients]
    logits = np.round(truth * 0.9 + shared + rng.normal(size=truth.shape) * 0.6, 2)
    rows = [np.flatnonzero(patients == patient) for patient in range(120)]
    drawn = []
    for _ in range(resamples):
        take = np.concatenate([rows[patient] for patient in rng.integers(0, 120, 120)])
        aucs = [roc_auc_score(truth[take, label], logits[take, label]) for label in range(2)]
        drawn.append([*aucs, np.mean(aucs)])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return {
        "patients": patients.tolist(),
        "labels": truth.astype(int).ravel().tolist(),
        "scores": logits.ravel().tolist(),
        "intervals": [[float(l), float(h)] for l, h in zip(low, high)],
    }


rng = np.random.default_rng(20261123)
golden = {"cases": list(cases(rng)), "probabilities": probabilities(rng), "bootstrap": bootstrap(rng)}
golden["edges"] = list(edges(np.random.default_rng(20261129)))
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
print(f"wrote {path} ({path.stat().st_size} bytes)")

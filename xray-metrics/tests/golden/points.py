#!/usr/bin/env python3
"""Writes points.json beside this file: thresholds, curves and calibration of small cases, and what
scikit-learn, statsmodels and numpy say of them.

    pip install scikit-learn statsmodels && python points.py

Scores are numbers that f32 holds as they are printed or rounds in one way.
"""

import json
import pathlib
import warnings

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_curve,
)
from statsmodels.stats.proportion import proportion_confint

warnings.filterwarnings("error")  # a figure that scikit-learn calls undefined must not slip in


def numbers(values):
    return [float(v) if np.isfinite(v) else None for v in values]


def curves(y, score):
    fpr, tpr, thresholds = roc_curve(y, score, drop_intermediate=False)
    precision, recall, pr_thresholds = precision_recall_curve(y, score)
    return {
        "roc": {"threshold": numbers(thresholds), "fpr": numbers(fpr), "tpr": numbers(tpr)},
        "precision_recall": {
            "threshold": numbers(pr_thresholds),
            "precision": numbers(precision),
            "recall": numbers(recall),
        },
    }


def wilson(count, n):
    return numbers(proportion_confint(count, n, alpha=0.05, method="wilson")) if n else None


def calls(y, score, threshold):
    """Figures of one threshold; None for what would be a division by zero."""
    called = (score >= threshold).astype(int)
    tn, fp, fn, tp = (int(v) for v in confusion_matrix(y, called, labels=[0, 1]).ravel())
    recall = lambda truth: float(recall_score(y, called, pos_label=truth)) if (y == truth).any() else None
    precision = lambda call: float(precision_score(y, called, pos_label=call)) if (called == call).any() else None
    return {
        "threshold": float(threshold),
        "counts": [tp, fp, tn, fn],
        "sensitivity": recall(1),
        "specificity": recall(0),
        "ppv": precision(1),
        "npv": precision(0),
        "f1": float(f1_score(y, called)) if (y | called).any() else None,
        "accuracy": float(accuracy_score(y, called)),
        "intervals": {
            "sensitivity": wilson(tp, tp + fn),
            "specificity": wilson(tn, tn + fp),
            "ppv": wilson(tp, tp + fp),
            "npv": wilson(tn, tn + fn),
        },
    }


def fitted(y, score):
    """The calls that each rule should choose: every score is tried, from the highest down."""
    tried = np.unique(score)[::-1]
    called = score[None, :] >= tried[:, None]
    tp, fp = (called & (y == 1)).sum(1), (called & (y == 0)).sum(1)
    positives, negatives = (y == 1).sum(), (y == 0).sum()
    sensitivity, specificity, ppv = tp / positives, 1 - fp / negatives, tp / (tp + fp)

    def best(merit, allowed=None):
        """The first of the best, to rounding."""
        merit = np.where(np.ones_like(tp, bool) if allowed is None else allowed, merit, -np.inf)
        if not np.isfinite(merit).any():
            return None
        at = int(np.argmax(merit >= merit.max() - 1e-12))
        return [int(tp[at]), int(fp[at])]

    return {
        "youden": best(sensitivity + specificity - 1),
        "max-f1": best(2 * tp / (2 * tp + fp + positives - tp)),
        # The small share orders cuts of one specificity; a cut of more sensitivity and one specificity comes later.
        "sensitivity>=0.9": best(specificity + 1e-8 * sensitivity, sensitivity >= 0.9),
        "specificity>=0.95": best(sensitivity, specificity >= 0.95 - 1e-12),
        "ppv>=0.5": best(sensitivity, ppv >= 0.5),
        "ppv>=0.999": best(sensitivity, ppv >= 0.999),
        "lowest-positive": best(-np.abs(tried - score[y == 1].min())),
    }


def case(name, y, score):
    score = np.float32(score).astype(np.float64)
    both = 0 < y.sum() < len(y)
    thresholds = np.unique(np.quantile(score, [0, 0.1, 0.5, 0.9, 1], method="nearest")).tolist()
    return {
        "name": name,
        "labels": y.tolist(),
        "scores": [float(f"{v:.7g}") for v in score],
        "curves": curves(y, score) if both else None,
        "calls": [calls(y, score, t) for t in [*thresholds, max(thresholds) + 1]],
        "fitted": fitted(y, score) if both else None,
    }


def draw(rng, records, rate, gain):
    y = (rng.random(records) < rate).astype(int)
    return y, np.log(rate) + gain * y + rng.normal(size=records) * 1.2


def cases(rng):
    y, score = draw(rng, 240, 0.2, 1.5)
    yield case("continuous", y, np.round(score, 4))
    y, score = draw(rng, 400, 0.3, 1.0)
    yield case("heavy ties", y, np.round(score * 2) / 2)
    y, score = draw(rng, 200, 0.03, 1.0)
    yield case("rare", y, np.round(score, 3))
    yield case("all scores equal", (np.arange(40) % 4 == 0).astype(int), np.full(40, -1.5))
    y, score = draw(rng, 50, 0.3, 1.0)
    yield case("no positives", 0 * y, np.round(score, 2))
    yield case("positives only", 0 * y + 1, np.round(score, 2))


def bins(y, p, strategy, count):
    """calibration_curve leaves out how many records a bin has, which numpy counts by its edges."""
    observed, predicted = calibration_curve(y, p, n_bins=count, strategy=strategy)
    edges = np.linspace(0, 1, count + 1)
    if strategy == "quantile":
        edges = np.quantile(p, edges)
    of_bin = np.bincount(np.searchsorted(edges[1:-1], p), minlength=count)
    of_bin = of_bin[of_bin > 0]
    brier = np.mean((p - y) ** 2)
    reliability = np.sum(of_bin * (predicted - observed) ** 2) / len(y)
    resolution = np.sum(of_bin * (observed - y.mean()) ** 2) / len(y)
    uncertainty = np.var(y)
    return {
        "strategy": strategy,
        "bins": count,
        "records": of_bin.tolist(),
        "observed": numbers(observed),
        "predicted": numbers(predicted),
        "intervals": [wilson(round(o * n), n) for o, n in zip(observed, of_bin)],
        "ece": float(np.sum(of_bin * np.abs(observed - predicted)) / len(y)),
        "reliability": float(reliability),
        "resolution": float(resolution),
        "uncertainty": float(uncertainty),
        "residual": float(brier - reliability + resolution - uncertainty),
    }


def net_benefit(y, p, pt):
    weight = pt / (1 - pt)
    gain = lambda act: float(np.mean(act & (y == 1)) - np.mean(act & (y == 0)) * weight)
    return {"threshold_probability": pt, "model": gain(p >= pt), "treat_all": gain(np.full(len(y), True))}


def calibration(name, y, p, counts=(10, 7)):
    strategies = ["uniform", "quantile"]
    return {
        "name": name,
        "labels": y.tolist(),
        "probabilities": p.tolist(),
        "reliability": [bins(y, p, strategy, count) for strategy in strategies for count in counts],
        "net_benefit": [net_benefit(y, p, pt) for pt in [0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 0.9]],
    }


def calibrations(rng):
    # The records less one are prime to the bins, so that no quantile falls on a record, where numpy rounds.
    y, score = draw(rng, 392, 0.2, 1.5)
    p = np.round(1 / (1 + np.exp(-1.4 * score - 0.5)), 6)
    yield calibration("continuous", y, p)
    # Edges are hit (they are exact in binary), and ties span the quantiles.
    y, score = draw(rng, 300, 0.4, 1.5)
    p = 1 / (1 + np.exp(-score))
    yield calibration("hundredths", y, np.round(p, 2), (4, 8))
    yield calibration("quarters", y, np.round(p * 4) / 4, (4, 8))


def intervals():
    pairs = [(0, 1), (1, 1), (0, 10), (10, 10), (3, 10), (81, 263), (1, 29), (499, 100_000), (99_999, 100_000)]
    return [{"successes": k, "trials": n, "interval": wilson(k, n)} for k, n in pairs]


rng = np.random.default_rng(20261124)
golden = {"cases": list(cases(rng)), "calibrations": list(calibrations(rng)), "intervals": intervals()}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
print(f"wrote {path} ({path.stat().st_size} bytes)")

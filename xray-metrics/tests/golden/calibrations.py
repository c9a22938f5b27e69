#!/usr/bin/env python3
"""Writes calibrations.json beside this file: scores, truths, and what scikit-learn and scipy fit to them.

    pip install scikit-learn && python calibrations.py

Platt's fit is the minimum of scikit-learn's own objective (the targets of sklearn.calibration), found by scipy to
full precision; scikit-learn's fitted numbers stand beside it to show that they are the same to its tolerance.
"""

import json
import pathlib

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression


def log_loss(z, target):
    return float(np.sum(np.logaddexp(0, z) - target * z))


def case(name, z, y, at):
    z, y = np.float32(z).astype(np.float64), np.asarray(y, np.float64)
    positives, negatives = y.sum(), (1 - y).sum()
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def gradient(p):
        error = 1 / (1 + np.exp(-(p[0] * z + p[1]))) - target
        return np.array([np.sum(error * z), np.sum(error)])

    start = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    fit = minimize(lambda p: log_loss(p[0] * z + p[1], target), start, jac=gradient, method="BFGS", options={"gtol": 1e-11})
    sklearn = _SigmoidCalibration().fit(z, y)
    assert np.allclose([-sklearn.a_, -sklearn.b_], fit.x, rtol=2e-3, atol=2e-3), (sklearn.a_, sklearn.b_, fit.x)
    temperature = minimize_scalar(lambda s: log_loss(s * z, y), bounds=(0, 50), method="bounded", options={"xatol": 1e-12})
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(z, y)
    return {
        "name": name,
        "logits": z.tolist(),
        "truth": y.astype(int).tolist(),
        "platt": [float(v) for v in fit.x],
        "temperature": float(temperature.x),
        "at": at,
        "isotonic": isotonic.predict(np.asarray(at, np.float64)).tolist(),
    }


rng = np.random.default_rng(3)
n = 400
z = rng.normal(-2, 1.5, n)
rare = rng.random(n) < 1 / (1 + np.exp(-(0.6 * z - 0.5)))
ties = np.round(rng.normal(0, 2, 300))
common = rng.random(300) < 1 / (1 + np.exp(-1.7 * ties))
at = [-9.0, -3.3, -2.0, -1.25, -0.5, 0.0, 0.7, 1.0, 2.5, 8.0]
cases = [case("sure and shifted", z, rare, at), case("tied and modest", ties, common, at)]
path = pathlib.Path(__file__).with_name("calibrations.json")
path.write_text(json.dumps({"cases": cases}) + "\n")

#!/usr/bin/env python3
"""Check an ONNX file with onnx where it is installed, run it with ONNX Runtime, and write its logits as raw float32.

Usage: python run_onnx.py MODEL.onnx IMAGES.f32 LOGITS.f32
"""
import sys

import numpy as np
import onnxruntime

try:
    import onnx
except ImportError:
    onnx = None

model, images, logits = sys.argv[1:]
if onnx is not None:
    onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
(given,) = session.get_inputs()
pixels = np.fromfile(images, np.float32).reshape(-1, *given.shape[1:])
session.run(["logits"], {given.name: pixels})[0].tofile(logits)

"""A model behind FastAPI and ONNX Runtime, as `xray-serve` answers: an image file in, findings out.

Usage: XRAY_EXPORT=FOLDER python -m uvicorn --app-dir THIS_FOLDER serve:app --workers 2
The folder is what `xray-eval export --to onnx` wrote. Decoding and the runtime release the interpreter's lock, and each
request has one thread of the runtime: with a process for each processor that was the fastest arrangement.
"""
import io
import json
import math
import os
import pathlib

import fastapi
import numpy
import onnxruntime
from fastapi.concurrency import run_in_threadpool
from PIL import Image

FOLDER = pathlib.Path(os.environ["XRAY_EXPORT"])
CARD = json.loads((FOLDER / "model.json").read_text())
PREPROCESSING = CARD["preprocessing"]
assert PREPROCESSING["crop"] == "squash" and PREPROCESSING["filter"] == "bilinear", PREPROCESSING
SIZE, MEAN, STD = (PREPROCESSING[name] for name in ("size", "mean", "std"))
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(str(FOLDER / "model.onnx"), options, providers=["CPUExecutionProvider"])
INPUT = session.get_inputs()[0].name
app = fastapi.FastAPI()


def probability(logit, calibrator):
    if calibrator:
        assert calibrator["method"] == "platt", calibrator
        logit = calibrator["scale"] * logit + calibrator["shift"]
    return 1 / (1 + math.exp(-logit))


def examine(file):
    image = Image.open(io.BytesIO(file)).convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    pixels = (numpy.asarray(image, numpy.float32) / 255 - MEAN) / STD
    logits = session.run(None, {INPUT: pixels[None, None]})[0][0]
    findings = [
        {"label": label, "probability": probability(float(logit), entry["calibrator"])}
        for label, logit, entry in zip(CARD["labels"], logits, CARD["calibration"])
    ]
    return sorted(findings, key=lambda finding: -finding["probability"])


@app.get("/health")
def health():
    versions = {module.__name__: module.__version__ for module in (fastapi, numpy, onnxruntime)}
    return {"versions": versions}


@app.post("/v1/predict")
async def predict(request: fastapi.Request):
    file = await request.body()
    return {"images": [{"findings": await run_in_threadpool(examine, file)}]}

"""Inference by ONNX Runtime in 8 bits: a network of ours, quantised by ONNX Runtime itself.

Usage: int8.py --onnx FILE --size 224 --batch 16 --threads 2 --repeats 20 --warmup 10
Quantises FILE once, statically, into FILE.int8.onnx: QuantizeLinear and DequantizeLinear around every operator it knows,
activations unsigned, weights signed with a scale for each output channel, ranges of eight images of noise. Prints one JSON
object.
"""
import argparse
import json
import os
import statistics
import time

parser = argparse.ArgumentParser()
parser.add_argument("--onnx", required=True)
for name in ("size", "batch", "threads", "repeats", "warmup"):
    parser.add_argument(f"--{name}", type=int, required=True)
arguments = parser.parse_args()

import numpy
import onnxruntime
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

size = arguments.size
generator = numpy.random.default_rng(0)


def images(count):
    """Levels of gray from -2 to 2."""
    return (generator.integers(0, 256, (count, 1, size, size)) / 63.75 - 2).astype(numpy.float32)


class Noise(quantization.CalibrationDataReader):
    def __init__(self):
        self.left = [{"images": images(1)} for _ in range(8)]

    def get_next(self):
        return self.left.pop() if self.left else None


def quantised(path):
    target = f"{path}.int8.onnx"
    if not os.path.exists(target):
        prepared = f"{path}.prepared.onnx"
        # Folds batch norm into convolutions, as the runtime's own guide asks for.
        quant_pre_process(path, prepared)
        quantization.quantize_static(
            prepared, f"{target}.new", Noise(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8)
        os.rename(f"{target}.new", target)
    return target


options = onnxruntime.SessionOptions()
options.intra_op_num_threads = arguments.threads
options.inter_op_num_threads = 1
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
session = onnxruntime.InferenceSession(quantised(arguments.onnx), options, providers=["CPUExecutionProvider"])
batch = images(arguments.batch)


def call():
    start = time.perf_counter()
    session.run(None, {"images": batch})
    return time.perf_counter() - start


for _ in range(arguments.warmup):
    call()
seconds = statistics.median(call() for _ in range(arguments.repeats))
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
print(json.dumps({
    "images_per_second": arguments.batch / seconds,
    "peak_memory_mib": peak,
    "versions": {"onnxruntime": onnxruntime.__version__, "numpy": numpy.__version__},
}))

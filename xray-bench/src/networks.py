"""Steps of SmallCNN or one of torchvision's networks with PyTorch on a batch in memory, as `examples/steps` of xray-model
does them.

Usage: networks.py --pass train|infer --model NAME --size 224 --batch 8 --threads 2 --repeats 6 --warmup 3
                   [--device cuda]
Prints one JSON object.
"""
import argparse
import json
import os
import statistics
import time

parser = argparse.ArgumentParser()
for name in ("pass", "model"):
    parser.add_argument(f"--{name}", required=True)
for name in ("size", "batch", "threads", "repeats", "warmup"):
    parser.add_argument(f"--{name}", type=int, required=True)
parser.add_argument("--device", default="cpu")
arguments = vars(parser.parse_args())
os.environ["OMP_NUM_THREADS"] = str(arguments["threads"])

import torch
import torchvision
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

CLASSES = 14


def small_cnn(widths=(1, 32, 64, 128, 256)):
    blocks = [
        layer
        for before, after in zip(widths, widths[1:])
        for layer in (nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True),
                      nn.MaxPool2d(2))
    ]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], CLASSES))


NETWORKS = {
    "small-cnn": small_cnn,
    "resnet-18": lambda: torchvision.models.resnet18(num_classes=CLASSES),
    "resnet-50": lambda: torchvision.models.resnet50(num_classes=CLASSES),
    "densenet-121": lambda: torchvision.models.densenet121(num_classes=CLASSES),
    "mobilenet-v2": lambda: torchvision.models.mobilenet_v2(num_classes=CLASSES, dropout=0.0),
    "efficientnet-b0": lambda: torchvision.models.efficientnet.EfficientNet(
        *torchvision.models.efficientnet._efficientnet_conf("efficientnet_b0", width_mult=1.0, depth_mult=1.0)[:1],
        dropout=0.0, stochastic_depth_prob=0.0, num_classes=CLASSES),
}

torch.set_num_threads(arguments["threads"])
torch.manual_seed(0)
model = NETWORKS[arguments["model"]]()
path, first = next((path, module) for path, module in model.named_modules() if isinstance(module, nn.Conv2d))
parent, _, attribute = path.rpartition(".")
gray = nn.Conv2d(1, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False)
setattr(model.get_submodule(parent), attribute, gray)
device = torch.device(arguments["device"])
if device.type == "cuda":
    torch.backends.cudnn.benchmark = True
    layout = torch.contiguous_format
else:
    layout = torch.channels_last
model = model.to(device, memory_format=layout)
batch, size = arguments["batch"], arguments["size"]
images = (torch.rand(batch, 1, size, size) * 4 - 2).contiguous(memory_format=layout)
labels = (torch.arange(batch * CLASSES) % 4 == 0).float().reshape(batch, CLASSES)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def train():
    """The batch comes from memory and the loss is read, as in `examples/steps`."""
    optimizer.zero_grad(set_to_none=True)
    loss = binary_cross_entropy_with_logits(model(images.to(device)), labels.to(device))
    loss.backward()
    optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return loss.item()


def infer():
    with torch.inference_mode():
        return model(images.to(device)).cpu()


step = {"train": train, "infer": infer}[arguments["pass"]]
model.train(arguments["pass"] == "train")
for _ in range(arguments["warmup"]):
    step()
seconds = []
for _ in range(arguments["repeats"]):
    start = time.perf_counter()
    step()
    seconds.append(time.perf_counter() - start)
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
print(json.dumps({
    "images_per_second": batch / statistics.median(seconds),
    "peak_memory_mib": peak / 1024,
    "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
}))

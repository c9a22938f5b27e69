"""Steps of SmallCNN or one of torchvision's networks with PyTorch on a batch in memory, as `examples/steps` of xray-model
does them.

Usage: networks.py --pass train,infer --model NAME --size 224 --batch 8 --threads 2 --repeats 6 --warmup 3
                   [--block 1] [--device cuda] [--setting channels_last,autocast]
Prints one JSON object a line for each setting and pass. A setting is:
  contiguous     maps channel by channel; on CUDA factors of convolutions are rounded to TF32, as PyTorch comes
  channels_last  the same with maps pixel by pixel
  float32        channels_last without TF32
  autocast       channels_last with bfloat16 where `torch.autocast` takes it
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
parser.add_argument("--block", type=int, default=1)
parser.add_argument("--device", default="cpu")
parser.add_argument("--setting", default="channels_last")
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

SETTINGS = {
    "contiguous": {"layout": torch.contiguous_format, "tf32": True, "autocast": False},
    "channels_last": {"layout": torch.channels_last, "tf32": True, "autocast": False},
    "float32": {"layout": torch.channels_last, "tf32": False, "autocast": False},
    "autocast": {"layout": torch.channels_last, "tf32": True, "autocast": True},
}

torch.set_num_threads(arguments["threads"])
device = torch.device(arguments["device"])
is_cuda = device.type == "cuda"
torch.backends.cudnn.benchmark = is_cuda
batch, size = arguments["batch"], arguments["size"]


def gray(network):
    """Its first convolution for one channel."""
    path, first = next((path, module) for path, module in network.named_modules() if isinstance(module, nn.Conv2d))
    parent, _, attribute = path.rpartition(".")
    convolution = nn.Conv2d(1, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False)
    setattr(network.get_submodule(parent), attribute, convolution)
    return network


def steps(layout, tf32, autocast):
    """What a step of each pass is; it is told when it is a block's last, and waits for the device then."""
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = tf32
    network = gray(NETWORKS[arguments["model"]]()).to(device, memory_format=layout)
    images = (torch.rand(batch, 1, size, size) * 4 - 2).contiguous(memory_format=layout)
    labels = (torch.arange(batch * CLASSES) % 4 == 0).float().reshape(batch, CLASSES)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    half = torch.autocast(device.type, torch.bfloat16, enabled=autocast)

    def train(is_last):
        """The batch comes from memory, as in `examples/steps`."""
        optimizer.zero_grad(set_to_none=True)
        with half:
            logits = network(images.to(device))
        loss = binary_cross_entropy_with_logits(logits.float(), labels.to(device))
        loss.backward()
        optimizer.step()
        if is_last:
            loss.item()
            if is_cuda:
                torch.cuda.synchronize()

    def infer(is_last):
        with torch.inference_mode(), half:
            return network(images.to(device)).float().cpu()

    return {"train": (network.train, train), "infer": (network.eval, infer)}


def measured(step):
    """Seconds of a step: each is the mean of a block's."""
    def block(steps):
        start = time.perf_counter()
        for number in range(1, steps + 1):
            step(number == steps)
        return (time.perf_counter() - start) / steps
    block(max(1, arguments["warmup"]))
    return [block(arguments["block"]) for _ in range(arguments["repeats"])]


def peak_memory_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


for setting in arguments["setting"].split(","):
    if is_cuda:
        torch.cuda.empty_cache()
    passes = steps(**SETTINGS[setting])
    for name in arguments["pass"].split(","):
        prepare, step = passes[name]
        prepare()
        began = time.time()
        seconds = measured(step)
        print(json.dumps({
            "setting": setting,
            "pass": name,
            "images_per_second": batch / statistics.median(seconds),
            "peak_memory_mib": peak_memory_mib(),
            "began": began,
            "ended": time.time(),
            "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
        }), flush=True)
    del passes, prepare, step

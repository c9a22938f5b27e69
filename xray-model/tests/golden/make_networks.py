#!/usr/bin/env python3
"""Write the golden files of the networks that torchvision has (PyTorch 2.15.0 and torchvision 0.29.0 when they were
committed), or, with a folder, full-size weights and logits.

NAME.safetensors   of a narrow network in double precision, whose weights, images and labels are a function of their
                   names that tests compute too (`value` below):
                   logits_train, loss          of a batch, in training mode
                   logits_eval                 of the same weights and running statistics in evaluation mode
                   gradients, gradient_norms   of every parameter, in the order of their names: some 64 evenly spaced
                                               values of each, and the root of the sum of the squares of all
                   statistics                  the running ones after that pass, in the same way
                   losses, learning_rate       of ten steps of Adam
                   and in the header names and shapes of all parameters and running statistics.

FOLDER/NAME.safetensors   full-size weights as torchvision draws them, an image of 224 pixels, and its logits.

Usage: python make_networks.py [FOLDER]
"""
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torchvision.models import densenet, efficientnet, mobilenetv2, resnet

HERE = pathlib.Path(__file__).parent
CLASSES, IMAGES, SIZE, SAMPLE = 14, 8, 64, 64
torch.manual_seed(7)
torch.set_num_threads(2)


def narrow_resnet(block, layers, width):
    model = resnet.ResNet(block, layers)
    model.inplanes = width
    model.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
    model.bn1 = nn.BatchNorm2d(width)
    for stage, blocks in enumerate(layers):
        made = model._make_layer(block, width << stage, blocks, stride=1 if stage == 0 else 2)
        setattr(model, f"layer{stage + 1}", made)
    model.fc = nn.Linear(8 * width * block.expansion, CLASSES)
    return model


def efficientnet_b0(width):
    conf, last = efficientnet._efficientnet_conf("efficientnet_b0", width_mult=width / 32, depth_mult=1.0)
    return efficientnet.EfficientNet(conf, 0.0, stochastic_depth_prob=0.0, num_classes=CLASSES, last_channel=last)


# Name: how to make it at a width, the golden and the paper's width, the channels of its images, and Adam's rate: small
# where a larger one magnifies rounding (PyTorch's own single precision then leaves double precision by a percent).
NETWORKS = {
    "resnet-18": (lambda w: narrow_resnet(resnet.BasicBlock, [2, 2, 2, 2], w), 12, 64, 1, 1e-3),
    "resnet-50": (lambda w: narrow_resnet(resnet.Bottleneck, [3, 4, 6, 3], w), 8, 64, 3, 1e-5),
    "densenet-121": (lambda w: densenet.DenseNet(w, (6, 12, 24, 16), 2 * w, num_classes=CLASSES), 16, 32, 1, 1e-5),
    "mobilenet-v2": (lambda w: mobilenetv2.MobileNetV2(CLASSES, w / 32, dropout=0.0), 8, 32, 1, 1e-5),
    "efficientnet-b0": (efficientnet_b0, 8, 32, 1, 1e-3),
}


def build(name, full_size=False):
    make, narrow, paper, channels, _ = NETWORKS[name]
    model = make(paper if full_size else narrow)
    if channels == 1:
        parent, attribute, first = next(
            (model.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2], module)
            for path, module in model.named_modules() if isinstance(module, nn.Conv2d)
        )
        gray = nn.Conv2d(1, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False)
        nn.init.kaiming_normal_(gray.weight, mode="fan_out")
        setattr(parent, attribute, gray)
    return model, channels


def uniform(name, count):
    """Numbers from 0 to 1 that are a function of the name: SplitMix64 from its FNV-1a hash."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float64) / 2**24


def value(name, shape):
    """Whole 1/2^24 in single precision, so that both sides have the same bits."""
    centred = 2 * uniform(name, math.prod(shape)).astype(np.float32) - 1
    if len(shape) > 1:
        centred = centred * np.float32(math.sqrt(3 / math.prod(shape[1:])))
    elif name.endswith(("weight", "running_var")):
        centred = 1 + np.float32(0.25) * centred
    else:
        centred = np.float32(0.25) * centred
    return torch.from_numpy(centred.astype(np.float32).reshape(shape)).double()


def kept(model):
    return {name: tensor for name, tensor in sorted(model.state_dict().items()) if "num_batches" not in name}


def sample(tensors):
    def of(tensor):
        flat = tensor.flatten()
        return flat[:: -(-flat.numel() // SAMPLE)]

    return torch.cat([of(tensor) for tensor in tensors]).float()


def golden(name):
    def fresh():
        model, channels = build(name)
        model = model.double()
        model.load_state_dict({n: value(n, tuple(t.shape)) for n, t in kept(model).items()}, strict=False)
        return model.train(), channels

    model, channels = fresh()
    # On most data PyTorch's own single precision is off by some percent in single gradients of DenseNet-121: where a
    # value within rounding of zero stands before a ReLU, its gradient comes or goes. On this data none does.
    salt = " 14" if name == "densenet-121" else ""
    images = torch.from_numpy(2 * uniform("images" + salt, IMAGES * SIZE * SIZE) - 1).reshape(IMAGES, 1, SIZE, SIZE)
    images = images.float().double().expand(-1, channels, -1, -1)
    labels = torch.from_numpy(uniform("labels" + salt, IMAGES * CLASSES) < 0.3).double().reshape(IMAGES, CLASSES)
    out = {"logits_eval": model.eval()(images).detach().float()}
    logits = model.train()(images)
    loss = F.binary_cross_entropy_with_logits(logits, labels)
    loss.backward()
    out |= {"logits_train": logits.detach().float(), "loss": loss.detach().reshape(1).float()}
    gradients = [p.grad for _, p in sorted(model.named_parameters())]
    out["gradients"] = sample(gradients)
    out["gradient_norms"] = torch.stack([g.norm() for g in gradients]).float()
    out["statistics"] = sample([t for n, t in kept(model).items() if ".running_" in n or n.startswith("running_")])

    model, _ = fresh()
    # A large epsilon: Adam divides by the size of gradients, and small ones are mostly rounding.
    rate = NETWORKS[name][-1]
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=rate, eps=1e-2), []
    for _ in range(10):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    out |= {"losses": torch.tensor(losses), "learning_rate": torch.tensor([rate])}
    names = "\n".join(f"{n} {list(t.shape)}" for n, t in kept(model).items())
    save_file(out, HERE / f"{name}.safetensors", {"names": names})
    print(name, losses[0], losses[-1])


def full_size(name, folder):
    model, channels = build(name, full_size=True)
    image = torch.randn(1, 1, 224, 224)
    # Statistics that are not the identity's.
    model.train()(torch.randn(4, channels, 96, 96))
    logits = model.double().eval()(image.double().expand(-1, channels, -1, -1)).detach().float()
    weights = {f"weights.{n}": t.float().contiguous() for n, t in kept(model).items()}
    save_file(weights | {"image": image, "logits": logits}, pathlib.Path(folder) / f"{name}.safetensors")


if __name__ == "__main__":
    for name in NETWORKS:
        golden(name) if len(sys.argv) == 1 else full_size(name, sys.argv[1])

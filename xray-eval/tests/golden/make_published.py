#!/usr/bin/env python3
"""Write narrow published models and what their own classes say of pictures (PyTorch 2.15.0, torchvision 0.29.2,
torchxrayvision 1.5.7, scikit-image 0.26.0 and safetensors 0.8.0 when they were committed).

torchxrayvision.safetensors   the state dict of its DenseNet of growth rate 1, with `op_threshs`
imagenet.pth                  a checkpoint of a ResNet-18 of width 2 for colour images, in a parallel wrapper and with a
                              head in a sequence, as training loops save it
published.json                of each the logits, in double precision, of pictures that need no resizing (`same`), and of
                              others that the model's own pipeline prepares (`whole`)

Weights are bfloat16 in the files, and the models compute with just those values.

Usage: python make_published.py
"""
import json
import pathlib

import numpy as np
import torch
import torchvision.transforms as T
import torchxrayvision as xrv
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet

HERE = pathlib.Path(__file__).parent
SIZE = 64
SAME = [(SIZE, SIZE)] * 3
WHOLE = [(80, 61), (61, 80), (97, 97), (300, 200)]
torch.manual_seed(11)


def picture(number, width, height):
    """A smooth one with some structure; tests compute it too."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    return ((x * x * (number + 2) // 16 + y * (5 + number) + (x * y) // 7) % 256).astype(np.uint8)


def settled(model, images):
    """With running statistics of such images, and weights that bfloat16 holds."""
    model.train()
    with torch.no_grad():
        for _ in range(30):
            model(images)
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.bfloat16())
    return model.eval().double()


def stored(model, prefix=""):
    of = lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor
    return {prefix + name: of(tensor) for name, tensor in model.state_dict().items()}


def said(model, **images):
    with torch.no_grad():
        return {name: model(torch.stack(found).double()).tolist() for name, found in images.items()}


def torchxrayvision():
    pipeline = T.Compose([xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(SIZE)])
    prepared = lambda sizes: [
        torch.from_numpy(pipeline(xrv.utils.normalize(picture(i, *size), 255)[None])) for i, size in enumerate(sizes)
    ]
    same, whole = prepared(SAME), prepared(WHOLE)
    model = settled(xrv.models.DenseNet(growth_rate=1, num_init_features=2), torch.stack(same + whole))
    state = stored(model)
    state["op_threshs"] = torch.linspace(0.1, 0.6, 18)
    state["op_threshs"][[14, 17]] = float("nan")
    # Counters are in the other file too.
    state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    save_file(state, HERE / "torchxrayvision.safetensors")
    return said(model, same=same, whole=whole)


def imagenet():
    normalise = T.Compose([T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    cut = T.Compose([T.Resize(SIZE * 256 // 224), T.CenterCrop(SIZE), normalise])
    squash = T.Compose([T.Resize((SIZE, SIZE)), normalise])
    prepared = lambda sizes, pipeline: [
        pipeline(Image.fromarray(picture(i, *size)).convert("RGB")) for i, size in enumerate(sizes)
    ]
    same, whole, squashed = prepared(SAME, squash), prepared(WHOLE, cut), prepared(WHOLE, squash)
    model = resnet.ResNet(resnet.BasicBlock, [2, 2, 2, 2])
    model.inplanes, model.conv1, model.bn1 = 2, nn.Conv2d(3, 2, 7, 2, 3, bias=False), nn.BatchNorm2d(2)
    for stage in range(4):
        made = model._make_layer(resnet.BasicBlock, 2 << stage, 2, stride=1 if stage == 0 else 2)
        setattr(model, f"layer{stage + 1}", made)
    model.fc = nn.Sequential(nn.Linear(16, 3))
    model = settled(model, torch.stack(same + whole))
    torch.save({"epoch": 3, "state_dict": stored(model, "module.")}, HERE / "imagenet.pth")
    return said(model, same=same, whole=whole, squashed=squashed)


found = {"torchxrayvision": torchxrayvision(), "imagenet": imagenet()}
(HERE / "published.json").write_text(json.dumps(found) + "\n")

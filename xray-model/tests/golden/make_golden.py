#!/usr/bin/env python3
"""Write the golden files beside this script with PyTorch (2.15.0 when they were committed).

small_cnn.safetensors   a SmallCNN of width 4 at 36 pixels: first weights, a batch, the loss, every gradient,
                        the logits in evaluation mode after one training forward, and ten losses of training
                        with Adam, AdamW, and SGD with momentum, weight decay and clipping
losses.safetensors      logits and labels (some unknown) with each loss and its gradient by the logits

Usage: python make_golden.py
"""
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

HERE = pathlib.Path(__file__).parent
torch.manual_seed(7)
torch.set_num_threads(1)


class Block(nn.Module):
    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x):
        return F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)


class SmallCnn(nn.Module):
    def __init__(self, width=4, classes=14):
        super().__init__()
        widths = [1] + [width << i for i in range(4)]
        self.features = nn.Sequential(*(Block(i, o) for i, o in zip(widths, widths[1:])))
        self.classifier = nn.Linear(widths[-1], classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def weights(model):
    return {k: v.clone() for k, v in model.state_dict().items() if "num_batches" not in k}


def small_cnn():
    model = SmallCnn()
    with torch.no_grad():  # batch norm that is not the identity
        for name, p in model.named_parameters():
            if "norm" in name:
                p.add_(0.2 * torch.randn_like(p))
    first = weights(model)
    images = torch.randn(6, 1, 36, 36)
    labels = (torch.rand(6, 14) < 0.3).float()
    out = {f"weights.{k}": v for k, v in first.items()}
    out |= {"images": images, "labels": labels}
    loss = F.binary_cross_entropy_with_logits(model(images), labels)
    loss.backward()
    out["loss"] = loss.detach().reshape(1)
    out |= {f"gradients.{k}": p.grad.clone() for k, p in model.named_parameters()}
    model.eval()
    out["logits_eval"] = model(images).detach()

    def ten_losses(make, clip=0.0, decay=0.0):
        model = SmallCnn()
        model.load_state_dict(first, strict=False)
        kept = [p for n, p in model.named_parameters() if n.endswith("weight") and "norm" not in n]
        rest = [p for n, p in model.named_parameters() if not (n.endswith("weight") and "norm" not in n)]
        optimizer = make([{"params": kept, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}])
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(model(images), labels)
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            losses.append(loss.item())
        return torch.tensor(losses)

    out["losses_adam"] = ten_losses(lambda p: torch.optim.Adam(p, lr=1e-2), decay=1e-2)
    out["losses_adamw"] = ten_losses(lambda p: torch.optim.AdamW(p, lr=1e-2), decay=0.1)
    out["losses_sgd"] = ten_losses(lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9), clip=0.05, decay=1e-2)
    save_file(out, HERE / "small_cnn.safetensors")


def losses():
    logits = (4 * torch.randn(5, 6)).requires_grad_()
    labels = (torch.rand(5, 6) < 0.4).float()
    labels[torch.rand(5, 6) < 0.15] = float("nan")
    known = ~labels.isnan()
    y = labels[known]
    out = {"logits": logits.detach(), "labels": labels}
    prevalence = torch.tensor([0.1, 0.5, 0.004, 0.3, 0.05, 0.9])
    weight = ((1 - prevalence) / prevalence).clamp(max=100.0).expand(5, 6)[known]
    out["prevalence"] = prevalence

    def record(name, mean):
        (grad,) = torch.autograd.grad(mean, logits, retain_graph=True)
        out[name] = mean.detach().reshape(1)
        out[f"{name}.gradient"] = grad

    x = logits[known]
    p = x.sigmoid()
    bce = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    record("bce", bce.mean())
    record("weighted-bce", F.binary_cross_entropy_with_logits(x, y, pos_weight=weight, reduction="none").mean())
    pt = p * y + (1 - p) * (1 - y)
    alpha = 0.25 * y + 0.75 * (1 - y)
    record("focal", (alpha * (1 - pt) ** 2 * bce).mean())
    pm = (p - 0.05).clamp(min=0)
    asymmetric = -(y * F.logsigmoid(x) + (1 - y) * pm**4 * torch.log(1 - pm))
    record("asymmetric", asymmetric.mean())
    save_file(out, HERE / "losses.safetensors")


small_cnn()
losses()

"""Files that PyTorch wrote, for tests of reading them: a checkpoint of a SmallCNN of width 2 on colour images with 18
classes, wrapped as training loops wrap it, in three types of number; and a pickle that would run a command.

    python make_import.py
"""
import os
import pathlib
import pickle

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
torch.manual_seed(5)


class Block(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o)


class SmallCNN(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [3, 2, 4, 8, 16]
        self.features = nn.ModuleList(Block(i, o) for i, o in zip(widths, widths[1:]))
        self.classifier = nn.Linear(16, 18)


model = nn.Module()
model.module = SmallCNN()
weights = model.state_dict()
weights["module.features.1.conv.weight"] = weights["module.features.1.conv.weight"].half().float().half()
weights["module.features.2.conv.weight"] = weights["module.features.2.conv.weight"].bfloat16()
weights["module.features.3.conv.weight"] = weights["module.features.3.conv.weight"].double()
optimizer = torch.optim.Adam(model.parameters())
torch.save({"epoch": 3, "state_dict": weights, "optimizer": optimizer.state_dict()}, HERE / "checkpoint.pth")


class Command:
    def __reduce__(self):
        return os.system, ("touch executed-by-a-pickle",)


with open(HERE / "malicious.pth", "wb") as file:
    pickle.dump({"conv.weight": Command()}, file)
print(float(weights["module.classifier.bias"][3]), float(weights["module.features.0.conv.weight"].sum(1).flatten()[4]))

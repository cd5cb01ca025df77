"""Made verifiers/results.jsonl: an evaluation of verifiers 0.1.14, `python evaluate_verifiers_1.py FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Three rollouts of each of two questions, with three rewards, one of which has no weight."""
    os.environ["OPENAI_API_KEY"] = "none"
    import verifiers as vf
    from answering import answering
    from datasets import Dataset

    def correct(completion: list[dict[str, str]], answer: str, **kwargs: object) -> float:
        return float(answer in completion[-1]["content"])

    def brief(completion: list[dict[str, str]], **kwargs: object) -> float:
        return 1 / (1 + len(completion[-1]["content"]))

    def polite(completion: list[dict[str, str]], **kwargs: object) -> float:
        return float("think" in completion[-1]["content"])

    questions = Dataset.from_dict({"question": ["1 + 1?", "2 + 3?"], "answer": ["2", "5"]})
    rubric = vf.Rubric(funcs=[correct, brief, polite], weights=[1.0, 0.2, 0.0])
    environment = vf.SingleTurnEnv(dataset=questions, eval_dataset=questions, rubric=rubric)
    with answering() as address:
        client = vf.ClientConfig(api_base_url=address, api_key_var="OPENAI_API_KEY")
        environment.evaluate_sync(
            client, "m", rollouts_per_example=3, max_concurrent=1, save_results=True, results_path=folder
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

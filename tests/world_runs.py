"""Runs in worlds, made by hand."""

from gd2po.worlds import Reward, World, WorldRun

SEEDS = [10, 11, 12, 13, 14]
ONE, TWO = World("one", (Reward("a", weight=2), Reward("b", weight=-1))), World("two", (Reward("a"), Reward("b")))


def run(world: str, label: str, learning_rate: float, final: list[float]) -> WorldRun:
    """A run that starts at 0 and rises in a straight line; rewards rise by 1 and 3."""
    count = len(final)
    return WorldRun(
        world, label, learning_rate, SEEDS, [0, 60, 120], [[0.0, value / 2, value] for value in final],
        [[0.0, 0.25, 0.5]] * count, [[0.0, 0.0]] * count, [[1.0, 3.0]] * count,
    )  # fmt: skip


RUNS = [
    run("one", "gdpo", 0.3, [0.1, 0.1, 0.1, 0.1, 0.1]),
    run("one", "gdpo", 1.0, [0.4, 0.5, 0.6, 0.5, 0.5]),
    run("one", "gdpo", 3.0, [0.9, 0.1, 0.1, 0.1, 0.1]),
    run("one", "hard", 0.3, [0.5, 0.6, 0.7, 0.6, 0.6]),
    run("one", "hard", 1.0, [0.2, 0.2, 0.2, 0.2, 0.2]),
    run("one", "hard", 3.0, [0.2, 0.2, 0.2, 0.2, 0.2]),
    run("two", "gdpo", 1.0, [0.5, 0.5, 0.5, 0.5, 0.5]),
    run("two", "hard", 0.3, [0.1, 0.1, 0.1, 0.1, 0.1]),
    run("two", "hard", 1.0, [0.2, 0.3, 0.4, 0.3, 0.3]),
]

"""Random numbers of a seed, each stream under a name of its own.

The same seed and name give the same numbers whatever else is drawn: for every method, learning rate and number of
seeds. So the runs of one seed differ only by what is compared, and worlds that share a goal or an error share its
draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def generator(seed: int, name: str) -> Generator:
    """The generator for something that is named, of one seed.

    Example:
        >>> same = [torch.rand(2, generator=generator(7, "goal q")) for _ in range(2)]
        >>> torch.equal(*same)
        True
    """
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    # torch's generator takes 64 bits and uses 32 of them.
    return Generator().manual_seed(int.from_bytes(digest[:4], "big"))


class Streams:
    """Uniform and other draws for S seeds, a generator per seed, in the order in which they are asked for."""

    def __init__(self, seeds: Sequence[int], name: str) -> None:
        self._generators = [generator(seed, name) for seed in seeds]

    def uniform(self, *shape: int) -> Tensor:
        """(S, *shape) numbers in [0, 1)."""
        return torch.stack([torch.rand(shape, generator=own, dtype=torch.float64) for own in self._generators])

    def subset(self, size: int, of: int) -> Tensor:
        """(S, size) different numbers below `of`, every subset as likely."""
        return self.uniform(of).argsort(1)[:, :size]

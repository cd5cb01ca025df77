"""One run of a comparison: `gd2po train` in a process that ends with the one that started it.

    python -m gd2po.training.worker --config ... < pipe

A comparison that is killed leaves no run behind that goes on writing where the next one begins.
"""

from __future__ import annotations

import os
import sys
import threading

from gd2po.errors import GD2POError


def _end_with_the_input() -> None:
    """The other end of the pipe is closed when its process ends, however that comes about."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def _main() -> int:
    from gd2po.training.train import train_command

    try:
        return train_command(sys.argv[1:])
    except GD2POError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    sys.exit(_main())

"""One run of a comparison: `gd2po train` in a process that ends with the one that started it.

    python -m gd2po.cli.compare_run --config ... < pipe

A comparison that is killed leaves no run behind that goes on writing where the next one begins.
"""

from __future__ import annotations

import os
import sys
import threading

from gd2po.cli import main


def _end_with_the_input() -> None:
    """The other end of the pipe is closed when its process ends, however that comes about."""
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    sys.argv = ["gd2po", "train", *sys.argv[1:]]
    main()

"""What a replay compares unless told otherwise. Without torch: the help of the command line shows it."""

from typing import Final

METHODS: Final = ("grpo", "gdpo", "gd2po-hard", "gd2po-snr", "gd2po-gated", "consensus", "dvao", "rvpo")
LEARNING_RATES: Final = (0.1, 0.3, 1.0, 3.0)

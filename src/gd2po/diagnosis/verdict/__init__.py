"""From numbers to sentences: one set of limits, for the diagnosis of a log and for advice during training."""

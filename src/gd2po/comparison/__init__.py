"""Which method suits my rewards? Methods x seeds with everything else equal, and what their differences are worth.

Needs `gd2po[trl,report]`. The command is `gd2po compare`; docs/compare.md says what its numbers mean.
"""

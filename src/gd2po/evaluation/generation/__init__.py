"""Generation for an evaluation: policies, resumable output files, and the outputs of others."""

"""Evaluation: pure scoring, apart from the generation that it scores."""

"""Intervals and tests for scores in [0, 1], one function for each question, paired on items and within clusters."""

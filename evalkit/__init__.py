"""Evaluation: contenders on the same held-out items, compared with statistics, ending in a verdict."""

"""Curation: messy rows in, a dataset that can be trusted out, with a reason for every row that was left out."""

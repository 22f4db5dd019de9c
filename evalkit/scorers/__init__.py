"""Scorers: small functions from an item and an answer to a mark, a file for each kind."""

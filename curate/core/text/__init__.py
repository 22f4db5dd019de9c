"""Texts: embeddings, languages, refusals, and what gives away an evaluation item."""

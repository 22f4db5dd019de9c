"""Texts: vectors of them, languages, refusals, and what gives away an evaluation item."""

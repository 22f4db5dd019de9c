"""Duplicates: exact, near, in meaning, and rows that earlier datasets have."""

"""Rows packed into one sequence: its layout, attention within it, and a prefix that several packs share."""

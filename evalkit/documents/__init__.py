"""Documents as a source of context: read, cut into passages, stored, found again for a question."""

"""Rows as tokens: reading and tokenizing them, the order in which steps take them, and what the model will see."""

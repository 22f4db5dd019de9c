"""The suite: what an evaluation is told, and what it reads."""

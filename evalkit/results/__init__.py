"""Results: from scores to the record of what was found, and what is concluded from it."""

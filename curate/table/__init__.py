"""All rows of a job in one table, some of them by number, and what was left out."""

"""What `curate review` shows: rows of a dataset, rejected rows, pairs of duplicates."""

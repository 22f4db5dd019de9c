"""Records in files: JSON Lines, arrays, CSV, Parquet, compressed or not."""

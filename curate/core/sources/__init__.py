"""Sources: files as records (JSON Lines, arrays, CSV, Parquet, compressed or not), and records as rows."""

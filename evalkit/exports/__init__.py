"""Results in other tools' formats: inspect_ai's logs, lm-eval's files, CSV, Parquet."""

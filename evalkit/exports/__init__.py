"""Results in other tools' formats, so that they can check us: inspect_ai's logs, lm-eval's files, CSV, Parquet."""

"""What at least two of the packages use: files, digests, configuration, records, rows, chat templates, the console."""

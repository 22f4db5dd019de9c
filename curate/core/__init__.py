"""What at least two of the packages use: rows, files, digests, configuration, records, chat templates, the console."""

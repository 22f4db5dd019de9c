"""What two packages need: errors, config files, paths, digests, sealed records, rows, chat templates, the console."""

"""The command line of curate."""

"""The command line `curate`, a file for each group of commands."""

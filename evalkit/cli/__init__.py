"""The command line `evalkit`, a file for each group of commands."""

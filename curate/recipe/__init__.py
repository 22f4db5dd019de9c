"""The recipe: how a dataset is built, as a file says it."""

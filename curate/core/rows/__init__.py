"""The row, the texts and keys that it is compared by, and the shapes in which rows come."""

"""The shapes in which rows come: each module turns one kind of record into the values of a row."""

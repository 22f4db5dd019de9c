"""The shapes in which rows come: each module turns a kind of record into the values of a row."""

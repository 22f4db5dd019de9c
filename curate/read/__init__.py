"""From the bytes of files to rows in a table."""

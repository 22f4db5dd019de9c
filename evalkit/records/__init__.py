"""Records: answers and scores line by line, long lists of them on disk, and sealed records."""

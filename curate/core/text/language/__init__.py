"""The language of texts, and their words and letters as numbers."""

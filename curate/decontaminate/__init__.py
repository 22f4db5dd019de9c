"""Rows that give away items of evaluation suites are held back."""

"""Rows that give away evaluation items are held back."""

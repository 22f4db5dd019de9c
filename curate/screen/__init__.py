"""Screens: each measures texts, for personal data, secrets, repetition and more; one stage decides on the rows."""

"""Rows that give away evaluation items: four tiers that look for them, and the evidence for each find.

Training on what is measured later makes every score a lie. Rows are held back with evidence, dropped only when told.
"""

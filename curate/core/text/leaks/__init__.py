"""The search for evaluation items in training rows: four kinds of likeness, and the evidence for each find."""

"""What a training will take in memory, steps, time and money, reckoned before any weights are loaded."""

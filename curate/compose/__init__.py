"""What goes into a dataset: balance, mix, the split into sides, repetitions and canaries."""

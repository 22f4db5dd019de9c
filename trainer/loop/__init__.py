"""The training loop: steps, micro-batches on threads, losses, checkpoints, and several processes."""

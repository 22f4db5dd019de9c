"""Training: a minimal LoRA and QLoRA trainer that makes the adapter the evaluation weighs."""

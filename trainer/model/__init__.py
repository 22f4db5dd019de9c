"""The base model and its adapter: loading, 4-bit weights, making, attaching and saving adapters."""

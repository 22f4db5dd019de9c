"""The gate: rules on a results folder, and a verdict that passes only what was shown."""

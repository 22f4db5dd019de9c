"""The gate: rules on results, and a verdict that passes only what was shown; regression suites, safety rates."""

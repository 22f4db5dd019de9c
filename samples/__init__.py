"""Worked examples that the wheel carries: `curate init` copies one as a start."""

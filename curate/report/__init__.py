"""The dataset as one page: what went in, what came out, why, and what it is good for."""

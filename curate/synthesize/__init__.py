"""New rows from a teacher: asked for by prompt and schema, within a budget, each with where it comes from."""

"""OpenAI-compatible endpoints: the connection, what goes over it, and when it arrived."""

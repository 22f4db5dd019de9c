"""Chat templates: how a conversation becomes text and tokens, for a base model or an endpoint."""

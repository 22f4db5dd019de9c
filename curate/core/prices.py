"""What tokens cost."""

from pydantic import Field

from curate.core.config_file import Config


class TokenPrice(Config):
    """What a million tokens cost."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1_000_000

"""The `guards:` block of a recipe: how much may go before a build stops."""

from pydantic import Field

from curate.core.config_file import Config


class Guards(Config):
    """How much may go before the build stops. What is over a default but allowed here is still warned of."""

    max_source_loss: float = Field(default=0.5, gt=0, le=1)
    """The part of a source's rows that stages before balancing may take out; 1 allows all of them."""
    max_cluster_share: float = Field(default=0.01, gt=0, le=1)
    """The part of all rows that may be duplicates of one row; 1 allows all of them."""
    min_rows: int = Field(default=100, ge=1)
    """Sources with fewer rows are warned of, never refused."""
    min_cluster_rows: int = Field(default=50, ge=2)
    """Clusters with fewer rows are no sign of a template, whatever their share."""

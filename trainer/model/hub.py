"""The Hugging Face hub: whether a model can be had at all, asked once and before anything heavy is loaded."""

from curate.core.chat.base_model import BaseModel
from curate.core.errors import ConfigError, ServiceError

HUB_FIX = "check `base`; without the network, use embedded:smollm2-135m, a local folder, or a model that is cached"


def check_reachable(base: BaseModel) -> None:
    """Do nothing where a hub model is cached or the hub answers; a local model is always reachable.

    Raises: ConfigError where the hub has no such model for us, ServiceError where there is no way to the hub. One
    request, so that a machine without a network is told at once and not after many retries.
    """
    if not base.hub_id:
        return
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        if isinstance(try_to_load_from_cache(base.hub_id, "config.json"), str):
            return
        HfApi().model_info(base.hub_id, timeout=10)
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise ConfigError("no such model, locally or on the Hugging Face hub", where=base.id, fix=HUB_FIX) from error
    except Exception as error:  # the hub's client raises errors of three libraries for a missing network
        raise ServiceError(
            f"the Hugging Face hub can't be reached: {type(error).__name__}", where=base.id, fix=HUB_FIX
        ) from error

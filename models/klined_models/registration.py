"""The environment's name in gymnasium's registry."""

import gymnasium

NAME = "klined/Trading-v0"


def register() -> None:
    """Tell gymnasium; once, however often it is called."""
    if NAME not in gymnasium.registry:
        gymnasium.register(
            id=NAME,
            entry_point="klined_models.envs.single:TradingEnv",
            vector_entry_point="klined_models.envs.vector:TradingVectorEnv",
            order_enforce=False,  # the environment says itself what was used before reset
            disable_env_checker=True,
        )

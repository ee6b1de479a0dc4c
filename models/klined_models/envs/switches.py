"""What stands between an agent and real money, and how a market is kept inside this process.

mode.live = true, live=True      both, or neither
test_mode=True                   whatever the settings say: paper money on a recorded or made-up market
"""

from typing import Any

from klined.config.settings import Settings
from klined.errors import ConfigError


def inside(settings: Settings) -> Settings:
    """These settings with everything in this process: paper money on a market that is recorded or made up."""
    market = settings.market
    if market.feed_name not in {"recorded", "generated"}:
        market = market.model_copy(update={"feed": "generated"})
    market = market.model_copy(update={"exchange": "sim", "speed": 0.0})
    return changed(settings.model_copy(update={"market": market}), "mode", paper=True, live=False)


def changed(settings: Settings, section: str, **values: Any) -> Settings:
    """The same with other values in one section; values are taken as they are."""
    told: Settings = settings.model_copy(update={section: getattr(settings, section).model_copy(update=values)})
    return told


def check_switches(settings: Settings, *, live: bool) -> None:
    """Raises: ConfigError: one of the two switches alone, or orders that leave the process for nowhere."""
    if settings.mode.live and not live:
        raise ConfigError(
            f"mode.live is true ({settings.origin('mode.live')}); to send real orders: LiveTradingEnv(..., live=True)"
        )
    if live and not settings.mode.live:
        raise ConfigError("live=True needs mode.live = true in the settings; for paper trading leave it out")
    if settings.market.exchange == "sim" and (settings.mode.live or not settings.mode.paper):
        raise ConfigError('orders need an exchange; name one, like market.exchange = "binance", or keep mode.paper')

"""Whether key and account are fit to trade with, and the account set as the settings say.

    key        may read and trade, may not withdraw or transfer
    account    one-way, single-asset; leverage and margin type as configured, read back after setting

The judgements are pure; `check_binance` asks. Each fault is one sentence that says what to change.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from klined.domain import Instrument, MarketKind
from klined.errors import ConfigError
from klined.venues.classify import Reaction
from klined.venues.wire import Refusal

FORBIDDEN = {
    "enableWithdrawals": "withdraw",
    "enableInternalTransfer": "transfer to other accounts",
    "permitsUniversalTransfer": "transfer between accounts",
}
ALREADY_SO = ("-4046", "-4059")  # "No need to change ..."


class Setup(Struct, frozen=True):
    """How the account of a perpetual is to be."""

    leverage: int = 5
    margin: str = "isolated"


class Account(Protocol):
    """What the checks need of a dialect."""

    kind: MarketKind
    network: str

    async def call(self, method: str, api: str, path: str, query: Mapping[str, object]) -> object: ...


def key_faults(told: Mapping[str, Any], kind: MarketKind) -> Iterator[str]:
    """What is wrong with a key of these `apiRestrictions`."""
    for field, power in FORBIDDEN.items():
        if told.get(field) is not False:
            yield f"the API key may {power} ({field}); make one that may only read and trade"
    if told.get("enableReading") is False:
        yield "the API key may not read (enableReading); allow it"
    trading = "enableSpotAndMarginTrading" if kind is MarketKind.SPOT else "enableFutures"
    if told.get(trading) is not True:
        yield f"the API key may not trade here ({trading}); allow it"


def key_warnings(told: Mapping[str, Any]) -> list[str]:
    if told.get("ipRestrict") is not True:
        return ["the API key works from any address; restrict it to this machine's"]
    return []


def key_refused(refusal: Refusal, network: str) -> ConfigError:
    """The sentence for a key that the exchange does not take."""
    return ConfigError(
        f"the exchange refuses this API key ({refusal}); it must be a key of {network}, with the right secret, "
        "allowed to read and trade from this address"
    )


async def check_binance(account: Account, setup: Setup, instruments: Sequence[Instrument]) -> Sequence[str]:
    """Verify the key, then the account; sentences worth a warning.

    Raises:
        ConfigError: every fault, or that the key is not taken.
        Refusal, Doubt: it could not be asked now.
    """
    try:
        warnings = await _check_key(account)
        if account.kind is MarketKind.PERP:
            await _check_modes(account)
            for instrument in instruments:
                await _set_up(account, setup, instrument)
        else:
            told = await _read(account, "private", "account")
            if told.get("canTrade") is False:
                raise ConfigError("the exchange has disabled trading for this account (canTrade is false)")
    except Refusal as refusal:
        if refusal.proof.reaction is Reaction.HALT:
            raise key_refused(refusal, account.network) from refusal
        raise
    return warnings


async def _check_key(account: Account) -> list[str]:
    if account.network != "live":
        return []  # the test networks have no such endpoint
    told = await _read(account, "sapi", "account/apiRestrictions")
    faults = list(key_faults(told, account.kind))
    if faults:
        raise ConfigError("; ".join(faults))
    return key_warnings(told)


async def _check_modes(account: Account) -> None:
    dual = await _read(account, "fapiPrivate", "positionSide/dual")
    if dual.get("dualSidePosition") not in {False, "false"}:
        raise ConfigError("the account is in hedge mode; set it to one-way mode at the exchange")
    try:
        multi = await _read(account, "fapiPrivate", "multiAssetsMargin")
    except Refusal as refusal:
        if refusal.proof.reaction is Reaction.HALT:
            raise
        return  # not offered: then it cannot be on
    if multi.get("multiAssetsMargin") not in {False, "false"}:
        raise ConfigError("the account is in multi-assets mode; set it to single-asset mode at the exchange")


async def _set_up(account: Account, setup: Setup, instrument: Instrument) -> None:
    """Set margin type and leverage, and believe only what the exchange then says."""
    name = instrument.venue_symbol
    margin = "ISOLATED" if setup.margin == "isolated" else "CROSSED"
    try:
        await account.call("POST", "fapiPrivate", "marginType", {"symbol": name, "marginType": margin})
    except Refusal as refusal:
        if refusal.proof.reaction is Reaction.HALT:
            raise
        if refusal.proof.code not in ALREADY_SO:
            raise ConfigError(f"{name}: margin type {margin.lower()} cannot be set: {refusal}") from refusal
    try:
        answer = await account.call("POST", "fapiPrivate", "leverage", {"symbol": name, "leverage": setup.leverage})
    except Refusal as refusal:
        if refusal.proof.reaction is Reaction.HALT:
            raise
        raise ConfigError(f"{name}: leverage {setup.leverage} cannot be set: {refusal}") from refusal
    told = answer.get("leverage") if isinstance(answer, Mapping) else None
    if told != setup.leverage:
        raise ConfigError(f"{name}: the exchange says leverage {told} after {setup.leverage} was set; set it there")


async def _read(account: Account, api: str, path: str) -> Mapping[str, Any]:
    answer = await account.call("GET", api, path, {})
    return answer if isinstance(answer, Mapping) else {}

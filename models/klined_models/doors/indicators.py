"""Indicators by the short names that people write, as declarations of features.

    "sma_20"  ─▶ sma_20 = squash(per(close - sma(20), atr(14)))         bounded
              ─▶ sma_20 = sma(20)                                       none
              ─▶ sma_20 = clip(zscore(sma(20), 60), 5) / 5              zscore

Numbers behind the name are its parameters in order; those left out are the usual ones. What else there is, and how a
feature is written in full: `klined.trader.declarations` and `klined features list`. A text with a parenthesis or an
equals sign is such a feature itself and passes unchanged.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from klined.errors import ConfigError
from klined.trader.plans import Plan, declared_plan
from klined.trader.presets import INDICATORS
from klined_models.envs.settings import nearest

Normalisation = Literal["bounded", "zscore", "none"]
NORMALISATIONS = ("bounded", "zscore", "none")
SHORT = re.compile(r"([a-z][a-z0-9]*(?:_[a-z][a-z0-9]*)*)((?:_\d+(?:\.\d+)?)*)")


class Form(NamedTuple):
    """How one name is written: raw, and in [-1, 1]; `{raw}` is the raw one, `{0}` its first number."""

    raw: str
    bounded: str
    usual: tuple[float, ...] = ()  # parameters where none are given


DISTANCE = "squash(per(close - {raw}, atr(14)))"
IN_ATR = "squash(per({raw}, atr(14)))"
CENTRED = "{raw} / 50 - 1"

_AVERAGES = ("sma", "ema", "rma", "wma", "dema", "tema", "trima", "hma", "vwma", "kama", "t3")
_MACD = "macd({0}, {1}, {2})"
_BANDS = "bbands({0}, {1})"
_USUAL = {"kama": 30.0, "t3": 5.0}

FORMS: dict[str, Form] = {
    **{name: Form(f"{name}({{0}})", DISTANCE, (_USUAL.get(name, 20.0),)) for name in _AVERAGES},
    "rsi": Form("rsi({0}, flat=50)", CENTRED, (14,)),
    "macd": Form(f"{_MACD}.macd", IN_ATR, (12, 26, 9)),
    "macd_signal": Form(f"{_MACD}.signal", IN_ATR, (12, 26, 9)),
    "macd_hist": Form(f"{_MACD}.hist", "squash(3 * per({raw}, atr(14)))", (12, 26, 9)),
    "bb": Form(f"{_BANDS}.inside", "clip({raw} - 0.5, 1)", (20, 2)),
    "bb_upper": Form(f"{_BANDS}.upper", "squash(per({raw} - close, atr(14)))", (20, 2)),
    "bb_middle": Form(f"{_BANDS}.middle", DISTANCE, (20, 2)),
    "bb_lower": Form(f"{_BANDS}.lower", DISTANCE, (20, 2)),
    "bb_width": Form(f"({_BANDS}.upper - {_BANDS}.lower)", "squash(per({raw}, atr(14)) / 4)", (20, 2)),
    "atr": Form("atr({0})", "squash(1000 * {raw} / close) * 2 - 1", (14,)),
    "natr": Form("natr({0})", "squash(10 * {raw}) * 2 - 1", (14,)),
    "stoch_k": Form("stoch({0}, {1}, {2}, flat=50).k", CENTRED, (14, 3, 3)),
    "stoch_d": Form("stoch({0}, {1}, {2}, flat=50).d", CENTRED, (14, 3, 3)),
    "willr": Form("willr({0}, flat=-50)", "{raw} / 50 + 1", (14,)),
    "cci": Form("cci({0})", "squash({raw} / 100)", (20,)),
    "adx": Form("adx({0})", CENTRED, (14,)),
    "mfi": Form("mfi({0}, flat=50)", CENTRED, (14,)),
    "roc": Form("roc({0})", "squash({raw})", (10,)),
    "mom": Form("mom({0})", IN_ATR, (10,)),
    "cmf": Form("cmf({0})", "{raw}", (20,)),
    "stddev": Form("stddev({0})", "squash(per({raw}, atr(14)))", (20,)),
    "donchian_upper": Form("donchian({0}).upper", DISTANCE, (20,)),
    "donchian_lower": Form("donchian({0}).lower", DISTANCE, (20,)),
    "obv": Form("obv", "clip(flow(20).net / flow(20).gross, 1)"),
    "vwap": Form("vwap", DISTANCE),
    "volume": Form("volume", "squash(rvol(20) - 1)"),
    "close": Form("close", DISTANCE.replace("{raw}", "sma(20)")),
}
OTHER_NAMES = {
    "bollinger": "bb",
    "bbands": "bb",
    "bollinger_upper": "bb_upper",
    "bollinger_middle": "bb_middle",
    "bollinger_lower": "bb_lower",
    "bb_mid": "bb_middle",
    "bb_high": "bb_upper",
    "bb_low": "bb_lower",
    "macd_diff": "macd_hist",
    "macd_histogram": "macd_hist",
    "stochastic": "stoch_k",
    "williams": "willr",
    "williams_r": "willr",
    "momentum": "mom",
    "std": "stddev",
}
PRESETS = {one.partition(" = ")[0]: one for one in INDICATORS if " = " in one}
"""Names that the plan eth44 has: they are taken as they stand there, without numbers."""


def declaration(indicator: str, normalisation: Normalisation = "bounded") -> str:
    """The feature that a short name means.

    Raises:
        ConfigError: a name that does not exist, with the nearest that does, or more numbers than it has.
    """
    if "(" in indicator or "=" in indicator:
        return indicator
    text = indicator.strip().lower()
    found = SHORT.fullmatch(text)
    name = OTHER_NAMES.get(found[1], found[1]) if found else text
    numbers = [float(part) for part in found[2].split("_")[1:]] if found else []
    if name not in FORMS:
        if text in PRESETS and normalisation == "bounded":
            return PRESETS[text]
        known = {*FORMS, *OTHER_NAMES, *(PRESETS if normalisation == "bounded" else ())}
        raise ConfigError(f"indicator {indicator!r} is not known; {nearest(name, known)}")
    form = FORMS[name]
    if len(numbers) > len(form.usual):
        raise ConfigError(f"indicator {indicator!r} has {len(numbers)} numbers; {name} takes {len(form.usual)} at most")
    values = [f"{value:g}" for value in (*numbers, *form.usual[len(numbers) :])]
    raw = form.raw.format(*values)
    match normalisation:
        case "none":
            formula = raw
        case "zscore":
            formula = f"clip(zscore({raw}, 60), 5) / 5"
        case _:
            formula = form.bounded.format(*values, raw=raw)
    return f"{text.replace('.', '_')} = {formula}"


def indicator_plan(
    indicators: Sequence[str], interval_ms: int = 60_000, normalisation: Normalisation = "bounded"
) -> Plan:
    """A plan of these indicators, in their order.

    Raises:
        ConfigError: none, an unknown one, or one twice.
    """
    if normalisation not in NORMALISATIONS:
        raise ConfigError(f"normalisation {normalisation!r} is not known; {nearest(normalisation, NORMALISATIONS)}")
    if not indicators:
        raise ConfigError("no indicators were given; name at least one, such as 'rsi_14'")
    return declared_plan("indicators", [declaration(one, normalisation) for one in indicators], interval_ms)

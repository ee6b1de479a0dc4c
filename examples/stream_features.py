"""Feed closed bars to the feature plan `eth15`, one at a time, as the daemon does: no history is kept outside the row.

python examples/stream_features.py
"""

import math

from klined.kernels.features import ETH15_SIZE, MARKET, eth15_step
from klined.kernels.rows import Block

NAMES = [
    "z_score",
    "zone_norm",
    "price_momentum",
    "z_score_momentum",
    "macd_norm",
    "macd_signal_norm",
    "macd_diff_norm",
    "rsi_norm",
    "bb_mid_norm",
    "bb_high_norm",
    "bb_low_norm",
    "obv_norm",
]


def main() -> None:
    state, features = Block(1, ETH15_SIZE), Block(1, MARKET)
    for minute in range(200):
        close = 2000.0 + 20.0 * math.sin(minute / 15)
        opened = 2000.0 + 20.0 * math.sin((minute - 1) / 15)
        bar = (minute * 60_000.0, opened, max(opened, close) + 0.5, min(opened, close) - 0.5, close, 100.0 + minute % 7)
        eth15_step(state.row[0], bar, features.row[0])
    for name, value in zip(NAMES, features.row[0], strict=True):
        print(f"{name:18} {value:+.4f}")


if __name__ == "__main__":
    main()

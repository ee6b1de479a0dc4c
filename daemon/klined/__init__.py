"""klined: closed klines in, orders out, by a trained policy, unattended."""

__version__ = "0.1.0"

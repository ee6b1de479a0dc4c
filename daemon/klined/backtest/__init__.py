"""History at speed: the same account through the same bars, compiled, many lanes at once.

history.py   bars of n symbols side by side, fundings beside them
lanes.py     an account, limits, costs and a policy ─▶ lane ─▶ equity, decisions, fills
piped.py     the same through the daemon's own pipeline
parity.py    both must be equal, trade for trade; else the first bar and field where they part
calibration.py   spread and impact as a recorded order book has them
"""

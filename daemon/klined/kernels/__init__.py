"""Numeric step functions over flat float64 rows: interpreted in the daemon, compiled over lanes, equal bit for bit."""

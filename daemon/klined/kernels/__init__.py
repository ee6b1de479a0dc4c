"""Numeric step functions over flat float64 rows: interpreted in the daemon, compiled over many lanes, equal bit for bit."""

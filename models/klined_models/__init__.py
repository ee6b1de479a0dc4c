"""What makes a policy: data, teacher, training, export, environments, and the zoo of shipped files.

Importing this after gymnasium tells gymnasium of "klined/Trading-v0". It does not import gymnasium itself: the daemon
finds the zoo here, and stays small.
"""

import os
import sys

# Nets this small gain nothing from BLAS threads, which fight for the cores; read when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if "gymnasium" in sys.modules:
    from klined_models.registration import register

    register()


def __getattr__(name: str) -> object:
    """`make_vec`, looked up when it is asked for."""
    if name == "make_vec":
        from klined_models.envs import make_vec  # noqa: PLC0415 - see above

        return make_vec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

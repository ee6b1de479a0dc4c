"""Every error klined raises on purpose, sorted by what the daemon does about it.

    KlinedError
    ├── Fatal              stop (or do not start): a person must act
    │   ├── ConfigError    settings or usage are wrong                   exit 2
    │   ├── ModelError     the policy file cannot be trusted             exit 2
    │   └── StateError     journal locked, corrupt, newer, unwritable    exit 1
    ├── Retryable          try again later with back-off (reads only, never an order)
    ├── Rejected           refused for sure: nothing happened, do not repeat
    ├── Unknown            it may or may not have happened: ask, never repeat
    └── Desync             our view and the venue's contradict: stop opening, reconcile

    NotRunning             a command found no daemon to talk to          exit 3
    BadBar                 a bar that cannot be: dropped and counted     (a Rejected)

Outcomes that are expected (a refused target, a doubted answer) are values, not errors.
"""


class KlinedError(Exception):
    """Base of the tree; `exit_code` is what the process ends with when nobody catches it."""

    exit_code = 1


class Fatal(KlinedError):
    """Stop, or do not start; a person must act."""


class ConfigError(Fatal):
    """Settings or usage are wrong."""

    exit_code = 2


class ModelError(Fatal):
    """The policy file is missing, damaged, or does not fit this engine."""

    exit_code = 2


class StateError(Fatal):
    """The state directory cannot be used as it is."""


class Retryable(KlinedError):
    """A read failed for now; back off and read again."""


class Rejected(KlinedError):
    """Refused for sure; nothing happened."""


class BadBar(Rejected):
    """Numbers that cannot be a bar; names the symbol, the time and the value."""


class Unknown(KlinedError):
    """It may or may not have happened."""


class Desync(KlinedError):
    """Our view and the venue's contradict each other: stop opening, reconcile."""


class NotRunning(KlinedError):
    """No daemon answers on the control socket."""

    exit_code = 3


class NotFlat(KlinedError):
    """Stopped with a position or an open order left; the next start finishes the flatten."""

    exit_code = 5

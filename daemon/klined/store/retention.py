"""Forgetting by age, a bounded piece at a time, so that the journal never waits long.

What explains a trade stays: intents, orders, fills, news, and the decisions that led to orders. So does everything that
recovery would tell again: inputs after the snapshot.
"""

import sqlite3

CHUNK = 2000  # rows looked at in one transaction

# Inputs that neither explain an order nor are told again. A decision's id is seq * 1024 + place.
UNTOLD = (
    "kind <> 'news' AND seq <= (SELECT seq FROM snapshot) AND NOT EXISTS (SELECT 1 FROM decisions d"
    " WHERE d.id BETWEEN inputs.seq * 1024 AND inputs.seq * 1024 + 1023 AND d.client_id IS NOT NULL)"
)

# (table, its key, its time, what may go); `key <= upto` and the age are added.
TABLES = (
    (
        "inputs",
        "seq",
        "time_ms",
        UNTOLD,
    ),
    ("decisions", "id", "bar_time_ms", "client_id IS NULL"),
    ("events", "id", "time_ms", "TRUE"),
)


class Sweep:
    """Delete what is older than `before_ms`, step by step: `while await journal.perform(sweep.step): ...`.

    `deleted` counts rows by table.
    """

    def __init__(self, before_ms: int, chunk: int = CHUNK) -> None:
        self.deleted = {table: 0 for table, *_ in TABLES}
        self._before_ms = before_ms
        self._chunk = chunk
        self._todo = list(TABLES)
        self._after = -1

    def step(self, link: sqlite3.Connection) -> bool:
        """Look at the next `chunk` rows, in one transaction; False when all is done.

        Raises:
            sqlite3.Error: nothing of this step was deleted.
        """
        if not self._todo:
            return False
        table, key, time, may_go = self._todo[0]
        upto, looked = link.execute(
            f"SELECT max({key}), count(*) FROM (SELECT {key}, {time} FROM {table} WHERE {key} > ?"  # noqa: S608 # constants
            f" ORDER BY {key} LIMIT ?) WHERE {time} < ?",
            (self._after, self._chunk, self._before_ms),
        ).fetchone()
        if looked:
            self.deleted[table] += link.execute(
                f"DELETE FROM {table} WHERE {key} > ? AND {key} <= ? AND {time} < ? AND {may_go}",  # noqa: S608 # constants
                (self._after, upto, self._before_ms),
            ).rowcount
            self._after = upto
        if looked < self._chunk:  # the rest of the table is younger
            self._todo.pop(0)
            self._after = -1
        return bool(self._todo)

-- The in-process exchange's own ledger, in the same transaction as the decisions that moved it.

CREATE TABLE venue (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE bars (
    symbol TEXT NOT NULL,
    open_time_ms INTEGER NOT NULL,
    open REAL NOT NULL,
    high REAL NOT NULL,
    low REAL NOT NULL,
    close REAL NOT NULL,
    volume REAL NOT NULL,      -- base asset
    PRIMARY KEY (symbol, open_time_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE metrics (
    name TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    value REAL,                -- NULL: NaN
    PRIMARY KEY (name, time_ms)
) STRICT, WITHOUT ROWID;

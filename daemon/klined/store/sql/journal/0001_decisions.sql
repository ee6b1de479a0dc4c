-- Times are UTC epoch ms, decimals are text (exact), `seq` is that of the record a row came with.

CREATE TABLE runs (            -- the process's own starts and stops: alone in differing between a killed and an unkilled run
    id INTEGER PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    ended_ms INTEGER,          -- NULL: killed, or still running
    outcome TEXT
) STRICT;

CREATE TABLE head (            -- the newest record; survives retention
    id INTEGER PRIMARY KEY CHECK (id = 0),
    seq INTEGER NOT NULL,
    time_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE inputs (          -- what the trader was told, in the order in which replay tells it again
    seq INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,        -- batch, news, command, timer
    body BLOB NOT NULL         -- JSON
) STRICT;
CREATE INDEX inputs_told ON inputs (seq) WHERE kind <> 'batch';

CREATE TABLE decisions (       -- one for every symbol of every closed bar
    id INTEGER PRIMARY KEY,    -- seq * 1024 + place in the record: appended in order, a quarter smaller than keyed by bar
    seq INTEGER NOT NULL GENERATED ALWAYS AS (id / 1024) VIRTUAL,
    bar_time_ms INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    observation BLOB NOT NULL, -- float32
    target REAL,               -- NULL: NaN, the policy failed; -0.0 is kept as 0.0
    output BLOB NOT NULL,      -- float64, little-endian
    verdict INTEGER NOT NULL,  -- 0 held, 1 refused, 2 approved
    reason INTEGER NOT NULL,   -- domain.Reason
    detail TEXT,               -- why refused, or what was left out of an approval
    client_id TEXT             -- of an approval: intents.client_id
) STRICT;
CREATE UNIQUE INDEX decisions_order ON decisions (client_id) WHERE client_id IS NOT NULL;

CREATE TABLE intents (         -- durable before anything is sent; a client id is never used twice
    client_id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    quantity TEXT NOT NULL,    -- signed
    bar_time_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    price TEXT,
    reduce_only INTEGER NOT NULL,
    cause TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (          -- the latest state of each order
    client_id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    open INTEGER NOT NULL,     -- 0: filled or closed
    state BLOB NOT NULL        -- JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_open ON orders (client_id) WHERE open;

CREATE TABLE fills (
    symbol TEXT NOT NULL,
    trade_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    quantity TEXT NOT NULL,    -- signed
    price TEXT NOT NULL,
    fee TEXT NOT NULL,
    fee_asset TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    maker INTEGER NOT NULL,
    PRIMARY KEY (symbol, trade_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX fills_order ON fills (client_id);
CREATE INDEX fills_time ON fills (time_ms);

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    level TEXT NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL         -- JSON object
) STRICT;
CREATE INDEX events_time ON events (time_ms);

CREATE TABLE snapshot (        -- the cores at the newest record that carried one
    id INTEGER PRIMARY KEY CHECK (id = 0),
    seq INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    blob BLOB NOT NULL
) STRICT;

CREATE TABLE memory (          -- durable flags: installation id, pause, halt, flattening
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The log's file, version 1. Times are seconds since 1970 on the caller's clock.

-- A customer's numbering as it stands. AUTOINCREMENT: an id is never given twice, or what is left of
-- a numbering that was let go would be taken for its successor's.
CREATE TABLE numberings (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    customer TEXT    NOT NULL UNIQUE,
    epoch    TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    touched  REAL    NOT NULL
);

-- What can be replayed, in the order of arrival: new rows fill the last page, old ones leave from the
-- front, whoever's they are, and each leaves once.
CREATE TABLE events (
    arrival     INTEGER PRIMARY KEY,
    numbering   INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    recorded_at REAL    NOT NULL,
    payload     BLOB    NOT NULL,
    traceparent TEXT
);
CREATE UNIQUE INDEX events_in_order ON events (numbering, seq);

-- The deliveries that are known, by a digest of their message id: they outlive the events they caused.
CREATE TABLE messages (
    numbering   INTEGER NOT NULL,
    digest      BLOB    NOT NULL,
    seq         INTEGER NOT NULL,
    recorded_at REAL    NOT NULL,
    PRIMARY KEY (numbering, digest)
) WITHOUT ROWID;

-- By customer and not by numbering: a fact outlives the numbering it came with.
CREATE TABLE facts (
    customer    TEXT NOT NULL,
    kind        TEXT NOT NULL,
    id          TEXT NOT NULL,
    state       TEXT NOT NULL,
    detail      TEXT,
    order_id    TEXT,
    occurred_at REAL NOT NULL,
    recorded_at REAL NOT NULL,
    PRIMARY KEY (customer, kind, id)
) WITHOUT ROWID;

CREATE TABLE owners (
    order_id  TEXT NOT NULL PRIMARY KEY,
    customer  TEXT NOT NULL,
    placed_at REAL NOT NULL
) WITHOUT ROWID;

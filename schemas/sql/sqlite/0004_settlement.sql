-- How far settlement has come, in one row.
CREATE TABLE settlement_progress_v1 (
    singleton                 INTEGER NOT NULL,
    last_batch                INTEGER NOT NULL,
    open_batch                INTEGER NOT NULL,
    active_batch              INTEGER NOT NULL,
    sealed_at_ms              INTEGER NOT NULL,
    committed_nano            INTEGER NOT NULL,
    paid_nano                 INTEGER NOT NULL,
    cash_nano                 INTEGER NOT NULL,
    chain_lt                  INTEGER NOT NULL,
    PRIMARY KEY (singleton)
) WITHOUT ROWID, STRICT;
CREATE VIEW settlement_progress AS SELECT * FROM settlement_progress_v1;

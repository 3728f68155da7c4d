-- Time that was added to held pay, as its worker had no chance yet to show a result; asked_at_ms is when the verifier asked it, 0
-- where it had not. What holds for the tables of 0001 holds for this.
CREATE TABLE hold_extensions_v1 (
    job                       BLOB    NOT NULL,
    ledger_offset             INTEGER NOT NULL,
    shard                     INTEGER NOT NULL,
    until_ms                  INTEGER NOT NULL,
    asked_at_ms               INTEGER NOT NULL,
    at_ms                     INTEGER NOT NULL,
    PRIMARY KEY (job, ledger_offset)
) WITHOUT ROWID, STRICT;
CREATE VIEW hold_extensions AS SELECT * FROM hold_extensions_v1;

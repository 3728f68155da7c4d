-- The journal, summed by width of log time ("minute", "hour", "day" or "month", UTC) and kind of account: what past trial balances are
-- summed from. What holds for the tables of 0001 holds for this.

CREATE TABLE kind_flows_v1 (
    width                     TEXT    NOT NULL,
    start_ms                  INTEGER NOT NULL,
    kind                      TEXT    NOT NULL,
    in_nano                   INTEGER NOT NULL,
    out_nano                  INTEGER NOT NULL,
    postings                  INTEGER NOT NULL,
    PRIMARY KEY (width, start_ms, kind)
) WITHOUT ROWID, STRICT;
CREATE VIEW kind_flows AS SELECT * FROM kind_flows_v1;

-- The journal, summed by account, month of log time (UTC) and the fact that moved money: what statements and past trial balances are
-- summed from. What holds for the tables of 0001 holds for this.

CREATE TABLE month_flows_v1 (
    kind                      TEXT    NOT NULL,
    owner                     BLOB    NOT NULL,
    month_ms                  INTEGER NOT NULL,
    what                      TEXT    NOT NULL,
    in_nano                   INTEGER NOT NULL,
    out_nano                  INTEGER NOT NULL,
    postings                  INTEGER NOT NULL,
    PRIMARY KEY (kind, owner, month_ms, what)
) WITHOUT ROWID, STRICT;
CREATE VIEW month_flows AS SELECT * FROM month_flows_v1;

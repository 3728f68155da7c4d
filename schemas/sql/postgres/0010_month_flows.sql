-- The journal, summed by account, month of log time (UTC) and the fact that moved money: what statements and past trial balances are
-- summed from. What holds for the tables of 0001 holds for this.

INSERT INTO filature.published (model, version) VALUES ('month_flows', 1);

CREATE TABLE filature.month_flows_v1 (
    kind                      text   NOT NULL COLLATE "C",
    owner                     bytea  NOT NULL,
    month_ms                  bigint NOT NULL,
    what                      text   NOT NULL COLLATE "C",
    in_nano                   bigint NOT NULL,
    out_nano                  bigint NOT NULL,
    postings                  bigint NOT NULL,
    PRIMARY KEY (kind, owner, month_ms, what)
) WITH (fillfactor = 80);
CREATE VIEW filature.month_flows AS SELECT * FROM filature.month_flows_v1;

-- The journal, summed by width of log time ("minute", "hour", "day" or "month", UTC) and kind of account: what past trial balances are
-- summed from. What holds for the tables of 0001 holds for this.

INSERT INTO filature.published (model, version) VALUES ('kind_flows', 1);

CREATE TABLE filature.kind_flows_v1 (
    width                     text   NOT NULL COLLATE "C",
    start_ms                  bigint NOT NULL,
    kind                      text   NOT NULL COLLATE "C",
    in_nano                   bigint NOT NULL,
    out_nano                  bigint NOT NULL,
    postings                  bigint NOT NULL,
    PRIMARY KEY (width, start_ms, kind)
) WITH (fillfactor = 80);
CREATE VIEW filature.kind_flows AS SELECT * FROM filature.kind_flows_v1;

-- A line of a trial balance is a kind of account. Some providers' accounts may be below zero beside others above.
CREATE OR REPLACE VIEW finance.trial_balance AS
SELECT
    kind,
    count(*) AS accounts,
    (greatest(-sum(amount_nano), 0) * 0.000000001)::numeric(28, 9) AS debit,
    (greatest(sum(amount_nano), 0) * 0.000000001)::numeric(28, 9) AS credit,
    (sum(amount_nano) * 0.000000001)::numeric(28, 9) AS balance
FROM filature.balances
GROUP BY kind;
COMMENT ON COLUMN finance.trial_balance.debit IS 'Coins: what the accounts hold together where that is below zero, without the sign.';
COMMENT ON COLUMN finance.trial_balance.credit IS 'Coins: what the accounts hold together where that is above zero.';

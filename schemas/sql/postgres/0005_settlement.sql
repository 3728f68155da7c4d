-- How far settlement has come. What holds for the tables of 0001 holds for this one.

INSERT INTO filature.published (model, version) VALUES ('settlement_progress', 1);

-- One row, summed up for those who ask often. chain_lt is the highest logical time that any shard has booked.
CREATE TABLE filature.settlement_progress_v1 (
    singleton                 bigint NOT NULL,
    last_batch                bigint NOT NULL,
    open_batch                bigint NOT NULL,
    active_batch              bigint NOT NULL,
    sealed_at_ms              bigint NOT NULL,
    committed_nano            bigint NOT NULL,
    paid_nano                 bigint NOT NULL,
    cash_nano                 bigint NOT NULL,
    chain_lt                  bigint NOT NULL,
    PRIMARY KEY (singleton)
) WITH (fillfactor = 80);
CREATE VIEW filature.settlement_progress AS SELECT * FROM filature.settlement_progress_v1;

-- Time that was added to held pay, as its worker had no chance yet to show a result; asked_at_ms is when the verifier asked it, 0
-- where it had not. What holds for the tables of 0001 holds for this.

INSERT INTO filature.published (model, version) VALUES ('hold_extensions', 1);

CREATE TABLE filature.hold_extensions_v1 (
    job                       bytea  NOT NULL,
    ledger_offset             bigint NOT NULL,
    shard                     bigint NOT NULL,
    until_ms                  bigint NOT NULL,
    asked_at_ms               bigint NOT NULL,
    at_ms                     bigint NOT NULL,
    PRIMARY KEY (job, ledger_offset)
);
CREATE VIEW filature.hold_extensions AS SELECT * FROM filature.hold_extensions_v1;

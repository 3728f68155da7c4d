-- What statements and invoices are made of. months: where in a shard a month of log time begins, with the nodes of its
-- Merkle tree there; the row with month_ms 0 goes with the log. worker_days and client_days: what was done, by day of log time, UTC;
-- refunded and slashed are of the day on which they were decided. What holds for the tables of 0001 holds for these.

INSERT INTO filature.published (model, version) VALUES ('months', 1), ('worker_days', 1), ('client_days', 1);

CREATE TABLE filature.months_v1 (
    shard                     bigint NOT NULL,
    month_ms                  bigint NOT NULL,
    reached_ms                bigint NOT NULL,
    size                      bigint NOT NULL,
    nodes                     bytea  NOT NULL,
    PRIMARY KEY (shard, month_ms)
);
CREATE VIEW filature.months AS SELECT * FROM filature.months_v1;

CREATE TABLE filature.worker_days_v1 (
    provider                  bytea  NOT NULL,
    day_ms                    bigint NOT NULL,
    worker                    bytea  NOT NULL,
    jobs_completed            bigint NOT NULL,
    jobs_failed               bigint NOT NULL,
    jobs_cancelled            bigint NOT NULL,
    jobs_expired              bigint NOT NULL,
    prompt_tokens             bigint NOT NULL,
    cached_tokens             bigint NOT NULL,
    completion_tokens         bigint NOT NULL,
    reasoning_tokens          bigint NOT NULL,
    adjusted_tokens           bigint NOT NULL,
    charge_nano               bigint NOT NULL,
    worker_nano               bigint NOT NULL,
    commission_nano           bigint NOT NULL,
    refunded_nano             bigint NOT NULL,
    slashed_nano              bigint NOT NULL,
    PRIMARY KEY (provider, day_ms, worker)
);
CREATE VIEW filature.worker_days AS SELECT * FROM filature.worker_days_v1;

CREATE TABLE filature.client_days_v1 (
    client                    bytea  NOT NULL,
    day_ms                    bigint NOT NULL,
    model                     bytea  NOT NULL,
    rate_card                 bytea  NOT NULL,
    jobs_completed            bigint NOT NULL,
    jobs_failed               bigint NOT NULL,
    jobs_cancelled            bigint NOT NULL,
    jobs_expired              bigint NOT NULL,
    prompt_tokens             bigint NOT NULL,
    cached_tokens             bigint NOT NULL,
    completion_tokens         bigint NOT NULL,
    reasoning_tokens          bigint NOT NULL,
    adjusted_tokens           bigint NOT NULL,
    charge_nano               bigint NOT NULL,
    PRIMARY KEY (client, day_ms, model, rate_card)
);
CREATE VIEW filature.client_days AS SELECT * FROM filature.client_days_v1;

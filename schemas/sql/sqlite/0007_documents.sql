-- What statements and invoices are made of. months: where in a shard a month of log time begins, with the nodes of its
-- Merkle tree there; the row with month_ms 0 goes with the log. worker_days and client_days: what was done, by day of log time, UTC;
-- refunded and slashed are of the day on which they were decided. What holds for the tables of 0001 holds for these.

CREATE TABLE months_v1 (
    shard                     INTEGER NOT NULL,
    month_ms                  INTEGER NOT NULL,
    reached_ms                INTEGER NOT NULL,
    size                      INTEGER NOT NULL,
    nodes                     BLOB    NOT NULL,
    PRIMARY KEY (shard, month_ms)
) WITHOUT ROWID, STRICT;
CREATE VIEW months AS SELECT * FROM months_v1;

CREATE TABLE worker_days_v1 (
    provider                  BLOB    NOT NULL,
    day_ms                    INTEGER NOT NULL,
    worker                    BLOB    NOT NULL,
    jobs_completed            INTEGER NOT NULL,
    jobs_failed               INTEGER NOT NULL,
    jobs_cancelled            INTEGER NOT NULL,
    jobs_expired              INTEGER NOT NULL,
    prompt_tokens             INTEGER NOT NULL,
    cached_tokens             INTEGER NOT NULL,
    completion_tokens         INTEGER NOT NULL,
    reasoning_tokens          INTEGER NOT NULL,
    adjusted_tokens           INTEGER NOT NULL,
    charge_nano               INTEGER NOT NULL,
    worker_nano               INTEGER NOT NULL,
    commission_nano           INTEGER NOT NULL,
    refunded_nano             INTEGER NOT NULL,
    slashed_nano              INTEGER NOT NULL,
    PRIMARY KEY (provider, day_ms, worker)
) WITHOUT ROWID, STRICT;
CREATE VIEW worker_days AS SELECT * FROM worker_days_v1;

CREATE TABLE client_days_v1 (
    client                    BLOB    NOT NULL,
    day_ms                    INTEGER NOT NULL,
    model                     BLOB    NOT NULL,
    rate_card                 BLOB    NOT NULL,
    jobs_completed            INTEGER NOT NULL,
    jobs_failed               INTEGER NOT NULL,
    jobs_cancelled            INTEGER NOT NULL,
    jobs_expired              INTEGER NOT NULL,
    prompt_tokens             INTEGER NOT NULL,
    cached_tokens             INTEGER NOT NULL,
    completion_tokens         INTEGER NOT NULL,
    reasoning_tokens          INTEGER NOT NULL,
    adjusted_tokens           INTEGER NOT NULL,
    charge_nano               INTEGER NOT NULL,
    PRIMARY KEY (client, day_ms, model, rate_card)
) WITHOUT ROWID, STRICT;
CREATE VIEW client_days AS SELECT * FROM client_days_v1;

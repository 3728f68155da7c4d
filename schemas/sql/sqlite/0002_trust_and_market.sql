-- Who is trusted, whose pay waits, and what the market is. What holds for the tables of 0001 holds for these.

-- How a worker or provider stands, by shard: each shard judges by the jobs of its own accounts, and by the attestations
-- that all are told of. *_good_micro and *_bad_micro are the counts of a beta distribution, in millionths of one piece of
-- evidence; score_ppm is the product of the four means. The counts by kind, from completed to slashed, forget nothing.
CREATE TABLE standings_v1 (
    kind                      TEXT    NOT NULL,
    subject                   BLOB    NOT NULL,
    shard                     INTEGER NOT NULL,
    policy                    BLOB    NOT NULL,
    jobs_good_micro           INTEGER NOT NULL,
    jobs_bad_micro            INTEGER NOT NULL,
    latency_good_micro        INTEGER NOT NULL,
    latency_bad_micro         INTEGER NOT NULL,
    attestation_good_micro    INTEGER NOT NULL,
    attestation_bad_micro     INTEGER NOT NULL,
    disputes_good_micro       INTEGER NOT NULL,
    disputes_bad_micro        INTEGER NOT NULL,
    completed                 INTEGER NOT NULL,
    failed                    INTEGER NOT NULL,
    expired                   INTEGER NOT NULL,
    on_time                   INTEGER NOT NULL,
    late                      INTEGER NOT NULL,
    attested                  INTEGER NOT NULL,
    attestation_failed        INTEGER NOT NULL,
    attestation_revoked       INTEGER NOT NULL,
    charged                   INTEGER NOT NULL,
    dispute_won               INTEGER NOT NULL,
    dispute_lost              INTEGER NOT NULL,
    slashed                   INTEGER NOT NULL,
    score_ppm                 INTEGER NOT NULL,
    holdback_permille         INTEGER NOT NULL,
    hold_buckets              INTEGER NOT NULL,
    suspended_until_ms        INTEGER NOT NULL,
    set_at_ms                 INTEGER NOT NULL,
    set_offset                INTEGER NOT NULL,
    PRIMARY KEY (kind, subject, shard)
) WITHOUT ROWID, STRICT;
CREATE VIEW standings AS SELECT * FROM standings_v1;

-- The policies in force about who is paid; one row. reputation_rules is an encoded filature.v1.ReputationPolicy.
CREATE TABLE pay_rules_v1 (
    singleton                 INTEGER NOT NULL,
    reputation_policy         BLOB    NOT NULL,
    reputation_rules          BLOB    NOT NULL,
    reputation_set_at_ms      INTEGER NOT NULL,
    reputation_set_offset     INTEGER NOT NULL,
    reattest_within_ms        INTEGER NOT NULL,
    appeal_within_ms          INTEGER NOT NULL,
    hold_set_at_ms            INTEGER NOT NULL,
    hold_set_offset           INTEGER NOT NULL,
    PRIMARY KEY (singleton)
) WITHOUT ROWID, STRICT;
CREATE VIEW pay_rules AS SELECT * FROM pay_rules_v1;

-- Images that must not run any more; retired_offset is where in control they were retired.
CREATE TABLE retired_images_v1 (
    image_hash                BLOB    NOT NULL,
    reason                    TEXT    NOT NULL,
    retired_at_ms             INTEGER NOT NULL,
    retired_offset            INTEGER NOT NULL,
    PRIMARY KEY (image_hash)
) WITHOUT ROWID, STRICT;
CREATE VIEW retired_images AS SELECT * FROM retired_images_v1;

-- Pay that was held because usage was metered outside of a valid attestation. state is waiting, released, refused or
-- decided; control_offset is the entry of control that last said something of the worker's attestation.
CREATE TABLE holds_v1 (
    job                       BLOB    NOT NULL,
    shard                     INTEGER NOT NULL,
    client                    BLOB    NOT NULL,
    model                     BLOB    NOT NULL,
    worker                    BLOB    NOT NULL,
    provider                  BLOB    NOT NULL,
    cause                     TEXT    NOT NULL,
    state                     TEXT    NOT NULL,
    amount_nano               INTEGER NOT NULL,
    charge_nano               INTEGER NOT NULL,
    until_ms                  INTEGER NOT NULL,
    control_offset            INTEGER NOT NULL,
    bucket_ms                 INTEGER NOT NULL,
    refund_nano               INTEGER NOT NULL,
    held_at_ms                INTEGER NOT NULL,
    held_offset               INTEGER NOT NULL,
    ended_at_ms               INTEGER NOT NULL,
    ended_offset              INTEGER NOT NULL,
    PRIMARY KEY (job)
) WITHOUT ROWID, STRICT;
CREATE INDEX holds_v1_by_worker ON holds_v1 (worker, cause, state);
CREATE VIEW holds AS SELECT * FROM holds_v1;

-- What was held back of the earnings of a provider that matured in one bucket; released_nano and forfeited_nano are
-- what has become of amount_nano. A forfeit may take a part of it.
CREATE TABLE holdbacks_v1 (
    provider                  BLOB    NOT NULL,
    shard                     INTEGER NOT NULL,
    bucket_ms                 INTEGER NOT NULL,
    amount_nano               INTEGER NOT NULL,
    until_ms                  INTEGER NOT NULL,
    released_nano             INTEGER NOT NULL,
    forfeited_nano            INTEGER NOT NULL,
    cause                     TEXT    NOT NULL,
    held_at_ms                INTEGER NOT NULL,
    held_offset               INTEGER NOT NULL,
    released_at_ms            INTEGER NOT NULL,
    released_offset           INTEGER NOT NULL,
    forfeited_at_ms           INTEGER NOT NULL,
    forfeited_offset          INTEGER NOT NULL,
    PRIMARY KEY (provider, shard, bucket_ms)
) WITHOUT ROWID, STRICT;
CREATE VIEW holdbacks AS SELECT * FROM holdbacks_v1;

-- Every offer that was made, by its place in control: in force until the worker's next one for the model.
CREATE TABLE offer_history_v1 (
    model                     BLOB    NOT NULL,
    worker                    BLOB    NOT NULL,
    ledger_offset             INTEGER NOT NULL,
    fact                      INTEGER NOT NULL,
    coefficient               INTEGER NOT NULL,
    withdrawn                 INTEGER NOT NULL,
    finish_within_ms          INTEGER NOT NULL,
    at_ms                     INTEGER NOT NULL,
    PRIMARY KEY (model, worker, ledger_offset, fact)
) WITHOUT ROWID, STRICT;
CREATE INDEX offer_history_v1_by_time ON offer_history_v1 (at_ms);
CREATE VIEW offer_history AS SELECT * FROM offer_history_v1;

-- What workers did, by the hour in which the job was closed. What follows not_done is of cleared jobs alone; base_units
-- are tokens after the multipliers of their classes and before the coefficient.
CREATE TABLE work_v1 (
    hour_ms                   INTEGER NOT NULL,
    model                     BLOB    NOT NULL,
    worker                    BLOB    NOT NULL,
    cleared                   INTEGER NOT NULL,
    not_done                  INTEGER NOT NULL,
    tokens                    INTEGER NOT NULL,
    base_units                INTEGER NOT NULL,
    adjusted_tokens           INTEGER NOT NULL,
    charge_nano               INTEGER NOT NULL,
    worker_nano               INTEGER NOT NULL,
    PRIMARY KEY (hour_ms, model, worker)
) WITHOUT ROWID, STRICT;
CREATE VIEW work AS SELECT * FROM work_v1;

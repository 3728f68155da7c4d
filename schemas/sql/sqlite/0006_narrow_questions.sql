-- What makes every question of the API narrow, however many jobs there are. What holds for the tables of 0001 holds for these.

-- Usage, summed over minutes, hours, days and all time (width), by the ids that told names; the others are x''. A job is
-- counted once in each sum that there is.
CREATE TABLE usage_totals_v1 (
    width                     TEXT    NOT NULL,
    told                      TEXT    NOT NULL,
    start_ms                  INTEGER NOT NULL,
    model                     BLOB    NOT NULL,
    provider                  BLOB    NOT NULL,
    client                    BLOB    NOT NULL,
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
    PRIMARY KEY (width, told, start_ms, model, provider, client)
) WITHOUT ROWID, STRICT;
CREATE INDEX usage_totals_v1_of_provider ON usage_totals_v1 (provider, width, told, start_ms) WHERE provider <> x'';
CREATE INDEX usage_totals_v1_of_client ON usage_totals_v1 (client, width, told, start_ms) WHERE client <> x'';
CREATE VIEW usage_totals AS SELECT * FROM usage_totals_v1;

-- What the ledger did not accept, counted by hour of log time and reason.
CREATE TABLE rejection_reasons_v1 (
    hour_ms                   INTEGER NOT NULL,
    reason                    TEXT    NOT NULL,
    rejections                INTEGER NOT NULL,
    PRIMARY KEY (hour_ms, reason)
) WITHOUT ROWID, STRICT;
CREATE VIEW rejection_reasons AS SELECT * FROM rejection_reasons_v1;

-- Jobs in the order in which they were submitted. A job comes into one of these when it is closed, and stays: open ones change
-- their state often, are few, and have an index of their own.
CREATE INDEX jobs_v1_closed ON jobs_v1 (state, submitted_at_ms, job) WHERE closed_at_ms <> 0;
CREATE INDEX jobs_v1_of_client ON jobs_v1 (client, state, submitted_at_ms, job) WHERE closed_at_ms <> 0;
CREATE INDEX jobs_v1_of_provider ON jobs_v1 (provider, state, submitted_at_ms, job) WHERE closed_at_ms <> 0;
CREATE INDEX jobs_v1_of_worker ON jobs_v1 (worker, state, submitted_at_ms, job) WHERE closed_at_ms <> 0;
CREATE INDEX jobs_v1_of_model ON jobs_v1 (model, state, submitted_at_ms, job) WHERE closed_at_ms <> 0;
CREATE INDEX jobs_v1_open ON jobs_v1 (submitted_at_ms, job) WHERE closed_at_ms = 0;
CREATE INDEX jobs_v1_disputed ON jobs_v1 (dispute, submitted_at_ms, job) WHERE dispute <> '';
CREATE INDEX jobs_v1_disputed_of_client ON jobs_v1 (client, dispute, submitted_at_ms, job) WHERE dispute <> '';
CREATE INDEX jobs_v1_disputed_of_provider ON jobs_v1 (provider, dispute, submitted_at_ms, job) WHERE dispute <> '';

-- What is asked of one provider or client that no sum has.
CREATE INDEX usage_v1_of_provider ON usage_v1 (provider, hour_ms);
CREATE INDEX usage_v1_of_client ON usage_v1 (client, hour_ms);

-- The market of one model, out of the index alone.
CREATE INDEX work_v1_of_model ON work_v1 (model, hour_ms, cleared, tokens, base_units, adjusted_tokens, charge_nano);
CREATE INDEX offers_v1_of_model ON offers_v1 (model, worker);
CREATE INDEX offer_history_v1_of_model ON offer_history_v1 (model, ledger_offset, fact);

CREATE INDEX attestations_v1_by_place ON attestations_v1 (ledger_offset, fact);
CREATE INDEX attestations_v1_by_word ON attestations_v1 (what, ledger_offset, fact);
CREATE INDEX providers_v1_by_name ON providers_v1 (name, provider);
CREATE INDEX holdbacks_v1_waiting ON holdbacks_v1 (provider, until_ms, shard, bucket_ms) WHERE amount_nano > released_nano + forfeited_nano;
DROP INDEX holds_v1_by_worker;
CREATE INDEX holds_v1_by_worker ON holds_v1 (worker, cause, state, provider, amount_nano, charge_nano);

-- What makes every question of the API narrow, however many jobs there are. What holds for the tables of 0001 holds for these.

INSERT INTO filature.published (model, version) VALUES ('usage_totals', 1), ('rejection_reasons', 1);

-- Usage, summed over minutes, hours, days and all time (width), by the ids that told names; the others are ''. A job is
-- counted once in each sum that there is.
CREATE TABLE filature.usage_totals_v1 (
    width                     text   NOT NULL COLLATE "C",
    told                      text   NOT NULL COLLATE "C",
    start_ms                  bigint NOT NULL,
    model                     bytea  NOT NULL,
    provider                  bytea  NOT NULL,
    client                    bytea  NOT NULL,
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
    PRIMARY KEY (width, told, start_ms, model, provider, client)
) WITH (fillfactor = 80);
CREATE INDEX usage_totals_v1_of_provider ON filature.usage_totals_v1 (provider, width, told, start_ms) WHERE provider <> '';
CREATE INDEX usage_totals_v1_of_client ON filature.usage_totals_v1 (client, width, told, start_ms) WHERE client <> '';
CREATE VIEW filature.usage_totals AS SELECT * FROM filature.usage_totals_v1;

-- What the ledger did not accept, counted by hour of log time and reason.
CREATE TABLE filature.rejection_reasons_v1 (
    hour_ms                   bigint NOT NULL,
    reason                    text   NOT NULL COLLATE "C",
    rejections                bigint NOT NULL,
    PRIMARY KEY (hour_ms, reason)
) WITH (fillfactor = 80);
CREATE VIEW filature.rejection_reasons AS SELECT * FROM filature.rejection_reasons_v1;

-- Jobs in the order in which they were submitted. A job comes into one of these when it is closed, and stays: open ones change
-- their state often, are few, and have an index of their own.
CREATE INDEX jobs_v1_closed ON filature.jobs_v1 (state, submitted_at_ms, job) WHERE closed_at_ms <> 0;
CREATE INDEX jobs_v1_of_client ON filature.jobs_v1 (client, state, submitted_at_ms, job) WHERE closed_at_ms <> 0;
CREATE INDEX jobs_v1_of_provider ON filature.jobs_v1 (provider, state, submitted_at_ms, job) WHERE closed_at_ms <> 0;
CREATE INDEX jobs_v1_of_worker ON filature.jobs_v1 (worker, state, submitted_at_ms, job) WHERE closed_at_ms <> 0;
CREATE INDEX jobs_v1_of_model ON filature.jobs_v1 (model, state, submitted_at_ms, job) WHERE closed_at_ms <> 0;
CREATE INDEX jobs_v1_open ON filature.jobs_v1 (submitted_at_ms, job) WHERE closed_at_ms = 0;
CREATE INDEX jobs_v1_disputed ON filature.jobs_v1 (dispute, submitted_at_ms, job) WHERE dispute <> '';
CREATE INDEX jobs_v1_disputed_of_client ON filature.jobs_v1 (client, dispute, submitted_at_ms, job) WHERE dispute <> '';
CREATE INDEX jobs_v1_disputed_of_provider ON filature.jobs_v1 (provider, dispute, submitted_at_ms, job) WHERE dispute <> '';

-- What is asked of one provider or client that no sum has.
CREATE INDEX usage_v1_of_provider ON filature.usage_v1 (provider, hour_ms);
CREATE INDEX usage_v1_of_client ON filature.usage_v1 (client, hour_ms);

-- The market of one model, out of the index alone.
CREATE INDEX work_v1_of_model ON filature.work_v1 (model, hour_ms, cleared, tokens, base_units, adjusted_tokens, charge_nano);
CREATE INDEX offers_v1_of_model ON filature.offers_v1 (model, worker);
CREATE INDEX offer_history_v1_of_model ON filature.offer_history_v1 (model, ledger_offset, fact);

-- With the key behind, so that a page comes in order.
DROP INDEX filature.workers_v1_by_provider;
CREATE INDEX workers_v1_by_provider ON filature.workers_v1 (provider, worker);
DROP INDEX filature.accounts_v1_by_client;
CREATE INDEX accounts_v1_by_client ON filature.accounts_v1 (client, account);

CREATE INDEX attestations_v1_by_place ON filature.attestations_v1 (ledger_offset, fact);
CREATE INDEX attestations_v1_by_word ON filature.attestations_v1 (what, ledger_offset, fact);
CREATE INDEX providers_v1_by_name ON filature.providers_v1 (name, provider);
CREATE INDEX holdbacks_v1_waiting ON filature.holdbacks_v1 (provider, until_ms, shard, bucket_ms) WHERE amount_nano > released_nano + forfeited_nano;
CREATE INDEX holds_v1_by_worker ON filature.holds_v1 (worker, cause, state, provider, amount_nano, charge_nano);

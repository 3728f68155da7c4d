-- The rows of the read models (package projections), one table for each.
--
-- What holds for all of them:
--   * Everything here can be thrown away and folded again from the ledger. Nothing else may write here.
--   * Readers use the views, which are named after the models; people use those of the schema finance. A table
--     carries the version of its model, so that a new version can be built beside the old one; then the view is
--     pointed at it. A version may add columns behind the others, and never takes one away: other people's views
--     are made of ours.
--   * No column is null: 0 or '' say that there is nothing.
--   * Numbers are bigint; a flag is 0 or 1; a number of 64 unsigned bits (lt, sequence) is kept as the bigint of the
--     same bits. Text is compared byte by byte.
--   * *_nano are nanotons, 10^-9 of a coin. *_ms are Unix milliseconds of log time. *_offset are offsets in
--     the ledger shard of the row (control's for what lives there), and mean something only where the *_at_ms
--     beside them is not 0.
--   * Ids, keys and digests are 32 bytes, or '' where there is none.
--   * Tables whose rows are written over and over leave room in their pages (fillfactor), so that a new version
--     of a row stays in its page and no index has to know of it.

-- How far each version of each model has come. It changes in the same transaction as the rows, and first: the
-- lock of its row is where two appliers meet. Element n + 1 is shard n; a shard beyond the last is at its start.
CREATE TABLE filature.checkpoints (
    model                     text     NOT NULL COLLATE "C",
    version                   bigint   NOT NULL,
    ledger_offsets            bigint[] NOT NULL DEFAULT '{}', -- every entry below it is in the rows
    intake_offsets            bigint[] NOT NULL DEFAULT '{}', -- every intake record below it is answered by those entries
    PRIMARY KEY (model, version)
) WITH (fillfactor = 50);

-- Which version of each model the view of its name shows.
CREATE TABLE filature.published (
    model                     text   NOT NULL COLLATE "C",
    version                   bigint NOT NULL,
    PRIMARY KEY (model)
);
INSERT INTO filature.published (model, version) VALUES
    ('balances', 1), ('movements', 1), ('journal', 1), ('jobs', 1), ('usage', 1), ('batches', 1),
    ('batch_cuts', 1), ('batch_lines', 1), ('payouts', 1), ('payments', 1), ('maturities', 1), ('payables', 1),
    ('log_trees', 1), ('reports', 1), ('rejections', 1), ('network', 1), ('rate_cards', 1), ('operators', 1),
    ('clients', 1), ('providers', 1), ('workers', 1), ('models', 1), ('offers', 1), ('accounts', 1),
    ('deposits', 1);

-- What every account of the chart holds: the sum of its postings in all shards. What is owed to somebody is
-- positive, what is held (vault/cash) negative; over all rows the sum is 0.
CREATE TABLE filature.balances_v1 (
    kind                      text   NOT NULL COLLATE "C",
    owner                     bytea  NOT NULL,
    amount_nano               bigint NOT NULL,
    postings                  bigint NOT NULL,
    last_at_ms                bigint NOT NULL,
    PRIMARY KEY (kind, owner)
) WITH (fillfactor = 80);
CREATE VIEW filature.balances AS SELECT * FROM filature.balances_v1;

-- What went into and out of every account, by hour of log time. A balance at a past time is the sum of the
-- hours before, and of the journal since the hour began.
CREATE TABLE filature.movements_v1 (
    kind                      text   NOT NULL COLLATE "C",
    owner                     bytea  NOT NULL,
    hour_ms                   bigint NOT NULL,
    in_nano                   bigint NOT NULL,
    out_nano                  bigint NOT NULL,
    postings                  bigint NOT NULL,
    PRIMARY KEY (kind, owner, hour_ms)
) WITH (fillfactor = 80);
CREATE VIEW filature.movements AS SELECT * FROM filature.movements_v1;

-- Every posting, account by account, in the order of log time. Facts and postings count from 1.
CREATE TABLE filature.journal_v1 (
    kind                      text   NOT NULL COLLATE "C",
    owner                     bytea  NOT NULL,
    at_ms                     bigint NOT NULL,
    shard                     bigint NOT NULL,
    ledger_offset             bigint NOT NULL,
    fact                      bigint NOT NULL,
    posting                   bigint NOT NULL,
    amount_nano               bigint NOT NULL,
    what                      text   NOT NULL COLLATE "C",
    job                       bytea  NOT NULL,
    PRIMARY KEY (kind, owner, at_ms, shard, ledger_offset, fact, posting)
);
-- What happened in a while, on all accounts: rows come in nearly in the order of time, so this index is tiny.
CREATE INDEX journal_v1_by_time ON filature.journal_v1 USING brin (to_timestamp(at_ms / 1000.0)) WITH (autosummarize = on);
CREATE VIEW filature.journal AS SELECT * FROM filature.journal_v1;

-- Every job that was accepted, and how it stands.
CREATE TABLE filature.jobs_v1 (
    job                       bytea  NOT NULL,
    shard                     bigint NOT NULL,
    account                   bytea  NOT NULL,
    client                    bytea  NOT NULL,
    number                    bigint NOT NULL,
    model                     bytea  NOT NULL,
    rate_card                 bytea  NOT NULL,
    worker                    bytea  NOT NULL,
    provider                  bytea  NOT NULL,
    state                     text   NOT NULL COLLATE "C",
    dispute                   text   NOT NULL COLLATE "C",
    max_prompt_tokens         bigint NOT NULL,
    max_completion_tokens     bigint NOT NULL,
    max_coefficient           bigint NOT NULL,
    coefficient               bigint NOT NULL,
    reserved_nano             bigint NOT NULL,
    expires_at_ms             bigint NOT NULL,
    prompt_tokens             bigint NOT NULL,
    cached_tokens             bigint NOT NULL,
    completion_tokens         bigint NOT NULL,
    reasoning_tokens          bigint NOT NULL,
    adjusted_tokens           bigint NOT NULL,
    charge_nano               bigint NOT NULL,
    worker_nano               bigint NOT NULL,
    commission_nano           bigint NOT NULL,
    unused_nano               bigint NOT NULL,
    failure                   text   NOT NULL COLLATE "C",
    disputable_until_ms       bigint NOT NULL,
    dispute_reason            text   NOT NULL COLLATE "C",
    held_nano                 bigint NOT NULL,
    resolve_by_ms             bigint NOT NULL,
    refund_permille           bigint NOT NULL,
    refund_nano               bigint NOT NULL,
    refund_from_worker_nano   bigint NOT NULL,
    released_nano             bigint NOT NULL,
    slashed_nano              bigint NOT NULL,
    submitted_at_ms           bigint NOT NULL,
    submitted_offset          bigint NOT NULL,
    assigned_at_ms            bigint NOT NULL,
    assigned_offset           bigint NOT NULL,
    started_at_ms             bigint NOT NULL,
    started_offset            bigint NOT NULL,
    metered_at_ms             bigint NOT NULL,
    metered_offset            bigint NOT NULL,
    closed_at_ms              bigint NOT NULL,
    closed_offset             bigint NOT NULL,
    disputed_at_ms            bigint NOT NULL,
    disputed_offset           bigint NOT NULL,
    resolved_at_ms            bigint NOT NULL,
    resolved_offset           bigint NOT NULL,
    PRIMARY KEY (job)
) WITH (fillfactor = 80);
CREATE INDEX jobs_v1_refunded ON filature.jobs_v1 (resolved_at_ms) WHERE refund_nano <> 0;
CREATE VIEW filature.jobs AS SELECT * FROM filature.jobs_v1;

-- What was used and charged, by the hour in which the job was closed. Disputes do not change it later.
CREATE TABLE filature.usage_v1 (
    hour_ms                   bigint NOT NULL,
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
    PRIMARY KEY (hour_ms, model, provider, client)
) WITH (fillfactor = 80);
CREATE VIEW filature.usage AS SELECT * FROM filature.usage_v1;

-- Settlement batches and how they stand.
CREATE TABLE filature.batches_v1 (
    batch                     bigint NOT NULL,
    state                     text   NOT NULL COLLATE "C",
    payout_root               bytea  NOT NULL,
    commitment                bytea  NOT NULL,
    total_nano                bigint NOT NULL,
    payees                    bigint NOT NULL,
    lines                     bigint NOT NULL,
    activates_at_ms           bigint NOT NULL,
    sealed_at_ms              bigint NOT NULL,
    sealed_offset             bigint NOT NULL,
    proposed_at_ms            bigint NOT NULL,
    proposed_offset           bigint NOT NULL,
    proposed_tx               bytea  NOT NULL,
    proposed_lt               bigint NOT NULL,
    activated_at_ms           bigint NOT NULL,
    activated_offset          bigint NOT NULL,
    activated_tx              bytea  NOT NULL,
    activated_lt              bigint NOT NULL,
    vetoed_at_ms              bigint NOT NULL,
    vetoed_offset             bigint NOT NULL,
    vetoed_tx                 bytea  NOT NULL,
    vetoed_lt                 bigint NOT NULL,
    PRIMARY KEY (batch)
);
CREATE VIEW filature.batches AS SELECT * FROM filature.batches_v1;

-- Up to where a batch counts each shard (exclusive), and the shard's RFC 6962 tree head there.
CREATE TABLE filature.batch_cuts_v1 (
    batch                     bigint NOT NULL,
    shard                     bigint NOT NULL,
    ledger_offset             bigint NOT NULL,
    log_root                  bytea  NOT NULL,
    PRIMARY KEY (batch, shard)
);
CREATE VIEW filature.batch_cuts AS SELECT * FROM filature.batch_cuts_v1;

-- Who is in a batch, with the leaf of the payout tree and what the batch adds to it.
CREATE TABLE filature.batch_lines_v1 (
    batch                     bigint NOT NULL,
    payee                     bytea  NOT NULL,
    cumulative_nano           bigint NOT NULL,
    delta_nano                bigint NOT NULL,
    PRIMARY KEY (batch, payee)
);
CREATE INDEX batch_lines_v1_by_payee ON filature.batch_lines_v1 (payee, batch);
CREATE VIEW filature.batch_lines AS SELECT * FROM filature.batch_lines_v1;

-- What every payee was promised in batches and paid on chain, since the beginning.
CREATE TABLE filature.payouts_v1 (
    payee                     bytea  NOT NULL,
    committed_nano            bigint NOT NULL,
    paid_nano                 bigint NOT NULL,
    payments                  bigint NOT NULL,
    last_batch                bigint NOT NULL,
    last_tx                   bytea  NOT NULL,
    last_lt                   bigint NOT NULL,
    last_paid_at_ms           bigint NOT NULL,
    last_paid_offset          bigint NOT NULL,
    PRIMARY KEY (payee)
) WITH (fillfactor = 80);
CREATE VIEW filature.payouts AS SELECT * FROM filature.payouts_v1;

-- Payouts seen on chain, in finalized transactions.
CREATE TABLE filature.payments_v1 (
    payee                     bytea  NOT NULL,
    lt                        bigint NOT NULL,
    tx_hash                   bytea  NOT NULL,
    amount_nano               bigint NOT NULL,
    seen_at_ms                bigint NOT NULL,
    seen_offset               bigint NOT NULL,
    PRIMARY KEY (payee, lt)
);
CREATE VIEW filature.payments AS SELECT * FROM filature.payments_v1;

-- Buckets of earnings that became payable. A job's disputable_until_ms names its bucket.
CREATE TABLE filature.maturities_v1 (
    shard                     bigint NOT NULL,
    ledger_offset             bigint NOT NULL,
    fact                      bigint NOT NULL,
    provider                  bytea  NOT NULL,
    bucket_ms                 bigint NOT NULL,
    amount_nano               bigint NOT NULL,
    at_ms                     bigint NOT NULL,
    PRIMARY KEY (shard, ledger_offset, fact)
);
CREATE INDEX maturities_v1_by_bucket ON filature.maturities_v1 (provider, shard, bucket_ms);
CREATE VIEW filature.maturities AS SELECT * FROM filature.maturities_v1;

-- What every payee is owed and in no batch yet, and all that batches ever promised. Made for sealing.
CREATE TABLE filature.payables_v1 (
    payee                     bytea  NOT NULL,
    owed_nano                 bigint NOT NULL,
    committed_nano            bigint NOT NULL,
    postings                  bigint NOT NULL,
    PRIMARY KEY (payee)
) WITH (fillfactor = 80);
CREATE VIEW filature.payables AS SELECT * FROM filature.payables_v1;

-- RFC 6962 trees over the records of the ledger shards: the roots of the complete subtrees, largest first.
CREATE TABLE filature.log_trees_v1 (
    shard                     bigint NOT NULL,
    size                      bigint NOT NULL,
    nodes                     bytea  NOT NULL,
    PRIMARY KEY (shard)
) WITH (fillfactor = 80);
CREATE VIEW filature.log_trees AS SELECT * FROM filature.log_trees_v1;

-- Reports that the ledger took. Refused ones are in rejections only.
CREATE TABLE filature.reports_v1 (
    signer                    bytea  NOT NULL,
    shard                     bigint NOT NULL,
    sequence                  bigint NOT NULL,
    intake_digest             bytea  NOT NULL,
    intake_offset             bigint NOT NULL,
    answered_at_ms            bigint NOT NULL,
    answered_offset           bigint NOT NULL,
    accepted_claims           bigint NOT NULL,
    rejected_claims           bigint NOT NULL,
    PRIMARY KEY (signer, shard, sequence)
);
CREATE VIEW filature.reports AS SELECT * FROM filature.reports_v1;

-- What the ledger did not accept: whole reports (fact 0) and single claims.
CREATE TABLE filature.rejections_v1 (
    shard                     bigint NOT NULL,
    ledger_offset             bigint NOT NULL,
    fact                      bigint NOT NULL,
    at_ms                     bigint NOT NULL,
    signer                    bytea  NOT NULL,
    sequence                  bigint NOT NULL,
    claim                     bigint NOT NULL,
    intake_offset             bigint NOT NULL,
    reason                    text   NOT NULL COLLATE "C",
    field                     text   NOT NULL COLLATE "C",
    have                      bigint NOT NULL,
    want                      bigint NOT NULL,
    job                       bytea  NOT NULL,
    PRIMARY KEY (shard, ledger_offset, fact)
);
CREATE INDEX rejections_v1_by_signer ON filature.rejections_v1 (signer, shard, sequence);
CREATE INDEX rejections_v1_by_job ON filature.rejections_v1 (job) WHERE job <> '';
CREATE VIEW filature.rejections AS SELECT * FROM filature.rejections_v1;

-- One row: what network this is and which parameters are in force.
CREATE TABLE filature.network_v1 (
    singleton                 bigint NOT NULL,
    network                   bytea  NOT NULL,
    name                      text   NOT NULL COLLATE "C",
    shards                    bigint NOT NULL,
    operator                  bytea  NOT NULL,
    created_at_ms             bigint NOT NULL,
    vault                     bytea  NOT NULL,
    max_job_timeout_ms        bigint NOT NULL,
    max_open_jobs             bigint NOT NULL,
    maturity_bucket_ms        bigint NOT NULL,
    require_attestation       bigint NOT NULL,
    payout_threshold_nano     bigint NOT NULL,
    batch_payees              bigint NOT NULL,
    parameters_set_at_ms      bigint NOT NULL,
    parameters_set_offset     bigint NOT NULL,
    dispute_window_ms         bigint NOT NULL,
    resolve_within_ms         bigint NOT NULL,
    default_refund_permille   bigint NOT NULL,
    dispute_policy_set_at_ms  bigint NOT NULL,
    dispute_policy_set_offset bigint NOT NULL,
    PRIMARY KEY (singleton)
);
CREATE VIEW filature.network AS SELECT * FROM filature.network_v1;

-- Price lists. The multiplier 10000 is 1.0. The latest set_offset is in force for its model.
CREATE TABLE filature.rate_cards_v1 (
    rate_card                 bytea  NOT NULL,
    rule                      text   NOT NULL COLLATE "C",
    model                     bytea  NOT NULL,
    price_per_token_nano      bigint NOT NULL,
    worker_fee_per_token_nano bigint NOT NULL,
    prompt_multiplier         bigint NOT NULL,
    cached_multiplier         bigint NOT NULL,
    completion_multiplier     bigint NOT NULL,
    reasoning_multiplier      bigint NOT NULL,
    failed_permille           bigint NOT NULL,
    cancelled_permille        bigint NOT NULL,
    expired_permille          bigint NOT NULL,
    set_at_ms                 bigint NOT NULL,
    set_offset                bigint NOT NULL,
    PRIMARY KEY (rate_card)
);
CREATE VIEW filature.rate_cards AS SELECT * FROM filature.rate_cards_v1;

-- Keys of the network's own staff and machines, and their roles.
CREATE TABLE filature.operators_v1 (
    signing_key               bytea  NOT NULL,
    roles                     text   NOT NULL COLLATE "C",
    set_at_ms                 bigint NOT NULL,
    set_offset                bigint NOT NULL,
    PRIMARY KEY (signing_key)
);
CREATE VIEW filature.operators AS SELECT * FROM filature.operators_v1;

-- Payers.
CREATE TABLE filature.clients_v1 (
    client                    bytea  NOT NULL,
    name                      text   NOT NULL COLLATE "C",
    signing_key               bytea  NOT NULL,
    registered_at_ms          bigint NOT NULL,
    registered_offset         bigint NOT NULL,
    retired_at_ms             bigint NOT NULL,
    PRIMARY KEY (client)
);
CREATE VIEW filature.clients AS SELECT * FROM filature.clients_v1;

-- Owners of fleets of workers. The id is the account id of the address that is paid.
CREATE TABLE filature.providers_v1 (
    provider                  bytea  NOT NULL,
    name                      text   NOT NULL COLLATE "C",
    signing_key               bytea  NOT NULL,
    registered_at_ms          bigint NOT NULL,
    registered_offset         bigint NOT NULL,
    retired_at_ms             bigint NOT NULL,
    PRIMARY KEY (provider)
);
CREATE VIEW filature.providers AS SELECT * FROM filature.providers_v1;

-- GPU workers. attested_until_ms is 0 where there is no valid attestation.
CREATE TABLE filature.workers_v1 (
    worker                    bytea  NOT NULL,
    provider                  bytea  NOT NULL,
    signing_key               bytea  NOT NULL,
    registered_at_ms          bigint NOT NULL,
    registered_offset         bigint NOT NULL,
    retired_at_ms             bigint NOT NULL,
    attested_until_ms         bigint NOT NULL,
    PRIMARY KEY (worker)
);
CREATE INDEX workers_v1_by_provider ON filature.workers_v1 (provider);
CREATE VIEW filature.workers AS SELECT * FROM filature.workers_v1;

-- Models that jobs may ask for.
CREATE TABLE filature.models_v1 (
    model                     bytea  NOT NULL,
    name                      text   NOT NULL COLLATE "C",
    listed_at_ms              bigint NOT NULL,
    listed_offset             bigint NOT NULL,
    PRIMARY KEY (model)
);
CREATE VIEW filature.models AS SELECT * FROM filature.models_v1;

-- At what coefficient a worker serves a model; 1000 is 1.0.
CREATE TABLE filature.offers_v1 (
    worker                    bytea  NOT NULL,
    model                     bytea  NOT NULL,
    coefficient               bigint NOT NULL,
    withdrawn                 bigint NOT NULL,
    set_at_ms                 bigint NOT NULL,
    set_offset                bigint NOT NULL,
    PRIMARY KEY (worker, model)
);
CREATE VIEW filature.offers AS SELECT * FROM filature.offers_v1;

-- Prepaid accounts of clients.
CREATE TABLE filature.accounts_v1 (
    account                   bytea  NOT NULL,
    client                    bytea  NOT NULL,
    shard                     bigint NOT NULL,
    opened_at_ms              bigint NOT NULL,
    opened_offset             bigint NOT NULL,
    PRIMARY KEY (account)
);
CREATE INDEX accounts_v1_by_client ON filature.accounts_v1 (client);
CREATE VIEW filature.accounts AS SELECT * FROM filature.accounts_v1;

-- Money that the vault received for an account; lt is the logical time of the vault's transaction.
CREATE TABLE filature.deposits_v1 (
    shard                     bigint NOT NULL,
    lt                        bigint NOT NULL,
    tx_hash                   bytea  NOT NULL,
    account                   bytea  NOT NULL,
    amount_nano               bigint NOT NULL,
    booked_at_ms              bigint NOT NULL,
    booked_offset             bigint NOT NULL,
    PRIMARY KEY (shard, lt)
);
CREATE INDEX deposits_v1_by_account ON filature.deposits_v1 (account, lt);
CREATE VIEW filature.deposits AS SELECT * FROM filature.deposits_v1;

-- The rows of the read models (package projections), one table for each.
--
-- What holds for all of them:
--   * Everything here can be thrown away and folded again from the ledger. Nothing else may write here.
--   * Readers use the views, which are named after the models. A table carries the version of its model, so
--     that a new version can be built beside the old one; then the view is pointed at it.
--   * No column is null: 0, '' or x'' say that there is nothing.
--   * *_nano are nanotons, 10^-9 of a coin. *_ms are Unix milliseconds of log time. *_offset are offsets in
--     the ledger shard of the row (control's for what lives there), and mean something only where the *_at_ms
--     beside them is not 0.
--   * Ids, keys and digests are 32 bytes, or x'' where there is none.

-- How far each model has come in each shard. It changes in the same transaction as the rows.
CREATE TABLE checkpoints (
    model         TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    shard         INTEGER NOT NULL,
    ledger_offset INTEGER NOT NULL, -- every entry below it is in the rows
    intake_offset INTEGER NOT NULL, -- every intake record below it is answered by those entries
    PRIMARY KEY (model, version, shard)
) WITHOUT ROWID, STRICT;

-- What every account of the chart holds: the sum of its postings in all shards. What is owed to somebody is
-- positive, what is held (vault/cash) negative; over all rows the sum is 0.
CREATE TABLE balances_v1 (
    kind                      TEXT    NOT NULL,
    owner                     BLOB    NOT NULL,
    amount_nano               INTEGER NOT NULL,
    postings                  INTEGER NOT NULL,
    last_at_ms                INTEGER NOT NULL,
    PRIMARY KEY (kind, owner)
) WITHOUT ROWID, STRICT;
CREATE VIEW balances AS SELECT * FROM balances_v1;

-- What went into and out of every account, by hour of log time. A balance at a past time is the sum of the
-- hours before, and of the journal since the hour began.
CREATE TABLE movements_v1 (
    kind                      TEXT    NOT NULL,
    owner                     BLOB    NOT NULL,
    hour_ms                   INTEGER NOT NULL,
    in_nano                   INTEGER NOT NULL,
    out_nano                  INTEGER NOT NULL,
    postings                  INTEGER NOT NULL,
    PRIMARY KEY (kind, owner, hour_ms)
) WITHOUT ROWID, STRICT;
CREATE VIEW movements AS SELECT * FROM movements_v1;

-- Every posting, account by account, in the order of log time. Facts and postings count from 1.
CREATE TABLE journal_v1 (
    kind                      TEXT    NOT NULL,
    owner                     BLOB    NOT NULL,
    at_ms                     INTEGER NOT NULL,
    shard                     INTEGER NOT NULL,
    ledger_offset             INTEGER NOT NULL,
    fact                      INTEGER NOT NULL,
    posting                   INTEGER NOT NULL,
    amount_nano               INTEGER NOT NULL,
    what                      TEXT    NOT NULL,
    job                       BLOB    NOT NULL,
    PRIMARY KEY (kind, owner, at_ms, shard, ledger_offset, fact, posting)
) WITHOUT ROWID, STRICT;
CREATE VIEW journal AS SELECT * FROM journal_v1;

-- Every job that was accepted, and how it stands.
CREATE TABLE jobs_v1 (
    job                       BLOB    NOT NULL,
    shard                     INTEGER NOT NULL,
    account                   BLOB    NOT NULL,
    client                    BLOB    NOT NULL,
    number                    INTEGER NOT NULL,
    model                     BLOB    NOT NULL,
    rate_card                 BLOB    NOT NULL,
    worker                    BLOB    NOT NULL,
    provider                  BLOB    NOT NULL,
    state                     TEXT    NOT NULL,
    dispute                   TEXT    NOT NULL,
    max_prompt_tokens         INTEGER NOT NULL,
    max_completion_tokens     INTEGER NOT NULL,
    max_coefficient           INTEGER NOT NULL,
    coefficient               INTEGER NOT NULL,
    reserved_nano             INTEGER NOT NULL,
    expires_at_ms             INTEGER NOT NULL,
    prompt_tokens             INTEGER NOT NULL,
    cached_tokens             INTEGER NOT NULL,
    completion_tokens         INTEGER NOT NULL,
    reasoning_tokens          INTEGER NOT NULL,
    adjusted_tokens           INTEGER NOT NULL,
    charge_nano               INTEGER NOT NULL,
    worker_nano               INTEGER NOT NULL,
    commission_nano           INTEGER NOT NULL,
    unused_nano               INTEGER NOT NULL,
    failure                   TEXT    NOT NULL,
    disputable_until_ms       INTEGER NOT NULL,
    dispute_reason            TEXT    NOT NULL,
    held_nano                 INTEGER NOT NULL,
    resolve_by_ms             INTEGER NOT NULL,
    refund_permille           INTEGER NOT NULL,
    refund_nano               INTEGER NOT NULL,
    refund_from_worker_nano   INTEGER NOT NULL,
    released_nano             INTEGER NOT NULL,
    slashed_nano              INTEGER NOT NULL,
    submitted_at_ms           INTEGER NOT NULL,
    submitted_offset          INTEGER NOT NULL,
    assigned_at_ms            INTEGER NOT NULL,
    assigned_offset           INTEGER NOT NULL,
    started_at_ms             INTEGER NOT NULL,
    started_offset            INTEGER NOT NULL,
    metered_at_ms             INTEGER NOT NULL,
    metered_offset            INTEGER NOT NULL,
    closed_at_ms              INTEGER NOT NULL,
    closed_offset             INTEGER NOT NULL,
    disputed_at_ms            INTEGER NOT NULL,
    disputed_offset           INTEGER NOT NULL,
    resolved_at_ms            INTEGER NOT NULL,
    resolved_offset           INTEGER NOT NULL,
    PRIMARY KEY (job)
) STRICT;
CREATE VIEW jobs AS SELECT * FROM jobs_v1;

-- What was used and charged, by the hour in which the job was closed. Disputes do not change it later.
CREATE TABLE usage_v1 (
    hour_ms                   INTEGER NOT NULL,
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
    PRIMARY KEY (hour_ms, model, provider, client)
) WITHOUT ROWID, STRICT;
CREATE VIEW usage AS SELECT * FROM usage_v1;

-- Settlement batches and how they stand.
CREATE TABLE batches_v1 (
    batch                     INTEGER NOT NULL,
    state                     TEXT    NOT NULL,
    payout_root               BLOB    NOT NULL,
    commitment                BLOB    NOT NULL,
    total_nano                INTEGER NOT NULL,
    payees                    INTEGER NOT NULL,
    lines                     INTEGER NOT NULL,
    activates_at_ms           INTEGER NOT NULL,
    sealed_at_ms              INTEGER NOT NULL,
    sealed_offset             INTEGER NOT NULL,
    proposed_at_ms            INTEGER NOT NULL,
    proposed_offset           INTEGER NOT NULL,
    proposed_tx               BLOB    NOT NULL,
    proposed_lt               INTEGER NOT NULL,
    activated_at_ms           INTEGER NOT NULL,
    activated_offset          INTEGER NOT NULL,
    activated_tx              BLOB    NOT NULL,
    activated_lt              INTEGER NOT NULL,
    vetoed_at_ms              INTEGER NOT NULL,
    vetoed_offset             INTEGER NOT NULL,
    vetoed_tx                 BLOB    NOT NULL,
    vetoed_lt                 INTEGER NOT NULL,
    PRIMARY KEY (batch)
) WITHOUT ROWID, STRICT;
CREATE VIEW batches AS SELECT * FROM batches_v1;

-- Up to where a batch counts each shard (exclusive), and the shard's RFC 6962 tree head there.
CREATE TABLE batch_cuts_v1 (
    batch                     INTEGER NOT NULL,
    shard                     INTEGER NOT NULL,
    ledger_offset             INTEGER NOT NULL,
    log_root                  BLOB    NOT NULL,
    PRIMARY KEY (batch, shard)
) WITHOUT ROWID, STRICT;
CREATE VIEW batch_cuts AS SELECT * FROM batch_cuts_v1;

-- Who is in a batch, with the leaf of the payout tree and what the batch adds to it.
CREATE TABLE batch_lines_v1 (
    batch                     INTEGER NOT NULL,
    payee                     BLOB    NOT NULL,
    cumulative_nano           INTEGER NOT NULL,
    delta_nano                INTEGER NOT NULL,
    PRIMARY KEY (batch, payee)
) WITHOUT ROWID, STRICT;
CREATE INDEX batch_lines_v1_by_payee ON batch_lines_v1 (payee, batch);
CREATE VIEW batch_lines AS SELECT * FROM batch_lines_v1;

-- What every payee was promised in batches and paid on chain, since the beginning.
CREATE TABLE payouts_v1 (
    payee                     BLOB    NOT NULL,
    committed_nano            INTEGER NOT NULL,
    paid_nano                 INTEGER NOT NULL,
    payments                  INTEGER NOT NULL,
    last_batch                INTEGER NOT NULL,
    last_tx                   BLOB    NOT NULL,
    last_lt                   INTEGER NOT NULL,
    last_paid_at_ms           INTEGER NOT NULL,
    last_paid_offset          INTEGER NOT NULL,
    PRIMARY KEY (payee)
) WITHOUT ROWID, STRICT;
CREATE VIEW payouts AS SELECT * FROM payouts_v1;

-- Payouts seen on chain, in finalized transactions.
CREATE TABLE payments_v1 (
    payee                     BLOB    NOT NULL,
    lt                        INTEGER NOT NULL,
    tx_hash                   BLOB    NOT NULL,
    amount_nano               INTEGER NOT NULL,
    seen_at_ms                INTEGER NOT NULL,
    seen_offset               INTEGER NOT NULL,
    PRIMARY KEY (payee, lt)
) WITHOUT ROWID, STRICT;
CREATE VIEW payments AS SELECT * FROM payments_v1;

-- Buckets of earnings that became payable. A job's disputable_until_ms names its bucket.
CREATE TABLE maturities_v1 (
    shard                     INTEGER NOT NULL,
    ledger_offset             INTEGER NOT NULL,
    fact                      INTEGER NOT NULL,
    provider                  BLOB    NOT NULL,
    bucket_ms                 INTEGER NOT NULL,
    amount_nano               INTEGER NOT NULL,
    at_ms                     INTEGER NOT NULL,
    PRIMARY KEY (shard, ledger_offset, fact)
) WITHOUT ROWID, STRICT;
CREATE INDEX maturities_v1_by_bucket ON maturities_v1 (provider, shard, bucket_ms);
CREATE VIEW maturities AS SELECT * FROM maturities_v1;

-- What every payee is owed and in no batch yet, and all that batches ever promised. Made for sealing.
CREATE TABLE payables_v1 (
    payee                     BLOB    NOT NULL,
    owed_nano                 INTEGER NOT NULL,
    committed_nano            INTEGER NOT NULL,
    postings                  INTEGER NOT NULL,
    PRIMARY KEY (payee)
) WITHOUT ROWID, STRICT;
CREATE VIEW payables AS SELECT * FROM payables_v1;

-- RFC 6962 trees over the records of the ledger shards: the roots of the complete subtrees, largest first.
CREATE TABLE log_trees_v1 (
    shard                     INTEGER NOT NULL,
    size                      INTEGER NOT NULL,
    nodes                     BLOB    NOT NULL,
    PRIMARY KEY (shard)
) STRICT;
CREATE VIEW log_trees AS SELECT * FROM log_trees_v1;

-- Reports that the ledger took. Refused ones are in rejections only.
CREATE TABLE reports_v1 (
    signer                    BLOB    NOT NULL,
    shard                     INTEGER NOT NULL,
    sequence                  INTEGER NOT NULL,
    intake_digest             BLOB    NOT NULL,
    intake_offset             INTEGER NOT NULL,
    answered_at_ms            INTEGER NOT NULL,
    answered_offset           INTEGER NOT NULL,
    accepted_claims           INTEGER NOT NULL,
    rejected_claims           INTEGER NOT NULL,
    PRIMARY KEY (signer, shard, sequence)
) WITHOUT ROWID, STRICT;
CREATE VIEW reports AS SELECT * FROM reports_v1;

-- What the ledger did not accept: whole reports (fact 0) and single claims.
CREATE TABLE rejections_v1 (
    shard                     INTEGER NOT NULL,
    ledger_offset             INTEGER NOT NULL,
    fact                      INTEGER NOT NULL,
    at_ms                     INTEGER NOT NULL,
    signer                    BLOB    NOT NULL,
    sequence                  INTEGER NOT NULL,
    claim                     INTEGER NOT NULL,
    intake_offset             INTEGER NOT NULL,
    reason                    TEXT    NOT NULL,
    field                     TEXT    NOT NULL,
    have                      INTEGER NOT NULL,
    want                      INTEGER NOT NULL,
    job                       BLOB    NOT NULL,
    PRIMARY KEY (shard, ledger_offset, fact)
) WITHOUT ROWID, STRICT;
CREATE INDEX rejections_v1_by_signer ON rejections_v1 (signer, shard, sequence);
CREATE INDEX rejections_v1_by_job ON rejections_v1 (job) WHERE job <> x'';
CREATE VIEW rejections AS SELECT * FROM rejections_v1;

-- One row: what network this is and which parameters are in force.
CREATE TABLE network_v1 (
    singleton                 INTEGER NOT NULL,
    network                   BLOB    NOT NULL,
    name                      TEXT    NOT NULL,
    shards                    INTEGER NOT NULL,
    operator                  BLOB    NOT NULL,
    created_at_ms             INTEGER NOT NULL,
    vault                     BLOB    NOT NULL,
    max_job_timeout_ms        INTEGER NOT NULL,
    max_open_jobs             INTEGER NOT NULL,
    maturity_bucket_ms        INTEGER NOT NULL,
    require_attestation       INTEGER NOT NULL,
    payout_threshold_nano     INTEGER NOT NULL,
    batch_payees              INTEGER NOT NULL,
    parameters_set_at_ms      INTEGER NOT NULL,
    parameters_set_offset     INTEGER NOT NULL,
    dispute_window_ms         INTEGER NOT NULL,
    resolve_within_ms         INTEGER NOT NULL,
    default_refund_permille   INTEGER NOT NULL,
    dispute_policy_set_at_ms  INTEGER NOT NULL,
    dispute_policy_set_offset INTEGER NOT NULL,
    PRIMARY KEY (singleton)
) WITHOUT ROWID, STRICT;
CREATE VIEW network AS SELECT * FROM network_v1;

-- Price lists. The multiplier 10000 is 1.0. The latest set_offset is in force for its model.
CREATE TABLE rate_cards_v1 (
    rate_card                 BLOB    NOT NULL,
    rule                      TEXT    NOT NULL,
    model                     BLOB    NOT NULL,
    price_per_token_nano      INTEGER NOT NULL,
    worker_fee_per_token_nano INTEGER NOT NULL,
    prompt_multiplier         INTEGER NOT NULL,
    cached_multiplier         INTEGER NOT NULL,
    completion_multiplier     INTEGER NOT NULL,
    reasoning_multiplier      INTEGER NOT NULL,
    failed_permille           INTEGER NOT NULL,
    cancelled_permille        INTEGER NOT NULL,
    expired_permille          INTEGER NOT NULL,
    set_at_ms                 INTEGER NOT NULL,
    set_offset                INTEGER NOT NULL,
    PRIMARY KEY (rate_card)
) WITHOUT ROWID, STRICT;
CREATE VIEW rate_cards AS SELECT * FROM rate_cards_v1;

-- Keys of the network's own staff and machines, and their roles.
CREATE TABLE operators_v1 (
    signing_key               BLOB    NOT NULL,
    roles                     TEXT    NOT NULL,
    set_at_ms                 INTEGER NOT NULL,
    set_offset                INTEGER NOT NULL,
    PRIMARY KEY (signing_key)
) WITHOUT ROWID, STRICT;
CREATE VIEW operators AS SELECT * FROM operators_v1;

-- Payers.
CREATE TABLE clients_v1 (
    client                    BLOB    NOT NULL,
    name                      TEXT    NOT NULL,
    signing_key               BLOB    NOT NULL,
    registered_at_ms          INTEGER NOT NULL,
    registered_offset         INTEGER NOT NULL,
    retired_at_ms             INTEGER NOT NULL,
    PRIMARY KEY (client)
) WITHOUT ROWID, STRICT;
CREATE VIEW clients AS SELECT * FROM clients_v1;

-- Owners of fleets of workers. The id is the account id of the address that is paid.
CREATE TABLE providers_v1 (
    provider                  BLOB    NOT NULL,
    name                      TEXT    NOT NULL,
    signing_key               BLOB    NOT NULL,
    registered_at_ms          INTEGER NOT NULL,
    registered_offset         INTEGER NOT NULL,
    retired_at_ms             INTEGER NOT NULL,
    PRIMARY KEY (provider)
) WITHOUT ROWID, STRICT;
CREATE VIEW providers AS SELECT * FROM providers_v1;

-- GPU workers. attested_until_ms is 0 where there is no valid attestation.
CREATE TABLE workers_v1 (
    worker                    BLOB    NOT NULL,
    provider                  BLOB    NOT NULL,
    signing_key               BLOB    NOT NULL,
    registered_at_ms          INTEGER NOT NULL,
    registered_offset         INTEGER NOT NULL,
    retired_at_ms             INTEGER NOT NULL,
    attested_until_ms         INTEGER NOT NULL,
    PRIMARY KEY (worker)
) WITHOUT ROWID, STRICT;
CREATE INDEX workers_v1_by_provider ON workers_v1 (provider);
CREATE VIEW workers AS SELECT * FROM workers_v1;

-- Models that jobs may ask for.
CREATE TABLE models_v1 (
    model                     BLOB    NOT NULL,
    name                      TEXT    NOT NULL,
    listed_at_ms              INTEGER NOT NULL,
    listed_offset             INTEGER NOT NULL,
    PRIMARY KEY (model)
) WITHOUT ROWID, STRICT;
CREATE VIEW models AS SELECT * FROM models_v1;

-- At what coefficient a worker serves a model; 1000 is 1.0.
CREATE TABLE offers_v1 (
    worker                    BLOB    NOT NULL,
    model                     BLOB    NOT NULL,
    coefficient               INTEGER NOT NULL,
    withdrawn                 INTEGER NOT NULL,
    set_at_ms                 INTEGER NOT NULL,
    set_offset                INTEGER NOT NULL,
    PRIMARY KEY (worker, model)
) WITHOUT ROWID, STRICT;
CREATE VIEW offers AS SELECT * FROM offers_v1;

-- Prepaid accounts of clients.
CREATE TABLE accounts_v1 (
    account                   BLOB    NOT NULL,
    client                    BLOB    NOT NULL,
    shard                     INTEGER NOT NULL,
    opened_at_ms              INTEGER NOT NULL,
    opened_offset             INTEGER NOT NULL,
    PRIMARY KEY (account)
) WITHOUT ROWID, STRICT;
CREATE INDEX accounts_v1_by_client ON accounts_v1 (client);
CREATE VIEW accounts AS SELECT * FROM accounts_v1;

-- Money that the vault received for an account; lt is the logical time of the vault's transaction.
CREATE TABLE deposits_v1 (
    shard                     INTEGER NOT NULL,
    lt                        INTEGER NOT NULL,
    tx_hash                   BLOB    NOT NULL,
    account                   BLOB    NOT NULL,
    amount_nano               INTEGER NOT NULL,
    booked_at_ms              INTEGER NOT NULL,
    booked_offset             INTEGER NOT NULL,
    PRIMARY KEY (shard, lt)
) WITHOUT ROWID, STRICT;
CREATE INDEX deposits_v1_by_account ON deposits_v1 (account, lt);
CREATE VIEW deposits AS SELECT * FROM deposits_v1;

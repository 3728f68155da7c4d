-- Who is trusted, whose pay waits, and what the market is. What holds for the tables of 0001 holds for these.

INSERT INTO filature.published (model, version) VALUES
    ('standings', 1), ('pay_rules', 1), ('retired_images', 1), ('holds', 1), ('holdbacks', 1), ('offer_history', 1), ('work', 1);

-- How a worker or provider stands, by shard: each shard judges by the jobs of its own accounts, and by the attestations
-- that all are told of. *_good_micro and *_bad_micro are the counts of a beta distribution, in millionths of one piece of
-- evidence; score_ppm is the product of the four means. The counts by kind, from completed to slashed, forget nothing.
CREATE TABLE filature.standings_v1 (
    kind                      text   NOT NULL COLLATE "C",
    subject                   bytea  NOT NULL,
    shard                     bigint NOT NULL,
    policy                    bytea  NOT NULL,
    jobs_good_micro           bigint NOT NULL,
    jobs_bad_micro            bigint NOT NULL,
    latency_good_micro        bigint NOT NULL,
    latency_bad_micro         bigint NOT NULL,
    attestation_good_micro    bigint NOT NULL,
    attestation_bad_micro     bigint NOT NULL,
    disputes_good_micro       bigint NOT NULL,
    disputes_bad_micro        bigint NOT NULL,
    completed                 bigint NOT NULL,
    failed                    bigint NOT NULL,
    expired                   bigint NOT NULL,
    on_time                   bigint NOT NULL,
    late                      bigint NOT NULL,
    attested                  bigint NOT NULL,
    attestation_failed        bigint NOT NULL,
    attestation_revoked       bigint NOT NULL,
    charged                   bigint NOT NULL,
    dispute_won               bigint NOT NULL,
    dispute_lost              bigint NOT NULL,
    slashed                   bigint NOT NULL,
    score_ppm                 bigint NOT NULL,
    holdback_permille         bigint NOT NULL,
    hold_buckets              bigint NOT NULL,
    suspended_until_ms        bigint NOT NULL,
    set_at_ms                 bigint NOT NULL,
    set_offset                bigint NOT NULL,
    PRIMARY KEY (kind, subject, shard)
) WITH (fillfactor = 80);
CREATE VIEW filature.standings AS SELECT * FROM filature.standings_v1;

-- The policies in force about who is paid; one row. reputation_rules is an encoded filature.v1.ReputationPolicy.
CREATE TABLE filature.pay_rules_v1 (
    singleton                 bigint NOT NULL,
    reputation_policy         bytea  NOT NULL,
    reputation_rules          bytea  NOT NULL,
    reputation_set_at_ms      bigint NOT NULL,
    reputation_set_offset     bigint NOT NULL,
    reattest_within_ms        bigint NOT NULL,
    appeal_within_ms          bigint NOT NULL,
    hold_set_at_ms            bigint NOT NULL,
    hold_set_offset           bigint NOT NULL,
    PRIMARY KEY (singleton)
) WITH (fillfactor = 80);
CREATE VIEW filature.pay_rules AS SELECT * FROM filature.pay_rules_v1;

-- Images that must not run any more; retired_offset is where in control they were retired.
CREATE TABLE filature.retired_images_v1 (
    image_hash                bytea  NOT NULL,
    reason                    text   NOT NULL COLLATE "C",
    retired_at_ms             bigint NOT NULL,
    retired_offset            bigint NOT NULL,
    PRIMARY KEY (image_hash)
) WITH (fillfactor = 80);
CREATE VIEW filature.retired_images AS SELECT * FROM filature.retired_images_v1;

-- Pay that was held because usage was metered outside of a valid attestation. state is waiting, released, refused or
-- decided; control_offset is the entry of control that last said something of the worker's attestation.
CREATE TABLE filature.holds_v1 (
    job                       bytea  NOT NULL,
    shard                     bigint NOT NULL,
    client                    bytea  NOT NULL,
    model                     bytea  NOT NULL,
    worker                    bytea  NOT NULL,
    provider                  bytea  NOT NULL,
    cause                     text   NOT NULL COLLATE "C",
    state                     text   NOT NULL COLLATE "C",
    amount_nano               bigint NOT NULL,
    charge_nano               bigint NOT NULL,
    until_ms                  bigint NOT NULL,
    control_offset            bigint NOT NULL,
    bucket_ms                 bigint NOT NULL,
    refund_nano               bigint NOT NULL,
    held_at_ms                bigint NOT NULL,
    held_offset               bigint NOT NULL,
    ended_at_ms               bigint NOT NULL,
    ended_offset              bigint NOT NULL,
    PRIMARY KEY (job)
) WITH (fillfactor = 80);
CREATE VIEW filature.holds AS SELECT * FROM filature.holds_v1;

-- What was held back of the earnings of a provider that matured in one bucket; released_nano and forfeited_nano are
-- what has become of amount_nano. A forfeit may take a part of it.
CREATE TABLE filature.holdbacks_v1 (
    provider                  bytea  NOT NULL,
    shard                     bigint NOT NULL,
    bucket_ms                 bigint NOT NULL,
    amount_nano               bigint NOT NULL,
    until_ms                  bigint NOT NULL,
    released_nano             bigint NOT NULL,
    forfeited_nano            bigint NOT NULL,
    cause                     text   NOT NULL COLLATE "C",
    held_at_ms                bigint NOT NULL,
    held_offset               bigint NOT NULL,
    released_at_ms            bigint NOT NULL,
    released_offset           bigint NOT NULL,
    forfeited_at_ms           bigint NOT NULL,
    forfeited_offset          bigint NOT NULL,
    PRIMARY KEY (provider, shard, bucket_ms)
) WITH (fillfactor = 80);
CREATE VIEW filature.holdbacks AS SELECT * FROM filature.holdbacks_v1;

-- Every offer that was made, by its place in control: in force until the worker's next one for the model.
CREATE TABLE filature.offer_history_v1 (
    model                     bytea  NOT NULL,
    worker                    bytea  NOT NULL,
    ledger_offset             bigint NOT NULL,
    fact                      bigint NOT NULL,
    coefficient               bigint NOT NULL,
    withdrawn                 bigint NOT NULL,
    finish_within_ms          bigint NOT NULL,
    at_ms                     bigint NOT NULL,
    PRIMARY KEY (model, worker, ledger_offset, fact)
);
CREATE INDEX offer_history_v1_by_time ON filature.offer_history_v1 (at_ms);
CREATE VIEW filature.offer_history AS SELECT * FROM filature.offer_history_v1;

-- What workers did, by the hour in which the job was closed. What follows not_done is of cleared jobs alone; base_units
-- are tokens after the multipliers of their classes and before the coefficient.
CREATE TABLE filature.work_v1 (
    hour_ms                   bigint NOT NULL,
    model                     bytea  NOT NULL,
    worker                    bytea  NOT NULL,
    cleared                   bigint NOT NULL,
    not_done                  bigint NOT NULL,
    tokens                    bigint NOT NULL,
    base_units                bigint NOT NULL,
    adjusted_tokens           bigint NOT NULL,
    charge_nano               bigint NOT NULL,
    worker_nano               bigint NOT NULL,
    PRIMARY KEY (hour_ms, model, worker)
) WITH (fillfactor = 80);
CREATE VIEW filature.work AS SELECT * FROM filature.work_v1;
CREATE VIEW finance.reputation AS
WITH all_shards AS (
    SELECT
        kind,
        subject,
        CASE WHEN sum(jobs_good_micro + jobs_bad_micro) = 0 THEN 1 ELSE sum(jobs_good_micro) / sum(jobs_good_micro + jobs_bad_micro) END AS jobs,
        CASE WHEN sum(latency_good_micro + latency_bad_micro) = 0 THEN 1 ELSE sum(latency_good_micro) / sum(latency_good_micro + latency_bad_micro) END AS latency,
        CASE WHEN sum(attestation_good_micro + attestation_bad_micro) = 0 THEN 1 ELSE sum(attestation_good_micro) / sum(attestation_good_micro + attestation_bad_micro) END AS attestation,
        CASE WHEN sum(disputes_good_micro + disputes_bad_micro) = 0 THEN 1 ELSE sum(disputes_good_micro) / sum(disputes_good_micro + disputes_bad_micro) END AS disputes,
        sum(completed)::bigint AS completed,
        sum(failed)::bigint AS failed,
        sum(expired)::bigint AS expired,
        sum(on_time)::bigint AS on_time,
        sum(late)::bigint AS late,
        max(attested) AS attested,
        max(attestation_failed) AS attestation_failed,
        max(attestation_revoked) AS attestation_revoked,
        sum(charged)::bigint AS charged,
        sum(dispute_won)::bigint AS dispute_won,
        sum(dispute_lost)::bigint AS dispute_lost,
        sum(slashed)::bigint AS slashed,
        max(holdback_permille) AS holdback_permille,
        max(suspended_until_ms) AS suspended_until_ms,
        max(set_at_ms) AS set_at_ms
    FROM filature.standings
    GROUP BY kind, subject
)
SELECT
    s.kind,
    encode(s.subject, 'hex') AS subject,
    coalesce(p.name, o.name, '') AS provider_name,
    (s.jobs * s.latency * s.attestation * s.disputes)::numeric(7, 6) AS score,
    s.jobs::numeric(7, 6) AS jobs,
    s.latency::numeric(7, 6) AS latency,
    s.attestation::numeric(7, 6) AS attestation,
    s.disputes::numeric(7, 6) AS disputes,
    s.completed,
    s.failed,
    s.expired,
    s.on_time,
    s.late,
    s.attested,
    s.attestation_failed,
    s.attestation_revoked,
    s.charged,
    s.dispute_won,
    s.dispute_lost,
    s.slashed,
    s.holdback_permille,
    CASE WHEN s.suspended_until_ms <> 0 THEN to_timestamp(s.suspended_until_ms / 1000.0) END AS suspended_until,
    to_timestamp(s.set_at_ms / 1000.0) AS judged_at
FROM all_shards AS s
LEFT JOIN filature.providers AS p ON s.kind = 'provider' AND p.provider = s.subject
LEFT JOIN filature.workers AS w ON s.kind = 'worker' AND w.worker = s.subject
LEFT JOIN filature.providers AS o ON o.provider = w.provider;
COMMENT ON VIEW finance.reputation IS 'What is known of every worker and provider that was judged, over all shards. The ledger goes by each shard''s own counts: see standings in the schema filature.';
COMMENT ON COLUMN finance.reputation.kind IS 'worker or provider.';
COMMENT ON COLUMN finance.reputation.subject IS 'Its id.';
COMMENT ON COLUMN finance.reputation.provider_name IS 'The provider''s name; a worker''s, that of its owner.';
COMMENT ON COLUMN finance.reputation.score IS 'The product of the four means: 1 is best.';
COMMENT ON COLUMN finance.reputation.jobs IS 'Mean of the first dimension: jobs done, of those given; old ones count for less, as in the next three.';
COMMENT ON COLUMN finance.reputation.latency IS 'Mean of the second: done in the time that the offer promised.';
COMMENT ON COLUMN finance.reputation.attestation IS 'Mean of the third: attestations passed.';
COMMENT ON COLUMN finance.reputation.disputes IS 'Mean of the fourth: charges that stood.';
COMMENT ON COLUMN finance.reputation.completed IS 'Jobs that it completed.';
COMMENT ON COLUMN finance.reputation.failed IS 'Jobs that failed, whoever said so.';
COMMENT ON COLUMN finance.reputation.expired IS 'Jobs that it let expire.';
COMMENT ON COLUMN finance.reputation.on_time IS 'Completed jobs that took no longer than its offer promised.';
COMMENT ON COLUMN finance.reputation.late IS 'Completed jobs that took longer.';
COMMENT ON COLUMN finance.reputation.attested IS 'Attestations that passed.';
COMMENT ON COLUMN finance.reputation.attestation_failed IS 'Attestations that failed, through its own fault.';
COMMENT ON COLUMN finance.reputation.attestation_revoked IS 'Attestations that were revoked, through its own fault.';
COMMENT ON COLUMN finance.reputation.charged IS 'Completed jobs that cost something, disputed or not.';
COMMENT ON COLUMN finance.reputation.dispute_won IS 'Disputes that ended without a refund.';
COMMENT ON COLUMN finance.reputation.dispute_lost IS 'Disputes that ended with one.';
COMMENT ON COLUMN finance.reputation.slashed IS 'Disputes that ended with a punishment.';
COMMENT ON COLUMN finance.reputation.holdback_permille IS 'Thousandths of what a provider earns that are held back; the most that a shard does.';
COMMENT ON COLUMN finance.reputation.suspended_until IS 'Until then a shard gives the worker no jobs; null where none does.';
COMMENT ON COLUMN finance.reputation.judged_at IS 'Log time of the latest judgement.';

CREATE VIEW finance.held_pay AS
SELECT
    encode(h.job, 'hex') AS job,
    encode(h.worker, 'hex') AS worker,
    encode(h.provider, 'hex') AS provider,
    coalesce(p.name, '') AS provider_name,
    h.cause,
    h.state,
    (h.amount_nano * 0.000000001)::numeric(28, 9) AS amount,
    (h.charge_nano * 0.000000001)::numeric(28, 9) AS charge,
    (h.refund_nano * 0.000000001)::numeric(28, 9) AS refund,
    to_timestamp(h.held_at_ms / 1000.0) AS held_at,
    to_timestamp(h.until_ms / 1000.0) AS held_until,
    CASE WHEN h.ended_at_ms <> 0 THEN to_timestamp(h.ended_at_ms / 1000.0) END AS ended_at,
    h.shard::integer AS shard,
    h.held_offset AS ledger_offset,
    h.control_offset
FROM filature.holds AS h
LEFT JOIN filature.providers AS p ON p.provider = h.provider;
COMMENT ON VIEW finance.held_pay IS 'Pay that was held because usage was metered while its worker was not attested, job by job.';
COMMENT ON COLUMN finance.held_pay.job IS 'The job.';
COMMENT ON COLUMN finance.held_pay.worker IS 'Who did it.';
COMMENT ON COLUMN finance.held_pay.provider IS 'Who is paid for it.';
COMMENT ON COLUMN finance.held_pay.provider_name IS 'The provider''s name.';
COMMENT ON COLUMN finance.held_pay.cause IS 'Why the worker was not attested: never_passed, expired, key_rotated, image_retired, failed, revoked.';
COMMENT ON COLUMN finance.held_pay.state IS 'waiting; released: the worker passed in time; refused: the client got its charge back; decided: by an arbiter.';
COMMENT ON COLUMN finance.held_pay.amount IS 'Coins of the worker''s part.';
COMMENT ON COLUMN finance.held_pay.charge IS 'Coins that the client was charged, commission included.';
COMMENT ON COLUMN finance.held_pay.refund IS 'Coins that the client got back when the pay was refused.';
COMMENT ON COLUMN finance.held_pay.held_at IS 'Log time of the charge.';
COMMENT ON COLUMN finance.held_pay.held_until IS 'Until then the pay could be released.';
COMMENT ON COLUMN finance.held_pay.ended_at IS 'Log time of the end; null while it waits.';
COMMENT ON COLUMN finance.held_pay.shard IS 'Shard of the ledger in which the charge is.';
COMMENT ON COLUMN finance.held_pay.ledger_offset IS 'Its entry there.';
COMMENT ON COLUMN finance.held_pay.control_offset IS 'The entry of control that last said something of the worker''s attestation; 0 where none did.';

CREATE VIEW finance.holdbacks AS
SELECT
    encode(h.provider, 'hex') AS provider,
    coalesce(p.name, '') AS provider_name,
    to_timestamp(h.bucket_ms / 1000.0) AS bucket_end,
    h.shard::integer AS shard,
    (h.amount_nano * 0.000000001)::numeric(28, 9) AS held_back,
    (h.released_nano * 0.000000001)::numeric(28, 9) AS released,
    (h.forfeited_nano * 0.000000001)::numeric(28, 9) AS forfeited,
    ((h.amount_nano - h.released_nano - h.forfeited_nano) * 0.000000001)::numeric(28, 9) AS remaining,
    to_timestamp(h.until_ms / 1000.0) AS held_until
FROM filature.holdbacks AS h
LEFT JOIN filature.providers AS p ON p.provider = h.provider;
COMMENT ON VIEW finance.holdbacks IS 'What was held back of earnings that matured, bucket by bucket, and what became of it.';
COMMENT ON COLUMN finance.holdbacks.provider IS 'Whose earnings.';
COMMENT ON COLUMN finance.holdbacks.provider_name IS 'The provider''s name.';
COMMENT ON COLUMN finance.holdbacks.bucket_end IS 'End of the bucket of log time in which they matured.';
COMMENT ON COLUMN finance.holdbacks.shard IS 'Shard of the ledger.';
COMMENT ON COLUMN finance.holdbacks.held_back IS 'Coins held back.';
COMMENT ON COLUMN finance.holdbacks.released IS 'Coins paid out since.';
COMMENT ON COLUMN finance.holdbacks.forfeited IS 'Coins taken, as a worker of the provider was slashed or its attestation revoked.';
COMMENT ON COLUMN finance.holdbacks.remaining IS 'Coins held back still.';
COMMENT ON COLUMN finance.holdbacks.held_until IS 'When they are paid out.';

CREATE VIEW finance.market AS
WITH hours AS (
    SELECT hour_ms, model FROM filature.work
    UNION
    SELECT at_ms - at_ms % 3600000, model FROM filature.offer_history
)
SELECT
    to_timestamp(h.hour_ms / 1000.0) AS hour,
    encode(h.model, 'hex') AS model,
    coalesce(m.name, '') AS model_name,
    offered.active,
    done.busy,
    (offered.lowest * 0.001)::numeric(12, 3) AS lowest,
    (offered.lower_quartile * 0.001)::numeric(12, 3) AS lower_quartile,
    (offered.median * 0.001)::numeric(12, 3) AS median,
    (offered.upper_quartile * 0.001)::numeric(12, 3) AS upper_quartile,
    (offered.highest * 0.001)::numeric(12, 3) AS highest,
    done.jobs,
    done.tokens,
    (trunc(done.adjusted * 1000 / nullif(done.base, 0)) * 0.001)::numeric(12, 3) AS cleared_coefficient,
    (trunc(done.charge * 1000000 / nullif(done.tokens, 0)) * 0.000000001)::numeric(28, 9) AS per_million_tokens,
    (done.charge * 0.000000001)::numeric(28, 9) AS charge
FROM hours AS h
CROSS JOIN LATERAL (
    SELECT
        count(*) AS active,
        min(o.coefficient) AS lowest,
        percentile_disc(0.25) WITHIN GROUP (ORDER BY o.coefficient) AS lower_quartile,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY o.coefficient) AS median,
        percentile_disc(0.75) WITHIN GROUP (ORDER BY o.coefficient) AS upper_quartile,
        max(o.coefficient) AS highest
    FROM (
        SELECT DISTINCT ON (c.worker) c.worker, c.coefficient, c.withdrawn
        FROM filature.offer_history AS c
        WHERE c.model = h.model AND c.at_ms < h.hour_ms + 3600000
        ORDER BY c.worker, c.ledger_offset DESC, c.fact DESC
    ) AS o
    LEFT JOIN filature.workers AS k ON k.worker = o.worker
    WHERE o.withdrawn = 0 AND (coalesce(k.retired_at_ms, 0) = 0 OR k.retired_at_ms >= h.hour_ms + 3600000)
) AS offered
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE w.cleared > 0) AS busy,
        coalesce(sum(w.cleared), 0)::bigint AS jobs,
        coalesce(sum(w.tokens), 0)::bigint AS tokens,
        coalesce(sum(w.base_units), 0) AS base,
        coalesce(sum(w.adjusted_tokens), 0) AS adjusted,
        coalesce(sum(w.charge_nano), 0) AS charge
    FROM filature.work AS w
    WHERE w.hour_ms = h.hour_ms AND w.model = h.model
) AS done
LEFT JOIN filature.models AS m ON m.model = h.model;
COMMENT ON VIEW finance.market IS 'What was asked for and at what jobs cleared, by hour and model: the hours in which a job was closed or an offer changed. A coefficient of 1 is the price list''s own price.';
COMMENT ON COLUMN finance.market.hour IS 'Start of the hour of log time.';
COMMENT ON COLUMN finance.market.model IS 'The model.';
COMMENT ON COLUMN finance.market.model_name IS 'Its name; empty if it was never listed.';
COMMENT ON COLUMN finance.market.active IS 'Workers that offered the model at the end of the hour.';
COMMENT ON COLUMN finance.market.busy IS 'Workers that completed a job in it.';
COMMENT ON COLUMN finance.market.lowest IS 'The lowest coefficient offered at the end of the hour; null where none was, as in the next four.';
COMMENT ON COLUMN finance.market.lower_quartile IS 'A quarter of the active workers asked for this or less.';
COMMENT ON COLUMN finance.market.median IS 'Half of them did.';
COMMENT ON COLUMN finance.market.upper_quartile IS 'Three quarters did.';
COMMENT ON COLUMN finance.market.highest IS 'The highest coefficient offered.';
COMMENT ON COLUMN finance.market.jobs IS 'Jobs that were completed.';
COMMENT ON COLUMN finance.market.tokens IS 'Their tokens, read and written.';
COMMENT ON COLUMN finance.market.cleared_coefficient IS 'The coefficient at which they cleared, weighted by volume; null where none did.';
COMMENT ON COLUMN finance.market.per_million_tokens IS 'Coins that clients paid for a million tokens; null where there were none.';
COMMENT ON COLUMN finance.market.charge IS 'Coins that clients paid.';

CREATE OR REPLACE VIEW finance.client_invoice AS
WITH lines AS (
    SELECT
        client, hour_ms AS at_ms, model, 'usage' AS line,
        jobs_completed + jobs_failed + jobs_cancelled + jobs_expired AS jobs,
        prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, adjusted_tokens, charge_nano AS amount_nano
    FROM filature.usage
    UNION ALL
    SELECT client, resolved_at_ms, model, 'refund', 1, 0, 0, 0, 0, 0, -refund_nano
    FROM filature.jobs
    WHERE refund_nano <> 0
    UNION ALL
    SELECT client, ended_at_ms, model, 'refund', 1, 0, 0, 0, 0, 0, -refund_nano
    FROM filature.holds
    WHERE refund_nano <> 0
)
SELECT
    encode(l.client, 'hex') AS client,
    coalesce(c.name, '') AS client_name,
    date_trunc('month', to_timestamp(l.at_ms / 1000.0) AT TIME ZONE 'UTC')::date AS month,
    l.line,
    encode(l.model, 'hex') AS model,
    coalesce(m.name, '') AS model_name,
    sum(l.jobs)::bigint AS jobs,
    sum(l.prompt_tokens)::bigint AS prompt_tokens,
    sum(l.cached_tokens)::bigint AS cached_tokens,
    sum(l.completion_tokens)::bigint AS completion_tokens,
    sum(l.reasoning_tokens)::bigint AS reasoning_tokens,
    sum(l.adjusted_tokens)::bigint AS adjusted_tokens,
    (sum(l.amount_nano) * 0.000000001)::numeric(28, 9) AS amount
FROM lines AS l
LEFT JOIN filature.clients AS c ON c.client = l.client
LEFT JOIN filature.models AS m ON m.model = l.model
GROUP BY l.client, c.name, month, l.line, l.model, m.name;
COMMENT ON VIEW finance.client_invoice IS 'What every client is charged, by month and model, less what disputes and refused pay gave back in that month. The sum of the amounts of a client and month is its invoice. Deposits and adjustments are in the journal.';
COMMENT ON COLUMN finance.client_invoice.line IS 'usage, or refund: what disputes, and pay that was refused for its worker''s attestation, gave back.';
COMMENT ON COLUMN finance.provider_statement.corrections IS 'Coins that disputes, refused pay, forfeits and adjustments took away (below zero) or added, and what a client withdraws to the same address.';

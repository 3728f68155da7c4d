-- What finance reads: every figure in coins, every time a time, every id in hexadecimal. These views are a
-- promise to people outside: columns are added, never renamed or taken away. They hold no data of their own;
-- what they say is what the read models say. Whoever may read finance needs no right to anything else.

CREATE SCHEMA finance;
COMMENT ON SCHEMA finance IS 'The network''s books for people: read only, amounts in coins, times of the log, ids in hexadecimal.';

CREATE VIEW finance.position AS
SELECT
    (place - 1)::integer AS shard,
    ledger_offset,
    intake_offset
FROM filature.published
JOIN filature.checkpoints USING (model, version),
    LATERAL unnest(ledger_offsets, intake_offsets) WITH ORDINALITY AS at (ledger_offset, intake_offset, place)
WHERE model = 'balances';
COMMENT ON VIEW finance.position IS 'Up to where in the logs all figures here are made of: one line for each shard. Quote it beside a figure, and anyone can make the figure again.';
COMMENT ON COLUMN finance.position.shard IS 'Shard of the logs; 0 is control.';
COMMENT ON COLUMN finance.position.ledger_offset IS 'Every entry of the ledger below this offset is counted.';
COMMENT ON COLUMN finance.position.intake_offset IS 'Every claim below this offset of the intake is answered by those entries.';

CREATE VIEW finance.balances AS
SELECT
    b.kind,
    encode(b.owner, 'hex') AS owner,
    coalesce(p.name, c.name, '') AS owner_name,
    (b.amount_nano * 0.000000001)::numeric(28, 9) AS balance,
    b.postings,
    to_timestamp(b.last_at_ms / 1000.0) AS last_posted_at
FROM filature.balances AS b
LEFT JOIN filature.providers AS p ON b.kind LIKE 'provider/%' AND p.provider = b.owner
LEFT JOIN filature.accounts AS a ON b.kind LIKE 'client/%' AND a.account = b.owner
LEFT JOIN filature.clients AS c ON c.client = a.client;
COMMENT ON VIEW finance.balances IS 'What every account holds now. What is owed to somebody is positive, what is held (vault/cash) negative; all together are zero.';
COMMENT ON COLUMN finance.balances.kind IS 'Kind of account, a word of the chart of accounts: client/available, provider/payable, vault/cash, ...';
COMMENT ON COLUMN finance.balances.owner IS 'Whose it is: a prepaid account''s id for client/*, a provider''s for provider/*, empty for the network''s own.';
COMMENT ON COLUMN finance.balances.owner_name IS 'Name of the client or provider behind the owner; empty where there is none.';
COMMENT ON COLUMN finance.balances.balance IS 'Coins: the sum of all postings to the account.';
COMMENT ON COLUMN finance.balances.postings IS 'How many postings that is.';
COMMENT ON COLUMN finance.balances.last_posted_at IS 'Log time of the latest of them.';

CREATE VIEW finance.movements AS
SELECT
    kind,
    encode(owner, 'hex') AS owner,
    to_timestamp(hour_ms / 1000.0) AS hour,
    (in_nano * 0.000000001)::numeric(28, 9) AS credit,
    (out_nano * 0.000000001)::numeric(28, 9) AS debit,
    postings
FROM filature.movements;
COMMENT ON VIEW finance.movements IS 'What went into and out of every account, by hour.';
COMMENT ON COLUMN finance.movements.kind IS 'Kind of account, as in balances.';
COMMENT ON COLUMN finance.movements.owner IS 'Whose it is, as in balances.';
COMMENT ON COLUMN finance.movements.hour IS 'Start of the hour of log time.';
COMMENT ON COLUMN finance.movements.credit IS 'Coins: the sum of the positive postings of the hour.';
COMMENT ON COLUMN finance.movements.debit IS 'Coins: the sum of the negative postings of the hour, without the sign.';
COMMENT ON COLUMN finance.movements.postings IS 'How many postings that is.';

CREATE VIEW finance.journal AS
SELECT
    to_timestamp(at_ms / 1000.0) AS posted_at,
    kind,
    encode(owner, 'hex') AS owner,
    (amount_nano * 0.000000001)::numeric(28, 9) AS amount,
    what,
    encode(job, 'hex') AS job,
    shard::integer AS shard,
    ledger_offset,
    fact::integer AS fact,
    posting::integer AS posting
FROM filature.journal;
COMMENT ON VIEW finance.journal IS 'Every posting ever made. The postings of one fact sum to zero.';
COMMENT ON COLUMN finance.journal.posted_at IS 'Log time of the decision.';
COMMENT ON COLUMN finance.journal.kind IS 'Kind of account, as in balances.';
COMMENT ON COLUMN finance.journal.owner IS 'Whose it is, as in balances.';
COMMENT ON COLUMN finance.journal.amount IS 'Coins: positive where the account gets, negative where it gives.';
COMMENT ON COLUMN finance.journal.what IS 'The fact that moved the money: job_completed, account_funded, payout_observed, ...';
COMMENT ON COLUMN finance.journal.job IS 'The job that the fact is about; empty where there is none.';
COMMENT ON COLUMN finance.journal.shard IS 'Shard of the ledger in which the fact is.';
COMMENT ON COLUMN finance.journal.ledger_offset IS 'Its entry there.';
COMMENT ON COLUMN finance.journal.fact IS 'Its place in the entry, from 1.';
COMMENT ON COLUMN finance.journal.posting IS 'The posting''s place in the fact, from 1.';

-- A caller's right to the views is enough: it runs as its caller, and can be merged into the caller's query.
CREATE FUNCTION finance.balances_as_of(moment timestamptz)
RETURNS TABLE (kind text, owner text, balance numeric)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT moved.kind, moved.owner, sum(moved.amount)::numeric(28, 9)
    FROM (
        SELECT m.kind, m.owner, m.credit - m.debit AS amount
        FROM finance.movements AS m
        WHERE m.hour < date_trunc('hour', moment, 'UTC')
        UNION ALL
        SELECT j.kind, j.owner, j.amount
        FROM finance.journal AS j
        WHERE j.posted_at >= date_trunc('hour', moment, 'UTC') AND j.posted_at <= moment
    ) AS moved
    GROUP BY moved.kind, moved.owner;
END;
COMMENT ON FUNCTION finance.balances_as_of(timestamptz) IS 'What every account held when log time was the given moment, that moment included, in coins. Accounts that nothing had been posted to by then are missing. kind and owner are those of balances.';

CREATE VIEW finance.trial_balance AS
SELECT
    kind,
    count(*) AS accounts,
    (sum(greatest(-amount_nano, 0)) * 0.000000001)::numeric(28, 9) AS debit,
    (sum(greatest(amount_nano, 0)) * 0.000000001)::numeric(28, 9) AS credit,
    (sum(amount_nano) * 0.000000001)::numeric(28, 9) AS balance
FROM filature.balances
GROUP BY kind;
COMMENT ON VIEW finance.trial_balance IS 'The sum of every kind of account. Debits equal credits, and the balances sum to zero: always.';
COMMENT ON COLUMN finance.trial_balance.kind IS 'Kind of account, as in balances.';
COMMENT ON COLUMN finance.trial_balance.accounts IS 'How many accounts of the kind there are.';
COMMENT ON COLUMN finance.trial_balance.debit IS 'Coins: the sum of the accounts below zero, without the sign.';
COMMENT ON COLUMN finance.trial_balance.credit IS 'Coins: the sum of the accounts above zero.';
COMMENT ON COLUMN finance.trial_balance.balance IS 'Coins: credit less debit.';

CREATE VIEW finance.usage_by_day AS
SELECT
    (to_timestamp(u.hour_ms / 1000.0) AT TIME ZONE 'UTC')::date AS day,
    encode(u.model, 'hex') AS model,
    coalesce(m.name, '') AS model_name,
    encode(u.provider, 'hex') AS provider,
    coalesce(p.name, '') AS provider_name,
    encode(u.client, 'hex') AS client,
    coalesce(c.name, '') AS client_name,
    sum(u.jobs_completed)::bigint AS jobs_completed,
    sum(u.jobs_failed)::bigint AS jobs_failed,
    sum(u.jobs_cancelled)::bigint AS jobs_cancelled,
    sum(u.jobs_expired)::bigint AS jobs_expired,
    sum(u.prompt_tokens)::bigint AS prompt_tokens,
    sum(u.cached_tokens)::bigint AS cached_tokens,
    sum(u.completion_tokens)::bigint AS completion_tokens,
    sum(u.reasoning_tokens)::bigint AS reasoning_tokens,
    sum(u.adjusted_tokens)::bigint AS adjusted_tokens,
    (sum(u.charge_nano) * 0.000000001)::numeric(28, 9) AS charge,
    (sum(u.worker_nano) * 0.000000001)::numeric(28, 9) AS worker_part,
    (sum(u.commission_nano) * 0.000000001)::numeric(28, 9) AS commission
FROM filature.usage AS u
LEFT JOIN filature.models AS m ON m.model = u.model
LEFT JOIN filature.providers AS p ON p.provider = u.provider
LEFT JOIN filature.clients AS c ON c.client = u.client
GROUP BY day, u.model, m.name, u.provider, p.name, u.client, c.name;
COMMENT ON VIEW finance.usage_by_day IS 'What was used and charged, by the day on which jobs ended, model, provider and client. What disputes gave back later is not taken off: see client_invoice and provider_statement.';
COMMENT ON COLUMN finance.usage_by_day.day IS 'Day of log time, UTC.';
COMMENT ON COLUMN finance.usage_by_day.model IS 'The model that jobs asked for.';
COMMENT ON COLUMN finance.usage_by_day.model_name IS 'Its name; empty if it was never listed.';
COMMENT ON COLUMN finance.usage_by_day.provider IS 'The owner of the worker; empty where no worker was ever assigned.';
COMMENT ON COLUMN finance.usage_by_day.provider_name IS 'The provider''s name.';
COMMENT ON COLUMN finance.usage_by_day.client IS 'The client that paid.';
COMMENT ON COLUMN finance.usage_by_day.client_name IS 'The client''s name.';
COMMENT ON COLUMN finance.usage_by_day.jobs_completed IS 'Jobs that ended well.';
COMMENT ON COLUMN finance.usage_by_day.jobs_failed IS 'Jobs that a worker failed.';
COMMENT ON COLUMN finance.usage_by_day.jobs_cancelled IS 'Jobs that the client took back.';
COMMENT ON COLUMN finance.usage_by_day.jobs_expired IS 'Jobs that took too long.';
COMMENT ON COLUMN finance.usage_by_day.prompt_tokens IS 'Tokens read, cached ones included.';
COMMENT ON COLUMN finance.usage_by_day.cached_tokens IS 'Of the prompt tokens, those that were cached.';
COMMENT ON COLUMN finance.usage_by_day.completion_tokens IS 'Tokens written, reasoning included.';
COMMENT ON COLUMN finance.usage_by_day.reasoning_tokens IS 'Of the completion tokens, those of reasoning.';
COMMENT ON COLUMN finance.usage_by_day.adjusted_tokens IS 'Tokens after the multipliers of their class and the coefficient of the worker: what charges are made of.';
COMMENT ON COLUMN finance.usage_by_day.charge IS 'Coins charged to the client: worker_part + commission.';
COMMENT ON COLUMN finance.usage_by_day.worker_part IS 'Coins of it that the provider earned.';
COMMENT ON COLUMN finance.usage_by_day.commission IS 'Coins of it that the network kept.';

CREATE VIEW finance.provider_statement AS
WITH happened AS (
    SELECT owner AS provider, hour_ms AS at_ms, in_nano - out_nano AS net, 0 AS jobs, 0 AS earned, 0 AS paid
    FROM filature.movements
    WHERE kind IN ('provider/earned', 'provider/held', 'provider/payable', 'provider/committed')
    UNION ALL
    SELECT provider, hour_ms, 0, jobs_completed + jobs_failed + jobs_cancelled + jobs_expired, worker_nano, 0
    FROM filature.usage
    WHERE provider <> ''
    UNION ALL
    SELECT payee, seen_at_ms, 0, 0, 0, amount_nano
    FROM filature.payments
),
daily AS (
    SELECT
        provider,
        (to_timestamp(at_ms / 1000.0) AT TIME ZONE 'UTC')::date AS day,
        sum(net) AS net,
        sum(jobs) AS jobs,
        sum(earned) AS earned,
        sum(paid) AS paid
    FROM happened
    GROUP BY provider, day
)
SELECT
    encode(d.provider, 'hex') AS provider,
    coalesce(p.name, '') AS provider_name,
    d.day,
    d.jobs::bigint AS jobs,
    ((sum(d.net) OVER so_far - d.net) * 0.000000001)::numeric(28, 9) AS opening,
    (d.earned * 0.000000001)::numeric(28, 9) AS earned,
    ((d.net - d.earned + d.paid) * 0.000000001)::numeric(28, 9) AS corrections,
    (d.paid * 0.000000001)::numeric(28, 9) AS paid,
    (sum(d.net) OVER so_far * 0.000000001)::numeric(28, 9) AS closing
FROM daily AS d
LEFT JOIN filature.providers AS p ON p.provider = d.provider
WINDOW so_far AS (PARTITION BY d.provider ORDER BY d.day);
COMMENT ON VIEW finance.provider_statement IS 'What the network owed every provider and what became of it, by day: opening + earned + corrections - paid = closing. Days on which nothing happened are missing.';
COMMENT ON COLUMN finance.provider_statement.provider IS 'The provider: the account id of the address that is paid.';
COMMENT ON COLUMN finance.provider_statement.provider_name IS 'Its name.';
COMMENT ON COLUMN finance.provider_statement.day IS 'Day of log time, UTC.';
COMMENT ON COLUMN finance.provider_statement.jobs IS 'Jobs of its workers that ended on the day, however they ended.';
COMMENT ON COLUMN finance.provider_statement.opening IS 'Coins owed when the day began, be they earned, held, payable or in a batch.';
COMMENT ON COLUMN finance.provider_statement.earned IS 'Coins that the jobs of the day earned.';
COMMENT ON COLUMN finance.provider_statement.corrections IS 'Coins that disputes and adjustments took away (below zero) or added, and what a client withdraws to the same address.';
COMMENT ON COLUMN finance.provider_statement.paid IS 'Coins paid on chain.';
COMMENT ON COLUMN finance.provider_statement.closing IS 'Coins owed when the day ended.';

CREATE VIEW finance.client_invoice AS
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
COMMENT ON VIEW finance.client_invoice IS 'What every client is charged, by month and model, less what disputes gave back in that month. The sum of the amounts of a client and month is its invoice. Deposits and adjustments are in the journal.';
COMMENT ON COLUMN finance.client_invoice.client IS 'The client.';
COMMENT ON COLUMN finance.client_invoice.client_name IS 'Its name.';
COMMENT ON COLUMN finance.client_invoice.month IS 'First day of the month of log time, UTC: in which jobs ended, or disputes did.';
COMMENT ON COLUMN finance.client_invoice.line IS 'usage, or refund: what disputes gave back.';
COMMENT ON COLUMN finance.client_invoice.model IS 'The model that jobs asked for.';
COMMENT ON COLUMN finance.client_invoice.model_name IS 'Its name.';
COMMENT ON COLUMN finance.client_invoice.jobs IS 'How many jobs the line is about.';
COMMENT ON COLUMN finance.client_invoice.prompt_tokens IS 'Tokens read, cached ones included; 0 in a refund, as the others below.';
COMMENT ON COLUMN finance.client_invoice.cached_tokens IS 'Of the prompt tokens, those that were cached.';
COMMENT ON COLUMN finance.client_invoice.completion_tokens IS 'Tokens written, reasoning included.';
COMMENT ON COLUMN finance.client_invoice.reasoning_tokens IS 'Of the completion tokens, those of reasoning.';
COMMENT ON COLUMN finance.client_invoice.adjusted_tokens IS 'Tokens after multipliers and coefficient: what charges are made of.';
COMMENT ON COLUMN finance.client_invoice.amount IS 'Coins: charged, or below zero given back.';

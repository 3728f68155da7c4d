-- Who was asked to prove what it runs, and what came of it. What holds for the tables of 0001 holds for these.

INSERT INTO filature.published (model, version) VALUES ('attestations', 1), ('attestation_state', 1);

-- Every word of control on a worker's attestation, by its place there. what is the fact's name; until_ms is until when a result
-- is valid or a challenge may be answered; cause is there where something else than time ended a result; fault is worker or
-- verifier.
CREATE TABLE filature.attestations_v1 (
    worker                    bytea  NOT NULL,
    ledger_offset             bigint NOT NULL,
    fact                      bigint NOT NULL,
    what                      text   NOT NULL COLLATE "C",
    challenge                 bytea  NOT NULL,
    evidence_digest           bytea  NOT NULL,
    policy_digest             bytea  NOT NULL,
    image_hash                bytea  NOT NULL,
    until_ms                  bigint NOT NULL,
    cause                     text   NOT NULL COLLATE "C",
    fault                     text   NOT NULL COLLATE "C",
    reason                    text   NOT NULL COLLATE "C",
    at_ms                     bigint NOT NULL,
    PRIMARY KEY (worker, ledger_offset, fact)
);
CREATE VIEW filature.attestations AS SELECT * FROM filature.attestations_v1;

-- How every worker's attestation stands. state is attested, or why it is not, as far as control has said: a result ends at
-- until_ms by itself, and where its image is in retired_images. passes and what follows count since the beginning;
-- verifier_faults hurt nobody. challenge is the open one.
CREATE TABLE filature.attestation_state_v1 (
    worker                    bytea  NOT NULL,
    state                     text   NOT NULL COLLATE "C",
    told_at_ms                bigint NOT NULL,
    told_offset               bigint NOT NULL,
    passed_at_ms              bigint NOT NULL,
    passed_offset             bigint NOT NULL,
    until_ms                  bigint NOT NULL,
    image_hash                bytea  NOT NULL,
    policy_digest             bytea  NOT NULL,
    evidence_digest           bytea  NOT NULL,
    challenge                 bytea  NOT NULL,
    challenge_until_ms        bigint NOT NULL,
    challenged_at_ms          bigint NOT NULL,
    challenged_offset         bigint NOT NULL,
    challenges                bigint NOT NULL,
    passes                    bigint NOT NULL,
    failures                  bigint NOT NULL,
    verifier_faults           bigint NOT NULL,
    revocations               bigint NOT NULL,
    expiries                  bigint NOT NULL,
    PRIMARY KEY (worker)
) WITH (fillfactor = 80);
CREATE VIEW filature.attestation_state AS SELECT * FROM filature.attestation_state_v1;

CREATE VIEW finance.attestations AS
SELECT
    to_timestamp(a.at_ms / 1000.0) AS at,
    encode(a.worker, 'hex') AS worker,
    coalesce(p.name, '') AS provider_name,
    a.what,
    CASE WHEN a.until_ms <> 0 THEN to_timestamp(a.until_ms / 1000.0) END AS until,
    a.cause,
    a.fault,
    a.reason,
    encode(a.challenge, 'hex') AS challenge,
    encode(a.evidence_digest, 'hex') AS evidence_digest,
    encode(a.policy_digest, 'hex') AS policy_digest,
    encode(a.image_hash, 'hex') AS image_hash,
    a.ledger_offset
FROM filature.attestations AS a
LEFT JOIN filature.workers AS w ON w.worker = a.worker
LEFT JOIN filature.providers AS p ON p.provider = w.provider;
COMMENT ON VIEW finance.attestations IS 'Every word of the ledger on a worker''s attestation: who was asked to prove what it runs, and what came of it.';
COMMENT ON COLUMN finance.attestations.at IS 'Log time of the word.';
COMMENT ON COLUMN finance.attestations.worker IS 'The worker.';
COMMENT ON COLUMN finance.attestations.provider_name IS 'Its owner''s name.';
COMMENT ON COLUMN finance.attestations.what IS 'attestation_challenged, attestation_passed, attestation_failed, attestation_revoked, attestation_expired, key_rotated, retired.';
COMMENT ON COLUMN finance.attestations.until IS 'Until when a result is valid, a challenge may be answered, or an expired result was valid; null for the others.';
COMMENT ON COLUMN finance.attestations.cause IS 'Why a result ended before its time: key_rotated, image_retired; else empty.';
COMMENT ON COLUMN finance.attestations.fault IS 'Of a failure or revocation: worker, or verifier, which hurts no worker.';
COMMENT ON COLUMN finance.attestations.reason IS 'Of a failure or revocation, in the verifier''s words.';
COMMENT ON COLUMN finance.attestations.challenge IS 'The challenge that was made or answered.';
COMMENT ON COLUMN finance.attestations.evidence_digest IS 'SHA-256 of the evidence that was appraised.';
COMMENT ON COLUMN finance.attestations.policy_digest IS 'The verifier''s policy that it was appraised under.';
COMMENT ON COLUMN finance.attestations.image_hash IS 'The image that a worker which passed was found to run.';
COMMENT ON COLUMN finance.attestations.ledger_offset IS 'Its entry in control''s ledger.';

-- A result ends by time and with its image, whether or not control has said so yet. What time it is, the tables of a log can't
-- say: the view compares with the server''s clock.
CREATE VIEW finance.workers AS
SELECT
    encode(w.worker, 'hex') AS worker,
    encode(w.provider, 'hex') AS provider,
    coalesce(p.name, '') AS provider_name,
    CASE
        WHEN coalesce(t.state, '') = '' THEN 'never_passed'
        WHEN t.state <> 'attested' THEN t.state
        WHEN i.image_hash IS NOT NULL THEN 'image_retired'
        WHEN t.until_ms <= extract(EPOCH FROM now()) * 1000 THEN 'expired'
        ELSE 'attested'
    END AS attestation,
    CASE WHEN coalesce(t.until_ms, 0) <> 0 THEN to_timestamp(t.until_ms / 1000.0) END AS attested_until,
    CASE WHEN coalesce(t.passed_at_ms, 0) <> 0 THEN to_timestamp(t.passed_at_ms / 1000.0) END AS last_passed_at,
    coalesce(encode(t.image_hash, 'hex'), '') AS image_hash,
    coalesce(t.challenges, 0) AS challenges,
    coalesce(t.passes, 0) AS passes,
    coalesce(t.failures, 0) AS failures,
    coalesce(t.verifier_faults, 0) AS verifier_faults,
    coalesce(t.revocations, 0) AS revocations,
    coalesce(t.expiries, 0) AS expiries,
    coalesce(h.jobs, 0) AS held_jobs,
    (coalesce(h.amount, 0) * 0.000000001)::numeric(28, 9) AS held_pay,
    CASE WHEN w.retired_at_ms <> 0 THEN to_timestamp(w.retired_at_ms / 1000.0) END AS retired_at,
    coalesce(t.told_offset, 0) AS ledger_offset
FROM filature.workers AS w
LEFT JOIN filature.providers AS p ON p.provider = w.provider
LEFT JOIN filature.attestation_state AS t ON t.worker = w.worker
LEFT JOIN filature.retired_images AS i ON i.image_hash = t.image_hash AND octet_length(t.image_hash) > 0
LEFT JOIN (
    SELECT worker, count(*) AS jobs, sum(amount_nano) AS amount FROM filature.holds WHERE state = 'waiting' GROUP BY worker
) AS h ON h.worker = w.worker;
COMMENT ON VIEW finance.workers IS 'Every worker, how its attestation stands, and what pay of its waits for that.';
COMMENT ON COLUMN finance.workers.worker IS 'The worker.';
COMMENT ON COLUMN finance.workers.provider IS 'Its owner.';
COMMENT ON COLUMN finance.workers.provider_name IS 'The owner''s name.';
COMMENT ON COLUMN finance.workers.attestation IS 'attested, or why it is not: never_passed, expired, key_rotated, image_retired, failed, revoked.';
COMMENT ON COLUMN finance.workers.attested_until IS 'The end of its last result; null if it never passed.';
COMMENT ON COLUMN finance.workers.last_passed_at IS 'When it last passed; null if it never did.';
COMMENT ON COLUMN finance.workers.image_hash IS 'The image that it was found to run then.';
COMMENT ON COLUMN finance.workers.challenges IS 'How often it was asked.';
COMMENT ON COLUMN finance.workers.passes IS 'How often it passed.';
COMMENT ON COLUMN finance.workers.failures IS 'How often it failed, through its own fault.';
COMMENT ON COLUMN finance.workers.verifier_faults IS 'How often the verifier was at fault, which hurts no worker.';
COMMENT ON COLUMN finance.workers.revocations IS 'How often a result was revoked, through its own fault.';
COMMENT ON COLUMN finance.workers.expiries IS 'How often a result ended by time, with a key, or with an image.';
COMMENT ON COLUMN finance.workers.held_jobs IS 'Jobs whose pay waits for its attestation.';
COMMENT ON COLUMN finance.workers.held_pay IS 'Coins that do.';
COMMENT ON COLUMN finance.workers.retired_at IS 'When it retired; null if it has not.';
COMMENT ON COLUMN finance.workers.ledger_offset IS 'The entry of control that the attestation goes by; 0 where there is none.';

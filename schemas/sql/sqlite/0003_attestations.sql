-- Who was asked to prove what it runs, and what came of it. What holds for the tables of 0001 holds for these.

-- Every word of control on a worker's attestation, by its place there. what is the fact's name; until_ms is until when a result
-- is valid or a challenge may be answered; cause is there where something else than time ended a result; fault is worker or
-- verifier.
CREATE TABLE attestations_v1 (
    worker                    BLOB    NOT NULL,
    ledger_offset             INTEGER NOT NULL,
    fact                      INTEGER NOT NULL,
    what                      TEXT    NOT NULL,
    challenge                 BLOB    NOT NULL,
    evidence_digest           BLOB    NOT NULL,
    policy_digest             BLOB    NOT NULL,
    image_hash                BLOB    NOT NULL,
    until_ms                  INTEGER NOT NULL,
    cause                     TEXT    NOT NULL,
    fault                     TEXT    NOT NULL,
    reason                    TEXT    NOT NULL,
    at_ms                     INTEGER NOT NULL,
    PRIMARY KEY (worker, ledger_offset, fact)
) WITHOUT ROWID, STRICT;
CREATE VIEW attestations AS SELECT * FROM attestations_v1;

-- How every worker's attestation stands. state is attested, or why it is not, as far as control has said: a result ends at
-- until_ms by itself, and where its image is in retired_images. passes and what follows count since the beginning;
-- verifier_faults hurt nobody. challenge is the open one.
CREATE TABLE attestation_state_v1 (
    worker                    BLOB    NOT NULL,
    state                     TEXT    NOT NULL,
    told_at_ms                INTEGER NOT NULL,
    told_offset               INTEGER NOT NULL,
    passed_at_ms              INTEGER NOT NULL,
    passed_offset             INTEGER NOT NULL,
    until_ms                  INTEGER NOT NULL,
    image_hash                BLOB    NOT NULL,
    policy_digest             BLOB    NOT NULL,
    evidence_digest           BLOB    NOT NULL,
    challenge                 BLOB    NOT NULL,
    challenge_until_ms        INTEGER NOT NULL,
    challenged_at_ms          INTEGER NOT NULL,
    challenged_offset         INTEGER NOT NULL,
    challenges                INTEGER NOT NULL,
    passes                    INTEGER NOT NULL,
    failures                  INTEGER NOT NULL,
    verifier_faults           INTEGER NOT NULL,
    revocations               INTEGER NOT NULL,
    expiries                  INTEGER NOT NULL,
    PRIMARY KEY (worker)
) WITHOUT ROWID, STRICT;
CREATE VIEW attestation_state AS SELECT * FROM attestation_state_v1;

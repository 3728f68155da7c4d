-- What an audit came to and what the vault held when somebody looked last: no fact of the ledger, and no read model of it, so
-- it has no checkpoint and is not folded again. body is a message of filature.query.v1.

CREATE TABLE filature.findings (
    name                      text   NOT NULL PRIMARY KEY,
    at_ms                     bigint NOT NULL,
    body                      bytea  NOT NULL
);

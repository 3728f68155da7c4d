-- What an audit came to and what the vault held when somebody looked last: no fact of the ledger, and no read model of it, so
-- it has no checkpoint and is not folded again. body is a message of filature.query.v1.

CREATE TABLE findings (
    name                      TEXT    NOT NULL PRIMARY KEY,
    at_ms                     INTEGER NOT NULL,
    body                      BLOB    NOT NULL
) WITHOUT ROWID, STRICT;

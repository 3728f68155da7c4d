-- Names are looked for by how they begin, upper and lower case alike.

CREATE INDEX models_v1_by_folded_name ON models_v1 (lower(name), model);
CREATE INDEX providers_v1_by_folded_name ON providers_v1 (lower(name), provider);
CREATE INDEX clients_v1_by_folded_name ON clients_v1 (lower(name), client);

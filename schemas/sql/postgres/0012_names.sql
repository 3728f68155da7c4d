-- Names are looked for by how they begin, upper and lower case alike.

CREATE INDEX models_v1_by_folded_name ON filature.models_v1 (lower(name), model);
CREATE INDEX providers_v1_by_folded_name ON filature.providers_v1 (lower(name), provider);
CREATE INDEX clients_v1_by_folded_name ON filature.clients_v1 (lower(name), client);

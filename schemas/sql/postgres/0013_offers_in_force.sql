-- A worker whose provider has retired offers nothing any more: the view of 0003 asked for the worker alone.

CREATE OR REPLACE VIEW finance.market AS
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
    LEFT JOIN filature.providers AS p ON p.provider = k.provider
    WHERE o.withdrawn = 0 AND (coalesce(k.retired_at_ms, 0) = 0 OR k.retired_at_ms >= h.hour_ms + 3600000)
        AND (coalesce(p.retired_at_ms, 0) = 0 OR p.retired_at_ms >= h.hour_ms + 3600000)
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

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// Cleared sums in the store: what workers did in an hour is not for anybody else to see one by one.
func (q reader) Cleared(ctx context.Context, which projections.MarketFilter) ([]projections.Cleared, error) {
	of, args := "", []any{which.FromMs, which.ToMs, projections.MaxRows + 1}
	if which.Model != (domain.ModelID{}) {
		of, args = "model = ?4 AND ", append(args, blob(which.Model))
	}
	found, err := scanAll(ctx, q, func(c *projections.Cleared) []any {
		return []any{&c.HourMs, id[domain.ModelID]{&c.Model}, &c.Busy, &c.Cleared, &c.Tokens, &c.BaseUnits, &c.Adjusted, &c.Charge}
	}, `SELECT hour_ms, model, SUM(cleared > 0), SUM(cleared), SUM(tokens), SUM(base_units), SUM(adjusted_tokens), SUM(charge_nano) FROM work
		WHERE `+of+`hour_ms >= ?1 AND hour_ms < ?2 GROUP BY hour_ms, model ORDER BY hour_ms, model LIMIT ?3`, args...)
	if err != nil {
		return nil, fmt.Errorf("read work: %w", err)
	}
	return found, nil
}

// OffersUntil finds the last word before with one search for each worker and model.
func (q reader) OffersUntil(ctx context.Context, which projections.MarketFilter) ([]projections.OfferChange, error) {
	of, args := "", []any{which.FromMs, which.ToMs}
	if which.Model != (domain.ModelID{}) {
		of, args = "model = ?3 AND ", append(args, blob(which.Model))
	}
	since, err := many(ctx, q, projections.OfferHistory, "WHERE "+of+"at_ms >= ?1 AND at_ms < ?2 ORDER BY ledger_offset, fact", args...)
	if err != nil {
		return nil, err
	}
	names := columnsOf("h", projections.OfferHistory.Table())
	before, err := all(ctx, q, projections.OfferHistory, `SELECT `+strings.Join(names, ", ")+` FROM offers AS o CROSS JOIN offer_history AS h
		ON h.model = o.model AND h.worker = o.worker AND h.ledger_offset = (SELECT l.ledger_offset FROM offer_history AS l
			WHERE l.model = o.model AND l.worker = o.worker AND l.at_ms < ?1 ORDER BY l.ledger_offset DESC LIMIT 1)
		AND h.fact = (SELECT MAX(f.fact) FROM offer_history AS f
			WHERE f.model = o.model AND f.worker = o.worker AND f.ledger_offset = h.ledger_offset)
		WHERE `+strings.ReplaceAll(of, "model", "o.model")+`?1 < ?2 ORDER BY h.ledger_offset, h.fact`, args...)
	return append(before, since...), err
}

func (q reader) OutOfService(ctx context.Context) (map[domain.WorkerID]int64, error) {
	type gone struct {
		worker projections.Worker
		owner  projections.Provider
	}
	found, err := scanAll(ctx, q, func(g *gone) []any {
		return []any{id[domain.WorkerID]{&g.worker.Worker}, &g.worker.RetiredAtMs, &g.owner.RetiredAtMs}
	}, `SELECT w.worker, w.retired_at_ms, COALESCE(p.retired_at_ms, 0) FROM workers AS w LEFT JOIN providers AS p ON p.provider = w.provider
		WHERE w.retired_at_ms <> 0 OR p.retired_at_ms <> 0`)
	if err != nil {
		return nil, fmt.Errorf("read who is out of service: %w", err)
	}
	out := make(map[domain.WorkerID]int64, len(found))
	for _, g := range found {
		out[g.worker.Worker] = g.worker.OutSinceMs(&g.owner)
	}
	return out, nil
}

// inForce is projections.Offer.InForce, of a row of offers by its name in the statement.
func inForce(offer string) string {
	return offer + `.withdrawn = 0 AND NOT EXISTS (SELECT 1 FROM workers AS w LEFT JOIN providers AS p ON p.provider = w.provider
		WHERE w.worker = ` + offer + `.worker AND (w.retired_at_ms <> 0 OR p.retired_at_ms <> 0))`
}

func (q reader) ModelTotals(ctx context.Context, after domain.ModelID, limit int) ([]projections.ModelTotal, error) {
	served := `LEFT JOIN (SELECT o.model, COUNT(*) AS offers, MIN(o.coefficient) AS lowest, MAX(o.coefficient) AS highest
			FROM offers AS o WHERE ` + inForce("o") + ` GROUP BY o.model) AS s
		ON s.model = t.model WHERE t.model > ? ORDER BY t.model`
	models, err := widened(ctx, q, projections.Models, func(m *projections.ModelTotal) *projections.ListedModel { return &m.ListedModel },
		func(m *projections.ModelTotal) []projections.Column {
			return []projections.Column{{Name: "offers", Field: &m.Offers}, {Name: "lowest", Field: &m.Lowest}, {Name: "highest", Field: &m.Highest}}
		}, limit, []string{"COALESCE(s.offers, 0)", "COALESCE(s.lowest, 0)", "COALESCE(s.highest, 0)"}, served, blob(after))
	if err != nil {
		return nil, err
	}
	for i := range models {
		card, err := one(ctx, q, projections.RateCards, "WHERE model IN (?, x'') ORDER BY model DESC, set_offset DESC LIMIT 1", blob(models[i].Model))
		if err != nil && !errors.Is(err, projections.ErrNotFound) {
			return nil, err
		}
		models[i].Card = card
	}
	return models, nil
}

func (q reader) OffersLike(ctx context.Context, which, after projections.OfferKey, limit int) ([]projections.OfferTotal, error) {
	where, args := inForce("t")+" AND (worker, model) > (?, ?)", []any{blob(after.Worker), blob(after.Model)}
	if which.Model != (domain.ModelID{}) {
		where, args = where+" AND model = ?", append(args, blob(which.Model))
	}
	if which.Worker != (domain.WorkerID{}) {
		where, args = where+" AND worker = ?", append(args, blob(which.Worker))
	}
	return widened(ctx, q, projections.Offers, func(o *projections.OfferTotal) *projections.Offer { return &o.Offer },
		func(o *projections.OfferTotal) []projections.Column {
			return []projections.Column{{Name: "provider", Field: (*[32]byte)(&o.Provider)}}
		}, limit,
		[]string{"COALESCE((SELECT provider FROM workers AS w WHERE w.worker = t.worker), x'')"}, "WHERE "+where+" ORDER BY worker, model", args...)
}

func (q reader) OfferChangesLike(
	ctx context.Context, model domain.ModelID, worker domain.WorkerID, below projections.OfferChangeKey, limit int,
) ([]projections.OfferChange, error) {
	where, args := "model = ? AND (ledger_offset, fact) < (?, ?)", []any{blob(model), lowerThan(int64(below.Offset)), below.Fact}
	if worker != (domain.WorkerID{}) {
		where, args = where+" AND worker = ?", append(args, blob(worker))
	}
	return page(ctx, q, projections.OfferHistory, limit, "WHERE "+where+" ORDER BY ledger_offset DESC, fact DESC", args...)
}

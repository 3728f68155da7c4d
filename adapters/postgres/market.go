package postgres

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
		of, args = "model = $4 AND ", append(args, blob(which.Model))
	}
	return scanAll(ctx, q, "work", func(c *projections.Cleared) []any {
		return []any{&c.HourMs, id[domain.ModelID]{&c.Model}, &c.Busy, &c.Cleared, &c.Tokens, &c.BaseUnits, &c.Adjusted, &c.Charge}
	}, `SELECT hour_ms, model, count(*) FILTER (WHERE cleared > 0), sum(cleared)::bigint,
		sum(tokens)::bigint, sum(base_units)::bigint, sum(adjusted_tokens)::bigint, sum(charge_nano)::bigint FROM filature.work
		WHERE `+of+`hour_ms >= $1 AND hour_ms < $2 GROUP BY hour_ms, model ORDER BY hour_ms, model LIMIT $3`, args...)
}

// OffersUntil finds the last word before with one search for each worker and model.
func (q reader) OffersUntil(ctx context.Context, which projections.MarketFilter) ([]projections.OfferChange, error) {
	of, args := "", []any{which.FromMs, which.ToMs}
	if which.Model != (domain.ModelID{}) {
		of, args = "model = $3 AND ", append(args, blob(which.Model))
	}
	since, err := many(ctx, q, projections.OfferHistory, "WHERE "+of+"at_ms >= $1 AND at_ms < $2 ORDER BY ledger_offset, fact", args...)
	if err != nil {
		return nil, err
	}
	columns := strings.Join(columnNames(projections.OfferHistory.Table()), ", ")
	latest := strings.Join(columnsOf("h", projections.OfferHistory.Table()), ", ")
	before, err := all(ctx, q, projections.OfferHistory, `SELECT `+latest+` FROM filature.offers AS o, LATERAL (
			SELECT `+columns+` FROM filature.offer_history AS l WHERE l.model = o.model AND l.worker = o.worker AND l.at_ms < $1
			ORDER BY l.ledger_offset DESC, l.fact DESC LIMIT 1) AS h
		WHERE `+strings.ReplaceAll(of, "model", "o.model")+`$1 < $2 ORDER BY h.ledger_offset, h.fact`, args...)
	return append(before, since...), err
}

func (q reader) OutOfService(ctx context.Context) (map[domain.WorkerID]int64, error) {
	type gone struct {
		worker projections.Worker
		owner  projections.Provider
	}
	found, err := scanAll(ctx, q, "who is out of service", func(g *gone) []any {
		return []any{id[domain.WorkerID]{&g.worker.Worker}, &g.worker.RetiredAtMs, &g.owner.RetiredAtMs}
	}, `SELECT w.worker, w.retired_at_ms, coalesce(p.retired_at_ms, 0) FROM filature.workers AS w LEFT JOIN filature.providers AS p ON p.provider = w.provider
		WHERE w.retired_at_ms <> 0 OR p.retired_at_ms <> 0`)
	if err != nil {
		return nil, err
	}
	out := make(map[domain.WorkerID]int64, len(found))
	for _, g := range found {
		out[g.worker.Worker] = g.worker.OutSinceMs(&g.owner)
	}
	return out, nil
}

// inForce is projections.Offer.InForce, of a row of offers by its name in the statement.
func inForce(offer string) string {
	return offer + `.withdrawn = 0 AND NOT EXISTS (SELECT FROM filature.workers AS w LEFT JOIN filature.providers AS p ON p.provider = w.provider
		WHERE w.worker = ` + offer + `.worker AND (w.retired_at_ms <> 0 OR p.retired_at_ms <> 0))`
}

func (q reader) ModelTotals(ctx context.Context, after domain.ModelID, limit int) ([]projections.ModelTotal, error) {
	served := `LEFT JOIN (SELECT o.model, count(*) AS offers, min(o.coefficient) AS lowest, max(o.coefficient) AS highest
			FROM filature.offers AS o WHERE ` + inForce("o") + ` GROUP BY o.model) AS s
		ON s.model = t.model WHERE t.model > $1 ORDER BY t.model`
	models, err := widened(ctx, q, projections.Models, func(m *projections.ModelTotal) *projections.ListedModel { return &m.ListedModel },
		func(m *projections.ModelTotal) []projections.Column {
			return []projections.Column{{Name: "offers", Field: &m.Offers}, {Name: "lowest", Field: &m.Lowest}, {Name: "highest", Field: &m.Highest}}
		}, limit, []string{"coalesce(s.offers, 0)", "coalesce(s.lowest, 0)", "coalesce(s.highest, 0)"}, served, blob(after))
	if err != nil {
		return nil, err
	}
	for i := range models {
		card, err := one(ctx, q, projections.RateCards, "WHERE model IN ($1, ''::bytea) ORDER BY model DESC, set_offset DESC LIMIT 1", blob(models[i].Model))
		if err != nil && !errors.Is(err, projections.ErrNotFound) {
			return nil, err
		}
		models[i].Card = card
	}
	return models, nil
}

func (q reader) OffersLike(ctx context.Context, which, after projections.OfferKey, limit int) ([]projections.OfferTotal, error) {
	where, args := inForce("t")+" AND (worker, model) > ($1, $2)", []any{blob(after.Worker), blob(after.Model)}
	if which.Model != (domain.ModelID{}) {
		args = append(args, blob(which.Model))
		where += fmt.Sprintf(" AND model = $%d", len(args))
	}
	if which.Worker != (domain.WorkerID{}) {
		args = append(args, blob(which.Worker))
		where += fmt.Sprintf(" AND worker = $%d", len(args))
	}
	return widened(ctx, q, projections.Offers, func(o *projections.OfferTotal) *projections.Offer { return &o.Offer },
		func(o *projections.OfferTotal) []projections.Column {
			return []projections.Column{{Name: "provider", Field: (*[32]byte)(&o.Provider)}}
		}, limit,
		[]string{"coalesce((SELECT provider FROM filature.workers AS w WHERE w.worker = t.worker), ''::bytea)"}, "WHERE "+where+" ORDER BY worker, model", args...)
}

func (q reader) OfferChangesLike(
	ctx context.Context, model domain.ModelID, worker domain.WorkerID, below projections.OfferChangeKey, limit int,
) ([]projections.OfferChange, error) {
	where, args := "model = $1 AND (ledger_offset, fact) < ($2, $3)", []any{blob(model), lowerThan(int64(below.Offset)), below.Fact}
	if worker != (domain.WorkerID{}) {
		args = append(args, blob(worker))
		where += fmt.Sprintf(" AND worker = $%d", len(args))
	}
	return page(ctx, q, projections.OfferHistory, limit, "WHERE "+where+" ORDER BY ledger_offset DESC, fact DESC", args...)
}

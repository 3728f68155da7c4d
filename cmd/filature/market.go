package main

import (
	"context"
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// marketCmd shows what was asked for and at what jobs cleared.
type marketCmd struct {
	Model string `arg:"" optional:"" help:"Name of a model, or its id in hexadecimal. Default: all."`
	Hours int    `default:"24" help:"How many hours back, the present one included."`
	Data  string `required:"true" type:"existingdir" help:"Folder that serve or demo made. It may be in use."`
	JSON  bool   `help:"Print JSON."`
}

// maxMarketHours is a year: more is for SQL.
const maxMarketHours = 366 * 24

type marketReport struct {
	Hours []marketLine    `json:"hours"`
	AsOf  []domain.Offset `json:"as_of"` // as explanation.AsOf
}

type marketLine struct {
	ModelName string `json:"model_name"`
	projections.MarketHour
}

// Run asks the folder's projections.
func (c *marketCmd) Run(ctx context.Context, out *console) error {
	if c.Hours < 1 || c.Hours > maxMarketHours {
		return usage("--hours %d: want 1 to %d", c.Hours, maxMarketHours)
	}
	now := time.Now().UnixMilli()
	which := projections.MarketFilter{FromMs: now - now%projections.HourMs - int64(c.Hours-1)*projections.HourMs, ToMs: now + projections.HourMs}
	result := marketReport{Hours: []marketLine{}}
	var err error
	result.AsOf, err = readFolder(ctx, c.Data, func(r projections.Reader) error {
		names := map[domain.ModelID]string{}
		for m, err := range projections.RowsOf(ctx, r, projections.Models) {
			if err != nil {
				return err
			}
			names[m.Model] = m.Name
			if c.Model != "" && (m.Name == c.Model || m.Model.String() == c.Model) {
				which.Model = m.Model
			}
		}
		if c.Model != "" && which.Model == (domain.ModelID{}) {
			return &exitError{exitNo, fmt.Errorf("model %q: %w", c.Model, errNoSuchThing)}
		}
		hours, err := projections.Market(ctx, r, which)
		for _, hour := range hours {
			result.Hours = append(result.Hours, marketLine{names[hour.Model], hour})
		}
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return out.json(result)
	}
	printMarket(out, result.Hours)
	fmt.Fprintf(out.out, "\nCoefficients in thousandths, as offered at the end of the hour and as cleared, weighted by volume;\n"+
		"coins for a million tokens. As of ledger %v.\n", result.AsOf)
	return nil
}

func printMarket(out *console, hours []marketLine) {
	var rows [][]string
	for _, m := range hours {
		rows = append(rows, []string{
			m.ModelName, time.UnixMilli(m.HourMs).UTC().Format("2006-01-02 15:04"), count(m.Active), count(m.Busy),
			count(m.Lowest), count(m.LowerQuartile), count(m.Median), count(m.UpperQuartile), count(m.Highest),
			count(m.Cleared), count(m.ClearedCoefficient), count(m.Tokens), m.PerMillion.String(),
		})
	}
	out.table([]string{
		"model", "hour (UTC)", "active", "busy", "lowest", "quarter", "median", "3 quarters", "highest", "jobs", "cleared", "tokens", "per million",
	}, rows, nil)
}

package main

import (
	"context"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/filature/filature/adapters/parquet"
	"github.com/filature/filature/projections"
)

type exportTableCmd struct {
	where

	Table  string `arg:"" help:"Name of the table: balances, jobs, payouts, journal and the like."`
	Out    string `type:"path" help:"File to write, .csv or .parquet. Default: CSV on standard output."`
	Format string `enum:"csv,parquet," default:"" help:"csv or parquet, where the name of the file does not say it."`
}

// Run writes all rows of a table as they stand at one place in the ledger.
func (c *exportTableCmd) Run(ctx context.Context, out *console) (err error) {
	model, err := modelNamed(c.Table)
	if err != nil {
		return err
	}
	write, err := c.writer()
	if err != nil {
		return err
	}
	source, err := c.openTables(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	to, done := out.out, func(error) error { return nil }
	if c.Out != "" {
		if to, done, err = replacing(c.Out); err != nil {
			return usage("--out: %w", err)
		}
	}
	var rows int64
	var at projections.Checkpoint
	err = source.store.View(ctx, func(view projections.View) (err error) {
		if at, err = view.Checkpoint(ctx, model.Table()); err != nil {
			return err
		}
		rows, err = write(ctx, to, model.Table(), view.Rows(ctx, model.Table()))
		return err
	})
	if err = done(err); err == nil {
		out.stepf("wrote %s rows of %s, as of ledger %v", count(rows), c.Table, at.Cut())
	}
	return err
}

func (w where) name() string {
	if w.Data != "" {
		return w.Data
	}
	return w.Config
}

func modelNamed(name string) (projections.Model, error) {
	var names []string
	for _, model := range projections.All() {
		if model.Table().Name == name {
			return model, nil
		}
		names = append(names, model.Table().Name)
	}
	slices.Sort(names)
	return nil, usage("there is no table %q; there are %s", name, strings.Join(names, ", "))
}

type tableWriter func(context.Context, io.Writer, projections.Table, iter.Seq2[projections.Row, error]) (int64, error)

func (c *exportTableCmd) writer() (tableWriter, error) {
	format := c.Format
	if format == "" && strings.HasSuffix(c.Out, ".parquet") {
		format = "parquet"
	}
	switch format {
	case "parquet":
		if c.Out == "" {
			return nil, usage("--format parquet wants --out: a file and not a terminal")
		}
		return parquet.Write, nil
	default:
		return writeCSV, nil
	}
}

// replacing opens a file that takes its name when all of it is there. Until then the one before stays.
func replacing(name string) (io.Writer, func(error) error, error) {
	file, err := os.Create(name + ".new")
	if err != nil {
		return nil, nil, err
	}
	return file, func(failed error) error {
		if err := errors.Join(failed, file.Close()); err != nil {
			return errors.Join(err, os.Remove(file.Name()))
		}
		return os.Rename(file.Name(), name)
	}, nil
}

// writeCSV writes all rows of a table, its columns' names first. Ids and digests are hexadecimal, nothing is null.
func writeCSV(ctx context.Context, w io.Writer, table projections.Table, rows iter.Seq2[projections.Row, error]) (written int64, err error) {
	to := csv.NewWriter(w)
	columns := table.New().Columns(nil)
	cells := make([]string, len(columns))
	for i, column := range columns {
		cells[i] = column.Name
	}
	err = to.Write(cells)
	for row, rowErr := range rows {
		if err = errors.Join(err, rowErr, ctx.Err()); err != nil {
			break
		}
		for i, column := range row.Columns(columns[:0]) {
			cells[i] = cell(column)
		}
		written++
		err = to.Write(cells)
	}
	to.Flush()
	if err = errors.Join(err, to.Error()); err != nil {
		return written, fmt.Errorf("write %s as CSV: %w", table.Name, err)
	}
	return written, nil
}

func cell(column projections.Column) string {
	switch v := column.Value().(type) {
	case []byte:
		return hex.EncodeToString(v)
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/filature/filature/adapters/kafka/pubsub"
	"github.com/filature/filature/workers/courier"
)

// poisonCmd looks after messages that a handler could not deal with.
type poisonCmd struct {
	List   poisonListCmd   `cmd:"" help:"List the messages that were put aside and not brought back since."`
	Replay poisonReplayCmd `cmd:"" help:"Bring messages back to the handler that put them aside."`
}

// poisonListCmd lists what was put aside.
type poisonListCmd struct {
	Config string `required:"true" type:"existingfile" help:"The config file."`
	JSON   bool   `help:"Print JSON, one message a line."`
}

// poisonReplayCmd brings messages back.
type poisonReplayCmd struct {
	Config string `required:"true" type:"existingfile" help:"The config file."`
	All    bool   `required:"true" xor:"which" help:"All that are there now."`
	ID     string `name:"id" required:"true" xor:"which" help:"Those with this id; there is one for each handler that put it aside."`
}

// poisoned is a message that was put aside, as it is shown.
type poisoned struct {
	Position string    `json:"position"` // in the poison topic: topic/partition/offset
	At       time.Time `json:"at"`
	Topic    string    `json:"topic"`
	From     string    `json:"from"` // where it stood in its own topic
	Handler  string    `json:"handler"`
	Reason   string    `json:"reason"`
	ID       string    `json:"id"`
}

func show(p pubsub.Poisoned) poisoned {
	said := courier.ReadPoisoned(p.Message)
	return poisoned{Position: p.Place(), At: p.At, Topic: said.Topic, From: said.Place, Handler: said.Handler, Reason: said.Reason, ID: said.ID}
}

// openPoison opens the poison topic of the network that a config file is of.
func openPoison(ctx context.Context, file string) (*pubsub.Poison, error) {
	c, err := loadConfig(file, os.Environ())
	if err != nil {
		return nil, err
	}
	if err := c.needs("filature poison", "kafka.brokers"); err != nil {
		return nil, err
	}
	cluster, err := c.cluster()
	if err != nil {
		return nil, err
	}
	return pubsub.OpenPoison(ctx, cluster, c.stream(poisonTopic))
}

// Run prints a table, or a line of JSON for each message, while it reads.
func (c *poisonListCmd) Run(ctx context.Context, out *console) (err error) {
	p, err := openPoison(ctx, c.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if c.JSON {
		lines := json.NewEncoder(out.out)
		return p.Each(ctx, func(one pubsub.Poisoned) error { return lines.Encode(show(one)) })
	}
	const gap = 2
	table := tabwriter.NewWriter(out.out, 0, 0, gap, ' ', 0)
	count := 0
	err = p.Each(ctx, func(one pubsub.Poisoned) error {
		if count++; count == 1 {
			fmt.Fprintln(table, "POSITION\tTIME\tTOPIC\tHANDLER\tID\tREASON")
		}
		s := show(one)
		row := []string{s.Position, s.At.Format(time.RFC3339), s.Topic, s.Handler, s.ID, s.Reason}
		for i, cell := range row {
			row[i] = onOneLine(cell)
		}
		_, err := fmt.Fprintln(table, strings.Join(row, "\t"))
		return err
	})
	err = errors.Join(err, table.Flush())
	if err == nil && count == 0 {
		out.stepf("nothing was put aside")
	}
	return err
}

// onOneLine keeps what others wrote from moving the cursor.
func onOneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return ' '
	}, text)
}

// Run publishes the messages again, one after the other, each noted as soon as it is published.
func (c *poisonReplayCmd) Run(ctx context.Context, out *console) (err error) {
	p, err := openPoison(ctx, c.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	count := 0
	err = p.Each(ctx, func(one pubsub.Poisoned) error {
		if !c.All && one.Message.UUID != c.ID {
			return nil
		}
		topic, again, err := courier.Revive(one.Message, one.Place())
		if err != nil {
			return err
		}
		if err := p.Replay(ctx, one, topic, again); err != nil {
			return err
		}
		count++
		_, err = fmt.Fprintf(out.out, "%s  %s back to %s\n", one.Place(), onOneLine(again.UUID), onOneLine(topic))
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("%d were brought back before this: %w", count, err)
	case count == 0 && !c.All:
		return &exitError{exitNo, fmt.Errorf("--id %q: no such message was put aside, or it was brought back already", c.ID)}
	}
	out.stepf("%d brought back", count)
	return nil
}

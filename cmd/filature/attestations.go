package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/archive"
	"github.com/filature/filature/adapters/attestation/fetch"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/courier"
	"github.com/filature/filature/workers/reporter"
	"github.com/filature/filature/workers/verifier"
)

// Work of a process that is no role of its own.
const (
	// workChallenges follows control's ledger for the challenges that are open. Gateways and verifiers do.
	workChallenges role = "challenges"
	// workAnswers appraises answers. Each verifier does; the role's name is left to the one that asks.
	workAnswers role = "answers"
)

const (
	// answerPatience is how long the answers behind one wait for it. An appraisal takes milliseconds.
	answerPatience = 2 * time.Second
	// answersUnderWay is how many answers one process has at a time, most of which wait for collateral: 64 MiB at worst.
	answersUnderWay = 256
	// reloadEvery is how often the folder of collateral is read again because of a file that nobody brought: an operator
	// may have put it there.
	reloadEvery = 5 * time.Second
)

// answers is how what workers answer travels from a gateway to a verifier.
type answers struct {
	topic     string
	publisher message.Publisher
	subscribe func(ctx context.Context, counted prometheus.Registerer, log *slog.Logger) (message.Subscriber, error)
	// poison takes what could not be dealt with.
	poison      message.Publisher
	poisonTopic string
	place       func(*message.Message) string
}

// verifying is what a verifier goes by.
type verifying struct {
	policy      string // file
	collateral  string // folder
	archive     string // folder
	fetch       bool   // what is missing from vendors
	concurrency int    // appraisals at a time; 0: as many as there are cores
	// every is how often the workers are looked at.
	every time.Duration
	// verifier believes AMD, Intel and NVIDIA.
	verifier *attestation.Verifier
	// fetcher takes the place of the one that asks vendors.
	fetcher verifier.Fetcher
}

// takePart gives a gateway its door, and a verifier its desk.
func (e *engine) takePart() error {
	if e.answers != nil && e.roles[roleGateway] {
		e.door = verifier.NewDoor(verifier.DoorConfig{
			Network: e.network, Directory: workersOf{e.store}, Book: &e.challenges,
			Publisher: e.answers.publisher, Topic: e.answers.topic, Now: e.now,
		})
	}
	if !e.roles[roleVerifier] {
		return nil
	}
	v := e.verifying
	policy, err := os.ReadFile(v.policy)
	if err != nil {
		return usage("attestation policy: %w", err)
	}
	if err := os.MkdirAll(v.collateral, 0o750); err != nil {
		return err
	}
	kept := archive.Open(v.archive)
	desk, err := attestation.NewDesk(v.verifier, policy, v.collateral, kept)
	if err != nil {
		return usage("%s: %w", v.policy, err)
	}
	source := &collateral{desk: desk, fetcher: v.fetcher}
	if v.fetch && source.fetcher == nil {
		source.fetcher = fetch.New(fetch.Config{Folder: v.collateral, Verifier: v.verifier, Now: time.Now, Lot: lotBelow})
	}
	concurrency := v.concurrency
	if concurrency == 0 {
		concurrency = runtime.GOMAXPROCS(0)
	}
	e.prover = e.reporter("verifier")
	e.appraiser = verifier.New(verifier.Config{
		Network: e.network, Book: &e.challenges, Appraiser: desk, Fetcher: source, Directory: workersOf{e.store}, Archive: kept,
		Reporter: e.prover, Now: e.now, Concurrency: concurrency, Appraised: e.metrics.appraised,
	})
	return nil
}

// lotBelow spreads those who failed together.
func lotBelow(most time.Duration) time.Duration {
	return mathrand.N(max(most, 1)) //nolint:gosec // nothing hangs on it
}

// followChallenges keeps the book of open challenges.
func (e *engine) followChallenges(ctx context.Context) error {
	return e.keep(ctx, workChallenges, domain.Control, func(ctx context.Context) error {
		return e.challenges.Follow(ctx, e.ledger, e.now())
	})
}

// challenge asks workers what they run.
func (e *engine) challenge(ctx context.Context) error {
	return (&verifier.Challenger{
		Roster: workersOf{e.store}, Reporter: e.prover, Now: e.now, Entropy: rand.Reader, Every: e.verifying.every,
		Trouble: func(err error) { e.log.Warn("challenges", "error", err) },
	}).Run(ctx)
}

// appraise handles answers. Kafka shares them out among all verifiers.
func (e *engine) appraise(ctx context.Context) error {
	return e.keep(ctx, workAnswers, domain.Control, func(ctx context.Context) (err error) {
		router, err := courier.New(courier.Config{
			Poison: e.answers.poison, PoisonTopic: e.answers.poisonTopic, Registry: e.metrics.registry, Log: e.log, Place: e.answers.place,
		})
		if err != nil {
			return err
		}
		subscriber, err := e.answers.subscribe(ctx, e.metrics.registry, e.log)
		if err != nil {
			return err
		}
		underWay := courier.Overtake(subscriber, answerPatience, answersUnderWay)
		e.metrics.answersUnderWay(underWay.UnderWay)
		defer func() { err = errors.Join(err, underWay.Close()) }()                    // when the router has ended
		router.Handle("verifier", e.answers.topic, underWay, e.appraiser.HandleAnswer) //nolint:contextcheck // the router brings each message's own
		return router.Run(ctx)
	})
}

// workersOf are the workers of the network as the tables have them.
type workersOf struct{ store }

// Key implements verifier.Directory.
func (w workersOf) Key(ctx context.Context, worker domain.WorkerID) (domain.KeyID, bool, error) {
	row := &projections.Worker{Worker: worker}
	if err := w.Load(ctx, projections.Workers.Table(), []projections.Row{row}); err != nil {
		return domain.KeyID{}, false, err
	}
	if row.Registered.AtMs == 0 {
		// While the tables are being folded again nobody is in them.
		return domain.KeyID{}, false, w.Read(ctx, func(reader projections.Reader) error {
			_, err := reader.At(ctx)
			return err
		})
	}
	return row.Key, row.RetiredAtMs == 0, nil
}

// Standings implements verifier.Roster.
func (w workersOf) Standings(ctx context.Context) (all []verifier.Standing, err error) {
	err = w.Read(ctx, func(reader projections.Reader) error {
		if _, err := reader.At(ctx); err != nil {
			return err
		}
		for row, err := range projections.RowsOf(ctx, reader, projections.Workers) {
			if err != nil {
				return err
			}
			if row.RetiredAtMs == 0 {
				all = append(all, verifier.Standing{Worker: row.Worker, AttestedUntilMs: row.AttestedUntilMs})
			}
		}
		return nil
	})
	return all, err
}

// errNotThere: nobody brings collateral to this verifier but its operator.
var errNotThere = errors.New("is not in the folder of collateral, or no good there, and nothing is fetched: put it there by hand")

// collateral brings what a desk lacks: a fetcher fills the folder, and the desk reads it again.
type collateral struct {
	desk    *attestation.Desk
	fetcher verifier.Fetcher // nil: the operator fills it

	mu   sync.Mutex
	read time.Time // the last time that the folder was read though nobody had brought anything
}

// Fetch implements verifier.Fetcher.
func (c *collateral) Fetch(ctx context.Context, name string) error {
	if c.fetcher != nil {
		err := c.fetcher.Fetch(ctx, name)
		if err == nil {
			return c.desk.Reload()
		}
		return errors.Join(err, c.lookAgain())
	}
	return errors.Join(fmt.Errorf("%s %w", name, errNotThere), c.lookAgain())
}

// lookAgain reads the folder, but not all the time.
func (c *collateral) lookAgain() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.read) < reloadEvery {
		return nil
	}
	c.read = time.Now()
	return c.desk.Reload()
}

// doorway is a door that is counted.
type doorway struct {
	*verifier.Door
	metrics *metrics
}

// Answer implements httpapi.Attestation.
func (d doorway) Answer(ctx context.Context, signed []byte) (answered bool, err error) {
	taken, err := d.Take(ctx, signed)
	d.metrics.answered(taken, err)
	return taken.Answered, err
}

var (
	_ verifier.Roster    = workersOf{}
	_ verifier.Directory = workersOf{}
	_ verifier.Reporter  = (*reporter.Reporter)(nil)
	_ verifier.Appraiser = (*attestation.Desk)(nil)
)

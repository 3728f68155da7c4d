package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
)

const (
	maxDemoPayees = 1_000_000
	// demoBatchPayees is the most that a batch can change. Fewer payees than four such batches come in four
	// smaller ones.
	demoBatchPayees = 4096
	// demoClaims is for how many payees the keeper claims under each root: a sample.
	demoClaims = 50
	// payeesLimit ends a demo of payees that hangs. A hundred thousand take a few minutes.
	payeesLimit = 30 * time.Minute
	// creditClaims is how many credits of a shard are said at once.
	creditClaims = 1000
)

// payeesResult is what the demo of many payees ends with.
type payeesResult struct {
	Data    string `json:"data"`
	Network string `json:"network"`
	Vault   string `json:"vault"`
	Seed    uint64 `json:"seed"`
	Payees  int    `json:"payees"`
	Batches int    `json:"batches"`
	// Promised is in the last root, to all payees; Paid is what those got that were claimed for, by the books and,
	// as compared one by one, by their claim accounts on chain.
	Promised domain.Nano     `json:"promised_nano"`
	Sampled  int             `json:"sampled"`
	Paid     domain.Nano     `json:"paid_nano"`
	Settling time.Duration   `json:"settling_ns"`
	Took     time.Duration   `json:"took_ns"`
	Audit    *auditor.Report `json:"audit"`
}

// runPayees settles for many payees: no jobs, but what they would have brought.
func (c *demoCmd) runPayees(ctx context.Context, rules terms, out *console) error {
	began := time.Now()
	rules.network.BatchPayees = uint32(min(demoBatchPayees, (c.Payees+3)/4))
	pace := settleOptions{claims: &settlement.ClaimPolicy{FeeNano: 1, BudgetNano: demoClaims}}
	result := &payeesResult{Data: c.Data, Seed: c.Seed, Payees: c.Payees}
	audit, err := c.live(ctx, rules, pace, out, func(ctx context.Context, e *engine) error { return c.playPayees(ctx, e, result, out) })
	if err != nil {
		return err
	}
	if result.Audit, err = audit(ctx, out.auditing); err != nil {
		return fmt.Errorf("audit %s: %w", c.Data, err)
	}
	out.stepf("✓ audited in a fresh look at the logs")
	result.Took = time.Since(began)
	if c.JSON {
		err = out.json(result)
	} else {
		err = result.print(out)
	}
	if err == nil && result.Audit.Verdict != auditor.Pass {
		return &exitError{code: exitNo}
	}
	return err
}

func (c *demoCmd) playPayees(ctx context.Context, e *engine, result *payeesResult, out *console) error {
	select {
	case <-e.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	result.Network, result.Vault = e.network.String(), e.vault.Load().Address().String()
	p, err := newPayees(e, c.Seed, c.Payees)
	if err != nil {
		return err
	}
	deposited, err := p.found(ctx)
	if err != nil {
		return fmt.Errorf("found the network: %w", err)
	}
	out.stepf("✓ %s coins deposited on chain, vault %s", deposited, result.Vault)
	start := time.Now()
	if err := p.credit(ctx, 1, out); err != nil {
		return err
	}
	out.stepf("✓ %s payees are owed something", count(c.Payees))
	if _, err := p.awaitActive(ctx, out); err != nil {
		return err
	}
	// Some come again, so that a leaf is more than its last line.
	if err := p.credit(ctx, 10, out); err != nil {
		return err
	}
	last, err := p.awaitActive(ctx, out)
	if err != nil {
		return err
	}
	result.Batches, result.Promised, result.Settling = int(last.Number), last.Total, time.Since(start)
	out.stepf("✓ %d batches sealed, waited out and activated: %s coins for %s payees", last.Number, last.Total, count(int(last.Payees)))
	if result.Sampled, result.Paid, err = p.awaitSample(ctx, last, out); err != nil {
		return err
	}
	out.stepf("✓ claimed for a sample of %s payees, each paid on chain what the books say: %s coins", count(result.Sampled), result.Paid)
	return nil
}

// payees are the many, and one client that they are paid by, with an account in each shard.
type payees struct {
	*world
	client    *demoClient
	treasurer *party
	count     int
	lots      *rand.Rand
}

func newPayees(e *engine, seed uint64, many int) (*payees, error) {
	p := &payees{world: &world{engine: e, seed: seed}, count: many, lots: rand.New(rand.NewPCG(seed, 3))} //nolint:gosec // a demo is to be repeated, not guarded
	p.client = &demoClient{party: p.party("Telegram"), id: p.seedOf("client/Telegram")}
	var err error
	if p.client.wallet, err = e.chain.Wallet(p.client.key); err != nil {
		return nil, err
	}
	for shard, i := domain.Shard(1), 0; int(shard) <= e.dataShards(); i++ {
		id := domain.AccountID(p.seedOf("account/%d", i))
		if domain.ShardOf(id, e.dataShards()) != shard {
			continue
		}
		p.accounts = append(p.accounts, &demoAccount{id: id, shard: shard, client: p.client})
		shard++
	}
	p.client.accounts, p.clients = p.accounts, []*demoClient{p.client}
	p.treasurer = &party{name: "treasurer", key: e.keys.of("treasurer"), sequence: map[domain.Shard]uint64{}}
	return p, nil
}

// payee is the id of one of them. Nobody has its key: it only ever gets money.
func (p *payees) payee(i int) domain.ProviderID {
	return sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte("payee"), p.seed), uint64(i)))
}

// mostCredit is the most that a payee is credited at once.
const mostCredit = domain.Coin / 10

// found opens the accounts and has the client pay in what all payees can get.
func (p *payees) found(ctx context.Context) (domain.Nano, error) {
	if err := p.world.found(ctx); err != nil {
		return 0, err
	}
	each := domain.Nano(2*p.count/len(p.accounts)+1) * mostCredit
	return p.depositEach(ctx, []domain.Nano{each})
}

// credit gives every so manieth payee something out of the client's accounts, by the treasurer's hand.
func (p *payees) credit(ctx context.Context, step int, out *console) error {
	var statements []statement
	for i := 0; i < p.count; i += step {
		account, payee := p.accounts[i%len(p.accounts)], p.payee(i)
		reference := sha256.Sum256(payee[:])
		statements = append(statements, statement{p.treasurer, account.shard, &v1.Claim{Body: &v1.Claim_Adjust{Adjust: &v1.Adjust{
			FromKind: v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE, FromOwner: account.id[:],
			ToKind: v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE, ToOwner: payee[:],
			AmountNano: 1 + p.lots.Int64N(int64(mostCredit)), Reason: "a demo of many payees", Reference: reference[:],
		}}}})
		if len(statements) == creditClaims*len(p.accounts) || i+step >= p.count {
			if err := p.say(ctx, statements); err != nil {
				return fmt.Errorf("credit payees: %w", err)
			}
			statements = statements[:0]
			out.progressf("crediting payees: %s of %s", count(i+1), count(p.count))
		}
	}
	return p.decided(ctx)
}

// awaitActive waits until all that is payable is in a batch, and the last batch is active.
func (p *payees) awaitActive(ctx context.Context, out *console) (last projections.Batch, err error) {
	for {
		var waiting domain.Nano
		err := p.engine.store.Read(ctx, func(r projections.Reader) error {
			batches, err := r.BatchesBelow(ctx, math.MaxUint32, projections.MaxRows)
			if err != nil {
				return err
			}
			for _, b := range batches {
				if b.Number > last.Number || b.Number == last.Number && b.State != last.State {
					last = b
				}
			}
			waiting, err = left(ctx, r, onItsWayToABatch)
			return err
		})
		if err != nil || waiting == 0 && last.State == projections.BatchActivated {
			return last, err
		}
		out.progressf("batch %d is %s, %s coins wait for one", last.Number, last.State, waiting)
		if err := pause(ctx, localPoll); err != nil {
			return last, err
		}
	}
}

var errOtherPaid = errors.New("the chain paid something else than the books say")

// awaitSample waits until the keeper's budget under the last root is spent and booked, and compares what each payee
// got with its claim account on chain.
func (p *payees) awaitSample(ctx context.Context, last projections.Batch, out *console) (sampled int, paid domain.Nano, err error) {
	var got []projections.Payout
	for {
		under := 0
		got = got[:0]
		if err := p.engine.store.View(ctx, func(view projections.View) error {
			for payout, err := range projections.RowsOf(ctx, view, projections.Payouts) {
				if err != nil {
					return err
				}
				if payout.Paid > 0 {
					got = append(got, payout)
				}
				if payout.LastPaid.AtMs >= last.Activated.AtMs {
					under++
				}
			}
			return nil
		}); err != nil {
			return 0, 0, err
		}
		if under >= min(demoClaims, p.count) {
			break
		}
		out.progressf("claiming for a sample: %d of %d under the last root", under, demoClaims)
		if err := pause(ctx, localPoll); err != nil {
			return 0, 0, err
		}
	}
	vault := p.engine.vault.Load()
	for _, payout := range got {
		onChain, err := vault.Claimed(ctx, payout.Payee)
		if err != nil {
			return 0, 0, fmt.Errorf("read the chain: %w", err)
		}
		if onChain != payout.Paid {
			return 0, 0, fmt.Errorf("payee %s: %s by the books, %s on chain: %w", ton.PayeeAddress(payout.Payee), payout.Paid, onChain, errOtherPaid)
		}
		paid += onChain
	}
	return len(got), paid, nil
}

func (r *payeesResult) print(out *console) error {
	fmt.Fprintf(out.out, "\n%s payees, %d batches in %.1f s, %s of them claimed for: %s of %s coins paid. All in all %.1f s.\n\n",
		count(r.Payees), r.Batches, r.Settling.Seconds(), count(r.Sampled), r.Paid, r.Promised, r.Took.Seconds())
	if err := auditor.WriteText(out.out, *r.Audit); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out.out, "\nThe folder is left for you:\n  filature audit --data %s\n  filature prove payout %s --data %s\n",
		r.Data, ton.PayeeAddress((&payees{world: &world{seed: r.Seed}}).payee(0)), r.Data)
	return err
}

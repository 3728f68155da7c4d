// Package workload knows what the people of a small network say, how they go on saying it whatever happens to
// those who listen, and what has to come of it.
//
// It is for programs that disturb Filature and look for what that lost. A workload is drawn from a seed: jobs
// from their submission to their end, disputes, and lies. What it comes to, to the nanoton, is worked out while
// it is drawn, and not by Filature's ledger.
package workload

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// What a workload is made of.
const (
	// DataShards is how many shards the network has to have besides control.
	DataShards = 4

	laneCount     = 8 // two in each shard, so that they share appends
	providerCount = 5
	wavesPerSlice = 2
	jobsPerWave   = 6
	coefficient   = 1000
	maxPrompt     = 2000
	maxCompletion = 1000
	// deposit per account is far more than its jobs can cost: what a wave reserves at once, too.
	deposit = 3 * domain.Coin
	// Endowment is what a client's wallet has to hold to begin with: its deposit, and something for fees.
	Endowment = deposit + domain.Coin
	// operatorFirst is the operator's first sequence number here. The program numbers its own reports by
	// the clock in microseconds, and a number may only grow.
	operatorFirst = uint64(1) << 62
)

// card is the price list that serve begins with.
var card = &v1.RateCard{
	Rule: v1.RateRule_RATE_RULE_COCOON_V1, PricePerTokenNano: 20, WorkerFeePerTokenNano: 19,
	PromptMultiplier: 10_000, CachedMultiplier: 1_000, CompletionMultiplier: 80_000, ReasoningMultiplier: 80_000,
}

// Purpose keeps what is drawn for one purpose from changing what is drawn for another.
type Purpose uint64

// What this package draws; programs have purposes of their own, from Others on.
const (
	plans  Purpose = 1
	paces  Purpose = 3
	Others Purpose = 100
)

// Drawn is what a seed decides.
func Drawn(seed uint64, purpose Purpose) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(purpose)))
}

// party is somebody with a key. It speaks in one shard only, and from one lane.
type party struct {
	key      ed25519.PrivateKey
	sequence uint64 // of its last report
}

// utterance is what one party says in one report.
type utterance struct {
	who    *party
	claims []*v1.Claim
}

// body is what goes into one request: reports that are for one shard, which appends all of them or none.
// So a dispute stands right behind the completion that it is about, however late the request gets through.
type body []utterance

// Lane is a sequence of requests, each sent when the one before was answered.
type Lane struct {
	shard domain.Shard
	// slices are parts of about equal length, for a Gate to admit.
	slices [][]body

	account domain.AccountID
	client  *party
}

// Expected is what has to come out, to the nanoton.
type Expected struct {
	Completed, Failed, Cancelled   int64
	Prompt, Cached                 int64
	Completion, Reasoning          int64
	AdjustedTokens                 int64
	Charge, WorkerPart, Commission domain.Nano
	Refunded, Slashed              domain.Nano
	AcceptedClaims, RejectedClaims int64 // of lanes and founding
	Reports                        int64
	Owed                           map[domain.ProviderID]domain.Nano
}

// Workload is all that is said, by whom, and what has to become of it. The same seed gives the same one,
// whatever happens to the program meanwhile: nothing in it depends on time.
type Workload struct {
	seed      uint64
	operator  party
	founding  Lane // control
	Lanes     []*Lane
	Providers []domain.ProviderID
	signers   map[domain.KeyID]bool
	Want      Expected
}

// Slices is how many parts each lane has. The first opens the account; the others are jobs.
func (w *Workload) Slices() int { return len(w.Lanes[0].slices) }

// Keys are the operator's keys that must be the same whenever the workload is run, by the names of their files.
// Filature makes the others.
func (w *Workload) Keys() map[string]ed25519.PrivateKey {
	return map[string]ed25519.PrivateKey{"operator": w.operator.key, "treasury": w.key("treasury"), "guardian": w.key("guardian")}
}

// Key is the key of a lane's client, and of its wallet.
func (l *Lane) Key() ed25519.PrivateKey { return l.client.key }

func (w *Workload) digest(format string, args ...any) [32]byte {
	return sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, w.seed), fmt.Sprintf(format, args...)...))
}

func (w *Workload) key(format string, args ...any) ed25519.PrivateKey {
	seed := w.digest("key/"+format, args...)
	return ed25519.NewKeyFromSeed(seed[:])
}

// fleet is who works for a lane.
type fleet struct {
	desk    *party // proxy and arbiter
	workers [2]worker
}

type worker struct {
	party
	id       domain.WorkerID
	provider int // place in providers
}

// New draws a workload of a number of slices.
func New(seed uint64, slices int) (*Workload, error) {
	w := &Workload{seed: seed, signers: map[domain.KeyID]bool{}, Want: Expected{Owed: map[domain.ProviderID]domain.Nano{}}}
	w.operator = party{key: w.key("operator"), sequence: operatorFirst}
	model := domain.ModelID(w.digest("model"))
	lots := Drawn(seed, plans)

	found := []*v1.Claim{{Body: &v1.Claim_ListModel{ListModel: &v1.ListModel{Model: model[:], Name: "deepseek-ai/DeepSeek-V3.1"}}}}
	owners := make([]*party, providerCount)
	staff := make([][]*v1.Claim, providerCount)
	for i := range owners {
		owners[i] = &party{key: w.key("provider/%d", i)}
		id, key := domain.ProviderID(w.digest("payee/%d", i)), signing.KeyOf(owners[i].key)
		w.Providers = append(w.Providers, id)
		found = append(found, &v1.Claim{Body: &v1.Claim_RegisterProvider{RegisterProvider: &v1.RegisterProvider{
			Provider: id[:], Key: key[:], Name: fmt.Sprintf("provider %d", i),
		}}})
	}
	for i := range laneCount {
		l := &Lane{shard: domain.Shard(1 + i%DataShards), client: &party{key: w.key("client/%d", i)}}
		for n := 0; n == 0 || domain.ShardOf(l.account, DataShards) != l.shard; n++ {
			l.account = w.digest("account/%d/%d", i, n)
		}
		client, key := domain.ClientID(w.digest("client/%d", i)), signing.KeyOf(l.client.key)
		f := &fleet{desk: &party{key: w.key("desk/%d", i)}}
		desk := signing.KeyOf(f.desk.key)
		found = append(found,
			&v1.Claim{Body: &v1.Claim_RegisterClient{RegisterClient: &v1.RegisterClient{Client: client[:], Key: key[:], Name: fmt.Sprintf("client %d", i)}}},
			&v1.Claim{Body: &v1.Claim_SetOperator{SetOperator: &v1.SetOperator{Key: desk[:], Roles: []v1.Role{v1.Role_ROLE_PROXY, v1.Role_ROLE_ARBITER}}}})
		for j := range f.workers {
			f.workers[j] = worker{
				party: party{key: w.key("worker/%d/%d", i, j)}, id: w.digest("worker/%d/%d", i, j), provider: (i + 2*j) % providerCount,
			}
			p := f.workers[j].provider
			staff[p] = append(staff[p], f.workers[j].hired(w.Providers[p], model)...)
		}
		open := &v1.Claim{Body: &v1.Claim_OpenAccount{OpenAccount: &v1.OpenAccount{Account: l.account[:], Client: client[:]}}}
		l.slices = append(l.slices, []body{{{l.client, []*v1.Claim{open}}}})
		j := jobs{want: &w.Want, lots: lots, lane: l, fleet: f, model: model, providers: w.Providers}
		for range slices {
			slice, err := j.slice()
			if err != nil {
				return nil, err
			}
			l.slices = append(l.slices, slice)
		}
		w.Lanes = append(w.Lanes, l)
	}
	// A key that is registered in one report may sign when that is decided.
	w.founding.slices = [][]body{{{{&w.operator, found}}}, nil}
	for i, owner := range owners {
		w.founding.slices[1] = append(w.founding.slices[1], body{{owner, staff[i]}})
	}
	w.count()
	return w, nil
}

func (k *worker) hired(provider domain.ProviderID, model domain.ModelID) []*v1.Claim {
	key := signing.KeyOf(k.key)
	return []*v1.Claim{
		{Body: &v1.Claim_RegisterWorker{RegisterWorker: &v1.RegisterWorker{Worker: k.id[:], Provider: provider[:], Key: key[:]}}},
		{Body: &v1.Claim_SetOffer{SetOffer: &v1.SetOffer{Worker: k.id[:], Model: model[:], Coefficient: coefficient}}},
	}
}

// count adds up what is said. What is not rejected is accepted.
func (w *Workload) count() {
	for _, l := range append([]*Lane{&w.founding}, w.Lanes...) {
		for _, slice := range l.slices {
			for _, b := range slice {
				for _, u := range b {
					w.signers[signing.KeyOf(u.who.key)] = true
					w.Want.Reports++
					w.Want.AcceptedClaims += int64(len(u.claims))
				}
			}
		}
	}
	w.Want.AcceptedClaims -= w.Want.RejectedClaims
}

// reports signs a body, each report with its signer's next number.
func (b body) reports(network domain.NetworkID, shard domain.Shard) ([][]byte, error) {
	var reports [][]byte
	for _, u := range b {
		u.who.sequence++
		report, err := signing.Report(u.who.key, network, shard, u.who.sequence, u.claims)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

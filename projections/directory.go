package projections

import (
	"strings"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Names are cloned where they are kept, as a decoded message points into its record.

// Client is a payer.
type Client struct {
	Client      domain.ClientID
	Name        string
	Key         domain.KeyID // the current one
	Registered  Moment       // in control, as all moments of this file but Account's
	RetiredAtMs int64
}

// Columns lists the columns.
func (r *Client) Columns(c []Column) []Column {
	return append(c,
		Column{"client", (*[32]byte)(&r.Client)},
		Column{"name", &r.Name},
		Column{"signing_key", (*[32]byte)(&r.Key)},
		Column{"registered_at_ms", &r.Registered.AtMs}, Column{"registered_offset", (*int64)(&r.Registered.Offset)},
		Column{"retired_at_ms", &r.RetiredAtMs},
	)
}

// Clients is every client.
var Clients = &Definition[domain.ClientID, Client, *Client]{
	Name: "clients", Version: 1, KeyColumns: 1,
	Row: func(k domain.ClientID) Client { return Client{Client: k} },
	Fold: func(e *Entry, row func(domain.ClientID) *Client) error {
		for _, fact := range e.Facts() {
			if c := fact.GetClientRegistered(); c != nil {
				r := row(id[domain.ClientID](c.Client))
				r.Name, r.Key, r.Registered = strings.Clone(c.Name), id[domain.KeyID](c.Key), e.moment()
			}
			if subject, ok := rotated(fact, v1.SubjectKind_SUBJECT_KIND_CLIENT); ok {
				row(domain.ClientID(subject)).Key = id[domain.KeyID](fact.GetKeyRotated().Key)
			}
			if subject, ok := retired(fact, v1.SubjectKind_SUBJECT_KIND_CLIENT); ok {
				row(domain.ClientID(subject)).RetiredAtMs = e.AtMs
			}
		}
		return nil
	},
}

func rotated(fact *v1.Fact, kind v1.SubjectKind) (subject [32]byte, ok bool) {
	r := fact.GetKeyRotated()
	return id[[32]byte](r.GetSubject()), r != nil && r.Kind == kind
}

func retired(fact *v1.Fact, kind v1.SubjectKind) (subject [32]byte, ok bool) {
	r := fact.GetRetired()
	return id[[32]byte](r.GetSubject()), r != nil && r.Kind == kind
}

// Provider owns a fleet of workers; payouts go to its address.
type Provider struct {
	Provider    domain.ProviderID
	Name        string
	Key         domain.KeyID // the current one
	Registered  Moment
	RetiredAtMs int64
}

// Columns lists the columns.
func (r *Provider) Columns(c []Column) []Column {
	return append(c,
		Column{"provider", (*[32]byte)(&r.Provider)},
		Column{"name", &r.Name},
		Column{"signing_key", (*[32]byte)(&r.Key)},
		Column{"registered_at_ms", &r.Registered.AtMs}, Column{"registered_offset", (*int64)(&r.Registered.Offset)},
		Column{"retired_at_ms", &r.RetiredAtMs},
	)
}

// Providers is every provider.
var Providers = &Definition[domain.ProviderID, Provider, *Provider]{
	Name: "providers", Version: 1, KeyColumns: 1,
	Row: func(k domain.ProviderID) Provider { return Provider{Provider: k} },
	Fold: func(e *Entry, row func(domain.ProviderID) *Provider) error {
		for _, fact := range e.Facts() {
			if p := fact.GetProviderRegistered(); p != nil {
				r := row(id[domain.ProviderID](p.Provider))
				r.Name, r.Key, r.Registered = strings.Clone(p.Name), id[domain.KeyID](p.Key), e.moment()
			}
			if subject, ok := rotated(fact, v1.SubjectKind_SUBJECT_KIND_PROVIDER); ok {
				row(domain.ProviderID(subject)).Key = id[domain.KeyID](fact.GetKeyRotated().Key)
			}
			if subject, ok := retired(fact, v1.SubjectKind_SUBJECT_KIND_PROVIDER); ok {
				row(domain.ProviderID(subject)).RetiredAtMs = e.AtMs
			}
		}
		return nil
	},
}

// Worker is one GPU worker.
type Worker struct {
	Worker      domain.WorkerID
	Provider    domain.ProviderID
	Key         domain.KeyID // the current one
	Registered  Moment
	RetiredAtMs int64
	// AttestedUntilMs is zero where there is no valid attestation result.
	AttestedUntilMs int64
}

// Columns lists the columns.
func (r *Worker) Columns(c []Column) []Column {
	return append(c,
		Column{"worker", (*[32]byte)(&r.Worker)},
		Column{"provider", (*[32]byte)(&r.Provider)},
		Column{"signing_key", (*[32]byte)(&r.Key)},
		Column{"registered_at_ms", &r.Registered.AtMs}, Column{"registered_offset", (*int64)(&r.Registered.Offset)},
		Column{"retired_at_ms", &r.RetiredAtMs},
		Column{"attested_until_ms", &r.AttestedUntilMs},
	)
}

// Workers is every worker.
var Workers = &Definition[domain.WorkerID, Worker, *Worker]{
	Name: "workers", Version: 1, KeyColumns: 1,
	Row:  func(k domain.WorkerID) Worker { return Worker{Worker: k} },
	Fold: foldWorkers,
}

func foldWorkers(e *Entry, row func(domain.WorkerID) *Worker) error {
	for _, fact := range e.Facts() {
		switch body := fact.Body.(type) {
		case *v1.Fact_WorkerRegistered:
			w := body.WorkerRegistered
			r := row(id[domain.WorkerID](w.Worker))
			r.Provider, r.Key, r.Registered = id[domain.ProviderID](w.Provider), id[domain.KeyID](w.Key), e.moment()
		case *v1.Fact_AttestationPassed:
			row(id[domain.WorkerID](body.AttestationPassed.Worker)).AttestedUntilMs = body.AttestationPassed.ValidUntilMs
		case *v1.Fact_AttestationFailed:
			if body.AttestationFailed.Fault != v1.AttestationFault_ATTESTATION_FAULT_VERIFIER {
				row(id[domain.WorkerID](body.AttestationFailed.Worker)).AttestedUntilMs = 0
			}
		case *v1.Fact_AttestationRevoked:
			row(id[domain.WorkerID](body.AttestationRevoked.Worker)).AttestedUntilMs = 0
		case *v1.Fact_AttestationExpired:
			row(id[domain.WorkerID](body.AttestationExpired.Worker)).AttestedUntilMs = 0
		}
		if subject, ok := rotated(fact, v1.SubjectKind_SUBJECT_KIND_WORKER); ok {
			row(domain.WorkerID(subject)).Key = id[domain.KeyID](fact.GetKeyRotated().Key)
		}
		if subject, ok := retired(fact, v1.SubjectKind_SUBJECT_KIND_WORKER); ok {
			row(domain.WorkerID(subject)).RetiredAtMs = e.AtMs
		}
	}
	return nil
}

// ListedModel is a model that jobs may ask for.
type ListedModel struct {
	Model  domain.ModelID
	Name   string
	Listed Moment
}

// Columns lists the columns.
func (r *ListedModel) Columns(c []Column) []Column {
	return append(c,
		Column{"model", (*[32]byte)(&r.Model)},
		Column{"name", &r.Name},
		Column{"listed_at_ms", &r.Listed.AtMs}, Column{"listed_offset", (*int64)(&r.Listed.Offset)},
	)
}

// Models is every model.
var Models = &Definition[domain.ModelID, ListedModel, *ListedModel]{
	Name: "models", Version: 1, KeyColumns: 1,
	Row: func(k domain.ModelID) ListedModel { return ListedModel{Model: k} },
	Fold: func(e *Entry, row func(domain.ModelID) *ListedModel) error {
		for _, fact := range e.Facts() {
			if m := fact.GetModelListed(); m != nil {
				r := row(id[domain.ModelID](m.Model))
				r.Name, r.Listed = strings.Clone(m.Name), e.moment()
			}
		}
		return nil
	},
}

// OfferKey names a worker and a model.
type OfferKey struct {
	Worker domain.WorkerID
	Model  domain.ModelID
}

// Offer is at what coefficient a worker serves a model.
type Offer struct {
	OfferKey
	Coefficient uint32 // 1000 is 1.0
	Withdrawn   bool
	Set         Moment
}

// Columns lists the columns.
func (r *Offer) Columns(c []Column) []Column {
	return append(c,
		Column{"worker", (*[32]byte)(&r.Worker)},
		Column{"model", (*[32]byte)(&r.Model)},
		Column{"coefficient", &r.Coefficient},
		Column{"withdrawn", &r.Withdrawn},
		Column{"set_at_ms", &r.Set.AtMs}, Column{"set_offset", (*int64)(&r.Set.Offset)},
	)
}

// Offers is the last word of every worker on every model.
var Offers = &Definition[OfferKey, Offer, *Offer]{
	Name: "offers", Version: 1, KeyColumns: 2,
	Row: func(k OfferKey) Offer { return Offer{OfferKey: k} },
	Fold: func(e *Entry, row func(OfferKey) *Offer) error {
		for _, fact := range e.Facts() {
			if o := fact.GetOfferSet(); o != nil {
				r := row(OfferKey{id[domain.WorkerID](o.Worker), id[domain.ModelID](o.Model)})
				r.Coefficient, r.Withdrawn, r.Set = o.Coefficient, o.Withdrawn, e.moment()
			}
		}
		return nil
	},
}

// Account is a prepaid account; what it holds is in Balances.
type Account struct {
	Account domain.AccountID
	Client  domain.ClientID
	Shard   domain.Shard
	Opened  Moment // in the account's shard
}

// Columns lists the columns.
func (r *Account) Columns(c []Column) []Column {
	return append(c,
		Column{"account", (*[32]byte)(&r.Account)},
		Column{"client", (*[32]byte)(&r.Client)},
		Column{"shard", (*int32)(&r.Shard)},
		Column{"opened_at_ms", &r.Opened.AtMs}, Column{"opened_offset", (*int64)(&r.Opened.Offset)},
	)
}

// Accounts is every account.
var Accounts = &Definition[domain.AccountID, Account, *Account]{
	Name: "accounts", Version: 1, KeyColumns: 1,
	Row: func(k domain.AccountID) Account { return Account{Account: k} },
	Fold: func(e *Entry, row func(domain.AccountID) *Account) error {
		for _, fact := range e.Facts() {
			if a := fact.GetAccountOpened(); a != nil {
				r := row(id[domain.AccountID](a.Account))
				r.Client, r.Shard, r.Opened = id[domain.ClientID](a.Client), e.Shard, e.moment()
			}
		}
		return nil
	},
}

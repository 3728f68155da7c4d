package rig

import (
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// foundNetwork sets the rules, the operators and the models.
func (w *World) foundNetwork() {
	operators := []struct {
		who  **Actor
		name string
		role v1.Role
	}{
		{&w.Proxy, "proxy", v1.Role_ROLE_PROXY},
		{&w.Verifier, "verifier", v1.Role_ROLE_VERIFIER},
		{&w.Watcher, "watcher", v1.Role_ROLE_WATCHER},
		{&w.Settler, "settler", v1.Role_ROLE_SETTLER},
		{&w.Arbiter, "arbiter", v1.Role_ROLE_ARBITER},
		{&w.Treasurer, "treasurer", v1.Role_ROLE_TREASURER},
		{&w.Clock, "clock", v1.Role_ROLE_CLOCK},
	}
	claims := []*v1.Claim{
		{Body: &v1.Claim_SetNetwork{SetNetwork: &v1.SetNetwork{
			MaxJobTimeoutMs: (2 * JobTimeout).Milliseconds(), MaxOpenJobs: uint32(w.MaxOpenJobs),
			MaturityBucketMs: MatureBucket.Milliseconds(), PayoutThresholdNano: 1000, BatchPayees: 100,
		}}},
		{Body: &v1.Claim_SetDisputePolicy{SetDisputePolicy: &v1.SetDisputePolicy{
			WindowMs: DisputeWindow.Milliseconds(), ResolveWithinMs: ResolveWithin.Milliseconds(), DefaultRefundPermille: 500,
		}}},
	}
	for _, o := range operators {
		*o.who = w.actor(o.name)
		key := (*o.who).KeyID()
		claims = append(claims, &v1.Claim{Body: &v1.Claim_SetOperator{SetOperator: &v1.SetOperator{Key: key[:], Roles: []v1.Role{o.role}}}})
	}
	for _, name := range []string{"deepseek", "qwen"} {
		model := domain.ModelID(w.id(name))
		w.Models = append(w.Models, model)
		claims = append(claims, &v1.Claim{Body: &v1.Claim_ListModel{ListModel: &v1.ListModel{Model: model[:], Name: name}}})
	}
	claims = append(claims,
		rateCard(v1.RateRule_RATE_RULE_EXACT_V1, nil),
		rateCard(v1.RateRule_RATE_RULE_COCOON_V1, w.Models[1][:]),
	)
	w.Say(w.Admin, domain.Control, claims...)
}

func rateCard(rule v1.RateRule, model []byte) *v1.Claim {
	return &v1.Claim{Body: &v1.Claim_SetRateCard{SetRateCard: &v1.SetRateCard{Card: &v1.RateCard{
		Rule: rule, PricePerTokenNano: 20, WorkerFeePerTokenNano: 19,
		PromptMultiplier: 10_000, CachedMultiplier: 1_000, CompletionMultiplier: 80_000, ReasoningMultiplier: 80_000,
		FailedPermille: 0, CancelledPermille: 500, ExpiredPermille: 500, Model: model,
	}}}}
}

// bringIn registers clients with their accounts, and providers with their workers and offers.
func (w *World) bringIn() {
	var claims []*v1.Claim
	for i := range w.Options.Clients {
		client := w.actor(fmt.Sprintf("client %d", i+1))
		key := client.KeyID()
		w.Clients = append(w.Clients, client)
		claims = append(claims, &v1.Claim{Body: &v1.Claim_RegisterClient{RegisterClient: &v1.RegisterClient{
			Client: client.ID[:], Key: key[:], Name: client.Name,
		}}})
	}
	for i := range w.Options.Providers {
		provider := w.actor(fmt.Sprintf("provider %d", i+1))
		key := provider.KeyID()
		w.Providers = append(w.Providers, provider)
		claims = append(claims, &v1.Claim{Body: &v1.Claim_RegisterProvider{RegisterProvider: &v1.RegisterProvider{
			Provider: provider.ID[:], Key: key[:], Name: provider.Name,
		}}})
	}
	w.Say(w.Admin, domain.Control, claims...)
	for i, provider := range w.Providers {
		var claims []*v1.Claim
		for j := range 2 {
			worker := &Worker{w.actor(fmt.Sprintf("worker %d of %s", j+1, provider.Name)), provider}
			key := worker.KeyID()
			w.Workers = append(w.Workers, worker)
			claims = append(claims, &v1.Claim{Body: &v1.Claim_RegisterWorker{RegisterWorker: &v1.RegisterWorker{
				Worker: worker.ID[:], Provider: provider.ID[:], Key: key[:],
			}}})
			for _, model := range w.Models {
				offer := &v1.SetOffer{Worker: worker.ID[:], Model: model[:], Coefficient: uint32(900 + 100*i + 33*j)}
				if w.Judged {
					offer.FinishWithinMs = FinishWithin.Milliseconds()
				}
				claims = append(claims, &v1.Claim{Body: &v1.Claim_SetOffer{SetOffer: offer}})
			}
		}
		w.Say(provider, domain.Control, claims...)
	}
	for _, client := range w.Clients {
		for i := range 2 {
			account := &Account{ID: w.id(fmt.Sprintf("account %d of %s", i+1, client.Name)), Client: client}
			account.Shard = w.shardOf(account.ID)
			w.Accounts = append(w.Accounts, account)
		}
	}
}

// fund opens the accounts and fills them through the vault.
func (w *World) fund() {
	for _, account := range w.Accounts {
		w.Say(account.Client, account.Shard, &v1.Claim{Body: &v1.Claim_OpenAccount{OpenAccount: &v1.OpenAccount{
			Account: account.ID[:], Client: account.Client.ID[:],
		}}})
		w.Vault.Deposit(account.ID, w.Deposit)
	}
	w.Watch()
}

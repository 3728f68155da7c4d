package sdk

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Home tells where a claim belongs by what it says: claims of control to shard 0, claims that name an
// account to the account's shard. Claims that name only a job belong where the job's account is, which
// the caller has to know, and so do ticks and adjustments: for these known is false.
func (n Network) Home(claim *v1.Claim) (home domain.Shard, known bool) {
	switch claim.Body.(type) {
	case *v1.Claim_SetNetwork, *v1.Claim_SetRateCard, *v1.Claim_SetDisputePolicy, *v1.Claim_SetOperator, *v1.Claim_ListModel,
		*v1.Claim_RegisterClient, *v1.Claim_RegisterProvider, *v1.Claim_RegisterWorker, *v1.Claim_RotateKey, *v1.Claim_Retire,
		*v1.Claim_SetOffer, *v1.Claim_ChallengeAttestation, *v1.Claim_PassAttestation, *v1.Claim_FailAttestation,
		*v1.Claim_RevokeAttestation, *v1.Claim_SealBatch, *v1.Claim_ObserveProposal, *v1.Claim_ObserveActivation,
		*v1.Claim_ObserveVeto, *v1.Claim_ObservePayout:
		return domain.Control, true
	}
	if account, ok := AccountIn(claim); ok {
		return n.ShardOf(account), true
	}
	return 0, false
}

// AccountIn returns the account that a claim names, if it names one.
func AccountIn(claim *v1.Claim) (domain.AccountID, bool) {
	var account []byte
	switch body := claim.Body.(type) {
	case *v1.Claim_OpenAccount:
		account = body.OpenAccount.GetAccount()
	case *v1.Claim_ObserveDeposit:
		account = body.ObserveDeposit.GetAccount()
	case *v1.Claim_RequestWithdrawal:
		account = body.RequestWithdrawal.GetAccount()
	case *v1.Claim_SubmitJob:
		account = body.SubmitJob.GetAccount()
	}
	if len(account) != len(domain.AccountID{}) {
		return domain.AccountID{}, false
	}
	return domain.AccountID(account), true
}

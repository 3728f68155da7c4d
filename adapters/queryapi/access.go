package queryapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/completions"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// Role says what the holder of a key may ask.
type Role string

// Roles. What is on chain or in the market's interest is open to all of them.
const (
	RoleProvider Role = "provider" // its own fleet, earnings and payouts
	RoleClient   Role = "client"   // its own accounts, jobs and charges
	RoleFinance  Role = "finance"  // everything, and claims for payees
	RoleAuditor  Role = "auditor"  // everything
)

// Asker is who holds a key.
type Asker struct {
	Name string // for the access log
	Role Role
	// Subject is the provider or client; zero for the other roles.
	Subject [32]byte
}

// Keys are askers by the SHA-256 of their key. A key is long and random, so its hash gives nothing away, and a look-up
// by hash takes the same time whatever the key was.
type Keys map[domain.Digest]Asker

// Sees says whose completions the sender of a request may follow: a client and a provider their own, finance and an auditor all.
func (k Keys) Sees(header http.Header) (own completions.Filter, everything bool, err error) {
	asker, known := k.asker(header)
	if !known {
		return own, false, errStranger
	}
	return asker.own(), asker.seesAll(), nil
}

// own are the completions of a client or a provider; nobody's for the other roles.
func (a Asker) own() (own completions.Filter) {
	switch a.Role { //nolint:exhaustive // the others have none
	case RoleClient:
		own.Client = a.Subject
	case RoleProvider:
		own.Provider = a.Subject
	}
	return own
}

var errStranger = errors.New("authorization: want Bearer and a key that this server knows")

// asker finds who sent a request, or false if nobody is known by its key. Without keys it is anyone.
func (k Keys) asker(header http.Header) (Asker, bool) {
	if k == nil {
		return everyone, true
	}
	key, isBearer := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	if !isBearer {
		return Asker{}, false
	}
	asker, known := k[sha256.Sum256([]byte(key))]
	return asker, known
}

// access is what a method asks of its caller.
type access uint8

const (
	// open is for every key.
	open access = iota + 1
	// own is for finance and auditors, and for those whose thing it is: the method says which.
	own
	// books is for finance and auditors.
	books
	// act is for finance, and for those whose thing it is: the method says which. An auditor only looks.
	act
)

// accesses has every method: one that is not listed is refused.
var accesses = map[string]access{
	queryv1.MoneyServiceGetBalanceProcedure:             own,
	queryv1.MoneyServiceListBalancesProcedure:           own,
	queryv1.MoneyServiceListPostingsProcedure:           own,
	queryv1.MoneyServiceListDepositsProcedure:           own,
	queryv1.MoneyServiceGetTrialBalanceProcedure:        books,
	queryv1.JobServiceGetJobProcedure:                   own,
	queryv1.JobServiceListJobsProcedure:                 own,
	queryv1.JobServiceListUsageProcedure:                own,
	queryv1.JobServiceExplainProcedure:                  own,
	queryv1.JobServiceListRejectionsProcedure:           books,
	queryv1.SettlementServiceListBatchesProcedure:       open,
	queryv1.SettlementServiceGetBatchProcedure:          open,
	queryv1.SettlementServiceListBatchLinesProcedure:    books,
	queryv1.SettlementServiceGetPayoutProcedure:         own,
	queryv1.SettlementServiceListPayoutsProcedure:       own,
	queryv1.SettlementServiceListPaymentsProcedure:      own,
	queryv1.CompletionServiceFollowCompletionsProcedure: own,
	queryv1.ClaimServiceGetClaimProcedure:               own,
	queryv1.ClaimServiceClaimProcedure:                  act,
	queryv1.NetworkServiceGetNetworkProcedure:           open,
	queryv1.NetworkServiceGetOverviewProcedure:          books,
	queryv1.NetworkServiceGetProviderProcedure:          own,
	queryv1.NetworkServiceListProvidersProcedure:        books,
	queryv1.NetworkServiceListWorkersProcedure:          open,
	queryv1.NetworkServiceListClientsProcedure:          books,
	queryv1.NetworkServiceListAccountsProcedure:         own,
	queryv1.NetworkServiceListStandingsProcedure:        open,
	queryv1.NetworkServiceListAttestationsProcedure:     open,
	queryv1.NetworkServiceListModelsProcedure:           open,
	queryv1.NetworkServiceFindProcedure:                 open, // not all of it to all
	queryv1.NetworkServiceListNamesProcedure:            open, // as above
	queryv1.NetworkServiceListOffersProcedure:           open,
	queryv1.NetworkServiceListOfferChangesProcedure:     open,
	queryv1.NetworkServiceListMarketHoursProcedure:      open,
	queryv1.NetworkServiceListHoldsProcedure:            books,
	queryv1.NetworkServiceListHoldbacksProcedure:        own,
	queryv1.AuditServiceGetAuditProcedure:               open,
	queryv1.AuditServiceGetReconciliationProcedure:      open,
	queryv1.DocumentServiceGetStatementProcedure:        own,
	queryv1.DocumentServiceGetInvoiceProcedure:          own,
	queryv1.DocumentServiceGetTrialBalanceAtProcedure:   books,
}

// everyone asks where there are no keys.
var everyone = Asker{Name: "anyone", Role: RoleFinance}

func errForbidden(asker Asker) error {
	return problem(connect.CodePermissionDenied, "authorization", "a key of role "+string(asker.Role)+" may not ask this")
}

func (a Asker) seesAll() bool { return a.Role == RoleFinance || a.Role == RoleAuditor }

// may refuses what is not the asker's own: things of a provider, of a client, or of both; zero for none.
// Refused is also what is not there, so that nobody learns of what others have.
func may(ctx context.Context, provider domain.ProviderID, client domain.ClientID) error {
	asker := askerIn(ctx)
	switch {
	case asker.seesAll():
		return nil
	case asker.Role == RoleProvider && provider != (domain.ProviderID{}) && asker.Subject == provider:
		return nil
	case asker.Role == RoleClient && client != (domain.ClientID{}) && asker.Subject == client:
		return nil
	default:
		return errForbidden(asker)
	}
}

// mayOwner refuses accounts of the chart that are not the asker's: client/* belong to the client of the prepaid
// account, provider/* to the provider, and the network's own to nobody else. An empty kind is any.
func mayOwner(ctx context.Context, r projections.Reader, kind string, owner [32]byte) error {
	asker := askerIn(ctx)
	switch {
	case asker.seesAll():
		return nil
	case asker.Role == RoleProvider && !strings.HasPrefix(kind, "client/"):
		return may(ctx, owner, domain.ClientID{})
	case asker.Role == RoleClient && !strings.HasPrefix(kind, "provider/"):
		account, err := r.Account(ctx, owner)
		if err != nil && !errors.Is(err, projections.ErrNotFound) {
			return err
		}
		return may(ctx, domain.ProviderID{}, account.Client)
	}
	return errForbidden(asker)
}

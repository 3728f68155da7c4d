package settlement

import (
	"errors"
	"slices"
	"testing"

	"github.com/filature/filature/domain"
)

// agreeing are two sides on which a deposit of 500 and payouts of 100 and 50 are booked, under batch 1.
func agreeing() (LedgerSide, ChainSide) {
	one := OnChain{Epoch: 1, Root: domain.Digest{1}, Total: 150}
	l := LedgerSide{
		Books: Books{LastNumber: 1, LT: 10, Active: one, Paid: 150}, Cash: 350,
		Payouts: map[domain.ProviderID]domain.Nano{{1}: 100, {2}: 50},
	}
	c := ChainSide{
		Seen:    Seen{AtMs: 1_000_000, LT: 10, LastEpoch: 1, Active: one, Paid: 150, Free: 355},
		Claimed: map[domain.ProviderID]domain.Nano{{1}: 100, {2}: 50}, ToppedUp: 8,
	}
	return l, c
}

func TestSidesThatAgreeHaveNoDifference(t *testing.T) {
	l, c := agreeing()
	if found, err := Reconcile(l, c); err != nil || len(found) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestEachDifferenceIsNamedAndJudged(t *testing.T) {
	two := OnChain{Epoch: 2, Root: domain.Digest{2}, Total: 200}
	foreign := OnChain{Epoch: 2, Root: domain.Digest{66}, Total: 200}
	deposit := Movement{Kind: DepositMoved, LT: 11, AtMs: 999_000, Amount: 40, Account: domain.AccountID{9}}
	payout := Movement{Kind: PayoutMoved, LT: 12, AtMs: 999_500, Amount: 30, Payee: domain.ProviderID{1}}
	old := deposit
	old.AtMs = 1_000_000 - InFlightMs - 1
	for name, c := range map[string]struct {
		change func(l *LedgerSide, c *ChainSide)
		want   []Difference
	}{
		"coins are missing": {
			func(_ *LedgerSide, c *ChainSide) { c.Free = 349 },
			[]Difference{{Kind: VaultShort, Subject: "vault", Ledger: "0.000000350", Chain: "0.000000349", SinceMs: 1_000_000, State: Alarm}},
		},
		"coins from nowhere": {
			func(_ *LedgerSide, c *ChainSide) { c.Free = 359 },
			[]Difference{{Kind: MoneyUnknown, Subject: "vault", Ledger: "0.000000358", Chain: "0.000000359", SinceMs: 1_000_000, State: InFlight}},
		},
		"the vault paid what nobody saw": {
			func(_ *LedgerSide, c *ChainSide) { c.Paid = 151 },
			[]Difference{{Kind: PaidDiffers, Subject: "vault", Ledger: "0.000000150", Chain: "0.000000151", SinceMs: 1_000_000, State: Alarm}},
		},
		"a deposit waits to be booked": {
			func(_ *LedgerSide, c *ChainSide) { c.Free, c.Unbooked = 395, []Movement{deposit} },
			[]Difference{{
				Kind: DepositUnbooked, Subject: domain.AccountID{9}.String() + " at 11", Ledger: "0.000000000", Chain: "0.000000040",
				SinceMs: 999_000, AgeMs: 1000, State: InFlight,
			}},
		},
		"it has waited too long": {
			func(_ *LedgerSide, c *ChainSide) { c.Free, c.Unbooked = 395, []Movement{old} },
			[]Difference{{
				Kind: DepositUnbooked, Subject: domain.AccountID{9}.String() + " at 11", Ledger: "0.000000000", Chain: "0.000000040",
				SinceMs: old.AtMs, AgeMs: InFlightMs + 1, State: Alarm,
			}},
		},
		"a payout waits to be booked": {
			func(_ *LedgerSide, c *ChainSide) {
				c.Free, c.Paid, c.Unbooked, c.Claimed[domain.ProviderID{1}] = 325, 180, []Movement{payout}, 130
			},
			[]Difference{{
				Kind: PayoutUnbooked, Subject: domain.ProviderID{1}.String() + " at 12", Ledger: "0.000000000", Chain: "0.000000030",
				SinceMs: 999_500, AgeMs: 500, State: InFlight,
			}},
		},
		"a claim account says more": {
			func(_ *LedgerSide, c *ChainSide) { c.Claimed[domain.ProviderID{2}] = 60 },
			[]Difference{{
				Kind: ClaimedDiffers, Subject: domain.ProviderID{2}.String(), Ledger: "0.000000050", Chain: "0.000000060",
				SinceMs: 1_000_000, State: InFlight,
			}},
		},
		"the open batch was activated": {
			func(l *LedgerSide, c *ChainSide) { l.LastNumber, l.Open, c.Active, c.LastEpoch = 2, &two, two, 2 },
			[]Difference{{Kind: ActiveDiffers, Subject: "batch 2", Ledger: agreed(), Chain: two.String(), SinceMs: 1_000_000, State: InFlight}},
		},
		"another root was activated": {
			func(l *LedgerSide, c *ChainSide) { l.LastNumber, l.Open, c.Active, c.LastEpoch = 2, &two, foreign, 2 },
			[]Difference{{Kind: ActiveDiffers, Subject: "batch 2", Ledger: agreed(), Chain: foreign.String(), SinceMs: 1_000_000, State: Alarm}},
		},
		"another root is pending": {
			func(_ *LedgerSide, c *ChainSide) { c.Pending, c.LastEpoch = &foreign, 2 },
			[]Difference{{Kind: PendingDiffers, Subject: "batch 2", Ledger: "none", Chain: foreign.String(), SinceMs: 1_000_000, State: Alarm}},
		},
		"a number was used up": {
			func(_ *LedgerSide, c *ChainSide) { c.LastEpoch = 2 },
			[]Difference{{Kind: NumberDiffers, Subject: "batch 2", Ledger: "1", Chain: "2", SinceMs: 1_000_000, State: InFlight}},
		},
		"somebody sent coins for nobody": {
			func(_ *LedgerSide, c *ChainSide) {
				c.Strange = []Movement{{Kind: TopUpMoved, LT: 5, AtMs: 1, Amount: 3, From: "EQsomebody"}}
			},
			[]Difference{{Kind: ToppedUp, Subject: "EQsomebody at 5", Ledger: "0.000000000", Chain: "0.000000003", SinceMs: 1, AgeMs: 999_999, State: Noted}},
		},
	} {
		l, chain := agreeing()
		c.change(&l, &chain)
		found, err := Reconcile(l, chain)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if judged := Judge(found, nil, l.Books, chain.AtMs); !slices.Equal(judged, c.want) {
			t.Errorf("%s:\n found %+v\n want  %+v", name, judged, c.want)
		}
	}
}

func agreed() string {
	l, _ := agreeing()
	return l.Active.String()
}

func TestADifferenceThatLastsKeepsItsAgeAndBecomesAnAlarm(t *testing.T) {
	l, c := agreeing()
	c.Claimed[domain.ProviderID{2}] = 60
	found, err := Reconcile(l, c)
	if err != nil {
		t.Fatal(err)
	}
	first := Judge(found, nil, l.Books, c.AtMs)
	c.AtMs += InFlightMs + 1
	if found, err = Reconcile(l, c); err != nil {
		t.Fatal(err)
	}
	second := Judge(found, first, l.Books, c.AtMs)
	if len(second) != 1 || second[0].State != Alarm || second[0].AgeMs != InFlightMs+1 {
		t.Errorf("it was %+v, and is %+v", first, second)
	}
}

func TestALiteServerThatIsBehindIsNoDifference(t *testing.T) {
	l, c := agreeing()
	c.LT, c.Paid = 9, 100
	if found, err := Reconcile(l, c); !errors.Is(err, ErrBehind) || found != nil {
		t.Errorf("found %v, %v", found, err)
	}
}

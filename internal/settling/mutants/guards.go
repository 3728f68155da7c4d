package main

// guard is something that keeps settlement right when a fault strikes, and how to do without it.
type guard struct {
	name string
	// what it is, and without it …
	keeps string
	edits []edit
}

// edit changes one place of a source file, which must be there exactly once, so that the code asks off("name") there.
type edit struct{ file, was, is string }

const (
	deliver = "adapters/ton/settlement.go"
	wallet  = "adapters/ton/wallet.go"
	next    = "domain/settlement/next.go"
	loop    = "workers/settler/settler.go"
	keeper  = "workers/settler/keeper.go"
	watch   = "workers/watcher/watcher.go"
	batches = "domain/ledger/batches.go"
	account = "domain/ledger/accounts.go"
)

var guards = []guard{
	{"same bytes", "the same bytes are sent again until their fate is known", []edit{
		{deliver, "if time.Since(sent) >= w.client.resend {", `if time.Since(sent) >= w.client.resend && (sent.IsZero() || !off("same bytes")) {`},
	}},
	{"fate", "nothing is signed before the fate of what was signed is known", []edit{
		{deliver, "		fate, fateErr := w.Fate(ctx, external)\n", `		if off("fate") && !sent.IsZero() {
			return Fate{Outcome: Landed, Sent: len(messages)}, nil
		}
		fate, fateErr := w.Fate(ctx, external)
`},
	}},
	{"chain's number", "a wallet's next number is the chain's, and not one above the last that was sent", []edit{
		{wallet, "	return w.signed(messages, state, validUntil)\n", `	if off("chain's number") {
		state.seqno = after(w, state.seqno)
	}
	return w.signed(messages, state, validUntil)
`},
		{deliver, "				sent = time.Now()\n", `				sent = time.Now()
				count(w, external.Seqno)
`},
	}},
	{"expiry", "a final block past the deadline proves that an external is dead", []edit{
		{wallet, "if head.Time.After(external.ValidUntil.Add(expiryGrace)) {", `if head.Time.After(external.ValidUntil.Add(expiryGrace)) && !off("expiry") {`},
	}},
	{"used number", "an external whose number somebody else used is dead", []edit{
		{wallet, "	fate := Fate{Outcome: Expired}\n", `	fate := Fate{Outcome: Expired}
	if off("used number") {
		fate.Outcome = Pending
	}
`},
	}},
	{"balance", "nothing is signed that the wallet can't pay", []edit{
		{wallet, "if state.balance < need {", `if state.balance < need && !off("balance") {`},
	}},
	{"pause", "nothing is sent to a paused vault", []edit{
		{next, "	case seen.Paused:\n", "	case seen.Paused && !off(\"pause\"):\n"},
		{loop, "if seen.Paused || seen.Active.Epoch == 0", `if seen.Paused && !off("pause") || seen.Active.Epoch == 0`},
	}},
	{"patience", "who was claimed for is not claimed for again at once", []edit{
		{keeper, "case now.Sub(k.asked[p.Payee]) >= claimPatience:", `case off("patience") || now.Sub(k.asked[p.Payee]) >= claimPatience:`},
	}},
	{"cover", "no root is proposed that the vault can't cover", []edit{
		{next, "case seen.Covers < open.Total-seen.Paid:", `case seen.Covers < open.Total-seen.Paid && !off("cover"):`},
	}},
	{"what is there", "what is pending or active already is not proposed again", []edit{
		{next, "case open == nil || seen.Active.Epoch == open.Epoch:", `case open == nil || seen.Active.Epoch == open.Epoch && !off("what is there"):`},
		{next, "case seen.Pending != nil && seen.AtMs < seen.ActivateAtMs:", `case seen.Pending != nil && seen.AtMs < seen.ActivateAtMs && !off("what is there"):`},
		{next, "	case seen.Pending != nil:\n", "	case seen.Pending != nil && !off(\"what is there\"):\n"},
		{next, "	case seen.LastEpoch >= open.Epoch:\n", "	case seen.LastEpoch >= open.Epoch && !off(\"what is there\"):\n"},
	}},
	{"not behind", "nothing is decided from a vault that is older than the books", []edit{
		{next, "	if seen.LT < books.LT {", `	if seen.LT < books.LT && !off("not behind") {`},
	}},
	{"forgets", "nothing is remembered of what was begun: the next life decides from books and chain alone", []edit{
		{loop, "err = s.cfg.Chain.Propose(ctx, *after.books().Open)", `err = onlyOnce(fmt.Sprint("propose ", after.Open), func() error {
			return s.cfg.Chain.Propose(ctx, *after.books().Open)
		})`},
		{loop, "err = s.cfg.Chain.Activate(ctx)\n", "err = onlyOnce(fmt.Sprint(\"activate \", after.Open), func() error { return s.cfg.Chain.Activate(ctx) })\n"},
		{loop, "	if _, err := s.cfg.Reporter.Report(ctx, domain.Control, &v1.Claim{Body: &v1.Claim_SealBatch{SealBatch: batch}}); err != nil {", `
	unconfirmed = batch
	if err := onlyOnce(fmt.Sprint("seal ", batch.Number), func() error {
		_, err := s.cfg.Reporter.Report(ctx, domain.Control, &v1.Claim{Body: &v1.Claim_SealBatch{SealBatch: batch}})
		return err
	}); err != nil {`},
		{keeper, "	sent, err := k.cfg.Chain.Claim(ctx, k.tree, k.due)\n", `	sent := 0
	err := onlyOnce(fmt.Sprint("claim ", k.number), func() (err error) {
		sent, err = k.cfg.Chain.Claim(ctx, k.tree, k.due)
		return err
	})
`},
		{watch, "if _, err := cfg.Reporter.Report(ctx, domain.Shard(shard), claims[:n]...); err != nil {", `
			if _, err := onlyOnce(claims[0], cfg.DataShards, func() (domain.Offset, error) {
				return cfg.Reporter.Report(ctx, domain.Shard(shard), claims[:n]...)
			}); err != nil {`},
	}},
	{"books first", "a settler reads the books before it seals again", []edit{
		{loop, "func (s *Settler) Run(ctx context.Context) error {\n", `func (s *Settler) Run(ctx context.Context) error {
	if unconfirmed != nil && off("books first") {
		if _, err := s.cfg.Reporter.Report(ctx, domain.Control, &v1.Claim{Body: &v1.Claim_SealBatch{SealBatch: unconfirmed}}); err != nil {
			return err
		}
		unconfirmed = nil
	}
`},
	}},
	{"behind the books", "a watcher claims nothing that the books have", []edit{
		{watch, "	if late > 0 {\n", "	if late > 0 && !off(\"behind the books\") {\n"},
	}},
	{"looks again", "a watcher looks again, however often there was nothing new", []edit{
		{watch, "case <-time.After(cfg.Poll):", "case <-again(cfg.Poll):"},
		{watch, "			readTo = upTo\n", "			readTo = upTo\n			idle.Store(0)\n"},
	}},
	{"waits out", "settler and watcher wait until trouble with the chain is over", []edit{
		{loop, "case errors.Is(err, errChain):", `case errors.Is(err, errChain) && !off("waits out"):`},
		{watch, "		} else if ctx.Err() == nil && cfg.Trouble != nil {", `		} else if ctx.Err() == nil && off("waits out") {
			return err
		} else if ctx.Err() == nil && cfg.Trouble != nil {`},
	}},
	{"one open", "the ledger: no batch is sealed while one is open", []edit{
		{batches, "	case b.open != nil:\n", "	case b.open != nil && !off(\"one open\"):\n"},
	}},
	{"numbered", "the ledger: a batch has the next number", []edit{
		{batches, "	case claim.Number != b.last+1:\n", "	case claim.Number != b.last+1 && !off(\"numbered\"):\n"},
	}},
	{"cumulative", "the ledger: a batch goes on from what was committed", []edit{
		{batches, "if after != domain.Nano(line.CumulativeNano) {", `if after != domain.Nano(line.CumulativeNano) && !off("cumulative") {`},
		{batches, "if total != domain.Nano(claim.TotalNano) {", `if total != domain.Nano(claim.TotalNano) && !off("cumulative") {`},
	}},
	{"veto once", "the ledger: the end of a batch is booked once, and no other's", []edit{
		{batches, "	case number != s.control.batches.last:\n", "	case number != s.control.batches.last && !off(\"veto once\"):\n"},
		{batches, "	case open == nil || open.proposed != proposed:\n", "	case (open == nil || open.proposed != proposed) && !off(\"veto once\"):\n"},
	}},
	{"payout once", "the ledger: a payout is booked once", []edit{
		{batches, "case claim.Lt <= b.lastPayoutLT:", `case claim.Lt <= b.lastPayoutLT && !off("payout once"):`},
	}},
	{"deposit once", "the ledger: a deposit is booked once", []edit{
		{account, "case claim.Lt <= s.lastDepositLT:", `case claim.Lt <= s.lastDepositLT && !off("deposit once"):`},
	}},
	{"owed", "the ledger: no payout is booked that was not owed", []edit{
		{batches, "domain.Nano(claim.AmountNano) > owed {", `domain.Nano(claim.AmountNano) > owed && !off("owed") {`},
	}},
	{"difference", "the claim account: a claim pays the difference to what it noted", []edit{
		{"contracts/claim_account.tolk", "    note.claimed = msg.cumulative;\n", ""},
		{"contracts/embed.go", "return decode(\"claim_account\", claimAccountJSON)", `if off("difference") {
		return decode("claim_account", broken())
	}
	return decode("claim_account", claimAccountJSON)`},
	}},
}

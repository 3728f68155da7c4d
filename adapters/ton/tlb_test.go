package ton

import (
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/domain"
)

// schema reads cells by vault.tlb itself, and by nothing of ours: as much of TL-B as that file uses.
type schema map[string][]constructor // by the type that it makes

type constructor struct {
	name   string
	tag    uint64
	bits   uint
	fields []field
}

type field struct{ name, kind string }

func theSchema(t *testing.T) schema {
	t.Helper()
	text := regexp.MustCompile(`(?m)//.*$`).ReplaceAllString(source(t, "../../schemas/tlb/vault.tlb"), "")
	all := schema{}
	for declaration := range strings.SplitSeq(text, ";") {
		declaration = strings.TrimSpace(declaration)
		if declaration == "" {
			continue
		}
		parts := regexp.MustCompile(`(?s)^(\w+)([#$])(\w+)\s*(.*)= (\w+)$`).FindStringSubmatch(declaration)
		if parts == nil {
			t.Fatalf("vault.tlb: can't read %q", declaration)
		}
		c := constructor{name: parts[1]}
		if parts[3] != "_" {
			base, perDigit := 16, uint(4)
			if parts[2] == "$" {
				base, perDigit = 2, 1
			}
			tag, err := strconv.ParseUint(parts[3], base, 64)
			if err != nil {
				t.Fatalf("vault.tlb: %s: %v", c.name, err)
			}
			c.tag, c.bits = tag, perDigit*uint(len(parts[3]))
		}
		for _, one := range regexp.MustCompile(`(\w+):(\^?\([^)]*\)|\S+)`).FindAllStringSubmatch(parts[4], -1) {
			c.fields = append(c.fields, field{one[1], one[2]})
		}
		all[parts[5]] = append(all[parts[5]], c)
	}
	return all
}

// read reads a value to the end of its cell: its constructor, and its fields by name, those of nested values as
// outer.inner.
func (s schema) read(c *cell.Cell, kind string) (name string, values map[string]string, err error) {
	values = map[string]string{}
	slice, err := c.BeginParse()
	if err != nil {
		return "", nil, err
	}
	name, err = s.value(slice, kind, "", values)
	if err == nil && (slice.BitsLeft() > 0 || slice.RefsNum() > 0) {
		err = fmt.Errorf("%d bits and %d references are left", slice.BitsLeft(), slice.RefsNum())
	}
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", kind, err)
	}
	return name, values, nil
}

func (s schema) value(slice *cell.Slice, kind, prefix string, into map[string]string) (name string, err error) {
	for _, c := range s[kind] {
		if tag, err := slice.PreloadUInt(c.bits); err != nil || tag != c.tag {
			continue
		}
		slice.MustLoadUInt(c.bits)
		for _, f := range c.fields {
			if err := s.field(slice, f, prefix, into); err != nil {
				return "", fmt.Errorf("%s: %s%s: %w", c.name, prefix, f.name, err)
			}
		}
		return c.name, nil
	}
	return "", fmt.Errorf("no constructor of %s fits", kind)
}

func (s schema) field(slice *cell.Slice, f field, prefix string, into map[string]string) error {
	name := prefix + f.name
	if inner, ok := strings.CutPrefix(f.kind, "(Maybe "); ok {
		present, err := slice.LoadBoolBit()
		if err != nil || !present {
			into[name] = "nothing"
			return err
		}
		return s.field(slice, field{f.name, strings.TrimSuffix(inner, ")")}, prefix, into)
	}
	if inner, ok := strings.CutPrefix(f.kind, "^"); ok {
		c, err := slice.LoadRefCell()
		if err != nil || s[inner] == nil { // a cell of somebody else's making
			return err
		}
		rest, err := c.BeginParse()
		if err != nil {
			return err
		}
		if _, err = s.value(rest, inner, name+".", into); err == nil && (rest.BitsLeft() > 0 || rest.RefsNum() > 0) {
			err = fmt.Errorf("%d bits and %d references are left", rest.BitsLeft(), rest.RefsNum())
		}
		return err
	}
	if size, err := strconv.Atoi(strings.TrimPrefix(f.kind, "uint")); err == nil {
		n, err := slice.LoadUInt(uint(size))
		into[name] = strconv.FormatUint(n, 10)
		return err
	}
	if size, err := strconv.Atoi(strings.TrimPrefix(f.kind, "bits")); err == nil {
		raw, err := slice.LoadSlice(uint(size))
		into[name] = hex.EncodeToString(raw)
		return err
	}
	switch f.kind {
	case "Bool":
		bit, err := slice.LoadBoolBit()
		into[name] = strconv.FormatBool(bit)
		return err
	case "Coins":
		amount, err := slice.LoadBigCoins()
		into[name] = fmt.Sprint(amount)
		return err
	case "MsgAddress", "MsgAddressInt":
		at, err := slice.LoadAddr()
		if err == nil && at.IsAddrNone() == (f.kind == "MsgAddressInt") && at.IsAddrNone() {
			err = fmt.Errorf("nobody")
		}
		if err == nil {
			into[name] = at.StringRaw()
		}
		return err
	default:
		_, err := s.value(slice, f.kind, name+".", into)
		return err
	}
}

// flat is a root as the schema's reader gives it.
func (r Root) flat(prefix string) map[string]string {
	return map[string]string{
		prefix + "epoch": fmt.Sprint(r.Epoch), prefix + "root": hex.EncodeToString(r.Root[:]),
		prefix + "total": fmt.Sprint(int64(r.Total)), prefix + "commitment": hex.EncodeToString(r.Commitment[:]),
	}
}

func (c PendingChange) flat(prefix string) map[string]string {
	values := map[string]string{prefix + "due_at": fmt.Sprint(c.DueAt.Unix())}
	if c.Admin != (Address{}) {
		values[prefix+"change.admin"] = c.Admin.Raw()
	} else {
		values[prefix+"change.code_hash"] = hex.EncodeToString(c.Code[:])
	}
	return values
}

func merged(all ...map[string]string) map[string]string {
	sum := map[string]string{}
	for _, one := range all {
		maps.Copy(sum, one)
	}
	return sum
}

// flatState is what Go's own reader says of a vault.
func flatState(s VaultState) map[string]string {
	values := merged(s.Active.flat("active."), map[string]string{
		"admin": s.Params.Admin.Raw(), "guardian": s.Params.Guardian.Raw(), "paused": strconv.FormatBool(s.Paused),
		"delay": fmt.Sprint(int64(s.Params.Delay.Seconds())), "last_epoch": fmt.Sprint(s.LastEpoch), "paid": fmt.Sprint(int64(s.Paid)),
		"pending": "nothing", "change": "nothing",
	})
	if s.Pending != nil {
		delete(values, "pending")
		maps.Copy(values, merged(s.Pending.flat("pending.proposal."), map[string]string{"pending.activate_at": fmt.Sprint(s.Pending.ActivateAt.Unix())}))
	}
	if s.Change != nil {
		delete(values, "change")
		maps.Copy(values, s.Change.flat("change."))
	}
	return values
}

// flatEvent is what Go's own reader says of a log message.
func flatEvent(event Event) (name string, values map[string]string) {
	switch e := event.(type) {
	case Deposit:
		return "deposit_logged", map[string]string{"account": hex.EncodeToString(e.Account[:]), "amount": fmt.Sprint(int64(e.Amount)), "sender": e.Sender.Raw()}
	case RootProposed:
		return "root_proposed", merged(e.flat(""), map[string]string{"activate_at": fmt.Sprint(e.ActivateAt.Unix())})
	case RootActivated:
		return "root_activated", e.flat("")
	case RootVetoed:
		return "root_vetoed", map[string]string{"epoch": fmt.Sprint(e.Epoch), "root": hex.EncodeToString(e.Root[:])}
	case PayoutSent:
		return "payout_sent", map[string]string{"epoch": fmt.Sprint(e.Epoch), "account": e.Payee.Raw(), "amount": fmt.Sprint(int64(e.Amount))}
	case PauseSet:
		return "pause_set", map[string]string{"paused": strconv.FormatBool(e.Paused), "by": e.By.Raw()}
	case ChangeProposed:
		return "change_proposed", e.flat("pending.")
	case ChangeVetoed:
		return "change_vetoed", map[string]string{"change": hex.EncodeToString(e.ID[:])}
	case AdminChanged:
		return "admin_changed", map[string]string{"admin": e.Admin.Raw()}
	case CodeChanged:
		return "code_changed", map[string]string{"code_hash": hex.EncodeToString(e.Code[:])}
	default:
		return "", nil
	}
}

// Everything that Go or a contract ever writes is read three times: by the contract, by Go, and by the schema.
func TestWhatGoWritesAndTheContractsWriteIsWhatTheSchemaSays(t *testing.T) {
	s := newScene(t, 100*domain.Coin)
	schema, seen := theSchema(t), map[string]bool{}
	note := func(name string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		seen[name] = true
		return name
	}
	// do sends what Go wrote, and reads all that came of it.
	do := func(by Address, m Message, name string, want map[string]string) {
		t.Helper()
		got, values, err := schema.read(m.body, "VaultMessage")
		if note(got, err); got != name {
			t.Fatalf("%s reads as %s", name, got)
		}
		for key, value := range want {
			if values[key] != value {
				t.Errorf("%s: %s is %q by the schema, Go wrote %q", name, key, values[key], value)
			}
		}
		s.post(by, m)
		for len(s.queue) > 0 {
			in := s.queue[0].Message().AsInternal()
			one := s.next()
			if one.exit > 0 {
				t.Fatalf("%s: %s", name, one)
			}
			kind := "PersonMessage"
			switch {
			case one.at == s.vault.self:
				kind = "VaultMessage"
			case s.data(one.at) != nil:
				kind = "ClaimAccountMessage"
			}
			inner, _, err := schema.read(in.Body, kind)
			note(inner, err)
			if one.at == s.vault.self {
				for i, log := range logsOf(t, one.tx) {
					inner, values, err := schema.read(log, "VaultLog")
					wantName, want := flatEvent(s.events([]step{one})[i])
					if note(inner, err); inner != wantName || !maps.Equal(values, want) {
						t.Errorf("log %s %v, Go reads %s %v", inner, values, wantName, want)
					}
				}
				inner, values, err = schema.read(s.data(one.at), "Vault")
				if note(inner, err); !maps.Equal(values, flatState(s.state())) {
					t.Errorf("storage %v, Go reads %v", values, flatState(s.state()))
				}
				for key := range values {
					if strings.HasPrefix(key, "change.change.") {
						seen[map[bool]string{true: "new_admin", false: "new_code"}[strings.HasSuffix(key, ".admin")]] = true
					}
				}
			}
		}
	}

	tree, total := treeOf(t, leavesOf(3, domain.Coin))
	root := Root{Epoch: 1, Root: tree.Root(), Total: total, Commitment: domain.Digest{0xc0, 0xff, 0xee}}
	propose := func(epoch uint32) Message { root.Epoch = epoch; return must(s.vault.ProposeMessage(root)) }
	account := domain.AccountID{7, 7}
	do(aStranger, s.vault.TopUpMessage(domain.Coin), "top_up", nil)
	do(aStranger, s.vault.DepositMessage(account, domain.Coin), "deposit", map[string]string{"account": hex.EncodeToString(account[:])})
	do(theAdmin, propose(1), "propose_root", root.flat(""))
	do(theGuardian, s.vault.VetoMessage(1), "veto_root", map[string]string{"epoch": "1"})
	do(theAdmin, propose(2), "propose_root", root.flat(""))
	s.wait(delay)
	do(aStranger, s.vault.ActivateMessage(), "activate_root", nil)
	payee := provider(2)
	do(aRelayer, s.claim(tree, payee, aRelayer), "claim", map[string]string{"account": PayeeAddress(payee).Raw(), "response_to": aRelayer.Raw()})
	name, values, err := schema.read(s.data(s.vault.ClaimAccount(payee)), "ClaimAccount")
	wantNote := map[string]string{
		"vault": s.vault.self.Raw(), "account": PayeeAddress(payee).Raw(), "claimed": fmt.Sprint(int64(s.claimed(payee))),
	}
	if note(name, err); !maps.Equal(values, wantNote) {
		t.Errorf("claim account %v, Go reads %v", values, wantNote)
	}
	do(theAdmin, s.vault.PauseMessage(true), "set_paused", map[string]string{"paused": "true"})
	do(theGuardian, s.vault.PauseMessage(false), "set_paused", map[string]string{"paused": "false"})
	do(theAdmin, s.vault.ProposeAdminMessage(aThief), "propose_admin", map[string]string{"admin": aThief.Raw()})
	id := s.state().Change.ID
	do(theGuardian, s.vault.VetoChangeMessage(id), "veto_change", map[string]string{"change": hex.EncodeToString(id[:])})
	do(theAdmin, s.vault.ProposeAdminMessage(aSuccessor), "propose_admin", map[string]string{"admin": aSuccessor.Raw()})
	s.wait(delay)
	do(aSuccessor, s.vault.AcceptAdminMessage(), "accept_admin", nil)
	boc, hash := otherCode()
	do(aSuccessor, s.vault.ProposeUpgradeMessage(hash), "propose_upgrade", map[string]string{"code_hash": hex.EncodeToString(hash[:])})
	s.wait(delay)
	do(aSuccessor, s.upgrade(boc), "apply_upgrade", nil)

	nested := []string{"root", "pending_root", "pending_change", "payout_tree"} // read as parts of the others; the tree has its own tests
	for kind, constructors := range schema {
		for _, c := range constructors {
			if !seen[c.name] && !slices.Contains(nested, c.name) {
				t.Errorf("no %s#%x of %s was ever seen", c.name, c.tag, kind)
			}
		}
	}
}

// logsOf returns the bodies of a transaction's external-out messages.
func logsOf(t *testing.T, tx *tlb.Transaction) (bodies []*cell.Cell) {
	t.Helper()
	if tx.IO.Out == nil {
		return nil
	}
	out, err := tx.IO.Out.ToSlice()
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range out {
		if message.MsgType == tlb.MsgTypeExternalOut {
			bodies = append(bodies, message.AsExternalOut().Body)
		}
	}
	return bodies
}

package ton

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func source(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// snake is how TL-B writes a Tolk name.
func snake(name string) string {
	return strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(name, "${1}_$2"))
}

func TestOpCodesAreTheSameInGoTolkAndTLB(t *testing.T) {
	goCodes := map[string]uint32{
		"deposit": opDeposit, "top_up": opTopUp, "propose_root": opProposeRoot, "activate_root": opActivateRoot,
		"veto_root": opVetoRoot, "set_paused": opSetPaused, "claim": opClaim, "claim_up_to": opClaimUpTo,
		"pay_request": opPayRequest, "payout": opPayout, "excesses": opExcesses,
		"deposit_logged": opDepositLogged, "root_proposed": opRootProposed, "root_activated": opRootActivated,
		"root_vetoed": opRootVetoed, "payout_sent": opPayoutSent,
		"propose_admin": opProposeAdmin, "accept_admin": opAcceptAdmin, "propose_upgrade": opProposeUpgrade,
		"apply_upgrade": opApplyUpgrade, "veto_change": opVetoChange, "pause_set": opPauseSet,
		"change_proposed": opChangeProposed, "change_vetoed": opChangeVetoed, "admin_changed": opAdminChanged,
		"code_changed": opCodeChanged,
	}
	read := func(text, pattern string) map[string]uint32 {
		codes := map[string]uint32{}
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			name, digits := match[1], match[2]
			if strings.HasPrefix(match[0], "struct") {
				name, digits = snake(match[2]), match[1]
			}
			code, err := strconv.ParseUint(digits, 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			codes[name] = uint32(code)
		}
		return codes
	}
	tolk := read(source(t, "../../contracts/messages.tolk"), `(?m)^struct \(0x([0-9a-f]{8})\) (\w+)`)
	tlb := read(source(t, "../../schemas/tlb/vault.tlb"), `(?m)^(\w+)#([0-9a-f]{8}) `)
	for where, codes := range map[string]map[string]uint32{"messages.tolk": tolk, "vault.tlb": tlb} {
		if len(codes) != len(goCodes) {
			t.Errorf("%s has %d messages, Go %d", where, len(codes), len(goCodes))
		}
		for name, code := range goCodes {
			if codes[name] != code {
				t.Errorf("%s: %s#%08x, in Go #%08x", where, name, codes[name], code)
			}
		}
	}
}

func TestEveryErrorOfTheContractsHasWords(t *testing.T) {
	inTolk := map[int32]bool{0xffff: true}
	for _, match := range regexp.MustCompile(`(?m)^const ERR_\w+ = (\d+)`).FindAllStringSubmatch(source(t, "../../contracts/messages.tolk"), -1) {
		code, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		if code == 0 || inTolk[int32(code)] {
			continue // 0xffff reads as 0 here
		}
		inTolk[int32(code)] = true
	}
	inSchema := map[int32]string{}
	for _, match := range regexp.MustCompile(`(?m)^//   (\d+) (.*)$`).FindAllStringSubmatch(source(t, "../../schemas/tlb/vault.tlb"), -1) {
		code, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		inSchema[int32(code)] = match[2]
	}
	var codes []int32
	for code := range inTolk {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	if len(codes) < 17 {
		t.Fatalf("messages.tolk has the errors %v", codes)
	}
	for _, code := range codes {
		if ExitReason(code) == fmt.Sprintf("exit code %d", code) {
			t.Errorf("error %d has no words in Go", code)
		}
		if inSchema[code] != ExitReason(code) {
			t.Errorf("error %d: %q in vault.tlb, %q in Go", code, inSchema[code], ExitReason(code))
		}
	}
}

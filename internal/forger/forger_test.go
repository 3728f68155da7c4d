package forger_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/forger"
	"github.com/filature/filature/internal/rig"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// TestAHistoryToldWithoutAChangeIsTheSameByteForByte: so whatever differs in a forgery follows from its change.
func TestAHistoryToldWithoutAChangeIsTheSameByteForByte(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 5})
	for range 2 {
		w.Live(40)
		w.Work()
		w.Mature()
		w.Work()
		w.Settle()
	}
	was := forger.Forgery{}
	var err error
	if was.Intake, err = forger.Copy(t.Context(), w.Intake); err == nil {
		was.Ledger, err = forger.Copy(t.Context(), w.Ledger)
	}
	if err != nil {
		t.Fatal(err)
	}
	told, err := forger.Rewrite(t.Context(), was, w.Keys(), func(domain.Shard, *v1.Claim) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]forger.Log{"intake": {was.Intake, told.Intake}, "ledger": {was.Ledger, told.Ledger}} {
		for shard := range pair[0] {
			if len(pair[0][shard]) != len(pair[1][shard]) {
				t.Fatalf("%s %d has %d records, had %d", name, shard, len(pair[1][shard]), len(pair[0][shard]))
			}
			for i, record := range pair[0][shard] {
				if again := pair[1][shard][i]; !bytes.Equal(record.Value, again.Value) || !record.Time.Equal(again.Time) {
					t.Fatalf("%s %d/%d is not what it was", name, shard, i)
				}
			}
		}
	}
	if _, err := forger.Rewrite(t.Context(), was, w.Keys(), func(domain.Shard, *v1.Claim) bool { return false }); !errors.Is(err, forger.ErrNothing) {
		t.Errorf("without a change: %v", err)
	}
}

package workload

import (
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/memlog"
)

func TestWhatWasAcknowledgedMustStandWhereItWas(t *testing.T) {
	log := memlog.New(2, time.Now)
	for _, record := range []string{"a", "b", "b"} {
		if _, err := log.Append(t.Context(), 1, [][]byte{[]byte(record)}); err != nil {
			t.Fatal(err)
		}
	}
	at := func(shard domain.Shard, offset domain.Offset, record string) Acknowledged {
		return Acknowledged{domain.Position{Shard: shard, Offset: offset}, []byte(record)}
	}
	for name, c := range map[string]struct {
		acks    []Acknowledged
		reports int64
		says    string
	}{
		"all is there":     {[]Acknowledged{at(1, 0, "a"), at(1, 0, "a")}, 1, ""},
		"a copy will do":   {[]Acknowledged{at(1, 1, "b"), at(1, 2, "b")}, 1, ""},
		"another body":     {[]Acknowledged{at(1, 0, "c")}, 1, "lost: a report was acknowledged at intake 1/0"},
		"beyond the end":   {[]Acknowledged{at(1, 9, "a")}, 1, "lost: a report was acknowledged at intake 1/9"},
		"in another shard": {[]Acknowledged{at(0, 0, "a")}, 1, "lost: a report was acknowledged at intake 0/0"},
		"not all were":     {[]Acknowledged{at(1, 0, "a")}, 2, "reports acknowledged: 1, want 2"},
	} {
		t.Run(name, func(t *testing.T) {
			var wrong Findings
			w := &Workload{Want: Expected{Reports: c.reports}}
			copies, err := w.CheckIntake(t.Context(), &wrong, "this run", log, c.acks)
			if err != nil {
				t.Fatal(err)
			}
			said := strings.Join(wrong, "\n")
			if !strings.Contains(said, c.says) || c.says == "" && said != "" {
				t.Errorf("it says %q, want %q", said, c.says)
			}
			if copies != 1 {
				t.Errorf("it counts %d copies, want 1", copies)
			}
		})
	}
}

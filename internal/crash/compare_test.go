package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/eventstore/seglog"
)

func TestWhatWasAcknowledgedMustStandWhereItWasAndOnce(t *testing.T) {
	data := t.TempDir()
	log, err := seglog.Open(filepath.Join(data, "intake"), seglog.Options{Shards: 2, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range []string{"a", "b", "b"} {
		if _, err := log.Append(t.Context(), 1, [][]byte{[]byte(record)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	a := acknowledged{place{1, 0}, []byte("a")}
	for name, c := range map[string]struct {
		acks    []acknowledged
		reports int64
		says    string
	}{
		"all is there":           {[]acknowledged{a, a}, 1, ""},
		"another body":           {[]acknowledged{{place{1, 0}, []byte("c")}}, 1, "lost: a report was acknowledged at intake 1/0"},
		"beyond the end":         {[]acknowledged{{place{1, 9}, []byte("a")}}, 1, "lost: a report was acknowledged at intake 1/9"},
		"in another shard":       {[]acknowledged{{place{0, 0}, []byte("a")}}, 1, "lost: a report was acknowledged at intake 0/0"},
		"not all were":           {[]acknowledged{a}, 2, "reports acknowledged: 1, want 2"},
		"one stands there twice": {[]acknowledged{a}, 1, "a report stands 2 times in intake"},
	} {
		t.Run(name, func(t *testing.T) {
			var wrong findings
			o := &outcome{data: data, acks: c.acks, workload: &workload{want: expected{Reports: c.reports}}}
			if err := o.checkIntake(t.Context(), &wrong, "this run"); err != nil {
				t.Fatal(err)
			}
			said := strings.Join(wrong, "\n")
			if !strings.Contains(said, c.says) {
				t.Errorf("it says %q, want %q", said, c.says)
			}
			if c.says == "" && strings.Contains(said, "lost") {
				t.Errorf("it says %q of what is there", said)
			}
		})
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/workers/auditor"
)

func TestAnAuditLeavesHowItEnded(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "audit.prom")
	for _, c := range []struct {
		report auditor.Report
		passed bool
		says   []string
	}{
		{auditor.Report{}, true, []string{"filature_audit_passed 1\n", "filature_audit_offences 0\n", "filature_audit_last_timestamp_seconds 1.7e+09\n"}},
		{auditor.Report{Offences: make([]auditor.Offence, 3)}, false, []string{"filature_audit_passed 0\n", "filature_audit_offences 3\n"}},
	} {
		if err := writeAuditMetrics(name, &c.report, c.passed, time.Unix(1_700_000_000, 0)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.says {
			if !strings.Contains(string(text), want) {
				t.Errorf("want %q in\n%s", want, text)
			}
		}
	}
}

package main

import (
	"strings"
	"testing"
)

// TestAScoreIsWhatItsShownInputsGive takes a worker and a provider of the demo and multiplies by hand.
func TestAScoreIsWhatItsShownInputsGive(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	list := decoded[workersReport](t, invoke(t, "workers", "--data", folder, "--all", "--json").want(t, exitOK))
	provider := sharedDemo.result.Providers[0]
	for kind, id := range map[string]string{"worker": list.Workers[0].Worker.String(), "provider": provider.Provider.String()} {
		s := decoded[scored](t, invoke(t, "score", id, "--data", folder, "--json").want(t, exitOK))
		product := int64(1_000_000)
		for _, d := range s.Factors {
			if mean := d.GoodMicro * 1_000_000 / (d.GoodMicro + d.BadMicro); mean != d.MeanPPM {
				t.Errorf("%s: %+v, want a mean of %d", kind, d, mean)
			}
			product = product * d.MeanPPM / 1_000_000
		}
		if s.Kind != kind || s.ScorePPM != product || len(s.Factors) != 4 || len(s.Evidence) != 12 || len(s.Shards) == 0 || len(s.AsOf) != 5 ||
			(s.Trust != nil) != (kind == "worker") {
			t.Errorf("%s: %+v, want a score of %d", kind, s, product)
		}
		invoke(t, "score", id, "--data", folder).want(t, exitOK, kind+" "+id, "lambda", "dispute_lost", s.Policy.String(), "As of ledger")
	}
	invoke(t, "score", strings.Repeat("ab", 32), "--data", folder).want(t, exitNo, "not found")
	invoke(t, "score", "ab", "--data", folder).want(t, exitUsage, "64 hexadecimal digits")
}

func TestWorkersAreListedWithTheirAttestation(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	all := decoded[workersReport](t, invoke(t, "workers", "--data", folder, "--all", "--json").want(t, exitOK))
	here := decoded[workersReport](t, invoke(t, "workers", "--data", folder, "--json").want(t, exitOK))
	states := map[string]int{}
	for _, w := range all.Workers {
		states[w.Trust.State]++
		if (w.Retired != nil) != (w.Trust.State == "never_passed") || w.Provider == "" || w.HeldJobs != 0 {
			t.Errorf("%+v", w)
		}
	}
	if states["attested"] != 19 || states["never_passed"] != 1 || len(here.Workers) != 19 {
		t.Errorf("%v; %d have not retired", states, len(here.Workers))
	}
	invoke(t, "workers", "--data", folder).want(t, exitOK, here.Workers[0].Worker.String(), "attested", "As of ledger")
}

func TestTheMarketOfAModelIsThatOfAll(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	all := decoded[marketReport](t, invoke(t, "market", "--data", folder, "--json").want(t, exitOK))
	one := decoded[marketReport](t, invoke(t, "market", demoModels[0], "--data", folder, "--json").want(t, exitOK))
	var same []marketLine
	for _, line := range all.Hours {
		if line.ModelName == demoModels[0] {
			same = append(same, line)
		}
	}
	if len(same) == 0 || len(same) != len(one.Hours) || same[0] != one.Hours[0] || len(all.Hours) < len(demoModels) {
		t.Errorf("alone %+v, among all %+v", one.Hours, same)
	}
	invoke(t, "market", "--data", folder).want(t, exitOK, demoModels[3], "per million", "As of ledger")
	invoke(t, "market", "no/such-model", "--data", folder).want(t, exitNo, "no/such-model")
	invoke(t, "market", "--hours", "0", "--data", folder).want(t, exitUsage, "--hours 0")
}

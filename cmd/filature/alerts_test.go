package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// alertTests is promtool's format of tests.
type alertTests struct {
	RuleFiles          []string `yaml:"rule_files"`
	EvaluationInterval string   `yaml:"evaluation_interval"`
	Tests              []struct {
		Interval    string `yaml:"interval"`
		InputSeries []struct {
			Series string `yaml:"series"`
			Values string `yaml:"values"`
		} `yaml:"input_series"`
		AlertRuleTest []struct {
			Alert     string `yaml:"alertname"`
			EvalTime  string `yaml:"eval_time"`
			ExpAlerts []struct {
				Labels      map[string]string `yaml:"exp_labels"`
				Annotations map[string]string `yaml:"exp_annotations"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

// TestEachAlertFiresWhenItShouldAndIsQuietElse has Prometheus's own tool try the rules, and wants both to be tried of each.
func TestEachAlertFiresWhenItShouldAndIsQuietElse(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"check", "rules", "alerts.yml"},
		{"test", "rules", "alerts.test.yml"},
	} {
		promtool := exec.CommandContext(t.Context(), "promtool", args...)
		promtool.Dir = filepath.Join(rootFolder, "deploy")
		if said, err := promtool.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, said)
		}
	}

	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range strictly[alertTests](t, "deploy/alerts.test.yml").Tests {
		for _, series := range test.InputSeries {
			wantMetrics(t, "deploy/alerts.test.yml", series.Series, metricNames(t))
		}
		for _, one := range test.AlertRuleTest {
			if len(one.ExpAlerts) > 0 {
				fires[one.Alert] = true
			} else {
				quiet[one.Alert] = true
			}
		}
	}
	for _, rule := range strictly[alertsFile](t, "deploy/alerts.yml").Groups[0].Rules {
		if !fires[rule.Alert] || !quiet[rule.Alert] {
			t.Errorf("alert %s: fires is tried: %v, quiet is tried: %v", rule.Alert, fires[rule.Alert], quiet[rule.Alert])
		}
	}
}

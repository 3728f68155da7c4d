package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// The files that deploy Filature could not be run where they were written, so they are held to the program:
// what they call it with it parses, what they mount and name is there, what they watch it tells.

const rootFolder = "../.."

// composeFile is as much of Compose's format as ours uses; anything else is refused.
type composeFile struct {
	Services map[string]composeService `yaml:"services"`
	Networks map[string]struct {
		IPAM struct {
			Config []struct {
				Subnet string `yaml:"subnet"`
			} `yaml:"config"`
		} `yaml:"ipam"`
	} `yaml:"networks"`
	Volumes map[string]struct{} `yaml:"volumes"`
	// Shared holds what several services have in common, under names that begin with x-.
	Shared map[string]yaml.Node `yaml:",inline"`
}

type composeService struct {
	Build       string            `yaml:"build"`
	Image       string            `yaml:"image"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Ports       []string          `yaml:"ports"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Networks map[string]struct {
		Address string `yaml:"ipv4_address"`
	} `yaml:"networks"`
	Healthcheck *struct {
		Disable  bool     `yaml:"disable"`
		Test     []string `yaml:"test"`
		Interval string   `yaml:"interval"`
		Timeout  string   `yaml:"timeout"`
		Retries  int      `yaml:"retries"`
	} `yaml:"healthcheck"`
	Scale           int    `yaml:"scale"`
	StopGracePeriod string `yaml:"stop_grace_period"`
	Restart         string `yaml:"restart"`
}

// strictly decodes YAML and refuses keys that the type does not have.
func strictly[T any](t *testing.T, file string) (value T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(rootFolder, file))
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return value
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	file := strictly[composeFile](t, "docker-compose.yml")
	if len(file.Services) < 10 {
		t.Fatalf("docker-compose.yml has %d services only", len(file.Services))
	}
	for name := range file.Shared {
		if !strings.HasPrefix(name, "x-") {
			t.Errorf("docker-compose.yml: Compose knows no %s", name)
		}
	}
	return file
}

// ours are the services that run the program.
func (f composeFile) ours() map[string]composeService {
	ours := map[string]composeService{}
	for name, service := range f.Services {
		if service.Image == "filature" {
			ours[name] = service
		}
	}
	return ours
}

// onHost is where a path in a service's container is on the host, if it is mounted from there.
func (s composeService) onHost(inside string) (string, bool) {
	for _, volume := range s.Volumes {
		parts := strings.Split(volume, ":")
		if rest, within := strings.CutPrefix(inside, parts[1]); within && strings.HasPrefix(parts[0], "./") {
			return filepath.Join(rootFolder, parts[0], rest), true
		}
	}
	return "", false
}

// flagValue is what a command says behind a flag.
func flagValue(command []string, flag string) string {
	if at := slices.Index(command, flag); at >= 0 && at+1 < len(command) {
		return command[at+1]
	}
	return ""
}

func TestComposeRunsEachRoleOnceWithFlagsThatTheProgramHas(t *testing.T) {
	var ran []string
	for name, service := range readCompose(t).ours() {
		command := slices.Clone(service.Command)
		if file := flagValue(command, "--config"); file != "" {
			host, mounted := service.onHost(file)
			if !mounted {
				t.Errorf("%s: --config %s is not mounted", name, file)
			}
			command[slices.Index(command, "--config")+1] = host // so that the parser finds it
		}
		parser, err := kong.New(&program{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(command); err != nil {
			t.Errorf("%s: %v: %v", name, command, err)
		}
		if named := flagValue(command, "--role"); named != "" {
			if named != name {
				t.Errorf("%s runs the role %s", name, named)
			}
			ran = append(ran, named)
		}
	}
	slices.Sort(ran)
	var all []string
	for _, one := range everyRole {
		all = append(all, string(one))
	}
	slices.Sort(all)
	if !slices.Equal(ran, all) {
		t.Errorf("the roles that run are %v, want %v", ran, all)
	}
}

func TestComposeMountsAndDependsOnWhatIsThere(t *testing.T) {
	file := readCompose(t)
	used := map[string]bool{}
	for name, service := range file.Services {
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, "./") {
				if _, err := os.Stat(filepath.Join(rootFolder, source)); err != nil {
					t.Errorf("%s mounts %s: %v", name, source, err)
				}
				continue
			}
			used[source] = true
			if _, declared := file.Volumes[source]; !declared {
				t.Errorf("%s mounts the volume %s, which is not declared", name, source)
			}
		}
		for on, how := range service.DependsOn {
			other, there := file.Services[on]
			switch {
			case !there:
				t.Errorf("%s depends on %s, which is not there", name, on)
			case how.Condition == "service_healthy" && (other.Healthcheck == nil || other.Healthcheck.Disable):
				t.Errorf("%s waits until %s is healthy, which it never says", name, on)
			case how.Condition == "service_completed_successfully" && (other.Restart == "always" || other.Restart == "unless-stopped"):
				t.Errorf("%s waits until %s has ended, which is started again", name, on)
			}
		}
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s opens %s to more than this machine", name, port)
			}
		}
	}
	for volume := range file.Volumes {
		if !used[volume] {
			t.Errorf("the volume %s is nobody's", volume)
		}
	}
}

func TestComposesConfigMatchesItsServices(t *testing.T) {
	file := readCompose(t)
	c, err := loadConfig(filepath.Join(rootFolder, "deploy/filature.toml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	kafkaService := file.Services["kafka"]
	if want := "PLAINTEXT://" + c.Kafka.Brokers[0]; kafkaService.Environment["KAFKA_ADVERTISED_LISTENERS"] != want {
		t.Errorf("Kafka is known as %s, the config wants %s", kafkaService.Environment["KAFKA_ADVERTISED_LISTENERS"], want)
	}
	if c.Kafka.Replicas != 1 || kafkaService.Environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] != "false" {
		t.Errorf("there is one broker, and %d replicas; topics that Kafka makes by itself lose records", c.Kafka.Replicas)
	}
	database, err := url.Parse(string(c.Postgres.URL))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := database.User.Password()
	want := map[string]string{"POSTGRES_USER": database.User.Username(), "POSTGRES_PASSWORD": password, "POSTGRES_DB": strings.Trim(database.Path, "/")}
	if _, there := file.Services[database.Hostname()]; !there || !maps.Equal(file.Services["postgres"].Environment, want) {
		t.Errorf("PostgreSQL has %v, the config wants %v at %s", file.Services["postgres"].Environment, want, database.Host)
	}

	chain := file.Services["chain"]
	listen, address := flagValue(chain.Command, "--listen"), chain.Networks["default"].Address
	if host, port, err := net.SplitHostPort(listen); err != nil || host != address || !slices.Equal(chain.Healthcheck.Test[2:], []string{"-z", host, port}) {
		t.Errorf("the chain listens at %s, lives at %s, and is looked for by %v", listen, address, chain.Healthcheck.Test)
	}
	_, subnet, err := net.ParseCIDR(file.Networks["default"].IPAM.Config[0].Subnet)
	if err != nil || !subnet.Contains(net.ParseIP(address)) {
		t.Errorf("%s is not in the network %v", address, subnet)
	}
	if folder := flagValue(chain.Command, "--data"); string(c.TON.ConfigFile) != folder+"/global.config.json" {
		t.Errorf("the chain keeps its config in %s, ours looks at %s", folder, c.TON.ConfigFile)
	}
	if funded, _, _ := strings.Cut(flagValue(chain.Command, "--fund"), "="); funded != string(c.Keys.Dir)+"/treasury"+keySuffix {
		t.Errorf("the chain funds %s, the keys are in %s", funded, c.Keys.Dir)
	}
	// Whoever has keys or a chain to look at mounts them, and nobody else has the keys.
	for name, service := range file.ours() {
		mounts := strings.Join(service.Volumes, " ")
		one := role(flagValue(service.Command, "--role"))
		if speaks := len(keysOf(one)) > 0 || one == ""; speaks != strings.Contains(mounts, "keys:"+string(c.Keys.Dir)) {
			t.Errorf("%s mounts %s; needs keys: %v", name, mounts, speaks)
		}
		if looks := one == roleSettler || one == roleWatcher; looks && !strings.Contains(mounts, "chain:"+filepath.Dir(string(c.TON.ConfigFile))) {
			t.Errorf("%s looks at the chain and mounts %s", name, mounts)
		}
	}
}

func TestPortsAgree(t *testing.T) {
	c, err := loadConfig(filepath.Join(rootFolder, "deploy/filature.toml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(c.HTTP.Listen)
	if err != nil {
		t.Fatal(err)
	}
	for name, service := range readCompose(t).ours() {
		for _, opened := range service.Ports {
			if !strings.HasSuffix(opened, ":"+port) {
				t.Errorf("%s opens %s, and listens at %s", name, opened, c.HTTP.Listen)
			}
		}
	}
	dockerfile, err := os.ReadFile(filepath.Join(rootFolder, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"\nEXPOSE " + port + "\n", `"http://127.0.0.1:` + port + `/healthz"]`, `"--listen", "0.0.0.0:` + port + `"]`, "\nENTRYPOINT [\"filature\"]\n",
	} {
		if !strings.Contains(string(dockerfile), line) {
			t.Errorf("Dockerfile does not say %q", strings.TrimSpace(line))
		}
	}
}

func TestTheImagesFoldersAreThoseOfTheVolumes(t *testing.T) {
	dockerfile, err := os.ReadFile(filepath.Join(rootFolder, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for name, service := range readCompose(t).ours() {
		for _, volume := range service.Volumes {
			if parts := strings.Split(volume, ":"); !strings.HasPrefix(parts[0], "./") && !strings.Contains(string(dockerfile), " /out"+parts[1]+" "+parts[1]+"\n") {
				t.Errorf("%s mounts %s, whose owner would be root: Dockerfile makes no such folder", name, parts[1])
			}
		}
	}
}

// prometheusFile is as much of Prometheus's format as ours uses.
type prometheusFile struct {
	Global struct {
		ScrapeInterval string `yaml:"scrape_interval"`
		ScrapeTimeout  string `yaml:"scrape_timeout"`
	} `yaml:"global"`
	RuleFiles     []string `yaml:"rule_files"`
	ScrapeConfigs []struct {
		JobName string `yaml:"job_name"`
		DNS     []struct {
			Names           []string `yaml:"names"`
			Type            string   `yaml:"type"`
			Port            int      `yaml:"port"`
			RefreshInterval string   `yaml:"refresh_interval"`
		} `yaml:"dns_sd_configs"`
	} `yaml:"scrape_configs"`
}

func TestPrometheusAsksEachProcess(t *testing.T) {
	file := strictly[prometheusFile](t, "deploy/prometheus.yml")
	var timeout duration
	if err := timeout.UnmarshalText([]byte(file.Global.ScrapeTimeout)); err != nil || timeout.Duration <= scrapeTimeout {
		t.Errorf("Prometheus waits %s, a scrape may take %s", file.Global.ScrapeTimeout, scrapeTimeout)
	}
	dns := file.ScrapeConfigs[0].DNS[0]
	compose := readCompose(t)
	for _, one := range everyRole {
		if !slices.Contains(dns.Names, string(one)) {
			t.Errorf("nobody asks %s", one)
		}
	}
	for _, name := range dns.Names {
		if _, there := compose.Services[name]; !there {
			t.Errorf("%s is asked, and is not there", name)
		}
	}
	if dns.Port != 8420 || dns.Type != "A" {
		t.Errorf("asks at %s:%d", dns.Type, dns.Port)
	}
	for _, rules := range file.RuleFiles {
		if _, mounted := compose.Services["prometheus"].onHost("/etc/prometheus/" + rules); !mounted {
			t.Errorf("%s is not mounted", rules)
		}
	}
}

// alertsFile is Prometheus's format of rules.
type alertsFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

// grafana is what of Grafana's format is looked at here.
type grafana struct {
	Panels []struct {
		Type       string `json:"type"`
		Title      string `json:"title"`
		Datasource struct {
			UID string `json:"uid"`
		} `json:"datasource"`
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

var (
	metricPattern    = regexp.MustCompile(`\bfilature_[a-z_]+`)
	histogramPattern = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// wantMetrics fails where an expression asks for a metric that nobody tells, and returns those that it asks for.
func wantMetrics(t *testing.T, where, expression string, known []string) []string {
	t.Helper()
	asked := metricPattern.FindAllString(expression, -1)
	for i, name := range asked {
		asked[i] = name
		if !slices.Contains(known, name) {
			asked[i] = histogramPattern.ReplaceAllString(name, "")
		}
		if !slices.Contains(known, asked[i]) {
			t.Errorf("%s asks for %s, which is no metric of ours", where, name)
		}
	}
	if strings.Count(expression, "(") != strings.Count(expression, ")") || strings.Count(expression, "{") != strings.Count(expression, "}") {
		t.Errorf("%s: brackets of %s do not close", where, expression)
	}
	return asked
}

func TestAlertsAndDashboardAskForMetricsThatThereAre(t *testing.T) {
	known := metricNames(t)
	operations, err := os.ReadFile(filepath.Join(rootFolder, "docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	alerts := strictly[alertsFile](t, "deploy/alerts.yml").Groups[0].Rules
	if len(alerts) < 10 {
		t.Fatalf("there are %d alerts only", len(alerts))
	}
	for _, alert := range alerts {
		wantMetrics(t, "alert "+alert.Alert, alert.Expr, known)
		if alert.Annotations["summary"] == "" || !slices.Contains([]string{"page", "ticket"}, alert.Labels["severity"]) {
			t.Errorf("alert %s says nothing, or not to whom", alert.Alert)
		}
		if !strings.Contains(string(operations), "\n| `"+alert.Alert+"` | ") {
			t.Errorf("docs/operations.md does not say what to do about %s", alert.Alert)
		}
	}

	raw, err := os.ReadFile(filepath.Join(rootFolder, "deploy/grafana/dashboards/filature.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board grafana
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, panel := range board.Panels {
		if panel.Type != "row" && (panel.Datasource.UID != "prometheus" || len(panel.Targets) == 0) {
			t.Errorf("panel %s shows %v of %q", panel.Title, panel.Targets, panel.Datasource.UID)
		}
		for _, target := range panel.Targets {
			shown = append(shown, wantMetrics(t, "panel "+panel.Title, target.Expr, known)...)
		}
	}
	for _, name := range known {
		if !slices.Contains(shown, name) && !slices.Contains([]string{"filature_build_info", "filature_vault_paused"}, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

func TestGrafanaFindsItsDashboardAndItsData(t *testing.T) {
	type datasources struct {
		Version int `yaml:"apiVersion"` //nolint:tagliatelle // Grafana's name
		Sources []struct {
			Name, UID, Type, Access, URL string
			IsDefault                    bool `yaml:"isDefault"` //nolint:tagliatelle // Grafana's name
		} `yaml:"datasources"`
	}
	type providers struct {
		Version   int `yaml:"apiVersion"` //nolint:tagliatelle // Grafana's name
		Providers []struct {
			Name, Type string
			Options    struct{ Path string }
		} `yaml:"providers"`
	}
	compose := readCompose(t)
	grafana := compose.Services["grafana"]
	source := strictly[datasources](t, "deploy/grafana/provisioning/datasources/prometheus.yml").Sources[0]
	at, err := url.Parse(source.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := compose.Services[at.Hostname()]; !there || source.UID != "prometheus" {
		t.Errorf("the data is at %s, known as %s", source.URL, source.UID)
	}
	folder := strictly[providers](t, "deploy/grafana/provisioning/dashboards/filature.yml").Providers[0].Options.Path
	for _, inside := range []string{folder + "/filature.json", grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]} {
		host, mounted := grafana.onHost(inside)
		if _, err := os.Stat(host); !mounted || err != nil {
			t.Errorf("%s is not mounted (%v)", inside, err)
		}
	}
}

func TestOperationsExplainEachMetricAndEachTableOfTheConfig(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(rootFolder, "docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range metricNames(t) {
		if !strings.Contains(string(raw), "\n| `"+name+"`") {
			t.Errorf("docs/operations.md does not explain %s", name)
		}
	}
	for _, one := range everyRole {
		if !strings.Contains(string(raw), "\n| `"+string(one)+"` | ") {
			t.Errorf("docs/operations.md does not explain the role %s", one)
		}
	}
	tables := map[string]bool{"[webhooks]": true}
	for _, k := range defaultConfig().keys() {
		tables[k.path[:strings.LastIndexByte(k.path, '.')]] = true
	}
	for table := range tables {
		if !strings.Contains(string(raw), "`["+table+"]`") {
			t.Errorf("docs/operations.md does not explain [%s]", table)
		}
	}
}

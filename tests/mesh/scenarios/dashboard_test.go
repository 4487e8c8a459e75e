//go:build mesh

package scenarios

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"mooring.dev/tests/mesh/internal/envoy"
	"mooring.dev/tests/mesh/internal/process"
	"mooring.dev/tests/mesh/internal/scenario"
	"mooring.dev/tests/mesh/internal/traffic"
	"mooring.dev/tests/mesh/internal/wait"
)

// The dashboard and the alerts, with the real Prometheus.

func TestAlertsPassPromtool(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check", "rules", "alerts/mooring.yaml"}, {"test", "rules", "alerts/mooring_test.yaml"}} {
		args[2] = rig.Env.RepositoryFile(args[2])
		if code, output := runProgram("/dev/null", nil, rig.Env.Program("promtool"), args...); code != 0 {
			t.Errorf("promtool %q\n%s", args, output)
		}
	}
	// Each alert has a case in which it fires, a page that exists, and metrics that the documentation has. Another test compares those with the code.
	cases := readRepositoryFile(t, "alerts/mooring_test.yaml")
	metrics, names := readRepositoryFile(t, "docs/metrics.md"), regexp.MustCompile(`mooring_[a-z_]+`)
	for _, rule := range alertRules(t, moduleAlerts, controllerAlerts) {
		if !strings.Contains(cases, `alertname="`+rule.Alert+`"`) && !strings.Contains(cases, "alertname: "+rule.Alert+"\n") {
			t.Errorf("alerts/mooring_test.yaml has no case for %s", rule.Alert)
		}
		page, anchor, _ := strings.Cut(strings.TrimPrefix(rule.Annotations["runbook_url"], "https://github.com/mooring-dev/mooring/blob/main/"), "#")
		if anchors := anchorsOf(readRepositoryFile(t, page)); anchor != "" && !slices.Contains(anchors, anchor) {
			t.Errorf("%s: %s has no section %s", rule.Alert, page, anchor)
		}
		for _, name := range names.FindAllString(rule.Expr, -1) {
			if !strings.Contains(metrics, name) {
				t.Errorf("%s: docs/metrics.md has no %s", rule.Alert, name)
			}
		}
	}
}

// anchorsOf returns the anchors of a page's titles.
func anchorsOf(page string) (anchors []string) {
	for _, line := range strings.Split(page, "\n") {
		if title := strings.TrimLeft(line, "#"); title != line {
			anchors = append(anchors, strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-"))
		}
	}
	return anchors
}

type alertRule struct {
	Alert, Expr string
	Annotations map[string]string
}

// The groups of rules: those of the module, and those of the controller.
const moduleAlerts, controllerAlerts = "mooring", "mooring-controller"

// alertRules returns the rules of these groups, which must be all that there are.
func alertRules(t *testing.T, names ...string) (rules []alertRule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []alertRule
		}
	}
	if err := yaml.Unmarshal([]byte(readRepositoryFile(t, "alerts/mooring.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		if group.Name != moduleAlerts && group.Name != controllerAlerts {
			t.Errorf("alerts/mooring.yaml: no test knows the group %s", group.Name)
		}
		if slices.Contains(names, group.Name) {
			rules = append(rules, group.Rules...)
		}
	}
	if len(rules) < 5 {
		t.Fatalf("alerts/mooring.yaml: only %d rules in %q", len(rules), names)
	}
	return rules
}

// An expression is a query of a panel.
type expression struct{ panel, text string }

// dashboardExpressions returns the queries of all panels and variables, for any gateway.
func dashboardExpressions(t *testing.T) []expression {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal([]byte(readRepositoryFile(t, "dashboards/mooring.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	// Nothing is lost or moved here: the only event is that sessions begin.
	events := regexp.MustCompile(`mooring_event=~"[^"]*"`)
	replace := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*", "$route", ".*")
	var all []expression
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all = append(all, expression{panel.Title, events.ReplaceAllString(replace.Replace(target.Expr), `mooring_event="new"`)})
		}
	}
	for _, variable := range dashboard.Templating.List {
		inner := strings.TrimSuffix(strings.TrimPrefix(variable.Definition, "label_values("), ")")
		if i := strings.LastIndex(inner, ","); i > 0 {
			label := strings.TrimSpace(inner[i+1:])
			all = append(all, expression{"variable " + variable.Name, fmt.Sprintf(`count by (%[1]s) (%[2]s) and on (%[1]s) {%[1]s!=""}`, label, replace.Replace(inner[:i]))})
		}
	}
	return all
}

// A prometheus scrapes one gateway every second.
type prometheus struct{ address string }

func startPrometheus(t *testing.T, target *envoy.Envoy) *prometheus {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(rig.Env.RepositoryFile("alerts/mooring.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
- job_name: envoy
  metrics_path: /stats/prometheus
  static_configs: [{targets: ["%s:%d"]}]
`, rules, target.IP, target.Port)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &prometheus{address: fmt.Sprintf("127.0.0.1:%d", rig.Env.NextPort())}
	var program *process.Process
	program, err = rig.Env.Processes.Start(dir, "prometheus", []string{rig.Env.Program("prometheus"), "--config.file=" + file,
		"--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + p.address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(program.Kill)
	return p
}

// A sample is one element of the answer to a query.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// query returns the values of an expression. All errors are for the caller to wait out.
func (p *prometheus) query(text string) ([]sample, error) {
	response, err := http.PostForm("http://"+p.address+"/api/v1/query", url.Values{"query": {text}})
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []sample }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, wait.Permanent(fmt.Errorf("%s: %s", text, answer.Error))
	}
	return answer.Data.Result, nil
}

// annotations are those of a gateway's pod, from which Istio's agent makes Envoy's bootstrap: the labels, as docs/metrics.md has them, and
// none of the statistics that the rig asks for in addition, except those of listeners, by which it knows workers.
const annotations = `ISTIO_METAJSON_ANNOTATIONS={"ANNOTATIONS": {
	"sidecar.istio.io/extraStatTags": "mooring_route,mooring_backend,mooring_reason,mooring_event", "sidecar.istio.io/statsInclusionRegexps": "listener[.].*"}}`

// Every expression of the dashboard and of the module's alerts has a value in a Prometheus that scrapes an Envoy which Istio's agent has configured.
func TestDashboardAndAlertsHaveValues(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, "examples", scenario.WithExample("sticky-canary"), scenario.WithUniqueNamespace(),
		scenario.WithGatewayEnv(keys, annotations), scenario.WithIstioAgent())
	s.Mooring.Deploy(t, "--weight-metric")
	caller := s.From(t, scenario.FromGateway("web"))
	prom := startPrometheus(t, caller.Proxy())

	clients := []*traffic.Client{caller.ClientForHost(t, "shop.example"), caller.ClientForHost(t, "shop.example")}
	send := func() {
		for _, client := range clients {
			client.Get(t, "/")
			client.Get(t, "/", traffic.WithHeader("x-canary", "always"))
		}
		caller.ClientForHost(t, "shop.example").Get(t, "/")
	}
	all := dashboardExpressions(t)
	if len(all) < 40 {
		t.Errorf("only %d expressions in the dashboard", len(all))
	}
	for _, rule := range alertRules(t, moduleAlerts) {
		// Without the threshold, for which there is no value while all is well.
		text := rule.Expr
		for _, threshold := range []string{" > 0.05", " > 0"} {
			text = strings.TrimSuffix(strings.TrimSpace(text), threshold)
		}
		all = append(all, expression{"alert " + rule.Alert, text})
	}
	for _, e := range all {
		wait.Eventually(t, e.panel+": "+e.text, func() error {
			send()
			values, err := prom.query(e.text)
			if err == nil && len(values) == 0 {
				err = fmt.Errorf("no value")
			}
			return err
		})
	}
	t.Logf("%d expressions", len(all))
	expectLabels(t, prom)
	// Nothing is wrong here.
	alerts, err := prom.query(`ALERTS`)
	if err != nil || len(alerts) > 0 {
		t.Errorf("alerts: %v, %v", alerts, err)
	}
}

// expectLabels expects the rule, backends and reasons as labels.
func expectLabels(t *testing.T, prom *prometheus) {
	t.Helper()
	values, err := prom.query("mooring_backend_requests_total")
	if err != nil || len(values) == 0 {
		t.Fatal(values, err)
	}
	var reasons []string
	for _, value := range values {
		if value.Metric["mooring_route"] == "" || value.Metric["mooring_backend"] == "" {
			t.Errorf("labels: %v", value.Metric)
		}
		reasons = append(reasons, value.Metric["mooring_reason"])
	}
	slices.Sort(reasons)
	t.Logf("reasons: %q", slices.Compact(reasons))
}

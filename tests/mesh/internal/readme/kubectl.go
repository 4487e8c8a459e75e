package readme

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/scenario"
)

// play does what a call of kubectl or mooring asks for, and returns what it prints.
func (m *Terminal) play(c call) (string, error) {
	if c.program == "mooring" {
		return m.mooring(c.arguments)
	}
	flags, words, command := parse(c.arguments)
	if namespace := flags.last("namespace"); namespace != "" && namespace != m.s.Namespace {
		return "", fmt.Errorf("the scenario is in the namespace %s", m.s.Namespace)
	}
	if len(words) == 0 {
		return "", errors.New("no verb")
	}
	switch verb, words := words[0], words[1:]; verb {
	case "create":
		if len(flags["f"]) > 0 {
			return "", m.apply(flags["f"], c.input)
		}
		if !slices.Equal(words, []string{"namespace", m.s.Namespace}) {
			return "", fmt.Errorf("only the namespace %s can be created", m.s.Namespace)
		}
		return "", nil // the scenario has created it
	case "apply":
		return "", m.apply(flags["f"], c.input)
	case "exec":
		return m.exec(words, command)
	case "patch":
		return "", m.patch(words, flags)
	case "scale":
		return "", m.scale(words, flags)
	default:
		return "", errors.New("the rig does not play this")
	}
}

// flags are the values of each flag, by its name.
type flags map[string][]string

func (f flags) last(name string) string {
	if values := f[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// parse splits arguments into flags, of which each has a value, other words, and what follows "--".
func parse(arguments []string) (flags, []string, []string) {
	found, words := flags{}, []string{}
	for i := 0; i < len(arguments); i++ {
		argument := arguments[i]
		if argument == "--" {
			return found, words, arguments[i+1:]
		}
		name := strings.TrimLeft(argument, "-")
		if name == argument || i+1 == len(arguments) {
			words = append(words, argument)
			continue
		}
		i++
		found[name] = append(found[name], arguments[i])
	}
	return found, words, nil
}

// mooring runs the command on the scenario's cluster. The module is that of the rig.
func (m *Terminal) mooring(arguments []string) (string, error) {
	for i, argument := range arguments {
		if strings.HasPrefix(argument, "examples/") {
			arguments[i] = filepath.Join(m.root, argument)
		}
	}
	if i := slices.Index(arguments, "--wasm-sha256"); i >= 0 {
		arguments = slices.Delete(arguments, i, i+2)
	}
	if i := slices.Index(arguments, "--wasm"); i >= 0 {
		arguments[i+1] = m.s.Mooring.ModuleURL(m.t)
	}
	stdout, stderr, code := m.s.Mooring.Try(m.t, arguments...)
	m.t.Logf("mooring %s: exit code %d\n%s", strings.Join(arguments, " "), code, stderr)
	if code != 0 {
		return "", fmt.Errorf("exit code %d: %s", code, stderr)
	}
	return stdout, nil
}

// apply applies files and folders, or what `mooring generate` has printed.
func (m *Terminal) apply(files []string, input string) error {
	var items []any
	for _, file := range files {
		if file == "-" {
			if err := m.applyInput(input); err != nil {
				return err
			}
			continue
		}
		objects, err := m.read(file)
		if err != nil {
			return err
		}
		for _, obj := range objects {
			if err := m.replaceServers(obj); err != nil {
				return err
			}
			items = append(items, obj.Object)
		}
	}
	if len(items) == 0 {
		return nil
	}
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return err
	}
	m.s.Apply(m.t, string(list))
	return nil
}

// applyInput applies what mooring has printed: generated objects, or the Secret of `mooring keygen`.
func (m *Terminal) applyInput(input string) error {
	if strings.TrimSpace(input) == "" {
		return errors.New("nothing to apply")
	}
	if !strings.Contains(input, "kind: WasmPlugin") {
		m.s.Apply(m.t, input)
		return nil
	}
	generated := filepath.Join(m.dir, "generated.yaml")
	if err := os.WriteFile(generated, []byte(input), 0o644); err != nil {
		return err
	}
	m.s.Mooring.DeployFile(m.t, generated, "")
	return nil
}

func (m *Terminal) read(file string) ([]*kube.Object, error) {
	path := filepath.Join(m.root, file)
	if strings.HasSuffix(file, ".yaml") {
		return kube.ReadFile(path)
	}
	return kube.ReadDir(path)
}

// replaceServers gives a ServiceEntry the servers of the rig that stand for those outside the mesh: the pods of the Deployment of its
// name.
func (m *Terminal) replaceServers(obj *kube.Object) error {
	if obj.GetKind() != "ServiceEntry" {
		return nil
	}
	var endpoints []any
	for n := range 2 {
		endpoints = append(endpoints, map[string]any{"address": m.s.Pod(m.t, fmt.Sprintf("%s-%d", obj.GetName(), n)).IP})
	}
	spec, ok := obj.Object["spec"].(map[string]any)
	if !ok {
		return fmt.Errorf("%s has no spec", kube.Describe(obj))
	}
	spec["endpoints"] = endpoints
	return nil
}

// exec runs a command as in a pod with a sidecar: its curl connects to the sidecar.
func (m *Terminal) exec(words, command []string) (string, error) {
	deployment, ok := strings.CutPrefix(strings.Join(words, " "), "deploy/")
	if !ok || len(command) == 0 {
		return "", fmt.Errorf("exec %q: expected deploy/NAME -- COMMAND", words)
	}
	address, _, err := net.SplitHostPort(m.s.From(m.t, scenario.FromSidecar(deployment)).AddressFor("any.example"))
	if err != nil {
		return "", err
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		return "", err
	}
	m.script(deployment, "curl", fmt.Sprintf("#!/bin/sh\nexec %q --connect-to '::%s:' \"$@\"\n", curl, address))
	// By a shell, which finds the program on the new PATH.
	cmd := exec.Command("sh", append([]string{"-c", `exec "$@"`, "sh"}, command...)...)
	cmd.Env = append(os.Environ(), m.path(deployment))
	output, err := cmd.Output()
	return string(output), err
}

// patch changes an object as `kubectl patch` does.
func (m *Terminal) patch(words []string, flags flags) error {
	kinds := map[string][2]string{
		"virtualservice":  {"networking.istio.io/v1", "VirtualService"},
		"destinationrule": {"networking.istio.io/v1", "DestinationRule"},
		"httproute":       {"gateway.networking.k8s.io/v1", "HTTPRoute"},
	}
	if len(words) != 2 || kinds[words[0]][0] == "" {
		return fmt.Errorf("patch %q: expected KIND NAME", words)
	}
	kind, name := kinds[words[0]], words[1]
	body := []byte(flags.last("patch"))
	if file := flags.last("patch-file"); file != "" {
		var err error
		if body, err = os.ReadFile(filepath.Join(m.root, file)); err != nil {
			return err
		}
	}
	body, err := yaml.YAMLToJSON(body)
	if err != nil {
		return err
	}
	switch flags.last("type") {
	case "merge":
		m.s.Patch(m.t, kind[0], kind[1], name, string(body))
	case "json":
		m.s.PatchJSON(m.t, kind[0], kind[1], name, string(body))
	default:
		return fmt.Errorf("--type %q", flags.last("type"))
	}
	return nil
}

// scale sets the number of pods of Deployments.
func (m *Terminal) scale(words []string, flags flags) error {
	replicas, err := strconv.Atoi(flags.last("replicas"))
	if err != nil || len(words) < 2 || words[0] != "deployment" {
		return fmt.Errorf("scale %q: expected deployment NAME… --replicas N", words)
	}
	for _, name := range words[1:] {
		m.s.Pods.Scale(m.t, name, replicas)
	}
	return nil
}

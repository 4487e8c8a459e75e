//go:build mesh

package scenarios

import (
	"testing"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/readme"
)

// The roles and the admission policy of docs/tenancy.md, as kubectl and the API server see them.
func TestRolesAndAdmission(t *testing.T) {
	t.Parallel()
	c, err := rig.Clusters.Get(cluster.GatewayAPI15)
	if err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{"team-a", "edge"} {
		if err := c.Namespaces.Acquire(t.Name(), namespace, false); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Namespaces.Release(namespace) })
		if err := c.CreateNamespace(namespace); err != nil {
			t.Fatal(err)
		}
	}
	file := rig.Env.RepositoryFile("docs/tenancy.md")
	files, err := readme.Files(file)
	if err != nil {
		t.Fatal(err)
	}
	shell := readme.NewShell(t, rig.Env, c.Kubeconfig)
	shell.WriteFiles(files)
	commands, err := readme.Commands(file, "")
	if err != nil {
		t.Fatal(err)
	}
	shell.Run(commands)
	shell.Run([]readme.Command{{Text: "kubectl delete httproutes --all --namespace team-a"},
		{Text: "kubectl delete --filename deploy/rbac/roles.yaml --filename deploy/rbac/admission.yaml"}})
}

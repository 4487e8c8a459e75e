package rig

import (
	"os"
	"testing"

	"sigs.k8s.io/yaml"
)

// Verdict is what the API server with a Gateway API release says against the object of a file, in the namespace default and
// without keeping it; nil means that it would take it.
func Verdict(t testing.TB, release, file string) error {
	t.Helper()
	c, err := cluster(release)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.claims.claim(t, "default", false); err != nil {
		t.Fatal(err)
	}
	defer c.claims.release("default")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	obj := &Object{}
	// Strict, since kubectl tells of a key that stands twice before it asks the server.
	if err := yaml.UnmarshalStrict(text, &obj.Object); err != nil {
		return err
	}
	obj.SetNamespace("default")
	return c.kube.judge(obj)
}

//go:build mesh

package scenarios

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Every field of the output for each release of Istio exists in the definitions of that release, with a value that they allow. The
// clusters of the rig have the definitions of the newest release only.
func TestOutputFieldsForEachIstio(t *testing.T) {
	t.Parallel()
	for _, release := range []string{"1.28", "1.29", "1.30", "1.31"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			definitions := istioDefinitions(t, release)
			kinds := map[string]int{}
			for _, object := range everythingFor(t, release) {
				kind := object["apiVersion"].(string) + " " + object["kind"].(string)
				if definition, ok := definitions[kind]; ok {
					kinds[kind]++
					checkFields(t, object, definition)
				}
			}
			// A Gateway of Gateway API and one of Istio's own.
			if kinds["networking.istio.io/v1alpha3 EnvoyFilter"] != 2 || kinds["extensions.istio.io/v1alpha1 WasmPlugin"] != 2 {
				t.Errorf("compared: %v", kinds)
			}
		})
	}
}

// istioDefinitions returns the schemas of a release by "group/version Kind".
func istioDefinitions(t *testing.T, release string) map[string]*apiextensionsv1.JSONSchemaProps {
	t.Helper()
	name := filepath.Join(os.Getenv("MESH_CACHE"), "crds", "istio-api-"+release, "kubernetes/customresourcedefinitions.gen.yaml")
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	definitions := map[string]*apiextensionsv1.JSONSchemaProps{}
	for decoder := yaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		var definition apiextensionsv1.CustomResourceDefinition
		if err := decoder.Decode(&definition); err != nil {
			return definitions // the end; a file that is cut short has no definition of what comes last
		}
		for _, version := range definition.Spec.Versions {
			kind := definition.Spec.Group + "/" + version.Name + " " + definition.Spec.Names.Kind
			definitions[kind] = version.Schema.OpenAPIV3Schema
		}
	}
}

// everythingFor returns the output for an input that needs every field that the generator can write.
func everythingFor(t *testing.T, release string) []map[string]any {
	t.Helper()
	cmd := exec.Command(os.Getenv("MOORING"), "generate", "-f", "../../../generator/tests/data/everything.yaml", "-o", "json",
		"--wasm", "oci://registry.example/mooring:1", "--wasm-sha256", "0000000000000000000000000000000000000000000000000000000000000000",
		"--fail-strategy", "reload", "--istio-version", release)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func checkFields(t *testing.T, object map[string]any, definition *apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(definition, &internal, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(&internal)
	if err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range validation.ValidateCustomResource(nil, object, validator) {
		t.Error(err)
	}
	track := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object, structural, true, track) {
		t.Errorf("%s has no field %s", object["kind"], path)
	}
}

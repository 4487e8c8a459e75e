//! Texts that hold no manifest as they stand: what is said of them, and that nothing else is touched by them.

use std::{fs, path::PathBuf};

use super::generate_in;
use crate::common::{SHOP, generate, mooring, said, shop_with};
use snapbox::{IntoData as _, data::Inline, str};

/// A directory of a test with the shop and these files.
fn directory(name: &str, files: &[(&str, &str)]) -> PathBuf {
    super::directory(
        &format!("foreign_texts/{name}"),
        &[&[("shop.yaml", SHOP)], files].concat(),
    )
}

/// Asserts that the shop is generated beside these files, with this said, and that `--strict` refuses it or not.
#[track_caller]
fn beside_the_shop(name: &str, files: &[(&str, &str)], strict: bool, message: Inline) {
    let root = directory(name, files);
    let run = generate_in(&root, &["-f", "."]).code(0);
    assert_eq!(run.get_output().stdout, generate(SHOP).get_output().stdout);
    snapbox::assert_data_eq!(
        String::from_utf8_lossy(&run.get_output().stderr).into_owned(),
        message.raw()
    );
    let run = generate_in(&root, &["-f", ".", "--strict"]);
    if strict {
        let stderr = said(&run.code(1).stdout_eq(""));
        assert!(stderr.contains("error[Syntax]: "), "{stderr}");
    } else {
        run.code(0);
    }
}

/// A route as charts have it, in block style, with this in its rules.
const TEMPLATE: &str = "\
{{- if .Values.route.enabled }}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{ include \"shop.fullname\" . }}
spec:
  {{- toYaml .Values.route.spec | nindent 2 }}
{{- end }}
";

#[test]
fn a_chart_beside_manifests() {
    let chart = [
        ("charts/shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n"),
        ("charts/shop/values.yaml", "route:\n  enabled: true\n"),
        (
            "charts/shop/values-prod.yaml",
            "# for production\nroute: {enabled: false}\n",
        ),
        ("charts/shop/templates/route.yaml", TEMPLATE),
        (
            "charts/shop/templates/job.yaml",
            "kind: Job\napiVersion: batch/v1\nmetadata:\n  name: {{ .Release.Name }}-job\n",
        ),
    ];
    beside_the_shop(
        "chart",
        &chart,
        true,
        str![[r#"
note[Syntax]: this belongs to a Helm chart and holds no objects
 --> ./charts/shop/Chart.yaml:1:1
  |
1 | apiVersion: v2
  | ^^^^^^^^^^^^^^
  |
  = help: render the chart: helm template ./charts/shop | mooring generate -f -

note[Syntax]: this looks like a Helm template, which holds no objects until Helm renders it
 --> ./charts/shop/templates/job.yaml:4:9
  |
4 |   name: {{ .Release.Name }}-job
  |         ^^^^^^^^^^^^^^^^^^^
  |
  = help: render the chart: helm template ./charts/shop | mooring generate -f -

warning[Syntax]: this looks like a Helm template, which holds no objects until Helm renders it
 --> ./charts/shop/templates/route.yaml:1:1
  |
1 | {{- if .Values.route.enabled }}
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: render the chart: helm template ./charts/shop | mooring generate -f -

note[Syntax]: this belongs to a Helm chart and holds no objects
 --> ./charts/shop/values-prod.yaml:2:1
  |
2 | route: {enabled: false}
  | ^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: render the chart: helm template ./charts/shop | mooring generate -f -

note[Syntax]: this belongs to a Helm chart and holds no objects
 --> ./charts/shop/values.yaml:1:1
  |
1 | route:
  | ^^^^^^
  |
  = help: render the chart: helm template ./charts/shop | mooring generate -f -

read 5 objects (1 BackendLBPolicy, 1 Gateway, 1 HTTPRoute, 1 Service, 1 EndpointSlice), skipped 5 (3 Helm chart files, 2 Helm templates)

"#]],
    );
}

#[test]
fn a_template_in_which_an_object_may_be() {
    let quoted = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: '{{ .Values.name }}'\nspec: {}\n";
    for (name, template, place) in [
        ("whole", TEMPLATE, "a.yaml:1:1\n"),
        ("quoted", quoted, "a.yaml:4:10\n"),
        (
            "kind",
            "apiVersion: v1\nkind: \"{{ .Values.kind }}\"\nmetadata: {name: a}\n",
            "a.yaml:2:8\n",
        ),
        (
            "bare-kind",
            "apiVersion: v1\nkind: {{ .Values.kind }}\nmetadata: {name: a}\n",
            "a.yaml:2:7\n",
        ),
        (
            "json",
            "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {{ toJson .Values.meta }}}\n",
            "a.yaml:1:53\n",
        ),
        (
            "values",
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports: '{{ .Values.ports }}'\n",
            "a.yaml:5:11\n",
        ),
        (
            "list",
            "apiVersion: v1\nkind: List\nitems:\n{{ range .Values.x }}\n- {}\n{{ end }}\n",
            "a.yaml:4:1\n",
        ),
        (
            "jinja",
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ name }}\n",
            "a.yaml:4:9\n",
        ),
    ] {
        let root = directory(&format!("template-{name}"), &[("a.yaml", template)]);
        let run = generate_in(&root, &["-f", "shop.yaml", "a.yaml"]).code(0);
        let stderr = said(&run);
        assert!(
            stderr.starts_with("warning[Syntax]: this looks like a Helm template"),
            "{name}: {stderr}"
        );
        assert!(stderr.contains(place), "{name}: {stderr}");
        assert_eq!(stderr.matches("[Syntax]").count(), 1, "{name}: {stderr}");
        generate_in(&root, &["-f", "shop.yaml", "a.yaml", "--strict"])
            .code(1)
            .stdout_eq("");
        // Where there is nothing else, nothing is written.
        let alone = generate_in(&root, &["-f", "a.yaml"]).code(1).stdout_eq("");
        assert!(said(&alone).starts_with("error[Syntax]: this looks like a Helm template"));
    }
}

#[test]
fn braces_in_a_value_are_no_template() {
    let label = "  annotations: {note: 'set by {{ .Release.Name }}'}\nspec:\n  gatewayClassName";
    let run = generate(&shop_with("spec:\n  gatewayClassName", label)).code(0);
    assert_eq!(said(&run), "");
    let rules = "---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: a}\nspec:\n  summary: '{{ $labels.pod }}'\n";
    let run = generate(&format!("{SHOP}{rules}")).code(0);
    assert_eq!(said(&run), "");
}

#[test]
fn files_that_are_no_manifests() {
    let files = [
        (
            ".gitlab-ci.yml",
            "stages: [build]\nbuild:\n  script:\n  - !reference [.setup, script]\n",
        ),
        ("comments.yaml", "# apiVersion: v1\n---\n# kind: Service\n"),
        (
            "compose.yaml",
            "services:\n  web:\n    image: nginx\n    ports: ['80:80']\n",
        ),
        ("empty.yaml", ""),
        ("package.json", "{\"name\": \"shop\", \"version\": \"1.0.0\"}\n"),
        ("playbook.yml", "- hosts: all\n  tasks: []\n"),
        ("words.json", "[\"a\", \"b\"]\n"),
        (
            "workflow.yml",
            "name: CI\non: [push]\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n    - run: echo ${{ github.sha }}\n",
        ),
    ];
    beside_the_shop(
        "no-manifests",
        &files,
        true,
        str![[r#"
note[Syntax]: `./comments.yaml` is empty: it has no YAML document

warning[Syntax]: `./empty.yaml` is empty: it has no YAML document

note[Syntax]: this is not a Kubernetes object: it has neither `apiVersion` nor `kind`
 --> ./.gitlab-ci.yml:1:1
  |
1 | stages: [build]
  | ^^^^^^^^^^^^^^^

note[Syntax]: this is not a Kubernetes object: it has neither `apiVersion` nor `kind`
 --> ./compose.yaml:1:1
  |
1 | services:
  | ^^^^^^^^^

note[Syntax]: this is not a Kubernetes object: it has neither `apiVersion` nor `kind`
 --> ./package.json:1:1
  |
1 | {"name": "shop", "version": "1.0.0"}
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

note[Syntax]: this is not a Kubernetes object: it has neither `apiVersion` nor `kind`
 --> ./playbook.yml:1:1
  |
1 | - hosts: all
  | ^^^^^^^^^^^^

note[Syntax]: this is not a Kubernetes object: it has neither `apiVersion` nor `kind`
 --> ./words.json:1:1
  |
1 | ["a", "b"]
  | ^^^^^^^^^^

note[Syntax]: this is not a Kubernetes object: it has neither `apiVersion` nor `kind`
 --> ./workflow.yml:1:1
  |
1 | name: CI
  | ^^^^^^^^

read 5 objects (1 BackendLBPolicy, 1 Gateway, 1 HTTPRoute, 1 Service, 1 EndpointSlice), skipped 8 (6 other texts, 2 empty files)

"#]],
    );
}

#[test]
fn a_kustomization_and_its_patches() {
    let files = [
        ("base/kustomization.yaml", "resources:\n- route.yaml\n"),
        (
            "base/route.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
        ),
        (
            "prod/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../base]\nnamespace: prod\npatches:\n\
             - path: web.yaml\n- path: ./json.yaml\n  target: {kind: HTTPRoute}\n",
        ),
        // The route of the shop, a second time.
        (
            "prod/web.yaml",
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\nspec: {hostnames: [a.example.com]}\n",
        ),
        ("prod/json.yaml", "- {op: replace, path: /spec/hostnames, value: []}\n"),
    ];
    beside_the_shop(
        "kustomization",
        &files,
        true,
        str![[r#"
note[Syntax]: Mooring does not apply kustomizations; it reads the files themselves
 --> ./base/kustomization.yaml:1:1
  |
1 | resources:
  | ^^^^^^^^^^
  |
  = help: build it: kubectl kustomize ./base | mooring generate -f -

warning[Syntax]: Mooring does not apply kustomizations; it reads the files without these changes (namespace, patches)
 --> ./prod/kustomization.yaml:1:1
  |
1 | apiVersion: kustomize.config.k8s.io/v1beta1
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: build it: kubectl kustomize ./prod | mooring generate -f -

read 5 objects (1 BackendLBPolicy, 1 Gateway, 1 HTTPRoute, 1 Service, 1 EndpointSlice), skipped 5 (2 Kustomizations, 2 kustomize patches, 1 ConfigMap)

"#]],
    );
}

#[test]
fn patches_without_their_kustomization() {
    let head = "apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: BackendLBPolicy\nmetadata: {name: other}\n";
    for (file, text, needed) in [
        ("delete.yaml", format!("{head}$patch: delete\n"), true),
        (
            "nested.yaml",
            format!("{head}spec:\n  targetRefs:\n  - {{$patch: replace}}\n"),
            true,
        ),
        (
            "timeout-patch.yaml",
            format!("{head}spec:\n  sessionPersistence: {{absoluteTimeout: 1h}}\n"),
            true,
        ),
        (
            "patch.yaml",
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {trafficPolicy: {}}\n".to_owned(),
            true,
        ),
        (
            "operations.yaml",
            "- op: remove\n  path: /spec/hostnames\n".to_owned(),
            false,
        ),
        (
            "operations.json",
            "[{\"op\": \"remove\", \"path\": \"/spec/hostnames\"}]".to_owned(),
            false,
        ),
    ] {
        let root = directory(&format!("patch-{file}"), &[(file, &text)]);
        let run = generate_in(&root, &["-f", "shop.yaml", file]).code(0);
        let stderr = said(&run);
        let severity = if needed { "warning" } else { "note" };
        assert!(
            stderr.starts_with(&format!("{severity}[Syntax]: this looks like a kustomize patch")),
            "{file}: {stderr}"
        );
        let strict = generate_in(&root, &["-f", "shop.yaml", file, "--strict"]);
        strict.code(i32::from(needed));
    }
    // Such an object in another file is one with an error.
    let wrong = format!("{SHOP}---\n{head}spec:\n  sessionPersistence: {{absoluteTimeout: 1h}}\n");
    let run = generate(&wrong).code(3);
    let stderr = said(&run);
    assert!(
        stderr.starts_with("error[Invalid]: default/other has no targetRefs"),
        "{stderr}"
    );
}

#[test]
fn nothing_is_written_where_there_is_nothing_but_such_files() {
    for (file, text) in [
        ("values.yaml", "a: 1\n"),
        ("Chart.yaml", "apiVersion: v2\nname: a\n"),
        ("kustomization.yaml", "resources: [a.yaml]\n"),
        ("compose.yaml", "services: {}\n"),
        ("patch.json", "[{\"op\": \"remove\", \"path\": \"/spec\"}]"),
    ] {
        let root = directory(&format!("alone-{file}"), &[(file, text)]);
        let run = generate_in(&root, &["-f", file]).code(1).stdout_eq("");
        assert!(said(&run).starts_with("error[Syntax]: "), "{file}");
        mooring()
            .current_dir(&root)
            .args(["validate", "-f", file])
            .assert()
            .code(1);
    }
}

#[test]
fn stale_files_are_kept_while_a_template_may_hold_what_they_come_from() {
    let root = directory("stale", &[("a.yaml", TEMPLATE)]);
    generate_in(&root, &["-f", "shop.yaml", "--output-dir", "out"]).code(0);
    let stale = root.join("out/envoyfilter-other.yaml");
    let text = fs::read_to_string(root.join("out/envoyfilter-default-mooring-front-http.yaml")).unwrap();
    fs::write(&stale, text).unwrap();
    generate_in(&root, &["-f", "shop.yaml", "a.yaml", "--output-dir", "out"]).code(0);
    assert!(stale.exists());
    generate_in(&root, &["-f", "shop.yaml", "--output-dir", "out"]).code(0);
    assert!(!stale.exists());
}

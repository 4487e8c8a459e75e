//! Hosts and paths: types of paths, regular expressions, aliases, the default backend, and the host name for the backend.

use mooring_tests::Envoy;

use super::{Ingress, Versions, ask, host, migrated_yaml};

#[tokio::test]
async fn types_of_paths_regular_expressions_aliases_and_the_default_backend() {
    let versions = Versions::start().await;
    let types = Ingress::to("types", "stable").paths(&[
        ("/exact", "Exact", "canary"),
        ("/prefix", "Prefix", "canary"),
        ("/", "Prefix", "stable"),
    ]);
    let regex = Ingress::to("regex", "stable")
        .paths(&[
            ("/foo/.*/x", "ImplementationSpecific", "canary"),
            ("/foo/.*", "ImplementationSpecific", "stable"),
        ])
        .sticky()
        .with("use-regex", "true")
        .with("session-cookie-path", "/foo/bar");
    let alias = Ingress::to("alias", "canary").with("server-alias", "a1.example.com, a2.example.com");
    let vhost = Ingress::to("vhost", "stable").with("upstream-vhost", "inside.example.com");
    let default = Ingress::to("default", "canary").paths(&[("/api", "Prefix", "canary")]);
    let default = default.yaml().replace(
        "spec:\n",
        "spec:\n  defaultBackend: {service: {name: stable, port: {number: 80}}}\n",
    );
    let all = [types, regex, alias, vhost].map(|ingress| ingress.yaml());
    let yaml = format!("{}---\n{default}", all.join("---\n"));
    let envoy = Envoy::serve(&migrated_yaml(versions.services(), &yaml)).await;
    let client = envoy.client();
    for (name, path, expected) in [
        ("types", "/exact", "canary"),
        ("types", "/exact/x", "stable"),
        ("types", "/prefix", "canary"),
        ("types", "/prefix/x", "canary"),
        ("types", "/prefixx", "stable"),
        ("regex", "/foo/bar", "stable"),
        ("regex", "/FOO/bar", "stable"),
        ("regex", "/foo/bar/x", "canary"),
        ("alias", "/", "canary"),
        ("a1", "/", "canary"),
        ("a2", "/", "canary"),
        ("default", "/api", "canary"),
        ("default", "/", "stable"),
    ] {
        let reply = ask(&client, name, path, &[]).await;
        assert!(reply.pod().starts_with(expected), "{name}{path}: {reply:?}");
    }
    let cookies = ask(&client, "regex", "/foo/bar", &[]).await.set_cookies();
    assert_eq!(cookies[0].path(), Some("/foo/bar"));
    let nowhere = client.request("/bar").host(&host("regex")).send().await;
    assert_eq!(nowhere.status(), 404, "{nowhere:?}");
    let echo = ask(&client, "vhost", "/", &[]).await.echo();
    assert_eq!(echo.header("host"), [b"inside.example.com"]);
}

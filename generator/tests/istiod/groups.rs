//! The core group, which has an empty name.

use super::shop::said;

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{group: core, kind: Service, name: web, port: 80}]}]
---
";

const HELP: &str = "= help: write the core group as \"\"";

#[test]
fn a_backend_of_the_group_core_is_refused_with_a_hint() {
    let (unmanaged, status) = said(ROUTE);
    assert!(
        unmanaged.contains("note[Unsupported]: a backend must be a Service of the core group"),
        "{unmanaged}"
    );
    assert!(unmanaged.contains("--> <stdin>:16:"), "{unmanaged}");
    assert!(unmanaged.contains(HELP), "{unmanaged}");
    assert_eq!(status, Some(0));
    let managed = ROUTE.replacen("[{backendRefs", "[{sessionPersistence: {}, backendRefs", 1);
    let (managed, status) = said(&managed);
    assert!(
        managed.contains("error[Unsupported]: a backend must be a Service of the core group"),
        "{managed}"
    );
    assert!(managed.contains(HELP), "{managed}");
    assert_eq!(status, Some(3));
}

#[test]
fn a_target_of_the_group_core_is_refused_with_a_hint() {
    let policy = "apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackendTrafficPolicy\nmetadata: {name: p}\nspec:\n  \
                  targetRefs: [{group: core, kind: Service, name: web}]\n  sessionPersistence: {}\n";
    let (said, status) = said(&format!("{ROUTE}{policy}"));
    assert!(
        said.contains("error[Invalid]: a policy can target Services of the core group"),
        "{said}"
    );
    assert!(said.contains(HELP), "{said}");
    assert_eq!(status, Some(3));
}

#[test]
fn a_policy_reaches_a_backend_that_was_meant_to_be_a_service() {
    let policy = "apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackendTrafficPolicy\nmetadata: {name: p}\nspec:\n  \
                  targetRefs: [{group: '', kind: Service, name: web}]\n  sessionPersistence: {}\n";
    let (said, status) = said(&format!("{ROUTE}{policy}"));
    assert!(said.contains("error[Unsupported]: a backend must be"), "{said}");
    assert_eq!(status, Some(3));
}

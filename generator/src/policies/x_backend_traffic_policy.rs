//! `XBackendTrafficPolicy` (`gateway.networking.x-k8s.io/v1alpha1`; Gateway API 1.3 and later). Its `retryConstraint` is
//! left to Istio.

use super::{Policy, policy};
use crate::{api::policy::XBackendTrafficPolicySpec, diagnostic::Report, kind::Kind, resources::Item};

/// What the policy says.
pub fn read(item: &Item<XBackendTrafficPolicySpec>, report: &mut Report) -> Policy {
    policy(
        Kind::XBackendTrafficPolicy,
        item,
        &item.spec.target_refs,
        item.spec.session_persistence.as_ref(),
        report,
    )
}

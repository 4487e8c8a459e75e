//! `BackendLBPolicy` (`gateway.networking.k8s.io/v1alpha2`; Gateway API 1.1 and 1.2).

use super::{Policy, policy};
use crate::{api::policy::BackendLbPolicySpec, diagnostic::Report, kind::Kind, resources::Item};

/// What the policy says.
pub fn read(item: &Item<BackendLbPolicySpec>, report: &mut Report) -> Policy {
    policy(
        Kind::BackendLbPolicy,
        item,
        &item.spec.target_refs,
        item.spec.session_persistence.as_ref(),
        report,
    )
}

//! The Mooring controller: watches what the generator reads, applies what it writes, and reports the state of policies.
//!
//! | step | modules |
//! |---|---|
//! | watch the kinds that the generator reads, and the controller's own objects | [`watch`], into [`live`] and the planner |
//! | plan the objects that the cluster should have | [`plan`] |
//! | apply them, and remove those that no plan wants any more | [`apply`] |
//! | report the state of policies | [`status`] |
//! | create and rotate session keys | [`keys`], from [`pods`] |
//! | connect these steps | [`reconcile`] |
//!
//! Beside these, [`lease`] decides which replica writes, [`transport`] makes the clients of all parts, and [`serve`] answers the
//! kubelet and Prometheus from [`health`] and [`metrics`].

#![forbid(unsafe_code)]

pub mod apply;
pub mod cli;
pub mod health;
pub mod key;
pub mod keys;
pub mod lease;
pub mod live;
pub mod metrics;
pub mod owner;
pub mod plan;
pub mod planned_policy;
pub mod pods;
pub mod reconcile;
pub mod serve;
#[cfg(test)]
mod stand_in;
pub mod status;
pub mod transport;
pub mod watch;

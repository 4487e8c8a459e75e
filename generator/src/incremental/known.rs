//! What is known about a cluster: its objects, parsed, and what has changed since the last plan.

use std::collections::{BTreeMap, BTreeSet};

use super::{graph::Member, policies::Policies};
use crate::{
    api::{istio::ServiceEntrySpec, object::Object},
    cluster_domain::Istiod,
    diagnostic::{Diagnostic, Report},
    id::Id,
    kind::Kind,
    location::{DocumentOffset, FileId},
    mesh::Mesh,
    reads::{Changes, Reads},
    resources::Resources,
    source::{Coverage, Sources},
};

/// The `ServiceEntry` objects, in the order in which a run reads them.
pub type Entries = BTreeMap<String, (DocumentOffset, Object<ServiceEntrySpec>)>;

/// The objects of a cluster.
pub struct Known {
    /// Their texts.
    pub sources: Sources,
    /// The files of the objects, in the order in which a run reads them.
    pub files: BTreeMap<(Kind, String), FileId>,
    /// The objects of the files.
    pub at: BTreeMap<FileId, (Kind, Id)>,
    /// The files without an object.
    pub free: Vec<FileId>,
    /// The objects themselves.
    pub resources: Resources,
    /// The `ServiceEntry` objects, whose ports are merged.
    pub entries: Entries,
    /// What istiods say about the cluster domain.
    pub istiods: BTreeMap<(Kind, String), Istiod>,
    /// The `WasmPlugin`s that earlier runs have generated.
    pub plugins: BTreeMap<String, FileId>,
    /// The findings about objects that do not depend on others.
    pub own: BTreeMap<FileId, (Report, Option<Diagnostic>)>,
    /// The files that may hold any object.
    pub unknown: BTreeSet<FileId>,
    /// The Services and namespaces with waypoints.
    pub waypoints: BTreeSet<(Kind, Id)>,
    /// What the merge of delegates depends on.
    pub merged: Reads,
    /// What has changed since the last plan.
    pub pending: Pending,
    /// The session policies.
    pub policies: Policies,
    /// What the pods of each gateway depend on.
    pub gateways: BTreeMap<Member, Reads>,
    /// The routes that name listener sets.
    pub of_sets: BTreeSet<Member>,
    /// Whether there are callers or waypoints.
    pub with_mesh: bool,
    /// Whether objects that earlier plans have generated do not count.
    pub ignores_own: bool,
    /// The `VirtualService`s that delegate or may be delegates, at the last plan.
    pub roots: BTreeSet<Id>,
}

/// What has changed since the last plan.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is another reason to plan")]
pub struct Pending {
    /// What plans may have read.
    pub changes: Changes,
    /// The routes, gateways and canary policies.
    pub members: BTreeSet<Member>,
    /// The session policies.
    pub policies: BTreeSet<(Kind, Id)>,
    /// A Service.
    pub services: bool,
    /// A listener set.
    pub sets: bool,
    /// A `ServiceEntry`.
    pub entries: bool,
    /// A `VirtualService` that delegates or is a delegate.
    pub delegations: bool,
    /// What an istiod says about the cluster domain.
    pub domain: bool,
    /// A `WasmPlugin` of an earlier run.
    pub plugins: bool,
    /// Everything must be planned again.
    pub everything: bool,
}

impl Known {
    /// Knows no objects yet.
    pub fn new(mesh: Mesh, coverage: Coverage) -> Self {
        let sources = Sources::covering(coverage.clone());
        let mut resources = Resources::of_cluster(mesh);
        let ignores_own = coverage == Coverage::Everything;
        resources.coverage = coverage;
        Self {
            sources,
            files: BTreeMap::new(),
            at: BTreeMap::new(),
            free: Vec::new(),
            resources,
            entries: Entries::default(),
            istiods: BTreeMap::new(),
            plugins: BTreeMap::new(),
            own: BTreeMap::new(),
            unknown: BTreeSet::new(),
            waypoints: BTreeSet::new(),
            merged: Reads::default(),
            pending: Pending {
                everything: true,
                ..Pending::default()
            },
            policies: Policies::default(),
            gateways: BTreeMap::new(),
            of_sets: BTreeSet::new(),
            with_mesh: false,
            ignores_own,
            roots: BTreeSet::new(),
        }
    }
}

/// The member of the mesh itself, which is no object.
pub fn mesh_member() -> Member {
    (Kind::Pod, Id::new("", ""))
}

//! What is planned for one component: the routes, gateways and canary policies that must be planned together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    attachment::Attachments,
    diagnostic::Report,
    document::RawObjects,
    emit::{Output, istio},
    id::Id,
    ir::{Ir, ProxyGroup},
    kind::Kind,
    location::FileId,
    reads::{self, Read, Reads},
    resources::Resources,
    source::Sources,
    status::{Notices, PartialState, states_of},
    translate::{self, Notes, Scope},
    validate::Subjects,
};

use super::{notices::notices_of, policies::Policies};

/// The identity of a generated object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// The API group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectName {
    /// The name of a generated object.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        let text = |pointer: &str| {
            let text = output.value.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let version = text("/apiVersion");
        Self {
            group: version.split_once('/').map_or("", |(group, _)| group).to_owned(),
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
        }
    }
}

/// The plan of one component.
#[derive(Debug, Default)]
pub struct Part {
    /// The generated objects.
    pub outputs: BTreeMap<ObjectName, Arc<Output>>,
    /// The findings.
    pub report: Report,
    /// What is noted for all parts together.
    pub notes: Notes,
    /// The Services that a route leads to.
    pub backends: BTreeSet<Id>,
    /// The objects that rules with sessions or canaries depend on.
    pub dependencies: BTreeSet<(Kind, Id)>,
    /// The `WasmPlugin`s of the proxies with sessions or canaries.
    pub managed: BTreeSet<Id>,
    /// The namespaces of its proxies and of its routes.
    pub namespaces: BTreeSet<String>,
    /// Whether two of its objects had the same name.
    pub has_namesakes: bool,
    /// The states of the policies on its proxies, until they are kept.
    pub states: BTreeMap<(Kind, Id), PartialState>,
    /// What is found about each object, until it is kept.
    pub notices: Notices,
    /// The weights of the backends in its rules with sessions or canaries.
    pub weights: Weights,
    /// What the plan depends on.
    pub reads: Reads,
}

/// The weights of backends, by the identity of the rule and the key of the backend.
pub type Weights = BTreeMap<(String, String), u32>;

/// What the plan of every component depends on.
#[derive(Clone, Copy)]
pub struct Input<'i> {
    /// The objects.
    pub resources: &'i Resources,
    /// Their texts.
    pub sources: &'i Sources,
    /// The policies of Services.
    pub policies: &'i Policies,
    /// The objects of the files.
    pub objects: &'i BTreeMap<FileId, (Kind, Id)>,
    /// The options of the target.
    pub options: &'i istio::Options,
}

impl Part {
    /// Plans a component.
    pub fn plan(scope: &Scope, input: Input) -> Self {
        let (mut part, reads) = reads::record(|| Self::unrecorded(scope, input));
        part.reads = reads;
        part
    }

    fn unrecorded(scope: &Scope, input: Input) -> Self {
        let Input {
            resources,
            sources,
            policies,
            objects,
            options,
        } = input;
        let attachments = Attachments::kept(policies.attached());
        let mut report = Report::default();
        let mut part = translate::part(resources, &attachments, scope, &mut report);
        let raw = RawObjects::new(sources);
        let outputs = istio::objects(&mut part.ir, resources, &raw, options, &mut report);
        let count = outputs.len();
        let outputs: BTreeMap<ObjectName, Arc<Output>> = outputs
            .into_iter()
            .map(|output| (ObjectName::of(&output), Arc::new(output)))
            .collect();
        let mut of_policies: BTreeSet<&(Kind, Id)> = BTreeSet::new();
        for service in &part.backends {
            reads::note(Read::Attachment(service));
            of_policies.extend(policies.targeting(service));
        }
        let of_policies: Vec<_> = of_policies
            .into_iter()
            .filter_map(|key| policies.with_findings(key))
            .collect();
        let mut all = report.clone();
        for (_, found, _) in &of_policies {
            all.extend(found.clone());
        }
        let subjects = Subjects {
            policies: of_policies.iter().map(|(policy, ..)| *policy).collect(),
            canaries: scope.canaries.iter().collect(),
            concerns: &|service| part.backends.contains(service),
        };
        let named = outputs.values().map(Arc::as_ref);
        let states = states_of(&subjects, &part.ir, resources, &attachments, named, &all);
        let managed = part.ir.proxies.iter().filter(|group| group.is_managed());
        let routes = scope.routes.iter().map(|(_, id)| id.namespace.clone());
        let proxies = part.ir.proxies.iter().map(|group| group.namespace().to_owned());
        Self {
            has_namesakes: count != outputs.len(),
            outputs,
            namespaces: routes.chain(proxies).collect(),
            managed: managed.map(ProxyGroup::object_id).collect(),
            report,
            notes: part.notes,
            backends: part.backends,
            dependencies: part.dependencies,
            states,
            notices: notices_of(&all, objects),
            weights: weights(&part.ir),
            reads: Reads::default(),
        }
    }

    /// Keeps the objects of an earlier plan that are the same, so that others see that they are.
    pub fn keep(&mut self, earlier: &BTreeMap<ObjectName, Arc<Output>>) {
        for (name, output) in &mut self.outputs {
            if let Some(before) = earlier.get(name)
                && before == output
            {
                *output = Arc::clone(before);
            }
        }
    }
}

fn weights(ir: &Ir) -> Weights {
    let rules = ir.proxies.iter().flat_map(ProxyGroup::managed_rules);
    rules
        .flat_map(|attached| {
            let rule = &attached.rule;
            rule.backends
                .iter()
                .map(|backend| ((rule.id.clone(), backend.key()), backend.weight))
        })
        .collect()
}

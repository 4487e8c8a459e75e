//! Which routes, gateways and canary policies must be planned together: those that are connected by an object that they name or by
//! pods that they share.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{id::Id, ir::Workload, kind::Kind};

/// A route, a gateway or a canary policy.
pub type Member = (Kind, Id);

/// What connects members.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// A route or a gateway, whether it exists or not.
    Object(Kind, Id),
    /// The pods of gateways.
    Pods(Workload),
    /// The callers and the waypoints. All routes of the mesh are planned together.
    Mesh,
}

/// The number of a component.
pub type ComponentId = u64;

/// The members with their components.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: HashMap<Member, BTreeSet<Node>>,
    members: HashMap<Node, BTreeSet<Member>>,
    component_of: HashMap<Member, ComponentId>,
    components: BTreeMap<ComponentId, BTreeSet<Member>>,
    next: ComponentId,
}

/// What became of the components.
#[derive(Debug, Default)]
pub struct Regrouped {
    /// The components that no longer exist.
    pub gone: BTreeSet<ComponentId>,
    /// The components that are new.
    pub new: BTreeSet<ComponentId>,
}

impl Graph {
    /// The component of a member.
    pub fn component_of(&self, member: &Member) -> Option<ComponentId> {
        self.component_of.get(member).copied()
    }

    /// The members of a component.
    pub fn members(&self, component: ComponentId) -> impl Iterator<Item = &Member> {
        self.components.get(&component).into_iter().flatten()
    }

    /// Sets what connects each of these members to others. None: the member is gone. The components of these members and of those
    /// that they are connected to are made again, unless nothing about the connections changes.
    pub fn update(&mut self, changed: Vec<(Member, Option<BTreeSet<Node>>)>) -> Regrouped {
        let mut touched = BTreeSet::new();
        let mut loose = BTreeSet::new();
        for (member, nodes) in changed {
            if self.nodes.get(&member) == nodes.as_ref() {
                continue;
            }
            self.disconnect(&member);
            touched.extend(self.component_of.remove(&member));
            let Some(nodes) = nodes else { continue };
            for node in &nodes {
                self.members.entry(node.clone()).or_default().insert(member.clone());
            }
            self.nodes.insert(member.clone(), nodes);
            loose.insert(member);
        }
        let nodes = loose.iter().filter_map(|member| self.nodes.get(member)).flatten();
        let neighbours = nodes.filter_map(|node| self.members.get(node)).flatten();
        touched.extend(neighbours.filter_map(|member| self.component_of(member)));
        self.regroup(touched, loose)
    }

    fn disconnect(&mut self, member: &Member) {
        for node in self.nodes.remove(member).unwrap_or_default() {
            if let Some(members) = self.members.get_mut(&node) {
                members.remove(member);
                if members.is_empty() {
                    self.members.remove(&node);
                }
            }
        }
    }

    /// Makes new components of the members of these components, and of these members.
    fn regroup(&mut self, gone: BTreeSet<ComponentId>, mut pool: BTreeSet<Member>) -> Regrouped {
        for component in &gone {
            let members = self.components.remove(component).unwrap_or_default();
            pool.extend(members.into_iter().filter(|member| self.nodes.contains_key(member)));
        }
        let mut new = BTreeSet::new();
        while let Some(first) = pool.pop_first() {
            self.next = self.next.saturating_add(1);
            let component = self.next;
            let mut found = BTreeSet::new();
            let mut seen: BTreeSet<&Node> = BTreeSet::new();
            let mut ahead = vec![first];
            while let Some(member) = ahead.pop() {
                for node in self
                    .nodes
                    .get(&member)
                    .into_iter()
                    .flatten()
                    .filter(|node| seen.insert(node))
                {
                    let beside = self.members.get(node).into_iter().flatten();
                    ahead.extend(beside.filter_map(|member| pool.take(member)));
                }
                found.insert(member);
            }
            for member in &found {
                self.component_of.insert(member.clone(), component);
            }
            self.components.insert(component, found);
            new.insert(component);
        }
        Regrouped { gone, new }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, gateways: &[&str]) -> (Member, Option<BTreeSet<Node>>) {
        let nodes = gateways
            .iter()
            .map(|gateway| Node::Object(Kind::Gateway, Id::new("edge", gateway)));
        ((Kind::HttpRoute, Id::new("shop", name)), Some(nodes.collect()))
    }

    fn groups(graph: &Graph) -> BTreeSet<Vec<String>> {
        let names = |members: &BTreeSet<Member>| members.iter().map(|(_, id)| id.name.clone()).collect();
        graph.components.values().map(names).collect()
    }

    #[test]
    fn members_are_in_one_component_as_long_as_something_connects_them() {
        let mut graph = Graph::default();
        graph.update(vec![route("a", &["x"]), route("b", &["y"]), route("c", &["z"])]);
        assert_eq!(
            groups(&graph),
            [vec!["a".into()], vec!["b".into()], vec!["c".into()]].into()
        );
        let regrouped = graph.update(vec![route("b", &["x", "y"])]);
        assert_eq!((regrouped.gone.len(), regrouped.new.len()), (2, 1));
        assert_eq!(groups(&graph), [vec!["a".into(), "b".into()], vec!["c".into()]].into());
        let regrouped = graph.update(vec![route("b", &["x", "y"])]);
        assert!(regrouped.gone.is_empty() && regrouped.new.is_empty());
        graph.update(vec![route("d", &["y", "z"])]);
        assert_eq!(groups(&graph).len(), 1);
        graph.update(vec![((Kind::HttpRoute, Id::new("shop", "b")), None)]);
        assert_eq!(groups(&graph), [vec!["a".into()], vec!["c".into(), "d".into()]].into());
    }
}

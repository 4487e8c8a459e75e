//! The generated objects that make a rule effective on a group of proxies.

use std::collections::BTreeSet;

use crate::{
    emit::Output,
    id::Id,
    ir::{ProxyGroup, Rule},
};

use super::state::ObjectName;

/// The names of the generated objects.
pub struct Objects<'a>(BTreeSet<(&'a str, &'a str, &'a str)>);

impl<'a> Objects<'a> {
    /// Indexes the outputs.
    pub fn new(outputs: impl Iterator<Item = &'a Output>) -> Self {
        let text = |output: &'a Output, path: &str| output.value.pointer(path)?.as_str();
        let names = outputs.filter_map(|output| {
            let namespace = text(output, "/metadata/namespace")?;
            Some((text(output, "/kind")?, namespace, text(output, "/metadata/name")?))
        });
        Self(names.collect())
    }

    /// The `WasmPlugin` and `EnvoyFilter`s of the proxies, and the session routes of the rule.
    pub fn of(&self, group: &ProxyGroup, rule: &Rule) -> BTreeSet<ObjectName> {
        let plugin = group.object_id();
        let mut objects = BTreeSet::from([object("WasmPlugin", &plugin.namespace, &plugin.name)]);
        // The EnvoyFilter of a waypoint is in another namespace than its WasmPlugin.
        let first = format!("{}-http", plugin.name);
        let range = ("EnvoyFilter", group.namespace(), first.as_str())..;
        let filters = self.0.range(range).take_while(|(kind, namespace, name)| {
            (*kind, *namespace) == ("EnvoyFilter", group.namespace()) && name.starts_with(&first)
        });
        let filters = filters.filter(|(_, _, name)| is_numbered(name, &first));
        objects.extend(filters.map(|(kind, namespace, name)| object(kind, namespace, name)));
        let (kind, namespace) = (rule.route.spec.kind.to_string(), &rule.route.id.namespace);
        let routes = (1..=rule.session_route_objects()).map(|number| rule.session_routes(number));
        objects.extend(routes.map(|name| object(&kind, namespace, &name)));
        objects
    }
}

/// Whether a name is the first one, or the first one with a number.
fn is_numbered(name: &str, first: &str) -> bool {
    let Some(rest) = name.strip_prefix(first) else {
        return false;
    };
    rest.is_empty()
        || rest
            .strip_prefix('-')
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn object(kind: &str, namespace: &str, name: &str) -> ObjectName {
    ObjectName {
        kind: kind.to_owned(),
        id: Id::new(namespace, name),
    }
}

#[cfg(test)]
mod tests {
    use super::is_numbered;

    #[test]
    fn objects_of_other_gateways_do_not_count() {
        for (name, expected) in [
            ("mooring-front-http", true),
            ("mooring-front-http-2", true),
            ("mooring-front-http-2-http", false),
            ("mooring-front-http-http", false),
            ("mooring-front-http2", false),
            ("mooring-front-http-", false),
        ] {
            assert_eq!(is_numbered(name, "mooring-front-http"), expected, "{name}");
        }
    }
}

//! The configuration of the module that decides: that of a `WasmPlugin` in the input, or the one that would be generated.

use std::collections::BTreeSet;

use mooring_policy::config::{Config, RuleConfig};

use super::{
    config_source::{ConfigSource, Unusable},
    explanation::{Configuration, Location, Source},
    subject::Subject,
};
use crate::{
    document::{Applied, AppliedPlugin},
    emit::VERSION,
    ir::{ProxyGroup, Rule},
    simulate::VirtualHost,
    source::Sources,
};

/// The configuration of a group, where it comes from, and why the one that the proxies run cannot be used.
pub fn select(
    group: &ProxyGroup,
    applied: &Applied,
    source: ConfigSource,
    sources: &Sources,
) -> (Config, Configuration, Option<Unusable>) {
    let plugin = plugin_of(group, applied).filter(|_| source != ConfigSource::Generated);
    let Some(plugin) = plugin else {
        let missing = (source == ConfigSource::Applied)
            .then(|| Unusable::NotApplied(group.object_id().to_string(), group.title()));
        return (group.config(), Configuration::generated(), missing);
    };
    let location = Location::new(plugin.location, sources);
    let configuration = Configuration {
        source: Source::Applied,
        wasm_plugin: Some(plugin.id.to_string()),
        location: Some(location.clone()),
        release: plugin.release.clone(),
        differences: Vec::new(),
    };
    match &plugin.config {
        Ok(config) => (config.clone(), configuration, None),
        Err(reason) => {
            let problem = Unusable::Unreadable {
                location: location.to_string(),
                plugin: plugin.id.to_string(),
                release: plugin.release.clone(),
                reason: reason.clone(),
            };
            (group.config(), configuration, Some(problem))
        }
    }
}

/// The plugin of a group among those of the input.
fn plugin_of<'p>(group: &ProxyGroup, applied: &'p Applied) -> Option<&'p AppliedPlugin> {
    let id = group.object_id();
    applied.plugins.iter().find(|plugin| plugin.id == id)
}

/// How the applied configuration of a rule differs from the one that would be generated.
pub fn differences(subject: &Subject, rule: &Rule, host: Option<&VirtualHost>) -> Vec<String> {
    if subject.configuration.source != Source::Applied {
        return Vec::new();
    }
    let mut found = Vec::new();
    if let Some(release) = subject
        .configuration
        .release
        .as_deref()
        .filter(|release| *release != VERSION)
    {
        found.push(format!("mooring {release} generated it, and this is mooring {VERSION}"));
    }
    let generated = subject.group().config();
    let of_rule =
        |config: &Config| -> Vec<RuleConfig> { config.rules.iter().filter(|one| one.id == rule.id).cloned().collect() };
    match (of_rule(&subject.config).as_slice(), of_rule(&generated).as_slice()) {
        ([], []) => {}
        ([], [_, ..]) => found.push(format!("it lacks the rule {}, which would be generated", rule.id)),
        ([_, ..], []) => found.push(format!("it has the rule {}, which would not be generated", rule.id)),
        (runs, wanted) => {
            let pairs = runs.iter().zip(wanted);
            let fields: BTreeSet<&str> = pairs
                .flat_map(|(runs, wanted)| fields(runs, wanted, host, subject))
                .collect();
            found.extend(
                fields
                    .iter()
                    .map(|field| format!("another {field} of the rule {} would be generated", rule.id)),
            );
            if canary_of(&subject.config, runs) != canary_of(&generated, wanted) {
                found.push(format!("other canary rules of the rule {} would be generated", rule.id));
            }
        }
    }
    let others = other_rules(&subject.config, &generated, &rule.id);
    match others {
        0 => {}
        1 => found.push("it differs in another rule too".to_owned()),
        several => found.push(format!("it differs in {several} other rules too")),
    }
    found
}

/// The fields of a rule that differ.
fn fields(runs: &RuleConfig, wanted: &RuleConfig, host: Option<&VirtualHost>, subject: &Subject) -> Vec<&'static str> {
    let mut fields = Vec::new();
    let keys = |rule: &RuleConfig| -> Vec<String> { rule.backends.iter().map(|backend| backend.key.clone()).collect() };
    if runs.session != wanted.session {
        fields.push("session");
    }
    if keys(runs) != keys(wanted) {
        fields.push("list of backends");
    } else if runs.backends != wanted.backends {
        fields.push("weight or release of backends");
    }
    if runs.route != wanted.route {
        fields.push("route name");
    }
    let name = host.map(|host| subject.group().virtual_host_name(&host.host));
    if name.is_some_and(|name| runs.virtual_hosts.contains(&name) != wanted.virtual_hosts.contains(&name)) {
        fields.push("virtual host");
    }
    fields
}

/// The canary of the first of these rules, with the backends of its match rules.
fn canary_of(config: &Config, rules: &[RuleConfig]) -> Option<String> {
    let rule = rules.first()?;
    let used = rule.canary.as_ref()?;
    let canary = config.canaries.get(used.position)?;
    let backends: Vec<Option<&str>> = used
        .backends
        .iter()
        .map(|position| {
            position
                .and_then(|position| rule.backends.get(position))
                .map(|backend| backend.key.as_str())
        })
        .collect();
    Some(format!("{canary:?} {backends:?}"))
}

/// The number of other rules that differ.
fn other_rules(runs: &Config, wanted: &Config, except: &str) -> usize {
    let ids: BTreeSet<&str> = [runs, wanted]
        .iter()
        .flat_map(|config| &config.rules)
        .map(|rule| rule.id.as_str())
        .collect();
    let differs = |id: &&str| {
        let of = |config: &'_ Config| -> Vec<(RuleConfig, Option<String>)> {
            let rules = config.rules.iter().filter(|rule| rule.id == *id);
            let plain = |rule: &RuleConfig| RuleConfig {
                canary: None,
                ..rule.clone()
            };
            rules
                .map(|rule| (plain(rule), canary_of(config, std::slice::from_ref(rule))))
                .collect()
        };
        of(runs) != of(wanted)
    };
    ids.into_iter().filter(|id| *id != except).filter(differs).count()
}

/// Whether the `EnvoyFilter`s of the input leave the module off in a virtual host. Without an `EnvoyFilter` of the proxies in the
/// input that is unknown, and the module counts as on.
pub fn is_off(subject: &Subject, host: Option<&VirtualHost>, applied: &Applied) -> bool {
    let group = subject.group();
    // Filters on waypoints are enabled by filter chain.
    let Some(host) = host.filter(|_| subject.configuration.source == Source::Applied && group.waypoint().is_none())
    else {
        return false;
    };
    let id = group.object_id();
    let prefix = format!("{}-", id.name);
    let own = applied
        .filters
        .iter()
        .filter(|filter| filter.id.namespace == id.namespace && filter.id.name.starts_with(&prefix));
    let mut enabled = own.map(|filter| &filter.virtual_hosts).peekable();
    let name = group.virtual_host_name(&host.host);
    enabled.peek().is_some() && !enabled.any(|hosts| hosts.contains(&name))
}

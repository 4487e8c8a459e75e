//! Which pods lack session keys, as their Deployments say.

use mooring_generator::ir::Workload;
use mooring_policy::keys::ENVIRONMENT_VARIABLE;

use crate::{
    live::{Live, LivePods},
    pods::KeySource,
    status::Keys,
};

/// The Deployments, `DaemonSet`s and `StatefulSet`s that the watches show.
#[derive(Clone, Debug)]
pub struct LiveKeys(LivePods);

impl LiveKeys {
    /// Those of these objects.
    #[must_use]
    pub fn new(live: &Live) -> Self {
        Self(live.lock().pods.clone())
    }
}

impl Keys for LiveKeys {
    fn missing(&self, pods: &Workload) -> Option<String> {
        // The status writer holds the lock of the other objects.
        let live = self.0.lock();
        let mut selected = live.iter().filter(|(key, found)| {
            key.namespace().is_some_and(|namespace| pods.is_in(namespace)) && found.have(&pods.labels)
        });
        let (key, _) = selected.find(|(_, found)| found.keys == KeySource::None)?;
        Some(format!(
            "the container istio-proxy of {key} does not set {ENVIRONMENT_VARIABLE}, so its pods keep no sessions"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use mooring_generator::id::Id;

    use super::*;
    use crate::{
        key::{Key, KindName},
        pods::Pods,
    };

    #[test]
    fn only_pods_of_the_gateway_without_keys_are_named() {
        let live = Live::default();
        let add = |namespace: &str, name: &str, keys: KeySource| {
            let key = Key::new(KindName::find("apps", "Deployment").unwrap(), Some(namespace), name);
            let pods = Pods {
                labels: BTreeMap::from([("gateway.networking.k8s.io/gateway-name".to_owned(), "web".to_owned())]),
                keys,
                ring: None,
                is_rolled_out: true,
            };
            live.lock().pods.lock().insert(key, Arc::new(pods));
        };
        let missing = || LiveKeys::new(&live).missing(&Workload::for_gateway(&Id::new("edge", "web")));
        assert_eq!(missing(), None, "nothing is known");
        add("other", "web-istio", KeySource::None);
        add("edge", "web-a", KeySource::Secret("mooring-keys".to_owned()));
        assert_eq!(missing(), None);
        add("edge", "web-b", KeySource::None);
        assert!(missing().is_some_and(|text| text.contains("Deployment edge/web-b")));
    }
}

//! Which rules, and which branches of their canaries, the cases of test files cover.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{ir::Rule, location::SourceLocation, simulate::Proxy, source::Sources};

/// Something that a request can cover.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The identity of the rule.
    pub rule: String,
    /// The branch of its canary. None: the rule itself.
    pub branch: Option<Branch>,
}

/// A branch of a canary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// The canary rule of this name selects its backend.
    Selects(String),
    /// The client opted out of the backend of the canary rule of this name.
    Excludes(String),
    /// No canary rule applies.
    Otherwise,
    /// The hash of the client selects the backend.
    Hash,
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Selects(name) => write!(f, "canary rule {name} selects its backend"),
            Self::Excludes(name) => write!(f, "canary rule {name} keeps a client away (never)"),
            Self::Otherwise => f.write_str("no canary rule applies"),
            Self::Hash => f.write_str("hashOn selects the backend"),
        }
    }
}

/// What one request covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The identity of the rule.
    pub rule: String,
    /// The branches of its canary.
    pub branches: Vec<Branch>,
}

/// What there is to cover, and where it is written.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    items: BTreeMap<(String, Item), Place>,
    covered: BTreeSet<(String, Item)>,
}

#[derive(Clone, Debug)]
struct Place {
    file: String,
    location: SourceLocation,
}

/// An item that no case covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing<'a> {
    /// The item.
    pub item: &'a Item,
    /// The file with the rule, or with the policy of its canary.
    pub file: &'a str,
    /// The line there.
    pub line: usize,
}

impl Coverage {
    /// Adds the rules of proxies. `manifests` identifies the manifests: the cases of all files that test the same manifests
    /// cover them together.
    pub fn add_rules(&mut self, manifests: &str, proxies: &[Proxy], sources: &Sources) {
        let hosts = proxies.iter().flat_map(|proxy| &proxy.virtual_hosts);
        let routes = hosts
            .flat_map(|host| &host.routes)
            .filter(|route| route.session_backend.is_none());
        for route in routes {
            for (item, location) in items(route.rule) {
                let file = sources.name(location.file).to_owned();
                self.items
                    .insert((manifests.to_owned(), item), Place { file, location });
            }
        }
    }

    /// Adds what a request covers.
    pub fn touch(&mut self, manifests: &str, touched: &Touched) {
        let branches = touched.branches.iter().cloned().map(Some);
        for branch in std::iter::once(None).chain(branches) {
            let rule = touched.rule.clone();
            self.covered.insert((manifests.to_owned(), Item { rule, branch }));
        }
    }

    /// The number of items.
    #[must_use]
    pub fn total(&self) -> usize {
        self.items.len()
    }

    /// The number of covered items.
    #[must_use]
    pub fn covered(&self) -> usize {
        self.items.keys().filter(|key| self.covered.contains(*key)).count()
    }

    /// The covered share in whole percent, rounded down. Without any items, 100.
    #[must_use]
    pub fn percent(&self) -> u8 {
        let percent = self
            .covered()
            .saturating_mul(100)
            .checked_div(self.total())
            .unwrap_or(100);
        u8::try_from(percent).unwrap_or(100)
    }

    /// What no case covers.
    pub fn missing(&self) -> impl Iterator<Item = Missing<'_>> {
        let items = self.items.iter().filter(|(key, _)| !self.covered.contains(*key));
        items.map(|((_, item), place)| Missing {
            item,
            file: &place.file,
            line: place.location.line,
        })
    }
}

/// A rule and the branches of its canary, and where the rule and the policy are.
fn items(rule: &Rule) -> Vec<(Item, SourceLocation)> {
    let item = |branch, location| {
        let rule = rule.id.clone();
        (Item { rule, branch }, location)
    };
    let mut items = vec![item(None, rule.location_of(rule.spec))];
    let Some(routing) = rule.canary() else { return items };
    let config = &routing.compiled.config;
    let mut branches = Vec::new();
    for (canary, backend) in config.rules.iter().zip(&routing.backends) {
        if backend.is_none() {
            continue;
        }
        branches.push(Branch::Selects(canary.name.clone()));
        branches.extend(canary.opt_in.as_ref().map(|_| Branch::Excludes(canary.name.clone())));
    }
    if !branches.is_empty() {
        branches.push(Branch::Otherwise);
    }
    branches.extend(config.hash_on.as_ref().map(|_| Branch::Hash));
    let location = routing.compiled.location;
    items.extend(branches.into_iter().map(|branch| item(Some(branch), location)));
    items
}

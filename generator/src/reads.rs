//! Records what a calculation reads of the resources, so that it is repeated when something of that changes, and only then.
//!
//! Every lookup in `crate::resources` and `crate::attachment` notes what it reads, including what it does not find. Outside
//! of [`record`] that does nothing.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashSet, hash_map::DefaultHasher},
    hash::{BuildHasherDefault, Hash, Hasher},
};

use crate::{api::field::Pairs, dns, id::Id, kind::Kind};

/// Something that can be read and that can change.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Read<'a> {
    /// An object, or its absence.
    Object(Kind, &'a Id),
    /// The objects of a namespace.
    Namespace(Kind, &'a str),
    /// The names of the objects of a namespace.
    Names(Kind, &'a str),
    /// The objects of a name, in all namespaces.
    Called(Kind, &'a str),
    /// All objects of a kind.
    All(Kind),
    /// Whether objects of a kind could not be read.
    Unread(Kind),
    /// The policy of a Service.
    Attachment(&'a Id),
    /// A host of `ServiceEntry` objects.
    External(&'a str),
}

impl Read<'_> {
    /// A number that stands for it. Two with the same number only cause a calculation that is not needed.
    fn fingerprint(self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// A hasher for numbers that are hashes already.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

type Fingerprints = HashSet<u64, BuildHasherDefault<Same>>;

/// What a calculation has read.
#[derive(Debug, Default)]
pub struct Reads {
    single: Fingerprints,
    /// The hosts whose `DestinationRule`s it has read.
    hosts: BTreeSet<String>,
    /// The labels by which it has selected pods.
    pods: BTreeSet<BTreeMap<String, String>>,
}

impl Reads {
    /// Whether any of the changes may change the result of the calculation.
    #[must_use]
    pub fn meet(&self, changes: &Changes) -> bool {
        let (few, many) = if self.single.len() < changes.single.len() {
            (&self.single, &changes.single)
        } else {
            (&changes.single, &self.single)
        };
        let selects = |pod: &Pairs| self.pods.iter().any(|labels| pod.include(labels));
        let names = |host: &String| match host.strip_prefix('*') {
            None => self.hosts.contains(host),
            Some(_) => self.hosts.iter().any(|other| other == host || dns::covers(host, other)),
        };
        few.iter().any(|one| many.contains(one)) || changes.hosts.iter().any(names) || changes.pods.iter().any(selects)
    }

    /// The number of things.
    #[must_use]
    pub fn len(&self) -> usize {
        self.single
            .len()
            .saturating_add(self.hosts.len())
            .saturating_add(self.pods.len())
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What has changed.
#[derive(Debug, Default)]
pub struct Changes {
    single: Fingerprints,
    /// The hosts of changed `DestinationRule`s; they may be wildcards.
    hosts: BTreeSet<String>,
    /// The labels of pods that came or went.
    pods: Vec<Pairs>,
}

impl Changes {
    /// Adds one thing that has changed.
    pub fn add(&mut self, read: Read) {
        self.single.insert(read.fingerprint());
    }

    /// Adds an object that has changed. `listed` says whether it came or went.
    pub fn object(&mut self, kind: Kind, id: &Id, listed: bool) {
        self.add(Read::Object(kind, id));
        self.add(Read::Namespace(kind, &id.namespace));
        self.add(Read::Called(kind, &id.name));
        self.add(Read::All(kind));
        if listed {
            self.add(Read::Names(kind, &id.namespace));
        }
    }

    /// Adds the host of a changed `DestinationRule`.
    pub fn host(&mut self, host: String) {
        self.hosts.insert(host);
    }

    /// Adds the labels of pods that came or went.
    pub fn pods(&mut self, labels: Pairs) {
        self.pods.push(labels);
    }

    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.single.is_empty() && self.hosts.is_empty() && self.pods.is_empty()
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Reads>> = const { RefCell::new(None) };
}

/// Does a calculation, and returns its result and what it has read. Its lookups must be on this thread.
pub fn record<T>(calculation: impl FnOnce() -> T) -> (T, Reads) {
    let before = CURRENT.replace(Some(Reads::default()));
    let result = calculation();
    let reads = CURRENT.replace(before).unwrap_or_default();
    (result, reads)
}

/// Notes that something is read.
pub(crate) fn note(read: Read) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(reads) = current {
            reads.single.insert(read.fingerprint());
        }
    });
}

/// Notes that the `DestinationRule`s of a host are read.
pub(crate) fn note_host(host: &str) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(reads) = current
            && !reads.hosts.contains(host)
        {
            reads.hosts.insert(host.to_owned());
        }
    });
}

/// Notes that the pods with these labels are read.
pub(crate) fn note_pods(labels: &BTreeMap<String, String>) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(reads) = current
            && !reads.pods.contains(labels)
        {
            reads.pods.insert(labels.clone());
        }
    });
}

//! The objects that are written, in the order in which they are printed, each with a comment that names its origin.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::{
    api::ingress::IngressSpec,
    emit::{Output, VERSION, on_one_line},
    id::Id,
    kind::Kind,
    location::SourceLocation,
    name_hash::name_hash,
    resources::{Item, Resources},
    source::Sources,
};

/// The longest name of an object, which leaves room for a number.
const MAX_NAME: usize = 200;

/// The key of the hash in long names.
const NAME_KEY: [u8; 16] = *b"mooring migrate ";

/// The objects so far.
pub struct Objects<'a> {
    sources: &'a Sources,
    resources: &'a Resources,
    outputs: Vec<Output>,
    /// Kinds, namespaces and names of them.
    taken: BTreeSet<(String, Id)>,
}

/// The API version and kind of an object.
pub type ApiKind = (&'static str, &'static str);

impl<'a> Objects<'a> {
    /// No objects yet.
    pub fn new(resources: &'a Resources, sources: &'a Sources) -> Self {
        Self {
            sources,
            resources,
            outputs: Vec::new(),
            taken: BTreeSet::new(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// All of them.
    pub fn into_outputs(self) -> Vec<Output> {
        self.outputs
    }

    /// Adds an object that Ingresses ask for. `fields` are those beside its metadata, and `metadata` of it adds to them. If
    /// the name is taken, it gets a number. Returns its name.
    pub fn add(&mut self, kind: ApiKind, id: &Id, fields: Value, from: &[&Item<IngressSpec>]) -> String {
        let origins = from
            .iter()
            .map(|item| (format!("Ingress {}", item.id), item.location()));
        let origins: Vec<(String, SourceLocation)> = origins.collect();
        self.add_from(kind, id, fields, &origins)
    }

    /// The same for origins of any kind.
    pub fn add_from(
        &mut self,
        (api_version, kind): ApiKind,
        id: &Id,
        fields: Value,
        origins: &[(String, SourceLocation)],
    ) -> String {
        let name = self.free_name(kind, id);
        let Value::Object(mut fields) = fields else {
            return name;
        };
        let mut metadata = match fields.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        };
        metadata.insert("name".to_owned(), json!(name));
        metadata.insert("namespace".to_owned(), json!(id.namespace));
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), json!(api_version));
        object.insert("kind".to_owned(), json!(kind));
        object.insert("metadata".to_owned(), Value::Object(metadata));
        object.append(&mut fields);
        let stem = format!("{}-{}-{name}", kind.to_lowercase(), id.namespace);
        let output = Output::new(stem, Value::Object(object));
        self.outputs.push(output.with_comment(self.comment(origins)));
        name
    }

    /// The name of the next object of a kind that wants this one.
    fn free_name(&mut self, kind: &str, id: &Id) -> String {
        let base = shortened(&id.name, MAX_NAME);
        let names = std::iter::once(base.clone()).chain((2_u32..).map(|number| format!("{base}-{number}")));
        for name in names {
            let id = Id::new(&id.namespace, &name);
            let known = kind == "HTTPRoute" && self.resources.has_route(Kind::HttpRoute, &id);
            if !known && self.taken.insert((kind.to_owned(), id)) {
                return name;
            }
        }
        base
    }

    fn comment(&self, origins: &[(String, SourceLocation)]) -> String {
        let mut comment =
            format!("# Written by mooring {VERSION} migrate. It is yours: check it, and change it as you like.\n");
        for (what, at) in origins {
            let line = format!("{what} ({}:{})", self.sources.name(at.file), at.line);
            comment.push_str("# From ");
            comment.push_str(&on_one_line(&line));
            comment.push('\n');
        }
        comment
    }
}

/// A name of at most `max` bytes. A longer one ends with its hash.
pub(super) fn shortened(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_owned();
    }
    let hash = name_hash(NAME_KEY, name);
    let room = max.saturating_sub(hash.len().saturating_add(1));
    let first: String = name.chars().take(room).collect();
    format!("{}-{hash}", first.trim_end_matches(['.', '-']))
}

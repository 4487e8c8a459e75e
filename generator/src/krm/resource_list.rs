//! A `ResourceList`, a `List` or a stream of documents, whose objects of others stay as they are.
//!
//! In YAML, the text of each object is copied: its comments, its order of fields and its quotes stay. JSON has none of these, and is
//! parsed and written again.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    directory::is_generated,
    document,
    emit::Output,
    id::{DEFAULT_NAMESPACE, Id},
    output::{OutputError, format::Format, text},
    yaml,
};

mod block;
mod invalid;

use block::Block;

pub use invalid::InvalidList;

/// The input of a function.
#[derive(Debug)]
pub struct ResourceList {
    form: Form,
    /// Its objects.
    pub items: Vec<Item>,
    /// The text of its `functionConfig`.
    pub config: Option<String>,
    /// Whether it is a `ResourceList`, which can have results.
    has_results: bool,
}

#[derive(Debug)]
enum Form {
    Yaml(Block),
    Json(Map<String, Value>),
    Stream,
}

/// One object.
#[derive(Debug)]
pub struct Item {
    /// The object as a YAML document.
    pub text: String,
    /// Its kind, name and annotations.
    pub header: Header,
    /// Whether Mooring has generated it.
    pub is_generated: bool,
    /// What is written if it stays: its lines, or its JSON.
    original: Original,
}

#[derive(Debug)]
enum Original {
    Lines(String),
    Json(Value),
}

/// The fields that identify an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Header {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    metadata: Metadata,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: Option<String>,
    annotations: Option<BTreeMap<String, Option<String>>>,
}

/// The annotations by which an orchestrator finds the file of an object.
const ORCHESTRATOR: [&str; 5] = [
    "config.kubernetes.io/index",
    "config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/seqindent",
];

impl Header {
    /// The name of the object.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Its namespace, if it has one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.metadata.namespace.as_deref()
    }

    /// An annotation.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name)?.as_deref()
    }

    /// The file of the object, as the orchestrator names it.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        let path = |name| self.annotation(name);
        path("internal.config.kubernetes.io/path").or_else(|| path("config.kubernetes.io/path"))
    }

    /// The position of the object in its file.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        let index = |name| self.annotation(name);
        let index = index("internal.config.kubernetes.io/index").or_else(|| index("config.kubernetes.io/index"));
        index?.parse().ok()
    }

    fn key(&self) -> (&str, Id) {
        let namespace = self.namespace().unwrap_or(DEFAULT_NAMESPACE);
        (&self.kind, Id::new(namespace, self.name()))
    }
}

/// The kind, name and file of the object, as findings name it.
impl std::fmt::Display for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = self.namespace() {
            write!(f, "{namespace}/")?;
        }
        f.write_str(self.name())?;
        match self.path() {
            Some(path) => write!(f, " ({path})"),
            None => Ok(()),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Whole {
    api_version: String,
    kind: String,
    items: Option<Vec<Header>>,
}

/// The type of an object, whose other fields may be anything.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TypeOf {
    api_version: String,
    kind: String,
}

impl ResourceList {
    /// Reads the input of a function. With `streams`, other texts than lists are read as documents, one for each object.
    pub fn parse(text: &str, streams: bool) -> Result<Self, InvalidList> {
        let text = text.trim_start_matches('\u{feff}');
        if streams && !is_list(text) {
            return Ok(Self::of_stream(text));
        }
        if text.trim_start().starts_with('{') {
            return Self::of_json(text);
        }
        let block = Block::parse(text)?;
        let whole: Whole = parsed(text).map_err(|error| not_a_list(&error))?;
        let has_results = has_results(&whole.api_version, &whole.kind)?;
        let lines = block.items()?;
        let items: Vec<Item> = lines
            .into_iter()
            .map(|(original, text)| Item::new(Original::Lines(original), text))
            .collect();
        let same = |headers: &[Header]| headers.iter().eq(items.iter().map(|item| &item.header));
        if !same(&whole.items.unwrap_or_default()) {
            return Err(InvalidList::Flow);
        }
        Ok(Self {
            config: block.value("functionConfig"),
            form: Form::Yaml(block),
            items,
            has_results,
        })
    }

    fn of_stream(text: &str) -> Self {
        let documents = document::texts(text).into_iter();
        Self {
            form: Form::Stream,
            items: documents
                .map(|text| Item::new(Original::Lines(text.clone()), text))
                .collect(),
            config: None,
            has_results: false,
        }
    }

    fn of_json(text: &str) -> Result<Self, InvalidList> {
        let whole: Whole = parsed(text).map_err(|error| not_a_list(&error))?;
        let has_results = has_results(&whole.api_version, &whole.kind)?;
        // Not by serde_json, which accepts a field twice and forgets the first.
        let mut fields: Map<String, Value> = parsed(text).map_err(|error| not_a_list(&error))?;
        // The field stays where it is. Anything but a list was refused.
        let items = match fields.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let item = |value: Value| Item::new(Original::Json(value.clone()), format!("{value:#}"));
        Ok(Self {
            config: fields.get("functionConfig").map(|config| format!("{config:#}")),
            items: items.into_iter().map(item).collect(),
            form: Form::Json(fields),
            has_results,
        })
    }

    /// The output of the function: the items that stay, the generated objects after them, and the results.
    ///
    /// An item that Mooring has generated does not stay if there is a newer one, or with `prunes`. The newer one gets the annotations
    /// by which the orchestrator finds its file.
    pub fn write(&self, outputs: &[Output], prunes: bool, results: &[Value]) -> Result<String, OutputError> {
        let outputs: Vec<(Header, Output)> = outputs
            .iter()
            .map(|output| {
                let header: Header = serde_json::from_value(output.value.clone()).unwrap_or_default();
                let earlier = self.items.iter().find(|item| item.is_replaced_by(&header));
                (header, with_annotations_of(earlier, output))
            })
            .collect();
        let stays = |item: &&Item| {
            !item.is_generated || !(prunes || outputs.iter().any(|(header, _)| item.is_replaced_by(header)))
        };
        let results = if self.has_results { results } else { &[] };
        let stay = self.items.iter().filter(stays);
        let added = outputs.iter().map(|(_, output)| output);
        match &self.form {
            Form::Yaml(block) => {
                let mut items: Vec<String> = stay.map(|item| item.original.lines()).collect();
                for output in added {
                    items.push(block.item(&text(output, Format::Yaml)?));
                }
                let results = match results {
                    [] => String::new(),
                    _ => text(&Output::new(String::new(), json!({ "results": results })), Format::Yaml)?,
                };
                Ok(block.write(&items, &results))
            }
            Form::Stream => {
                let mut documents: Vec<String> = stay.map(|item| item.original.lines()).collect();
                for output in added {
                    documents.push(text(output, Format::Yaml)?);
                }
                Ok(joined(&documents))
            }
            Form::Json(fields) => {
                let mut fields = fields.clone();
                let items = stay.map(|item| item.original.json());
                let items: Vec<Value> = items.chain(added.map(|output| output.value.clone())).collect();
                fields.insert("items".to_owned(), items.into());
                fields.shift_remove("results");
                if !results.is_empty() {
                    fields.insert("results".to_owned(), results.into());
                }
                Ok(format!("{}\n", Value::Object(fields)))
            }
        }
    }

    /// Whether its output has results: only a `ResourceList` does.
    #[must_use]
    pub fn has_results(&self) -> bool {
        self.has_results
    }

    /// The output of a function that fails: all items as they are, and the results.
    pub fn write_unchanged(&self, results: &[Value]) -> Result<String, OutputError> {
        self.write(&[], false, results)
    }
}

impl Item {
    fn new(original: Original, text: String) -> Self {
        Self {
            header: parsed(&text).unwrap_or_default(),
            is_generated: is_generated(&text),
            text,
            original,
        }
    }

    fn is_replaced_by(&self, output: &Header) -> bool {
        self.is_generated && self.header.key() == output.key()
    }
}

impl Original {
    fn lines(&self) -> String {
        match self {
            Self::Lines(lines) => lines.clone(),
            Self::Json(value) => format!("- {value}\n"),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Json(value) => value.clone(),
            Self::Lines(lines) => lines.as_str().into(),
        }
    }
}

/// Whether a text is one `ResourceList` or `List`.
fn is_list(text: &str) -> bool {
    let documents = document::texts(text);
    let [document] = documents.as_slice() else { return false };
    parsed::<TypeOf>(document).is_ok_and(|whole| has_results(&whole.api_version, &whole.kind).is_ok())
}

/// Documents as one text. A document may begin with its separator.
fn joined(documents: &[String]) -> String {
    let mut text = String::new();
    for document in documents {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        if !text.is_empty() && !document.starts_with("---") {
            text.push_str("---\n");
        }
        text.push_str(document);
    }
    text
}

/// A generated object with the annotations of the object that it replaces.
fn with_annotations_of(earlier: Option<&Item>, output: &Output) -> Output {
    let mut output = output.clone();
    let annotations = output.value.pointer_mut("/metadata/annotations");
    if let (Some(item), Some(Value::Object(annotations))) = (earlier, annotations) {
        for name in ORCHESTRATOR {
            let value = item.header.annotation(name);
            annotations.extend(value.map(|value| (name.to_owned(), value.into())));
        }
        annotations.sort_keys();
    }
    output
}

/// Whether the object is a `ResourceList`, which can have results, or a `List`.
fn has_results(api_version: &str, kind: &str) -> Result<bool, InvalidList> {
    match (api_version, kind) {
        (
            "config.kubernetes.io/v1" | "config.kubernetes.io/v1beta1" | "config.kubernetes.io/v1alpha1",
            "ResourceList",
        ) => Ok(true),
        ("v1", "List") => Ok(false),
        ("", "") => Err(InvalidList::Kind("not a Kubernetes object".to_owned())),
        ("", _) => Err(InvalidList::Kind(format!(
            "of the kind `{kind}`, without an apiVersion"
        ))),
        _ => Err(InvalidList::Kind(format!("of the kind `{kind}` of `{api_version}`"))),
    }
}

fn parsed<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, serde_saphyr::Error> {
    let read = |deserializer: serde_saphyr::Deserializer<'_, '_>| T::deserialize(deserializer);
    serde_saphyr::with_deserializer_from_str_with_options(text, yaml::lenient(), read)
}

/// The error about a text that is no list, or has fields of other types than a list has.
fn not_a_list(error: &serde_saphyr::Error) -> InvalidList {
    InvalidList::Syntax(yaml::plain_with_list(error, "items"))
}

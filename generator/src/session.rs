//! A session, with the locations of its fields. It keeps this form from the policy to the plugin configuration.
//!
//! - `persistence` parses `sessionPersistence` (GEP-1619), and `crate::canary` the `sticky` of a `CanaryPolicy`.
//! - `annotations` parses the annotations of the object, which set the fields that neither has.
//! - `builder` checks the fields with `mooring_policy`, the code that the filter runs.

use std::collections::BTreeMap;

use mooring_policy::config::SessionConfig;

use crate::{id::Id, kind::Kind, location::SourceLocation};

pub(crate) mod annotations;
mod app_cookies;
pub(crate) mod builder;
pub(crate) mod domain;
mod field_names;
pub(crate) mod persistence;
pub(crate) mod version_label;

/// The name of a session before a rule gives it its default name, which begins with this.
pub const DEFAULT_NAME: &str = "mooring";

/// A valid session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its configuration. The name is [`DEFAULT_NAME`] if the policy sets none and [`Self::with_default_name`] has not run.
    pub config: SessionConfig,
    /// The policy that sets it. It is `None` if the rule sets it itself.
    pub policy: Option<(Kind, Id)>,
    /// The label whose value is the version of a backend, if an annotation names one.
    pub version_label: Option<String>,
    /// Where it is written.
    pub locations: Locations,
}

/// Where a session and its fields are written.
#[derive(Clone, Debug)]
pub struct Locations {
    /// The location of the session as a whole.
    pub whole: SourceLocation,
    fields: BTreeMap<&'static str, SourceLocation>,
}

impl Session {
    /// A session with all defaults.
    #[must_use]
    pub fn new(policy: Option<(Kind, Id)>, location: SourceLocation) -> Self {
        let config = SessionConfig {
            name: DEFAULT_NAME.to_owned(),
            ..SessionConfig::default()
        };
        let locations = Locations {
            whole: location,
            fields: BTreeMap::new(),
        };
        Self {
            config,
            policy,
            version_label: None,
            locations,
        }
    }

    /// The same session with this name, unless the policy sets one.
    #[must_use]
    pub fn with_default_name(mut self, name: String) -> Self {
        if self.locations.get("name").is_none() {
            self.config.name = name;
        }
        self
    }
}

impl Locations {
    /// The location of a field. The fields of the cookie have the names that they have in `sessionPersistence`.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<SourceLocation> {
        self.fields.get(field).copied()
    }

    /// The location of a field, or of the whole session if the field is not written.
    #[must_use]
    pub fn get_or_whole(&self, field: &str) -> SourceLocation {
        self.get(field).unwrap_or(self.whole)
    }

    /// Notes the location of a field.
    pub fn set(&mut self, field: &'static str, location: SourceLocation) {
        self.fields.insert(field, location);
    }

    /// Forgets the location of a field, which then has its default.
    pub fn remove(&mut self, field: &str) {
        self.fields.remove(field);
    }
}

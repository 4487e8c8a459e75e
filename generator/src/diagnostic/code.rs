//! The codes of findings.

/// The kind of a finding. The names are stable. If Gateway API has a condition reason for a finding, its code has the
/// name of that reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A file or directory cannot be read.
    Unreadable,
    /// A text is not the YAML of a Kubernetes object.
    Syntax,
    /// Two documents describe one object.
    Duplicate,
    /// A field or annotation has a value that is not allowed (GEP-713).
    Invalid,
    /// A policy names a target that does not exist (GEP-713).
    TargetNotFound,
    /// A policy takes effect, but not in every way that the user may expect (GEP-713).
    Accepted,
    /// Another policy has precedence (GEP-713).
    Conflicted,
    /// A route names a parent or listener that does not exist or does not accept the route (GEP-1364).
    NoMatchingParent,
    /// A route names a backend that does not exist (GEP-1364).
    BackendNotFound,
    /// A route refers to another namespace without a `ReferenceGrant` (GEP-1364).
    RefNotPermitted,
    /// The input is valid, but the chosen target does not support it.
    Unsupported,
    /// A field or object has no effect.
    NoEffect,
    /// Sessions leave a pod as soon as it begins to terminate.
    Draining,
    /// A rule without a name is identified by its position.
    Unnamed,
    /// The input lacks routes of a gateway.
    PartialInput,
    /// The module is loaded without a checksum.
    Unverified,
    /// Mooring is not tested with this version of Istio.
    Untested,
    /// An object is too large for etcd or for `kubectl apply`.
    TooLarge,
}

/// A text that is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown code; the codes are {}", Code::ALL.map(Code::name).join(", "))]
pub struct UnknownCode;

impl Code {
    /// All codes, in the order of the documentation.
    pub const ALL: [Self; 18] = [
        Self::Unreadable,
        Self::Syntax,
        Self::Duplicate,
        Self::Invalid,
        Self::TargetNotFound,
        Self::Accepted,
        Self::Conflicted,
        Self::NoMatchingParent,
        Self::BackendNotFound,
        Self::RefNotPermitted,
        Self::Unsupported,
        Self::NoEffect,
        Self::Draining,
        Self::Unnamed,
        Self::PartialInput,
        Self::Unverified,
        Self::Untested,
        Self::TooLarge,
    ];

    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.texts().0
    }

    /// What a finding with this code says, in a few words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.texts().1
    }

    /// What to do about such a finding, in one or two sentences.
    #[must_use]
    pub fn advice(self) -> &'static str {
        self.texts().2
    }

    /// Name, meaning and advice. The documentation has the same meanings.
    fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Unreadable => (
                "Unreadable",
                "a file or directory cannot be read, or a directory entry is not a regular file",
                "Check the path and its permissions, or exclude the file with --ignore.",
            ),
            Self::Syntax => (
                "Syntax",
                "a text is not the YAML of a Kubernetes object",
                "Correct the text, render the template first, or exclude the file with --ignore.",
            ),
            Self::Duplicate => (
                "Duplicate",
                "a value that must be unique is repeated",
                "Rename or remove one of the two.",
            ),
            Self::Invalid => (
                "Invalid",
                "a field or annotation is unknown, or has an invalid value",
                "Correct the field. The rule, route or policy that it belongs to is left out until then.",
            ),
            Self::TargetNotFound => (
                "TargetNotFound",
                "a policy targets an object that does not exist",
                "Correct the name in the target reference, or add the object to the input.",
            ),
            Self::Accepted => (
                "Accepted",
                "a policy is accepted, with a caveat",
                "Read the message: the policy applies, but not in every way that you may expect.",
            ),
            Self::Conflicted => (
                "Conflicted",
                "a policy yields to another, or two cookies overwrite each other",
                "Keep one of the two policies, or give one of the cookies another name or path.",
            ),
            Self::NoMatchingParent => (
                "NoMatchingParent",
                "a route names a Gateway or listener that does not exist or does not accept it",
                "Correct the parentRef or the host names, or let the listener accept the route.",
            ),
            Self::BackendNotFound => (
                "BackendNotFound",
                "a rule names a Service or port that does not exist or has no endpoint",
                "Correct the reference, or add the Service to the input.",
            ),
            Self::RefNotPermitted => (
                "RefNotPermitted",
                "a rule names a Service in another namespace without a ReferenceGrant",
                "Add a ReferenceGrant in the namespace of the Service.",
            ),
            Self::Unsupported => (
                "Unsupported",
                "a valid configuration that Mooring or the target does not support",
                "Remove the feature from the rule, or keep the rule without sessions and canaries.",
            ),
            Self::NoEffect => (
                "NoEffect",
                "a configuration without effect",
                "Remove it, or correct what keeps it from having an effect.",
            ),
            Self::Draining => (
                "Draining",
                "sessions leave a pod as soon as it terminates",
                "Give the Service the label istio.io/persistent-session: mooring, or accept it with --allow Draining.",
            ),
            Self::Unnamed => (
                "Unnamed",
                "a rule with sessions or canaries is identified by its position",
                "Give the rule a name. This ends its current sessions once.",
            ),
            Self::PartialInput => (
                "PartialInput",
                "the input lacks routes of a Gateway",
                "Give one run the routes and policies of all teams on the Gateway.",
            ),
            Self::Unverified => (
                "Unverified",
                "nothing verifies the module",
                "Pin the checksum of the module.",
            ),
            Self::Untested => (
                "Untested",
                "Mooring is not tested with this version of Istio",
                "Look for a newer release of Mooring, or test the output on a gateway without users.",
            ),
            Self::TooLarge => (
                "TooLarge",
                "a route or namespace exceeds its budget, or an object the size for a plain kubectl apply",
                "Split the route, or give its rules fewer backends, host names or matches.",
            ),
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let mut all = Self::ALL.into_iter();
        all.find(|code| code.name() == text).ok_or(UnknownCode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_code() {
        for code in Code::ALL {
            assert_eq!(code.name().parse(), Ok(code));
            assert_eq!(code.name(), format!("{code:?}"));
        }
        assert_eq!("draining".parse::<Code>(), Err(UnknownCode));
    }
}

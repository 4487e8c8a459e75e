//! Why a cluster cannot be read, in words that name the server and a way out.

use kube::core::Status;

/// The scope of a list of all objects.
pub const ALL_NAMESPACES: &str = "all namespaces";

/// Why a cluster cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No kubeconfig gives a connection.
    #[error("no usable kubeconfig: {0}; name one with --kubeconfig or KUBECONFIG, and its context with --context")]
    Config(String),
    /// The API server does not answer.
    #[error("cannot reach the API server at {server}: {reason}; is the context the right one?")]
    Unreachable {
        /// The address of the server.
        server: String,
        /// The error of the connection.
        reason: String,
    },
    /// The API server rejects the credentials.
    #[error("the API server at {server} does not accept the credentials of the kubeconfig: {reason}")]
    Unauthorized {
        /// The address of the server.
        server: String,
        /// The message of the server.
        reason: String,
    },
    /// The user may not list a kind.
    #[error("not allowed to list {resource} in {scope}: {reason}; {}", advice(.scope))]
    Forbidden {
        /// The resource, as roles name it.
        resource: String,
        /// The namespace, or `all namespaces`.
        scope: String,
        /// The message of the server.
        reason: String,
    },
    /// A namespace does not exist.
    #[error("the API server at {server} has no namespace `{namespace}`")]
    NoNamespace {
        /// The address of the server.
        server: String,
        /// The namespace.
        namespace: String,
    },
    /// The server answers with another error.
    #[error("the API server at {server} cannot list {resource}: {reason}")]
    Refused {
        /// The address of the server.
        server: String,
        /// The resource.
        resource: String,
        /// The message of the server.
        reason: String,
    },
    /// The asynchronous runtime cannot be started.
    #[error("cannot start: {0}")]
    Runtime(#[from] std::io::Error),
}

impl ClusterError {
    /// The error of a request for `resource` in `scope`.
    #[must_use]
    pub fn new(error: &kube::Error, server: &str, resource: &str, scope: &str) -> Self {
        let server = server.to_owned();
        match error {
            kube::Error::Api(status) => Self::of_status(status, server, resource, scope),
            kube::Error::SerdeError(error) => Self::Refused {
                server,
                resource: resource.to_owned(),
                reason: format!("its answer cannot be read: {error}"),
            },
            other => Self::Unreachable {
                server,
                reason: chain(other),
            },
        }
    }

    fn of_status(status: &Status, server: String, resource: &str, scope: &str) -> Self {
        let reason = status.message.clone();
        let resource = resource.to_owned();
        match status.code {
            401 => Self::Unauthorized { server, reason },
            403 => Self::Forbidden {
                resource,
                scope: scope.to_owned(),
                reason,
            },
            _ => Self::Refused {
                server,
                resource,
                reason,
            },
        }
    }
}

fn advice(scope: &str) -> &'static str {
    if scope == ALL_NAMESPACES {
        "ask for a ClusterRole that may list it, or read single namespaces with --namespace"
    } else {
        "ask for a Role that may list it"
    }
}

/// An error with its causes. A cause whose text is already there is left out.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let message = inner.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        source = inner.source();
    }
    text
}

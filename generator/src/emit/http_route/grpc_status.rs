//! The names of gRPC status codes.

use serde::{Deserialize, Serialize};

use super::values::InvalidValue;

/// A gRPC status by its name.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct GrpcStatus(String);

impl TryFrom<String> for GrpcStatus {
    type Error = InvalidValue;

    fn try_from(name: String) -> Result<Self, InvalidValue> {
        if grpc_status(&name).is_none() {
            return Err(InvalidValue::GrpcStatus(name));
        }
        Ok(Self(name))
    }
}

/// The number of a gRPC status (gRPC: "Status codes and their use in gRPC").
pub fn grpc_status(name: &str) -> Option<usize> {
    let names = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    names.iter().position(|known| *known == name)
}

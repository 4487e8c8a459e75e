//! Why the API server did not do what was asked, and how long to wait before it is asked again.

use std::time::Duration;

use mooring_generator::cluster::chain;

use super::state::State;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The object is not acceptable: to the API server, a webhook or RBAC.
    Refused,
    /// Another field manager owns fields of the object.
    Foreign,
    /// The object was changed at the same time, or its namespace or kind is gone.
    Conflict,
    /// The API server, etcd or a webhook cannot answer now. It may say for how long.
    Busy(Option<Duration>),
    /// The API server cannot be reached.
    Unreachable,
}

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why it failed.
    pub cause: Cause,
    /// The error.
    pub message: String,
}

impl Failure {
    /// What an error of the client means.
    #[must_use]
    pub fn new(error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self {
                cause: Cause::Unreachable,
                message: chain(error),
            };
        };
        let message = status.message.clone();
        let details = status.details.as_ref();
        let causes = details.map(|details| details.causes.as_slice()).unwrap_or_default();
        let has_cause = |name: &str| causes.iter().any(|cause| cause.reason == name);
        let retry_after = details
            .map(|details| details.retry_after_seconds)
            .filter(|seconds| *seconds > 0);
        let cause = match status.code {
            409 if has_cause("FieldManagerConflict") => Cause::Foreign,
            404 | 409 | 410 => Cause::Conflict,
            403 if has_cause("NamespaceTerminating") => Cause::Conflict,
            // etcd's limit arrives as an internal error.
            500 if message.contains("request is too large") => Cause::Refused,
            429 | 500.. => Cause::Busy(retry_after.map(|seconds| Duration::from_secs(seconds.into()))),
            _ => Cause::Refused,
        };
        Self { cause, message }
    }

    /// The failure of a request without an answer.
    #[must_use]
    pub fn timeout(limit: Duration) -> Self {
        Self {
            cause: Cause::Busy(None),
            message: format!("no answer within {} s", limit.as_secs()),
        }
    }

    /// How long to wait after this many failures in a row, the first one included.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let (first, longest) = match self.cause {
            Cause::Refused => (Duration::from_secs(5), Duration::from_secs(300)),
            Cause::Foreign => (Duration::from_secs(30), Duration::from_secs(30)),
            Cause::Conflict => (Duration::from_millis(500), Duration::from_secs(120)),
            Cause::Busy(_) => (Duration::from_secs(1), Duration::from_secs(30)),
            // All requests wait then, which the writer sees to.
            Cause::Unreachable => (Duration::from_secs(1), Duration::from_secs(1)),
        };
        let delay = doubled(first, failures.saturating_sub(1), longest);
        match self.cause {
            Cause::Busy(Some(asked)) => delay.max(asked.min(Duration::from_secs(120))),
            _ => delay,
        }
    }

    /// What became of the object.
    #[must_use]
    pub fn state(&self) -> State {
        let message = self.message.clone();
        match self.cause {
            Cause::Refused => State::Refused { message },
            Cause::Foreign => State::Foreign { by: message },
            Cause::Conflict | Cause::Busy(_) | Cause::Unreachable => State::Failed { message },
        }
    }
}

/// `first`, doubled this many times, but not more than `longest`.
#[must_use]
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(times.min(20)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use kube::core::response::{Status, StatusCause, StatusDetails};

    use super::*;

    fn failure(code: u16, message: &str, cause: &str) -> Failure {
        let cause = StatusCause {
            reason: cause.to_owned(),
            message: String::new(),
            field: String::new(),
        };
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: vec![cause],
            retry_after_seconds: if code == 429 { 7 } else { 0 },
        };
        let status = Status::failure(message, "").with_code(code).with_details(details);
        Failure::new(&kube::Error::Api(status.boxed()))
    }

    #[test]
    fn answers_are_told_apart() {
        for (code, message, detail, expected) in [
            (403, "forbidden", "", Cause::Refused),
            (403, "is being terminated", "NamespaceTerminating", Cause::Conflict),
            (400, "admission webhook \"x\" denied the request", "", Cause::Refused),
            (404, "namespaces \"a\" not found", "", Cause::Conflict),
            (409, "conflict with \"ann\"", "FieldManagerConflict", Cause::Foreign),
            (409, "the object has been modified", "", Cause::Conflict),
            (413, "too large", "", Cause::Refused),
            (422, "invalid", "", Cause::Refused),
            (429, "slow down", "", Cause::Busy(Some(Duration::from_secs(7)))),
            (500, "etcdserver: request is too large", "", Cause::Refused),
            (500, "failed calling webhook", "", Cause::Busy(None)),
            (503, "etcd is away", "", Cause::Busy(None)),
            (504, "timeout", "", Cause::Busy(None)),
        ] {
            assert_eq!(failure(code, message, detail).cause, expected, "{code} {message}");
        }
    }

    #[test]
    fn waits_grow_to_a_limit() {
        let refused = failure(422, "invalid", "");
        let delays: Vec<u64> = [1, 2, 3, 20, u32::MAX]
            .map(|failures| refused.delay(failures).as_secs())
            .into();
        assert_eq!(delays, [5, 10, 20, 300, 300]);
        assert_eq!(failure(429, "", "").delay(1), Duration::from_secs(7));
        assert_eq!(failure(429, "", "").delay(9), Duration::from_secs(30));
    }
}

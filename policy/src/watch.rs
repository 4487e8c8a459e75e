//! When a request that needs no close look gets one.
//!
//! A request of a live session asks Envoy for nearly nothing, because each question costs some hundred nanoseconds. So the
//! module would not learn which backend the route would have chosen, nor that a response is one of Envoy's own where that has
//! unusually many headers. One request a second of each rule is enough for both.

use crate::per_rule::PerRule;

/// A response of Envoy's own has so many headers here, unless something adds more: `:status`, `content-type` and
/// `content-length`.
const LOCAL_HEADERS: usize = 3;

/// The same for a gRPC request: `:status`, `content-type`, `grpc-status` and `grpc-message`.
const LOCAL_GRPC_HEADERS: usize = 4;

/// How many headers a response of Envoy's own to a request has, unless something adds more.
#[must_use]
pub fn local_headers(grpc: bool) -> usize {
    if grpc { LOCAL_GRPC_HEADERS } else { LOCAL_HEADERS }
}

/// More headers than that tell nothing about whose a response is.
const MOST_LOCAL_HEADERS: usize = 64;

/// What was looked at, for each rule by its position.
#[derive(Debug, Default)]
pub struct Watch {
    by_rule: PerRule<Watched>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    /// The second of the last close look.
    at: u64,
    /// The most headers that a response of Envoy's own had.
    local_headers: usize,
}

impl Watch {
    /// Whether the request that comes at `now` seconds since the Unix epoch gets a close look. The next one of that second does
    /// not.
    #[must_use]
    pub fn is_due(&self, rule: usize, now: u64) -> bool {
        self.by_rule.change(rule, |watched| {
            let due = watched.at != now;
            watched.at = now;
            due
        })
    }

    /// Whether a response with so many headers may be one of Envoy's own, which usually has [`local_headers`].
    #[must_use]
    pub fn may_be_local(&self, rule: usize, headers: usize, usual: usize) -> bool {
        let seen = || self.by_rule.read(rule, |watched| watched.local_headers);
        headers <= usual || seen().is_some_and(|seen| headers <= seen)
    }

    /// A response of Envoy's own had so many headers: filters or the route itself may add some to each.
    pub fn note_local(&self, rule: usize, headers: usize) {
        self.by_rule.change(rule, |watched| {
            watched.local_headers = watched.local_headers.max(headers.min(MOST_LOCAL_HEADERS));
        });
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    #[test]
    #[wasm_bindgen_test]
    fn one_request_a_second_of_each_rule_gets_a_look() {
        let watch = Watch::default();
        assert!(watch.is_due(0, NOW) && !watch.is_due(0, NOW) && watch.is_due(1, NOW));
        assert!(watch.is_due(0, NOW + 1) && !watch.is_due(0, NOW + 1));
        // The clock is set back.
        assert!(watch.is_due(0, NOW - 3_600) && !watch.is_due(0, NOW - 3_600));
    }

    #[test]
    #[wasm_bindgen_test]
    fn what_envoys_own_responses_look_like_is_learnt_for_each_rule() {
        let watch = Watch::default();
        let [usual, grpc] = [false, true].map(local_headers);
        assert!(watch.may_be_local(0, 3, usual) && !watch.may_be_local(0, 4, usual));
        assert!(watch.may_be_local(0, 4, grpc) && !watch.may_be_local(0, 5, grpc));
        watch.note_local(0, 9);
        watch.note_local(0, 3);
        assert!(watch.may_be_local(0, 9, usual) && !watch.may_be_local(0, 10, usual));
        assert!(!watch.may_be_local(1, 9, usual));
        watch.note_local(0, 1_000);
        assert!(!watch.may_be_local(0, MOST_LOCAL_HEADERS + 1, usual));
    }
}

//! Selects the requests that are inspected although they do not need it.
//!
//! A request of a live session asks Envoy for almost nothing, because each host call costs some hundred nanoseconds. Therefore
//! the module would not observe which backend the route would have selected, and would not recognise a local reply of Envoy with
//! an unusual number of headers. One request per second and rule is enough for both.

use crate::per_rule::PerRule;

/// The usual number of headers of a local reply: `:status`, `content-type` and `content-length`.
const LOCAL_REPLY_HEADERS: usize = 3;

/// The same for gRPC: `:status`, `content-type`, `grpc-status` and `grpc-message`.
const GRPC_LOCAL_REPLY_HEADERS: usize = 4;

/// The usual number of headers of a local reply to a request, if nothing adds more.
#[must_use]
pub fn local_reply_headers(grpc: bool) -> usize {
    if grpc {
        GRPC_LOCAL_REPLY_HEADERS
    } else {
        LOCAL_REPLY_HEADERS
    }
}

/// The maximum number of headers that is learnt. With more headers, a local reply looks like any other response.
const MAX_LOCAL_REPLY_HEADERS: usize = 64;

/// What was sampled, for each rule by its position.
#[derive(Debug, Default)]
pub struct Sampler {
    samples: PerRule<Samples>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Samples {
    /// When the last request was sampled, in seconds since the Unix epoch.
    last: u64,
    /// The highest number of headers of a local reply so far.
    local_reply_headers: usize,
}

impl Sampler {
    /// Whether the request at `now` seconds since the Unix epoch is sampled: the first of each second is.
    #[must_use]
    pub fn sample(&self, rule: usize, now: u64) -> bool {
        self.samples.change(rule, |samples| {
            let is_first = samples.last != now;
            samples.last = now;
            is_first
        })
    }

    /// Whether a response with this many headers may be a local reply, which has the `usual` number ([`local_reply_headers`]) or
    /// up to the highest number that was recorded.
    #[must_use]
    pub fn may_be_local_reply(&self, rule: usize, headers: usize, usual: usize) -> bool {
        let recorded = || self.samples.read(rule, |samples| samples.local_reply_headers);
        headers <= usual || recorded().is_some_and(|recorded| headers <= recorded)
    }

    /// Records the number of headers of a local reply. Filters or the route may add headers to each.
    pub fn record_local_reply(&self, rule: usize, headers: usize) {
        self.samples.change(rule, |samples| {
            let headers = headers.min(MAX_LOCAL_REPLY_HEADERS);
            samples.local_reply_headers = samples.local_reply_headers.max(headers);
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
    fn one_request_per_second_and_rule_is_sampled() {
        let sampler = Sampler::default();
        assert!(sampler.sample(0, NOW) && !sampler.sample(0, NOW) && sampler.sample(1, NOW));
        assert!(sampler.sample(0, NOW + 1) && !sampler.sample(0, NOW + 1));
        // The clock is set back.
        assert!(sampler.sample(0, NOW - 3_600) && !sampler.sample(0, NOW - 3_600));
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_number_of_headers_of_local_replies_is_learnt_for_each_rule() {
        let sampler = Sampler::default();
        let [usual, grpc] = [false, true].map(local_reply_headers);
        assert!(sampler.may_be_local_reply(0, 3, usual) && !sampler.may_be_local_reply(0, 4, usual));
        assert!(sampler.may_be_local_reply(0, 4, grpc) && !sampler.may_be_local_reply(0, 5, grpc));
        sampler.record_local_reply(0, 9);
        sampler.record_local_reply(0, 3);
        assert!(sampler.may_be_local_reply(0, 9, usual) && !sampler.may_be_local_reply(0, 10, usual));
        assert!(!sampler.may_be_local_reply(1, 9, usual));
        sampler.record_local_reply(0, 1_000);
        assert!(!sampler.may_be_local_reply(0, MAX_LOCAL_REPLY_HEADERS + 1, usual));
    }
}

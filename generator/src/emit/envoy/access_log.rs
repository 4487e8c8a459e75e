//! The access log of a local Envoy.

use serde_json::{Value, json};

use super::super::http_filters::type_url;

/// One line for each request: most of Envoy's default format, the cluster, and the decision of the module. The decision is the last
/// word, so that no path of a client can be taken for it.
const FORMAT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" ",
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %DURATION%ms %UPSTREAM_CLUSTER% %UPSTREAM_HOST% ",
    "%FILTER_STATE(wasm.mooring:PLAIN)%\n",
);

/// An access log on the standard output of Envoy.
pub fn to_stdout() -> Value {
    json!({
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": type_url("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"),
            "log_format": { "text_format_source": { "inline_string": FORMAT } },
        },
    })
}

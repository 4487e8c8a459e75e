//! The short names of rules and backends in a test file.

/// Whether a name is the identity of a rule, or the end of it after a `/` or `#`.
///
/// `main`, `cart/main` and `shop/cart/main` all name the rule `HTTPRoute/shop/cart/main`.
#[must_use]
pub fn is_rule(name: &str, id: &str) -> bool {
    let Some(before) = id.strip_suffix(name) else {
        return false;
    };
    !name.is_empty() && (before.is_empty() || before.ends_with(['/', '#']))
}

/// Whether a name is the key of a backend, or the key without its port or its namespace.
///
/// `reviews/v2`, `reviews:9080/v2` and `reviews.bookinfo/v2` all name the backend `reviews.bookinfo:9080/v2`.
#[must_use]
pub fn is_backend(name: &str, key: &str) -> bool {
    let (address, subset) = split_subset(key);
    let (host, port) = split_port(address);
    let (found_address, found_subset) = split_subset(name);
    let (found_host, found_port) = split_port(found_address);
    let service = host.split('.').next().unwrap_or(host);
    subset == found_subset
        && (found_host == host || found_host == service)
        && (found_port.is_none() || found_port == port)
}

fn split_subset(key: &str) -> (&str, Option<&str>) {
    key.split_once('/')
        .map_or((key, None), |(address, subset)| (address, Some(subset)))
}

fn split_port(address: &str) -> (&str, Option<&str>) {
    address
        .rsplit_once(':')
        .map_or((address, None), |(host, port)| (host, Some(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_the_end_of_its_identity_as_a_short_name() {
        let id = "HTTPRoute/shop/cart/main";
        for name in [id, "shop/cart/main", "cart/main", "main"] {
            assert!(is_rule(name, id), "{name}");
        }
        for name in ["", "ain", "cart", "/main", "art/main", "cart/main/"] {
            assert!(!is_rule(name, id), "{name}");
        }
        assert!(is_rule("cart#0", "HTTPRoute/shop/cart#0"));
        assert!(is_rule("0", "HTTPRoute/shop/cart#0"));
    }

    #[test]
    fn a_backend_has_a_name_without_port_and_namespace() {
        let key = "cart.shop:80";
        for name in [key, "cart", "cart.shop", "cart:80"] {
            assert!(is_backend(name, key), "{name}");
        }
        for name in ["", "car", "cart.web", "cart:81", "cart/v1", "shop", ":80"] {
            assert!(!is_backend(name, key), "{name}");
        }
        let subset = "reviews.bookinfo:9080/v2";
        for name in [subset, "reviews/v2", "reviews:9080/v2", "reviews.bookinfo/v2"] {
            assert!(is_backend(name, subset), "{name}");
        }
        for name in ["reviews", "reviews/v1", "reviews.bookinfo:9080"] {
            assert!(!is_backend(name, subset), "{name}");
        }
        assert!(is_backend("api.example.com", "api.example.com:443"));
    }
}

//! Matches requests as Envoy does (`envoy.config.route.v3.RouteMatch`), with the conditions that Mooring and istiod write.

use std::{borrow::Cow, fmt};

use mooring_policy::headers::Headers;
use regex::bytes::{Regex, RegexBuilder};
use serde_json::{Map, Value};

/// The maximum size of a compiled expression, in bytes. Expressions are limited when they are read.
const MAX_REGEX_SIZE: usize = 10 << 20;

/// The conditions of a route. A request must fulfil all of them.
#[derive(Debug)]
pub struct RouteMatch {
    conditions: Vec<Condition>,
}

/// One condition.
#[derive(Debug)]
pub struct Condition {
    subject: Subject,
    test: Test,
    inverted: bool,
    missing_is_empty: bool,
}

/// What a condition compares.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// The path without the query.
    Path,
    /// A header, or a pseudo header such as `:method`.
    Header(String),
    /// A query parameter.
    QueryParameter(String),
}

#[derive(Debug)]
enum Test {
    Exact(String, Case),
    Prefix(String, Case),
    /// A prefix of whole path elements.
    PathElements(String, Case),
    Regex(Regex, String),
    Present,
    /// An expression that cannot be compiled, or a condition of an unknown form. It matches nothing.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Sensitive,
    Insensitive,
}

impl RouteMatch {
    /// Reads the field `match` of a route.
    #[must_use]
    pub fn new(fields: &Map<String, Value>) -> Self {
        let list = |name: &str| fields.get(name).and_then(Value::as_array).into_iter().flatten();
        let headers = list("headers").map(|header| Condition::new(Subject::Header(name_of(header)), header));
        let queries = list("query_parameters");
        let queries = queries.map(|query| Condition::new(Subject::QueryParameter(name_of(query)), query));
        let conditions = std::iter::once(path(fields)).chain(headers).chain(queries);
        Self {
            conditions: conditions.collect(),
        }
    }

    /// The conditions that a request does not fulfil.
    #[must_use]
    pub fn failing<'s>(&'s self, headers: &Headers) -> Vec<&'s Condition> {
        let all = self.conditions.iter();
        all.filter(|condition| !condition.holds(headers)).collect()
    }

    /// Whether a request fulfils all conditions.
    #[must_use]
    pub fn matches(&self, headers: &Headers) -> bool {
        self.conditions.iter().all(|condition| condition.holds(headers))
    }

    /// How many bytes of the path are as the condition on the path wants them, from its beginning. For a regular expression it is 0.
    #[must_use]
    pub fn common_path(&self, headers: &Headers) -> usize {
        let path = split_path(headers).0;
        let wanted = self.conditions.first().and_then(|condition| match &condition.test {
            Test::Exact(text, _) | Test::Prefix(text, _) | Test::PathElements(text, _) => Some(text.as_bytes()),
            Test::Regex(..) | Test::Present | Test::Never => None,
        });
        let pairs = wanted.unwrap_or_default().iter().zip(path);
        pairs.take_while(|(one, other)| one.eq_ignore_ascii_case(other)).count()
    }

    /// All conditions. The first one is that of the path.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

fn name_of(condition: &Value) -> String {
    let name = condition.get("name").and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}

fn path(fields: &Map<String, Value>) -> Condition {
    let case = if fields.get("case_sensitive") == Some(&Value::Bool(false)) {
        Case::Insensitive
    } else {
        Case::Sensitive
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let exact = text("path").map(|path| Test::Exact(path, case));
    let prefix = || text("prefix").map(|prefix| Test::Prefix(prefix, case));
    let elements = || text("path_separated_prefix").map(|prefix| Test::PathElements(prefix, case));
    let regex = || Some(Test::regex(fields.get("safe_regex")?));
    Condition {
        subject: Subject::Path,
        test: exact
            .or_else(prefix)
            .or_else(elements)
            .or_else(regex)
            .unwrap_or(Test::Never),
        inverted: false,
        missing_is_empty: false,
    }
}

impl Condition {
    fn new(subject: Subject, fields: &Value) -> Self {
        let flag = |name: &str| fields.get(name) == Some(&Value::Bool(true));
        let matcher = fields.get("string_match");
        let text = |name: &str| matcher?.get(name)?.as_str().map(str::to_owned);
        let exact = text("exact").map(|exact| Test::Exact(exact, Case::Sensitive));
        let prefix = || text("prefix").map(|prefix| Test::Prefix(prefix, Case::Sensitive));
        let regex = || Some(Test::regex(matcher?.get("safe_regex")?));
        let present = || flag("present_match").then_some(Test::Present);
        Self {
            subject,
            test: exact
                .or_else(prefix)
                .or_else(regex)
                .or_else(present)
                .unwrap_or(Test::Never),
            inverted: flag("invert_match"),
            missing_is_empty: flag("treat_missing_header_as_empty"),
        }
    }

    /// Whether a request with these headers fulfils the condition. Of several lines of a header, one has to: Envoy compares them one
    /// by one (`envoy.reloadable_features.match_headers_individually`). Envoy 1.36 compares them joined by commas.
    #[must_use]
    pub fn holds(&self, headers: &Headers) -> bool {
        let values = self.subject.values(headers);
        let is_there = !values.is_empty();
        match &self.test {
            Test::Present => is_there != self.inverted,
            test if is_there => values.iter().any(|value| test.accepts(value)) != self.inverted,
            test => self.missing_is_empty && test.accepts(b"") != self.inverted,
        }
    }

    /// Whether it accepts every request: any path.
    #[must_use]
    pub fn is_trivial(&self) -> bool {
        self.subject == Subject::Path && matches!(&self.test, Test::Prefix(prefix, _) if prefix == "/")
    }

    /// Whether it compares the path.
    #[must_use]
    pub fn is_about_path(&self) -> bool {
        self.subject == Subject::Path
    }

    /// What the request has where the condition looks, or `None` if it has nothing there.
    #[must_use]
    pub fn found(&self, headers: &Headers) -> Option<String> {
        let values = self.subject.values(headers);
        let texts: Vec<Cow<str>> = values.iter().map(|value| String::from_utf8_lossy(value)).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }
}

impl Subject {
    /// The values in a request: of a header all lines, of several query parameters of a name the first.
    fn values<'h>(&self, headers: &Headers<'h>) -> Vec<&'h [u8]> {
        match self {
            Self::Path => vec![split_path(headers).0],
            Self::Header(name) => headers.values(name).collect(),
            Self::QueryParameter(name) => {
                let query = split_path(headers).1.unwrap_or_default();
                let mut parameters = query.split(|byte| *byte == b'&').map(|parameter| {
                    let mut parts = parameter.splitn(2, |byte| *byte == b'=');
                    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
                });
                let first = parameters.find(|(key, _)| *key == name.as_bytes());
                first.into_iter().map(|(_, value)| value).collect()
            }
        }
    }
}

/// The path and the query of a request.
fn split_path<'h>(headers: &Headers<'h>) -> (&'h [u8], Option<&'h [u8]>) {
    let whole = headers.first(":path").unwrap_or_default();
    let mut parts = whole.splitn(2, |byte| *byte == b'?');
    (parts.next().unwrap_or_default(), parts.next())
}

impl Test {
    fn regex(fields: &Value) -> Self {
        let pattern = fields.get("regex").and_then(Value::as_str).unwrap_or_default();
        let anchored = format!(r"\A(?:{pattern})\z");
        match RegexBuilder::new(&anchored).size_limit(MAX_REGEX_SIZE).build() {
            Ok(regex) => Self::Regex(regex, pattern.to_owned()),
            Err(_) => Self::Never,
        }
    }

    fn accepts(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(exact, case) => case.equal(exact.as_bytes(), value),
            Self::Prefix(prefix, case) => case.begins(value, prefix.as_bytes()).is_some(),
            Self::PathElements(prefix, case) => {
                let rest = case.begins(value, prefix.as_bytes());
                rest.is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
            }
            Self::Regex(regex, _) => regex.is_match(value),
            Self::Present => true,
            Self::Never => false,
        }
    }
}

impl Case {
    fn equal(self, one: &[u8], other: &[u8]) -> bool {
        match self {
            Self::Sensitive => one == other,
            Self::Insensitive => one.eq_ignore_ascii_case(other),
        }
    }

    /// The rest of the value after the prefix.
    fn begins<'v>(self, value: &'v [u8], prefix: &[u8]) -> Option<&'v [u8]> {
        let (begin, rest) = value.split_at_checked(prefix.len())?;
        self.equal(begin, prefix).then_some(rest)
    }
}

/// Such as ``the path begins with `/cart` ``.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Path => write!(f, "the path")?,
            Subject::Header(name) if name == ":method" => write!(f, "the method")?,
            Subject::Header(name) if name == ":authority" => write!(f, "the host")?,
            Subject::Header(name) if name == ":scheme" => write!(f, "the scheme")?,
            Subject::Header(name) => write!(f, "the header `{name}`")?,
            Subject::QueryParameter(name) => write!(f, "the query parameter `{name}`")?,
        }
        let not = self.inverted;
        match &self.test {
            Test::Exact(value, case) => write!(f, " {} `{value}`{case}", if not { "is not" } else { "is" }),
            Test::Prefix(value, case) => {
                write!(
                    f,
                    " {} `{value}`{case}",
                    if not { "does not begin with" } else { "begins with" }
                )
            }
            Test::PathElements(value, case) => write!(f, " is `{value}` or below it{case}"),
            Test::Regex(_, pattern) => {
                write!(f, " {} `{pattern}`", if not { "does not match" } else { "matches" })
            }
            Test::Present => write!(f, " {}", if not { "is absent" } else { "is present" }),
            Test::Never => write!(f, " never matches"),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sensitive => Ok(()),
            Self::Insensitive => write!(f, " in any case"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(fields: &Value, path: &str, headers: &[(&str, &str)]) -> bool {
        let mut lines = vec![(":path", path), (":method", "GET"), (":authority", "shop.example.com")];
        lines.extend(headers);
        let lines: Vec<(String, Vec<u8>)> = lines
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
            .collect();
        RouteMatch::new(fields.as_object().unwrap()).matches(&lines.as_slice().into())
    }

    #[test]
    fn paths_are_compared_without_the_query() {
        let exact = json!({ "path": "/cart" });
        assert!(matches(&exact, "/cart?a=1", &[]) && !matches(&exact, "/cart/", &[]) && !matches(&exact, "/Cart", &[]));
        let prefix = json!({ "prefix": "/cart" });
        assert!(matches(&prefix, "/cartoon", &[]) && !matches(&prefix, "/car", &[]));
        let elements = json!({ "path_separated_prefix": "/cart" });
        assert!(
            matches(&elements, "/cart/a", &[])
                && matches(&elements, "/cart?a", &[])
                && !matches(&elements, "/cartoon", &[])
        );
        let regex = json!({ "safe_regex": { "regex": "/c.*t" } });
        assert!(matches(&regex, "/cart?x", &[]) && !matches(&regex, "/carts", &[]) && !matches(&regex, "x/cart", &[]));
        let any_case = json!({ "prefix": "/cart", "case_sensitive": false });
        assert!(matches(&any_case, "/CARToon", &[]));
    }

    #[test]
    fn one_line_of_a_header_is_enough_and_missing_ones_fail() {
        let header = |fields: Value| json!({ "prefix": "/", "headers": [fields] });
        let exact = header(json!({ "name": "x-user", "string_match": { "exact": "b" } }));
        assert!(
            matches(&exact, "/", &[("x-user", "a"), ("x-user", "b")]) && !matches(&exact, "/", &[("x-user", "a,b")])
        );
        assert!(!matches(&exact, "/", &[]));
        let present = header(json!({ "name": "x-user", "present_match": true }));
        assert!(matches(&present, "/", &[("x-user", "")]) && !matches(&present, "/", &[]));
        let absent = header(json!({ "name": "x-user", "present_match": true, "invert_match": true }));
        assert!(!matches(&absent, "/", &[("x-user", "")]) && matches(&absent, "/", &[]));
        let not = header(json!({
            "name": "x-user", "string_match": { "exact": "a" }, "invert_match": true, "treat_missing_header_as_empty": true,
        }));
        assert!(
            !matches(&not, "/", &[("x-user", "a")])
                && matches(&not, "/", &[("x-user", "b")])
                && matches(&not, "/", &[])
        );
    }

    #[test]
    fn the_first_query_parameter_of_a_name_counts() {
        let exact = json!({ "prefix": "/", "query_parameters": [{ "name": "v", "string_match": { "exact": "2" } }] });
        assert!(matches(&exact, "/?a=1&v=2", &[]) && matches(&exact, "/?v=2&v=1", &[]));
        assert!(!matches(&exact, "/?v=1&v=2", &[]) && !matches(&exact, "/?v=%32", &[]) && !matches(&exact, "/", &[]));
        let present = json!({ "prefix": "/", "query_parameters": [{ "name": "v", "present_match": true }] });
        assert!(matches(&present, "/?v", &[]) && !matches(&present, "/?w", &[]));
    }
}

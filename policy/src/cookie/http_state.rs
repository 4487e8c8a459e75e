//! Compares the parser with the behaviour of user agents: the parser tests of the IETF's http-state working group
//! (`abarth/http-state`, `tests/data/parser`), on which RFC 6265 is based. Each row has the name of a case, a line, and the name
//! and value of its first cookie. The rows have no attributes, because a `Cookie` line has none. One difference is intended: the
//! quotes around a value are removed.

use wasm_bindgen_test::wasm_bindgen_test;

use super::{Remainder, values, without};

/// The case, the line, the name of the cookie and its value.
const COOKIES: [(&str, &str, &str, &str); 57] = [
    ("0001", "foo=bar", "foo", "bar"),
    ("0015", "a=b", "a", "b"),
    ("0017", "z=y, a=b", "z", "y, a=b"),
    ("0018", "z=y; foo=bar, a=b", "z", "y"),
    ("0019", "foo=b;max-age=3600, c=d;path=/", "foo", "b"),
    ("0022", "x=", "x", ""),
    (
        "CHARSET0001",
        "foo=春节回家路·春运完全手册",
        "foo",
        "春节回家路·春运完全手册",
    ),
    ("CHARSET0002", "春节回=家路·春运完全手册", "春节回", "家路·春运完全手册"),
    ("CHARSET0003", "春节回=家路·春运; 完全手册", "春节回", "家路·春运"),
    (
        "CHARSET0004",
        "foo=\"春节回家路·春运完全手册\"",
        "foo",
        "春节回家路·春运完全手册",
    ),
    ("CHROMIUM0002", "aBc=\"zzz \"   ;", "aBc", "zzz "),
    ("CHROMIUM0003", "aBc=\"zzz \" ;", "aBc", "zzz "),
    ("CHROMIUM0004", "aBc=\"zz;pp\" ; ;", "aBc", "\"zz"),
    ("CHROMIUM0005", "aBc=\"zz ;", "aBc", "\"zz"),
    ("CHROMIUM0006", "aBc=\"zzz \"   \"ppp\"  ;", "aBc", "zzz \"   \"ppp"),
    ("CHROMIUM0007", "aBc=\"zzz \"   \"ppp\" ;", "aBc", "zzz \"   \"ppp"),
    ("CHROMIUM0008", "aBc=A\"B ;", "aBc", "A\"B"),
    ("CHROMIUM0011", "a=\"B", "a", "\"B"),
    ("CHROMIUM0013", "ABC=;  path = /", "ABC", ""),
    ("CHROMIUM0014", "  A  = BC  ;foo;;;   bar", "A", "BC"),
    ("CHROMIUM0015", "  A=== BC  ;foo;;;   bar", "A", "== BC"),
    (
        "CHROMIUM0016",
        "foo=\"zohNumRKgI0oxyhSsV3Z7D\"  ; path=/  ;  ",
        "foo",
        "zohNumRKgI0oxyhSsV3Z7D",
    ),
    (
        "CHROMIUM0017",
        "foo=zohNumRKgI0oxyhSsV3Z7D  ; path=/  ;  ",
        "foo",
        "zohNumRKgI0oxyhSsV3Z7D",
    ),
    ("COMMA0001", "foo=bar, baz=qux", "foo", "bar, baz=qux"),
    ("COMMA0002", "foo=\"bar, baz=qux\"", "foo", "bar, baz=qux"),
    ("COMMA0003", "foo=bar; b,az=qux", "foo", "bar"),
    (
        "MOZILLA0012",
        "test=\"fubar! = foo;bar\\\";\" parser",
        "test",
        "\"fubar! = foo",
    ),
    ("NAME0002", "1=bar", "1", "bar"),
    ("NAME0003", "$=bar", "$", "bar"),
    ("NAME0004", "!a=bar", "!a", "bar"),
    ("NAME0005", "@a=bar", "@a", "bar"),
    ("NAME0006", "#a=bar", "#a", "bar"),
    ("NAME0007", "$a=bar", "$a", "bar"),
    ("NAME0008", "%a=bar", "%a", "bar"),
    ("NAME0009", "^a=bar", "^a", "bar"),
    ("NAME0010", "&a=bar", "&a", "bar"),
    ("NAME0011", "*a=bar", "*a", "bar"),
    ("NAME0012", "(a=bar", "(a", "bar"),
    ("NAME0013", ")a=bar", ")a", "bar"),
    ("NAME0014", "-a=bar", "-a", "bar"),
    ("NAME0015", "_a=bar", "_a", "bar"),
    ("NAME0016", "+=bar", "+", "bar"),
    ("NAME0018", "a =bar", "a", "bar"),
    ("NAME0019", "\"a=bar", "\"a", "bar"),
    ("NAME0020", "\"a=b\"=bar", "\"a", "b\"=bar"),
    ("NAME0022", "   foo=bar", "foo", "bar"),
    ("NAME0024", "$Version=1; foo=bar", "$Version", "1"),
    ("NAME0026", "foo=bar    ", "foo", "bar"),
    ("NAME0027", "foo=bar    ;", "foo", "bar"),
    ("NAME0030", "foo bar=baz", "foo bar", "baz"),
    ("VALUE0001", "foo=  bar", "foo", "bar"),
    ("VALUE0002", "foo=\"bar\"", "foo", "bar"),
    ("VALUE0003", "foo=\"  bar \"", "foo", "  bar "),
    ("VALUE0004", "foo=\"bar;baz\"", "foo", "\"bar"),
    ("VALUE0005", "foo=\"bar=baz\"", "foo", "bar=baz"),
    ("VALUE0006", "\tfoo\t=\tbar\t \t;\tttt", "foo", "bar"),
    ("MOZILLA0017", "test=six", "test", "six"),
];

/// Lines that are no cookie, and a name that one might take for theirs.
const NO_COOKIES: [(&str, &str, &str); 17] = [
    ("0004", "foo", "foo"),
    ("0020", "=", "c"),
    ("0021", "=x", "x"),
    ("0025", "; bar", "bar"),
    ("0026", "   ", "foo"),
    ("0028", "\t", "foo"),
    ("CHROMIUM0009", "BLAHHH; path=/;", "BLAHHH"),
    ("CHROMIUM0010", "\"BLA\\\"HHH\"; path=/;", "BLA"),
    ("CHROMIUM0012", "=ABC", "ABC"),
    ("CHROMIUM0021", "", "foo"),
    ("MOZILLA0014", "six", "six"),
    ("MOZILLA0016", " =eight", "eight"),
    ("NAME0017", "=a=bar", "a"),
    ("NAME0023", "foo", "foo"),
    ("NAME0025", "===a=bar", "a"),
    ("NAME0029", "=", "a"),
    ("NAME0033", "=foo=bar", "foo"),
];

#[test]
#[wasm_bindgen_test]
fn pairs_are_read_as_user_agents_read_them() {
    for (case, line, name, value) in COOKIES {
        let found: Vec<_> = values(line.as_bytes(), name).collect();
        assert_eq!(found, [value.as_bytes()], "{case}: {line}");
        assert_ne!(without(line.as_bytes(), name), Remainder::Unchanged, "{case}: {line}");
    }
}

#[test]
#[wasm_bindgen_test]
fn what_is_no_cookie_for_user_agents_is_none_of_ours() {
    for (case, line, name) in NO_COOKIES {
        assert_eq!(values(line.as_bytes(), name).next(), None, "{case}: {line}");
        assert_eq!(without(line.as_bytes(), name), Remainder::Unchanged, "{case}: {line}");
    }
}

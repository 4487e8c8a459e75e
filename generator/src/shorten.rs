//! Shortens long texts of the input in messages. Only the beginning and the end of such a text are shown.

use std::borrow::Cow;

/// The length of the longest text that is shown as a whole.
const LONGEST: usize = 140;

/// How much of a longer text is shown at its beginning and at its end.
const FIRST: usize = 80;
const LAST: usize = 40;

/// Shortens each quoted text and each word of a message that is too long. Texts of the input are quoted with
/// backquotes.
pub fn shortened(message: String) -> String {
    if message.len() <= LONGEST {
        return message;
    }
    let parts: Vec<Cow<str>> = message.split('`').enumerate().map(part).collect();
    parts.join("`")
}

/// Shortens a part of a message between two backquotes. Every second part is quoted.
fn part((position, text): (usize, &str)) -> Cow<'_, str> {
    if position % 2 == 1 || text.len() <= LONGEST {
        return one(text);
    }
    let words: Vec<Cow<str>> = text.split(' ').map(one).collect();
    words.join(" ").into()
}

/// Shortens a text to its beginning and its end.
fn one(text: &str) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= LONGEST {
        return text.into();
    }
    let first: String = text.chars().take(FIRST).collect();
    let last: String = text.chars().skip(length.saturating_sub(LAST)).collect();
    format!("{first}…{last}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_long_stays() {
        let name = "a".repeat(LONGEST);
        for text in [
            String::new(),
            format!("`{name}` is not a name"),
            format!("Gateway shop/front is not {name}"),
            "many words ".repeat(50),
        ] {
            assert_eq!(shortened(text.clone()), text);
        }
    }

    #[test]
    fn a_long_word_or_quotation_is_shown_by_its_ends() {
        let long = |middle: &str| format!("{}{}{}", "a".repeat(FIRST), middle.repeat(1_000), "z".repeat(LAST));
        let short = format!("{}…{}", "a".repeat(FIRST), "z".repeat(LAST));
        for (text, expected) in [
            (
                format!("`{}` is not a name", long("x")),
                format!("`{short}` is not a name"),
            ),
            (
                format!("`{}` is not a name", long("x y")),
                format!("`{short}` is not a name"),
            ),
            (
                format!("the Service {} is not there", long("ü")),
                format!("the Service {short} is not there"),
            ),
        ] {
            assert_eq!(shortened(text), expected);
        }
    }
}

//! The lines of a YAML mapping in block style: its fields, and the items of its field `items`.

use super::invalid::InvalidList;

/// A mapping.
#[derive(Debug)]
pub struct Block {
    /// The name of each field and its lines. Lines before the first field belong to a field without a name.
    fields: Vec<(String, String)>,
    /// How many blanks precede the `-` of each item.
    indent: usize,
}

impl Block {
    /// Splits a text into the fields of its only document.
    pub fn parse(text: &str) -> Result<Self, InvalidList> {
        let mut fields: Vec<(String, String)> = vec![(String::new(), String::new())];
        for line in text.split_inclusive('\n') {
            let content = line.trim_end();
            if content == "---" && fields.len() > 1 {
                return Err(InvalidList::Stream);
            }
            let is_field = !line.starts_with([' ', '\t', '#', '-', '.']) && !content.is_empty();
            if is_field {
                let name = content.split(':').next().unwrap_or("").trim().trim_matches(['"', '\'']);
                fields.push((name.to_owned(), String::new()));
            }
            if let Some((_, lines)) = fields.last_mut() {
                lines.push_str(line);
            }
        }
        let mut block = Self { fields, indent: 0 };
        let lines = block.field("items").unwrap_or("").lines();
        let first = lines
            .filter(|line| line.trim_start().starts_with('-'))
            .map(indent)
            .next();
        block.indent = first.unwrap_or(0);
        Ok(block)
    }

    fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(field, _)| field == name);
        field.map(|(_, lines)| lines.as_str())
    }

    /// The value of a field, as a document.
    pub fn value(&self, name: &str) -> Option<String> {
        let (first, rest) = self.field(name)?.split_once('\n')?;
        let (_, inline) = first.split_once(':')?;
        let inline = inline.split(" #").next().unwrap_or("").trim();
        if matches!(inline, "null" | "~") {
            return None;
        }
        let by = rest.lines().find(|line| has_content(line)).map_or(0, indent);
        Some(format!("{inline}\n{}", dedented(rest, by)))
    }

    /// The items: the lines of each, with the comment before it, and the same item as a document.
    pub fn items(&self) -> Result<Vec<(String, String)>, InvalidList> {
        let Some((first, lines)) = self.field("items").and_then(|field| field.split_once('\n')) else {
            return Ok(Vec::new());
        };
        let inline = first.split_once(':').map_or("", |(_, inline)| inline);
        if !matches!(inline.split(" #").next().unwrap_or("").trim(), "" | "[]" | "null" | "~") {
            return Err(InvalidList::Flow);
        }
        let mut items: Vec<String> = Vec::new();
        let mut before = String::new();
        for line in lines.split_inclusive('\n') {
            let begins = indent(line) == self.indent && is_entry(line);
            let is_comment = indent(line) <= self.indent && line.trim_start().starts_with('#');
            if begins {
                items.push(std::mem::take(&mut before));
            }
            if is_comment || (!before.is_empty() && !begins) {
                before.push_str(line);
            } else if let Some(item) = items.last_mut() {
                item.push_str(line);
            } else if has_content(line) {
                return Err(InvalidList::Flow);
            }
        }
        if let Some(last) = items.last_mut() {
            last.push_str(&before);
        }
        Ok(items
            .into_iter()
            .map(|item| (item.clone(), self.document(&item)))
            .collect())
    }

    /// An item without its `-` and its indentation.
    fn document(&self, item: &str) -> String {
        let mut text = String::with_capacity(item.len());
        let mut begun = false;
        for line in item.split_inclusive('\n') {
            if !begun && is_entry(line) && indent(line) == self.indent {
                begun = true;
                text.push_str(&line.replacen('-', " ", 1));
            } else {
                text.push_str(line);
            }
        }
        let by = text.lines().find(|line| has_content(line)).map_or(0, indent);
        dedented(&text, by)
    }

    /// A document as an item.
    pub fn item(&self, document: &str) -> String {
        let blanks = " ".repeat(self.indent);
        let mut begun = false;
        let mut text = String::with_capacity(document.len().saturating_mul(2));
        for line in document.split_inclusive('\n') {
            let prefix = match (begun, has_content(line)) {
                (false, false) => "",
                (false, true) => "- ",
                (true, _) => "  ",
            };
            begun = begun || has_content(line);
            if !line.trim().is_empty() {
                text.push_str(&blanks);
                text.push_str(prefix);
            }
            text.push_str(line);
        }
        text
    }

    /// The mapping with other items, and with the field `results` replaced by these lines.
    pub fn write(&self, items: &[String], results: &str) -> String {
        let mut text = String::new();
        let mut written = false;
        for (name, lines) in &self.fields {
            match name.as_str() {
                "items" => {
                    written = true;
                    write_items(&mut text, items);
                }
                "results" => {}
                _ => push_lines(&mut text, lines),
            }
        }
        if !written {
            write_items(&mut text, items);
        }
        text.push_str(results);
        text
    }
}

fn write_items(text: &mut String, items: &[String]) {
    text.push_str(if items.is_empty() { "items: []\n" } else { "items:\n" });
    for item in items {
        push_lines(text, item);
    }
}

/// Appends lines, of which the last may lack its line break.
fn push_lines(text: &mut String, lines: &str) {
    text.push_str(lines);
    if !lines.is_empty() && !lines.ends_with('\n') {
        text.push('\n');
    }
}

/// The number of blanks at the start of a line.
fn indent(line: &str) -> usize {
    line.bytes().take_while(|byte| *byte == b' ').count()
}

/// Whether a line is the first one of an entry of a sequence.
fn is_entry(line: &str) -> bool {
    let line = line.trim();
    line == "-" || line.starts_with("- ")
}

fn has_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// The lines without up to this many blanks at their start.
fn dedented(lines: &str, by: usize) -> String {
    let line = |line: &'_ str| line.get(indent(line).min(by)..).unwrap_or("").to_owned();
    lines.split_inclusive('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
# head
kind: ResourceList
items:
  # of one
  - a: 1 # one
    b: |
      - text
      # text
  -
    a: 2
    # end of two
functionConfig:
  spec:
    wasm: x
results:
- message: old
";

    #[test]
    fn items_are_documents() {
        let items = Block::parse(LIST).unwrap().items().unwrap();
        let documents: Vec<&str> = items.iter().map(|(_, document)| document.as_str()).collect();
        assert_eq!(
            documents,
            [
                "# of one\na: 1 # one\nb: |\n  - text\n  # text\n",
                "\na: 2\n# end of two\n"
            ]
        );
    }

    #[test]
    fn what_is_read_is_written() {
        let block = Block::parse(LIST).unwrap();
        let items: Vec<String> = block.items().unwrap().into_iter().map(|(lines, _)| lines).collect();
        let expected = LIST.replace("results:\n- message: old\n", "");
        assert_eq!(block.write(&items, ""), expected);
        assert_eq!(block.value("functionConfig").as_deref(), Some("\nspec:\n  wasm: x\n"));
    }

    #[test]
    fn a_document_becomes_an_item() {
        let block = Block::parse(LIST).unwrap();
        assert_eq!(block.item("# c\na: 1\n\nb: 2\n"), "  # c\n  - a: 1\n\n    b: 2\n");
    }

    #[test]
    fn a_list_without_items_gets_some() {
        let block = Block::parse("kind: ResourceList").unwrap();
        assert_eq!(
            block.write(&["- a: 1\n".to_owned()], ""),
            "kind: ResourceList\nitems:\n- a: 1\n"
        );
    }
}

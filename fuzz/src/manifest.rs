//! Changes of Kubernetes objects that leave them Kubernetes objects: raw bytes would hardly ever get past the parser.

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Map, Value};

/// Names of fields, and values that mean something in some field: one on a line, in JSON or as it is.
const WORDS: &str = include_str!("words.txt");

/// Changes the text in `data`, of which `size` bytes are used and at most `max_size` may be. Returns how many are used then.
/// Objects of these kinds are changed more than others.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32, kinds: &[&str]) -> usize {
    let mut dice = Dice(u64::from(seed) | 1 << 40);
    let text = str::from_utf8(&data[..size]).unwrap_or_default();
    let mut objects = read(text);
    if objects.is_empty() || dice.one_in(8) {
        return fuzzer_mutate(data, size, max_size);
    }
    for _ in 0..=dice.below(3) {
        change(&mut objects, kinds, &mut dice);
    }
    let text = write(&objects, dice.one_in(2)).into_bytes();
    if text.len() > max_size || text == data[..size] {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..text.len()].copy_from_slice(&text);
    text.len()
}

fn read(text: &str) -> Vec<Value> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if line.starts_with("---") {
            documents.push(String::new());
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
        }
    }
    let read = |document: &String| serde_saphyr::from_str(document).ok().filter(Value::is_object);
    documents.iter().filter_map(read).collect()
}

fn write(objects: &[Value], in_json: bool) -> String {
    let text = |object: &Value| match serde_saphyr::to_string(object) {
        Ok(yaml) if !in_json => yaml,
        _ => format!("{object}\n"),
    };
    objects.iter().map(text).collect::<Vec<_>>().join("---\n")
}

/// A sequence of numbers out of a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).expect("a length is one");
        usize::try_from(self.roll() % limit).expect("it is below one")
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn word(&mut self) -> Value {
        let count = WORDS.lines().count();
        let word = WORDS.lines().nth(self.below(count)).unwrap_or_default();
        serde_json::from_str(word).unwrap_or_else(|_| word.into())
    }

    fn name(&mut self) -> String {
        match self.word() {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }
}

fn change(objects: &mut Vec<Value>, kinds: &[&str], dice: &mut Dice) {
    let of_kinds = |object: &Value| kinds.iter().any(|kind| object["kind"] == *kind);
    let mut positions: Vec<usize> = (0..objects.len())
        .filter(|position| of_kinds(&objects[*position]))
        .collect();
    if positions.is_empty() || dice.one_in(3) {
        positions = (0..objects.len()).collect();
    }
    let position = positions[dice.below(positions.len())];
    match dice.below(24) {
        0 => {
            let mut copy = objects[position].clone();
            // Under its own name it is a second document for one object.
            if let Some(name) = copy.pointer_mut("/metadata/name")
                && !dice.one_in(4)
            {
                *name = dice.word();
            }
            objects.push(copy);
        }
        1 if objects.len() > 1 => {
            objects.remove(position);
        }
        2 => {
            let other = dice.below(objects.len());
            objects.swap(position, other);
        }
        _ => {
            let donor = any(&objects[dice.below(objects.len())], dice).clone();
            alter(any_mut(&mut objects[position], dice), donor, dice);
        }
    }
}

/// Some value inside of another, or that one itself.
fn any<'a>(value: &'a Value, dice: &mut Dice) -> &'a Value {
    let next = match value {
        Value::Object(fields) if !dice.one_in(8) => fields.values().nth(dice.below(fields.len())),
        Value::Array(items) if !dice.one_in(8) => items.get(dice.below(items.len())),
        _ => None,
    };
    next.map_or(value, |next| any(next, dice))
}

fn any_mut<'a>(value: &'a mut Value, dice: &mut Dice) -> &'a mut Value {
    let stay = dice.one_in(8);
    let count = match &*value {
        Value::Object(fields) => fields.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    if stay || count == 0 {
        return value;
    }
    let next = dice.below(count);
    let next = match value {
        Value::Object(fields) => fields.values_mut().nth(next),
        Value::Array(items) => items.get_mut(next),
        _ => None,
    };
    any_mut(next.expect("there is one"), dice)
}

fn alter(value: &mut Value, donor: Value, dice: &mut Dice) {
    match value {
        Value::Object(fields) => alter_fields(fields, donor, dice),
        Value::Array(items) => {
            let position = dice.below(items.len());
            match dice.below(4) {
                0 => items.push(donor),
                1 if !items.is_empty() => drop(items.remove(position)),
                2 if !items.is_empty() => items.push(items[position].clone()),
                _ => items.rotate_left(position),
            }
        }
        Value::String(text) if dice.one_in(3) => alter_text(text, dice),
        Value::Number(_) if dice.one_in(2) => {
            let numbers: [u64; 10] = [0, 1, 2, 80, 100, 443, 65_535, 65_536, 4_294_967_295, 4_294_967_296];
            *value = numbers[dice.below(numbers.len())].into();
        }
        _ if dice.one_in(4) => *value = donor,
        _ => *value = dice.word(),
    }
}

fn alter_fields(fields: &mut Map<String, Value>, donor: Value, dice: &mut Dice) {
    let some = fields.keys().nth(dice.below(fields.len())).cloned();
    match (dice.below(4), some) {
        (0, Some(name)) => drop(fields.remove(&name)),
        (1, Some(name)) => {
            let value = fields.remove(&name).unwrap_or_default();
            fields.insert(dice.name(), value);
        }
        (2, _) => drop(fields.insert(dice.name(), donor)),
        _ => {
            let value = dice.word();
            fields.insert(dice.name(), value);
        }
    }
}

fn alter_text(text: &mut String, dice: &mut Dice) {
    let ends: Vec<usize> = text
        .char_indices()
        .map(|(start, _)| start)
        .chain([text.len()])
        .collect();
    let end = ends[dice.below(ends.len())];
    match dice.below(6) {
        0 => text.truncate(end),
        1 => text.insert_str(end, &dice.name()),
        2 => *text = text.repeat(2 + dice.below(30)),
        3 => text.make_ascii_uppercase(),
        4 => {
            let characters = [
                '\0', '\n', '\r', '\t', ' ', ';', ',', '"', '|', '/', '.', '*', 'é', '\u{2028}', '😀',
            ];
            text.insert(end, characters[dice.below(characters.len())]);
        }
        _ => {
            if let Some(character) = text[end..].chars().next() {
                *text = text.replacen(character, "", 1);
            }
        }
    }
}

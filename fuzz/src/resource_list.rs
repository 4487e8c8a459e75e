//! What holds for the input of `mooring fn`.

use mooring_generator::krm::resource_list::ResourceList;
use serde_json::Value;

/// Checks that a list which is written without a change means what it meant, and that writing it again changes nothing.
pub fn check(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let Ok(list) = ResourceList::parse(text, false) else {
        return;
    };
    let written = list.write_unchanged(&[]).expect("it can be written");
    assert_eq!(meaning(&written), meaning(text), "{written}");
    let again = ResourceList::parse(&written, false).expect("it is a list");
    assert_eq!(again.write_unchanged(&[]).expect("it can be written"), written);
}

/// The objects and the other fields. No items are an empty list, and results are those of the last run.
fn meaning(text: &str) -> Value {
    let mut list: Value = serde_saphyr::from_str(text).expect("the list was read");
    let fields = list.as_object_mut().expect("it is an object");
    fields.remove("results");
    if fields.get("items").is_some_and(Value::is_null) {
        fields.remove("items");
    }
    fields.entry("items").or_insert_with(|| Value::Array(Vec::new()));
    list
}

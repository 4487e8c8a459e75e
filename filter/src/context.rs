//! The contexts that Envoy opens in the module: one for each configuration, and one for each request under it.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use crate::{plugin::Plugin, stream::Stream};

/// The parent of those that have none.
const NO_PARENT: u32 = 0;

#[derive(Default)]
struct Contexts {
    plugins: BTreeMap<u32, Rc<Plugin>>,
    streams: BTreeMap<u32, Stream>,
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::default();
}

/// Envoy never enters the module again from within a call, but to ask for memory.
fn with<T>(work: impl FnOnce(&mut Contexts) -> T) -> T {
    CONTEXTS.with_borrow_mut(work)
}

/// Opens a context.
pub(crate) fn create(id: u32, parent: u32) {
    with(|contexts| {
        if parent == NO_PARENT {
            contexts.plugins.insert(id, Rc::default());
        } else if let Some(plugin) = contexts.plugins.get(&parent) {
            contexts.streams.insert(id, Stream::new(Rc::clone(plugin)));
        }
    });
}

/// Takes a configuration. False where it is refused.
pub(crate) fn configure(id: u32) -> bool {
    let Some(plugin) = Plugin::configure() else {
        return false;
    };
    with(|contexts| contexts.plugins.insert(id, Rc::new(plugin)));
    true
}

/// The headers of a request have come.
pub(crate) fn on_request(id: u32) {
    with(|contexts| contexts.streams.get_mut(&id).map(Stream::on_request));
}

/// The headers of its response have come, so many of them.
pub(crate) fn on_response(id: u32, headers: usize) {
    with(|contexts| contexts.streams.get_mut(&id).map(|stream| stream.on_response(headers)));
}

/// Closes a context.
pub(crate) fn delete(id: u32) {
    with(|contexts| {
        if contexts.streams.remove(&id).is_none() {
            contexts.plugins.remove(&id);
        }
    });
}

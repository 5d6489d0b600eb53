//! From where the present thread stores.

use std::cell::RefCell;
use std::sync::Arc;

use super::limits::MAX_NAME_BYTES;
use super::source::Source;
use crate::service::scope;
use crate::sync::{self, Ordering, Tally, current_thread};

/// Says where events of one store come from, if they do not say so themselves.
#[derive(Debug)]
pub(crate) struct Origin {
    node: Arc<str>,
    /// Which store of the process it is.
    number: u64,
}

static STORES: Tally = Tally::new(1);

/// What a thread was called when it stored last: by which store, as which service.
struct Known {
    store: u64,
    service: Option<Arc<str>>,
    source: Arc<Source>,
}

sync::thread_local! {
    static KNOWN: RefCell<Option<Known>> = const { RefCell::new(None) };
}

impl Origin {
    pub(crate) fn new(node: Arc<str>) -> Self {
        Self { node, number: STORES.fetch_add(1, Ordering::Relaxed) }
    }

    /// The source of what this thread stores.
    pub(crate) fn of_thread(&self) -> Arc<Source> {
        let service = scope::me().map(|me| Arc::clone(&me.node.name));
        let known = KNOWN.try_with(|known| {
            let mut known = known.try_borrow_mut().ok()?;
            let is_same = |known: &Known| known.store == self.number && known.service == service;
            if !known.as_ref().is_some_and(is_same) {
                let source = self.source(service.clone());
                *known = Some(Known { store: self.number, service: service.clone(), source });
            }
            known.as_ref().map(|known| Arc::clone(&known.source))
        });
        // A thread that ends knows nothing any more.
        known.ok().flatten().unwrap_or_else(|| self.source(service))
    }

    fn source(&self, service: Option<Arc<str>>) -> Arc<Source> {
        let thread = current_thread();
        let name = thread.name().map_or_else(|| format!("{:?}", thread.id()), str::to_owned);
        let service = service.map(|name| Arc::from(cut(&name)));
        Arc::new(Source { service, thread: cut(&name).into(), node: Arc::clone(&self.node) })
    }
}

/// As much of a name as a source may have.
fn cut(name: &str) -> &str {
    let most = name.floor_char_boundary(MAX_NAME_BYTES);
    if name.is_empty() { "-" } else { &name[..most] }
}
